"""What the books could not place: people look at it, and say what came of it."""

from typing import Annotated

import msgspec
from litestar import Router, get, post
from litestar.params import JSONBody, QueryParameter

from rules.commands import SettleSuspense
from rules.rows import Suspense
from server.api.access import backend_or_admin
from server.api.answers import booked, shaped
from server.api.fields import Note, Number
from server.api.lists import Cursor, Limit, Page
from server.api.request import Asker, InContext, Key

Settled = Annotated[bool | None, QueryParameter(description="Only those that are settled, or not.")]


class Settling(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    note: Note


class SuspenseBody(msgspec.Struct, frozen=True, kw_only=True):
    entry: int
    subject: str
    """What it is about: a purchase, a payout, a payment."""
    why: str
    note: str
    at_ms: int
    settled_by: str | None
    settled_note: str | None


class SuspensePage(Page[SuspenseBody], frozen=True):
    """Newest first."""


def _body(row: Suspense) -> SuspenseBody:
    return shaped(
        SuspenseBody,
        row,
        entry=row.id,
        settled_by=row.settled_by or None,
        settled_note=row.settled_note or None,
    )


@get("/suspense", guards=[backend_or_admin])
async def list_suspense(
    context: InContext, settled: Settled = None, cursor: Cursor = None, limit: Limit = 50
) -> SuspensePage:
    """What the books could not place and a person has to look at, newest first."""
    found = await context.store.money.suspense(settled, cursor, limit)
    next_cursor = str(found[-1].id) if len(found) == limit else None
    return SuspensePage([_body(row) for row in found], next_cursor)


@post(
    "/suspense/{entry:int}/settle",
    guards=[backend_or_admin],
    status_code=200,
    refuses=["unknown_entry", "wrong_state"],
)
async def settle_suspense(
    context: InContext, caller: Asker, key: Key, entry: Number, data: JSONBody[Settling]
) -> SuspenseBody:
    """Say what came of an entry. No money moves by this."""
    command = SettleSuspense(actor=caller.actor, key=key, entry=entry, note=data.note)
    await booked(context, command)
    [row] = await context.store.money.suspense(None, entry + 1, 1)
    return _body(row)


suspense_router = Router(
    path="/v1", route_handlers=[list_suspense, settle_suspense], tags=["suspense"]
)
