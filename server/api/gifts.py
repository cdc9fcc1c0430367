"""Gifts over HTTP: taking one back, and hiding one."""

import msgspec
from litestar import Router, post
from litestar.params import FromPath, JSONBody

from rules.commands import HideGift, RetractGift
from rules.outcomes import TakenBack
from server.api.access import backend, backend_or_creator
from server.api.answers import settled, shaped
from server.api.fields import Reason
from server.api.request import Asker, InContext, Key


class Retraction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: Reason


class RetractedBody(msgspec.Struct, frozen=True, kw_only=True):
    gift_id: str
    room: str
    seq: int
    """Of the retraction, in the room's log."""
    coins: int
    millidiamonds: int
    taken: TakenBack
    debt_paid_coins: int
    """The part of the coins that paid what the sender owed."""
    replayed: bool


class HiddenBody(msgspec.Struct, frozen=True, kw_only=True):
    gift_id: str
    room: str
    seq: int
    replayed: bool


@post(
    "/gifts/{gift:str}/retract",
    guards=[backend],
    status_code=200,
    refuses=["unknown_gift", "already_retracted", "not_retractable"],
)
async def retract_gift(
    context: InContext, caller: Asker, key: Key, gift: FromPath[str], data: JSONBody[Retraction]
) -> RetractedBody:
    """Give a gift's coins back and take the creator's diamonds for it; logs `gift_retracted`."""
    command = RetractGift(actor=caller.actor, key=key, gift_id=gift, reason=data.reason)
    result = await settled(context, command)
    return shaped(RetractedBody, result.outcome, replayed=result.replayed)


@post(
    "/gifts/{gift:str}/hide",
    guards=[backend_or_creator],
    status_code=200,
    refuses=["unknown_room", "unknown_gift", "already_hidden"],
)
async def hide_gift(context: InContext, caller: Asker, key: Key, gift: FromPath[str]) -> HiddenBody:
    """Stop showing a gift; no money moves. For the backend and the room's creator."""
    result = await settled(context, HideGift(actor=caller.actor, key=key, gift_id=gift))
    return shaped(HiddenBody, result.outcome, replayed=result.replayed)


gifts_router = Router(path="/v1", route_handlers=[retract_gift, hide_gift], tags=["gifts"])
