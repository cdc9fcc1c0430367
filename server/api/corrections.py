"""Correcting a balance by hand.

A correction takes two persons, so only persons can propose and decide one: each with an admin's
token of their own. The api key is one secret that any number of programs may share, and could be
both of the two.
"""

from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Router, get, post
from litestar.datastructures import State
from litestar.params import JSONBody, PathParameter, QueryParameter

from protocol.messages import MONEY_MAX
from rules.commands import DecideCorrection, ProposeCorrection
from rules.outcomes import CorrectionProposed
from rules.rows import Correction
from server.api.access import Caller, admin_or_backend
from server.api.answers import booked
from server.api.context import Context
from server.api.errors import ApiError
from server.api.fields import NOTE_CHARACTERS_MAX, checked_id, checked_text, checked_whole
from server.api.lists import Cursor, Limit
from server.api.request import idempotency_key, shell_of

Entry = Annotated[int, PathParameter(ge=1, le=MONEY_MAX)]
CorrectionStatus = Annotated[Literal["proposed", "approved", "rejected"] | None, QueryParameter()]


class CorrectionWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    user: str
    account: Literal["coins", "coin_debt", "diamonds_available", "diamond_debt"]
    amount: int
    reason: str


def _correction_body(row: Correction) -> dict[str, Any]:
    return {
        "correction": row.id,
        "status": row.status,
        "user": row.user,
        "account": row.account,
        "amount": row.amount,
        "reason": row.reason,
        "proposed_by": row.proposed_by,
        "at_ms": row.at_ms,
        "decided_by": row.decided_by or None,
    }


def _admin(request: Request[Any, Any, Any], shell: Context) -> Caller:
    """A person who is an admin. Raises ApiError `unauthorized`, `forbidden`."""
    caller = admin_or_backend(request, shell)
    if caller.identity is None:
        sentence = (
            "A correction takes two persons, and the api key is none: use the token of an admin."
        )
        raise ApiError("forbidden", sentence)
    return caller


@get("/corrections")
async def list_corrections(
    state: State,
    request: Request[Any, Any, Any],
    status: CorrectionStatus = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> dict[str, Any]:
    """Corrections, newest first."""
    shell = shell_of(state)
    admin_or_backend(request, shell)
    found = await shell.store.money.corrections(status, cursor, limit)
    next_cursor = str(found[-1].id) if len(found) == limit else None
    return {"items": [_correction_body(row) for row in found], "next_cursor": next_cursor}


@post("/corrections", status_code=201)
async def propose_correction(
    state: State, request: Request[Any, Any, Any], data: JSONBody[CorrectionWish]
) -> dict[str, Any]:
    """Propose to change a balance by an amount; a debt is below zero. Nothing moves until another
    admin approves."""
    shell = shell_of(state)
    caller = _admin(request, shell)
    command = ProposeCorrection(
        actor=caller.actor,
        key=idempotency_key(request),
        user=checked_id(data.user, "user"),
        account=data.account,
        amount=await checked_whole(request, "amount"),
        reason=checked_text(data.reason, "reason", NOTE_CHARACTERS_MAX),
    )
    outcome = await booked(shell, command)
    assert isinstance(outcome, CorrectionProposed)
    return await _correction(shell, outcome.correction)


@post("/corrections/{correction:int}/approve", status_code=200)
async def approve_correction(
    state: State, request: Request[Any, Any, Any], correction: Entry
) -> dict[str, Any]:
    """Approve what another admin proposed: the balance changes now."""
    return await _decide(state, request, correction, approve=True)


@post("/corrections/{correction:int}/reject", status_code=200)
async def reject_correction(
    state: State, request: Request[Any, Any, Any], correction: Entry
) -> dict[str, Any]:
    """Reject a correction, or withdraw one's own: nothing moves."""
    return await _decide(state, request, correction, approve=False)


async def _decide(
    state: State, request: Request[Any, Any, Any], correction: int, *, approve: bool
) -> dict[str, Any]:
    shell = shell_of(state)
    caller = _admin(request, shell)
    key = idempotency_key(request)
    command = DecideCorrection(actor=caller.actor, key=key, correction=correction, approve=approve)
    await booked(shell, command)
    return await _correction(shell, correction)


async def _correction(shell: Context, id: int) -> dict[str, Any]:
    [row] = await shell.store.money.corrections(None, id + 1, 1)
    return _correction_body(row)


corrections_router = Router(
    path="/v1",
    route_handlers=[list_corrections, propose_correction, approve_correction, reject_correction],
    tags=["corrections"],
)
