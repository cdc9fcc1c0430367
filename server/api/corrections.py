"""Correcting a balance by hand.

A correction takes two persons, so only persons can propose and decide one: each with an admin's
token of their own. The api key is one secret that any number of programs may share, and could be
both of the two.
"""

from typing import Annotated, Literal

import msgspec
from litestar import Router, get, post
from litestar.params import JSONBody, QueryParameter

from protocol.messages import MONEY_MAX
from rules.commands import DecideCorrection, ProposeCorrection
from rules.lifecycles import CorrectionStatus
from rules.outcomes import CorrectionProposed
from rules.rows import Correction
from server.api.access import Caller, admin, backend_or_admin
from server.api.answers import booked, shaped
from server.api.context import Context
from server.api.fields import Id, Note, Number
from server.api.lists import Cursor, Limit, Page
from server.api.request import Asker, InContext, Key

MaybeStatus = Annotated[CorrectionStatus | None, QueryParameter(description="Only those.")]
Account = Annotated[
    Literal["coins", "coin_debt", "diamonds_available", "diamond_debt"],
    msgspec.Meta(description="whose balance it is", examples=["coins"]),
]
Change = Annotated[
    int,
    msgspec.Meta(
        description="a whole number other than 0: what the balance changes by",
        examples=[-500],
        extra_json_schema={"minimum": -MONEY_MAX, "maximum": MONEY_MAX},
    ),
]


class CorrectionWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    user: Id
    account: Account
    amount: Change
    reason: Note


class CorrectionBody(msgspec.Struct, frozen=True, kw_only=True):
    correction: int
    status: CorrectionStatus
    user: str
    account: Account
    amount: int
    reason: str
    proposed_by: str
    at_ms: int
    decided_by: str | None


class CorrectionPage(Page[CorrectionBody], frozen=True):
    """Newest first."""


def _body(row: Correction) -> CorrectionBody:
    return shaped(CorrectionBody, row, correction=row.id, decided_by=row.decided_by or None)


@get("/corrections", guards=[backend_or_admin])
async def list_corrections(
    context: InContext, status: MaybeStatus = None, cursor: Cursor = None, limit: Limit = 50
) -> CorrectionPage:
    """Corrections, newest first."""
    found = await context.store.money.corrections(status, cursor, limit)
    next_cursor = str(found[-1].id) if len(found) == limit else None
    return CorrectionPage([_body(row) for row in found], next_cursor)


@post(
    "/corrections",
    guards=[admin],
    status_code=201,
)
async def propose_correction(
    context: InContext, caller: Asker, key: Key, data: JSONBody[CorrectionWish]
) -> CorrectionBody:
    """Propose to change a balance by an amount; a debt is below zero. Nothing moves until another
    admin approves."""
    command = ProposeCorrection(
        actor=caller.actor,
        key=key,
        user=data.user,
        account=data.account,
        amount=data.amount,
        reason=data.reason,
    )
    outcome = await booked(context, command)
    assert isinstance(outcome, CorrectionProposed)
    return await _correction(context, outcome.correction)


@post(
    "/corrections/{correction:int}/approve",
    guards=[admin],
    status_code=200,
    refuses=["unknown_correction", "wrong_state", "invalid"],
)
async def approve_correction(
    context: InContext, caller: Asker, key: Key, correction: Number
) -> CorrectionBody:
    """Approve what another admin proposed: the balance changes now."""
    return await _decided(context, caller, key, correction, approve=True)


@post(
    "/corrections/{correction:int}/reject",
    guards=[admin],
    status_code=200,
    refuses=["unknown_correction", "wrong_state"],
)
async def reject_correction(
    context: InContext, caller: Asker, key: Key, correction: Number
) -> CorrectionBody:
    """Reject a correction, or withdraw one's own: nothing moves."""
    return await _decided(context, caller, key, correction, approve=False)


async def _decided(
    context: Context, caller: Caller, key: str, correction: int, *, approve: bool
) -> CorrectionBody:
    await booked(
        context,
        DecideCorrection(actor=caller.actor, key=key, correction=correction, approve=approve),
    )
    return await _correction(context, correction)


async def _correction(context: Context, id: int) -> CorrectionBody:
    [row] = await context.store.money.corrections(None, id + 1, 1)
    return _body(row)


corrections_router = Router(
    path="/v1",
    route_handlers=[list_corrections, propose_correction, approve_correction, reject_correction],
    tags=["corrections"],
)
