"""What the books could not place: people look at it, and say what came of it."""

from typing import Annotated, Any

import msgspec
from litestar import Request, Router, get, post
from litestar.datastructures import State
from litestar.params import FromQuery, JSONBody, PathParameter

from protocol.messages import MONEY_MAX
from rules.commands import SettleSuspense
from rules.rows import Suspense
from server.api.access import admin_or_backend
from server.api.answers import booked
from server.api.fields import NOTE_CHARACTERS_MAX, checked_text
from server.api.lists import Cursor, Limit
from server.api.request import idempotency_key, shell_of

Entry = Annotated[int, PathParameter(ge=1, le=MONEY_MAX)]


class Settling(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    note: str


def _suspense_body(row: Suspense) -> dict[str, Any]:
    return {
        "entry": row.id,
        "subject": row.subject,
        "why": row.why,
        "note": row.note,
        "at_ms": row.at_ms,
        "settled_by": row.settled_by or None,
        "settled_note": row.settled_note or None,
    }


@get("/suspense")
async def list_suspense(
    state: State,
    request: Request[Any, Any, Any],
    settled: FromQuery[bool | None] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> dict[str, Any]:
    """What the books could not place and a person has to look at, newest first."""
    shell = shell_of(state)
    admin_or_backend(request, shell)
    found = await shell.store.money.suspense(settled, cursor, limit)
    next_cursor = str(found[-1].id) if len(found) == limit else None
    return {"items": [_suspense_body(row) for row in found], "next_cursor": next_cursor}


@post("/suspense/{entry:int}/settle", status_code=200)
async def settle_suspense(
    state: State, request: Request[Any, Any, Any], entry: Entry, data: JSONBody[Settling]
) -> dict[str, Any]:
    """Say what came of an entry. No money moves by this."""
    shell = shell_of(state)
    caller = admin_or_backend(request, shell)
    note = checked_text(data.note, "note", NOTE_CHARACTERS_MAX)
    key = idempotency_key(request)
    await booked(shell, SettleSuspense(actor=caller.actor, key=key, entry=entry, note=note))
    [row] = await shell.store.money.suspense(None, entry + 1, 1)
    return _suspense_body(row)


suspense_router = Router(
    path="/v1", route_handlers=[list_suspense, settle_suspense], tags=["suspense"]
)
