"""Payouts over HTTP: creators ask, the backend looks, decides, and says that the bank has paid.

What goes to the bank and what comes back from it as files is in bank_files.py.
"""

import re
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Router, get, post
from litestar.datastructures import State
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from rules.commands import AnyCommand, ApprovePayout, PayPayout, RejectPayout, RequestPayout
from rules.review import first_day
from rules.rows import Payout
from server.api.access import Caller, check_is
from server.api.answers import booked, outcome_body
from server.api.checks import (
    backend,
    caller_of,
    checked_id,
    checked_text,
    checked_whole,
    idempotency_key,
    shell_of,
)
from server.api.context import Context
from server.api.errors import ApiError
from server.api.lists import Limit

TEXT_CHARACTERS_MAX = 200
"""Of a bank's reference and of a reason."""

PayoutStatus = Literal["requested", "approved", "paid", "rejected"]
MaybeStatus = Annotated[PayoutStatus | None, QueryParameter()]

_CURSOR = re.compile(r"([0-9]{1,16})_(payout-[0-9]{1,19})")


class PayoutWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    millidiamonds: int


class Payment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reference: str = ""


class Rejection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: str


def payout_body(row: Payout) -> dict[str, Any]:
    """A payout as it stands. The row keeps the bank's reference and a reason in one place."""
    return {
        "payout": row.id,
        "creator": row.creator,
        "status": row.status,
        "millidiamonds": row.millidiamonds,
        "amount_minor": row.amount_minor,
        "currency": row.currency,
        "flags": row.flags,
        "requested_ms": row.requested_ms,
        "decided_ms": row.decided_ms or None,
        "reference": row.reference if row.status == "paid" else None,
        "reason": row.reference if row.status == "rejected" else None,
    }


@post("/payouts", status_code=201)
async def request_payout(
    state: State, request: Request[Any, Any, Any], data: JSONBody[PayoutWish]
) -> dict[str, Any]:
    """Ask for one's available diamonds as money: they are reserved until the payout is over."""
    shell = shell_of(state)
    caller = caller_of(request, shell)
    creator = _creator(caller)
    from_day = first_day(shell.policy, shell.clock())
    command = RequestPayout(
        actor=caller.actor,
        key=idempotency_key(request),
        creator=creator,
        millidiamonds=await checked_whole(request, "millidiamonds"),
        facts=await shell.store.money.payout_facts(creator, from_day),
    )
    return outcome_body(await booked(shell, command))


def _creator(caller: Caller) -> str:
    if caller.identity is None:
        raise ApiError(
            "forbidden", "A payout is asked for by its creator; use the creator's token."
        )
    if caller.identity.role == "overlay":
        raise ApiError("forbidden", "An overlay's token cannot ask for a payout.")
    return caller.identity.user


@get("/payouts")
async def list_payouts(
    state: State,
    request: Request[Any, Any, Any],
    status: MaybeStatus = None,
    creator: FromQuery[str | None] = None,
    cursor: FromQuery[str] = "",
    limit: Limit = 50,
) -> dict[str, Any]:
    """Payouts, newest first. A user's token lists that user's own."""
    shell = shell_of(state)
    caller = caller_of(request, shell)
    if caller.identity is not None:
        creator = creator or caller.identity.user
    if creator is not None:
        check_is(caller, checked_id(creator, "creator"))
    found = await shell.store.money.payouts(creator, status, _place(cursor), limit)
    next_cursor = f"{found[-1].requested_ms}_{found[-1].id}" if len(found) == limit else None
    return {"items": [payout_body(row) for row in found], "next_cursor": next_cursor}


def _place(cursor: str) -> tuple[int, str] | None:
    if not cursor:
        return None
    parts = _CURSOR.fullmatch(cursor)
    if parts is None:
        raise ApiError("invalid", "`cursor` must be one that a list gave.", {"field": "cursor"})
    return int(parts[1]), parts[2]


@get("/payouts/{payout:str}")
async def show_payout(
    state: State, request: Request[Any, Any, Any], payout: FromPath[str]
) -> dict[str, Any]:
    """One payout. Who may not see it is not told whether there is one."""
    shell = shell_of(state)
    caller = caller_of(request, shell)
    row = await shell.store.money.payout(payout)
    identity = caller.identity
    if identity is not None and (
        row is None or identity.user != row.creator or identity.role == "overlay"
    ):
        raise ApiError("forbidden", "Only the backend and the payout's creator may see it.")
    if row is None:
        raise ApiError("unknown_payout", f"There is no payout {payout}.")
    return payout_body(row)


@post("/payouts/{payout:str}/approve", status_code=200)
async def approve_payout(
    state: State, request: Request[Any, Any, Any], payout: FromPath[str]
) -> dict[str, Any]:
    """A person has looked at it: the bank may pay."""
    shell = shell_of(state)
    actor, key = backend(request, shell).actor, idempotency_key(request)
    return await _moved(shell, payout, ApprovePayout(actor=actor, key=key, payout=payout))


@post("/payouts/{payout:str}/paid", status_code=200)
async def pay_payout(
    state: State,
    request: Request[Any, Any, Any],
    payout: FromPath[str],
    data: JSONBody[Payment | None] = None,
) -> dict[str, Any]:
    """The bank has paid an approved payout: its diamonds are gone."""
    shell = shell_of(state)
    actor, key = backend(request, shell).actor, idempotency_key(request)
    reference = data.reference if data else ""
    if reference:
        checked_text(reference, "reference", TEXT_CHARACTERS_MAX)
    command = PayPayout(actor=actor, key=key, payout=payout, reference=reference)
    return await _moved(shell, payout, command)


@post("/payouts/{payout:str}/reject", status_code=200)
async def reject_payout(
    state: State, request: Request[Any, Any, Any], payout: FromPath[str], data: JSONBody[Rejection]
) -> dict[str, Any]:
    """It will not be paid: all of its diamonds are available again."""
    shell = shell_of(state)
    actor, key = backend(request, shell).actor, idempotency_key(request)
    reason = checked_text(data.reason, "reason", TEXT_CHARACTERS_MAX)
    command = RejectPayout(actor=actor, key=key, payout=payout, reason=reason)
    return await _moved(shell, payout, command)


async def _moved(shell: Context, payout: str, command: AnyCommand) -> dict[str, Any]:
    await booked(shell, command)
    row = await shell.store.money.payout(payout)
    assert row is not None
    return payout_body(row)


payouts_router = Router(
    path="/v1",
    route_handlers=[
        request_payout,
        list_payouts,
        show_payout,
        approve_payout,
        pay_payout,
        reject_payout,
    ],
    tags=["payouts"],
)
