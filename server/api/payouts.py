"""Payouts over HTTP: creators ask, the backend looks, decides, and says that the bank has paid.

What goes to the bank and what comes back from it as files is in bank_files.py.
"""

import re
from collections.abc import Sequence
from typing import Annotated

import msgspec
from litestar import Router, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from rules.commands import AnyCommand, ApprovePayout, PayPayout, RejectPayout, RequestPayout
from rules.lifecycles import PayoutStatus
from rules.refusals import RefusalCode
from rules.review import first_day
from rules.rows import Payout
from server.api.access import backend, check_is, creator_alone, somebody
from server.api.answers import booked, shaped
from server.api.context import Context
from server.api.errors import ApiError
from server.api.fields import Amount, MaybeText, Reason, checked_id
from server.api.lists import CursorText, Limit, Page
from server.api.request import Asker, InContext, Key

MaybeStatus = Annotated[PayoutStatus | None, QueryParameter(description="Only those.")]
MaybeCreator = Annotated[
    str | None,
    QueryParameter(description="Only of this creator; with a token, always of its user."),
]

_CURSOR = re.compile(r"([0-9]{1,16})_(payout-[0-9]{1,19})")


class PayoutWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    millidiamonds: Amount


class Payment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reference: MaybeText = ""
    """The bank's name for it."""


class Rejection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: Reason


class RequestedBody(msgspec.Struct, frozen=True, kw_only=True):
    payout: str
    creator: str
    status: PayoutStatus
    millidiamonds: int
    amount_minor: int
    currency: str
    flags: Sequence[str]
    """What a reviewer should look at before money leaves."""


class PayoutBody(RequestedBody, frozen=True, kw_only=True):
    requested_ms: int
    decided_ms: int | None
    reference: str | None
    """Of the bank, once it has paid."""
    reason: str | None
    """Of a rejection."""


class PayoutPage(Page[PayoutBody], frozen=True):
    """Newest first."""


def _body(row: Payout) -> PayoutBody:
    """A payout as it stands. The row keeps the bank's reference and a reason in one place."""
    return shaped(
        PayoutBody,
        row,
        payout=row.id,
        decided_ms=row.decided_ms or None,
        reference=row.reference if row.status is PayoutStatus.PAID else None,
        reason=row.reference if row.status is PayoutStatus.REJECTED else None,
    )


@post(
    "/payouts",
    guards=[creator_alone],
    status_code=201,
    refuses=["account_frozen", "payout_open", "insufficient_diamonds"],
)
async def request_payout(
    context: InContext, caller: Asker, key: Key, data: JSONBody[PayoutWish]
) -> RequestedBody:
    """Ask for one's available diamonds as money: they are reserved until the payout is over."""
    from_day = first_day(context.policy, context.clock())
    command = RequestPayout(
        actor=caller.actor,
        key=key,
        creator=caller.user,
        millidiamonds=data.millidiamonds,
        facts=await context.store.money.payout_facts(caller.user, from_day),
    )
    return shaped(RequestedBody, await booked(context, command))


@get("/payouts", guards=[somebody], refuses=["invalid"])
async def list_payouts(
    context: InContext,
    caller: Asker,
    status: MaybeStatus = None,
    creator: MaybeCreator = None,
    cursor: CursorText = "",
    limit: Limit = 50,
) -> PayoutPage:
    """Payouts, newest first. A user's token lists that user's own."""
    if caller.identity is not None:
        creator = creator or caller.identity.user
    if creator is not None:
        check_is(caller, checked_id(creator, "creator"))
    found = await context.store.money.payouts(creator, status, _place(cursor), limit)
    next_cursor = f"{found[-1].requested_ms}_{found[-1].id}" if len(found) == limit else None
    return PayoutPage([_body(row) for row in found], next_cursor)


def _place(cursor: str) -> tuple[int, str] | None:
    if not cursor:
        return None
    parts = _CURSOR.fullmatch(cursor)
    if parts is None:
        raise ApiError(
            RefusalCode.INVALID, "`cursor` must be one that a list gave.", {"field": "cursor"}
        )
    return int(parts[1]), parts[2]


@get("/payouts/{payout:str}", guards=[somebody], refuses=["unknown_payout"])
async def show_payout(context: InContext, caller: Asker, payout: FromPath[str]) -> PayoutBody:
    """One payout. Who may not see it is not told whether there is one."""
    row = await context.store.money.payout(payout)
    identity = caller.identity
    if identity is not None and (
        row is None or identity.user != row.creator or identity.role == "overlay"
    ):
        raise ApiError(
            RefusalCode.FORBIDDEN, "Only the backend and the payout's creator may see it."
        )
    if row is None:
        raise ApiError(RefusalCode.UNKNOWN_PAYOUT, f"There is no payout {payout}.")
    return _body(row)


@post(
    "/payouts/{payout:str}/approve",
    guards=[backend],
    status_code=200,
    refuses=["unknown_payout", "wrong_state", "account_frozen"],
)
async def approve_payout(
    context: InContext, caller: Asker, key: Key, payout: FromPath[str]
) -> PayoutBody:
    """A person has looked at it: the bank may pay."""
    command = ApprovePayout(actor=caller.actor, key=key, payout=payout)
    return await _moved(context, payout, command)


@post(
    "/payouts/{payout:str}/paid",
    guards=[backend],
    status_code=200,
    refuses=["unknown_payout", "wrong_state"],
)
async def pay_payout(
    context: InContext,
    caller: Asker,
    key: Key,
    payout: FromPath[str],
    data: JSONBody[Payment | None] = None,
) -> PayoutBody:
    """The bank has paid an approved payout: its diamonds are gone."""
    reference = data.reference if data else ""
    command = PayPayout(actor=caller.actor, key=key, payout=payout, reference=reference)
    return await _moved(context, payout, command)


@post(
    "/payouts/{payout:str}/reject",
    guards=[backend],
    status_code=200,
    refuses=["unknown_payout", "wrong_state"],
)
async def reject_payout(
    context: InContext, caller: Asker, key: Key, payout: FromPath[str], data: JSONBody[Rejection]
) -> PayoutBody:
    """It will not be paid: all of its diamonds are available again."""
    command = RejectPayout(actor=caller.actor, key=key, payout=payout, reason=data.reason)
    return await _moved(context, payout, command)


async def _moved(context: Context, payout: str, command: AnyCommand) -> PayoutBody:
    await booked(context, command)
    row = await context.store.money.payout(payout)
    assert row is not None
    return _body(row)


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
