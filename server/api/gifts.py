"""Gifts over HTTP: taking one back, and hiding one."""

from typing import Any

import msgspec
from litestar import Request, Router, post
from litestar.datastructures import State
from litestar.params import FromPath, JSONBody

from rules.commands import HideGift, RetractGift
from rules.events import split_gift_id
from rules.outcomes import Refused
from server.api.access import backend, backend_or
from server.api.answers import outcome_body
from server.api.errors import ApiError, refused
from server.api.fields import checked_text
from server.api.request import idempotency_key, shell_of
from server.api.rooms import find_room


class Retraction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: str


@post("/gifts/{gift:str}/retract", status_code=200)
async def retract(
    state: State, request: Request[Any, Any, Any], gift: FromPath[str], data: JSONBody[Retraction]
) -> dict[str, Any]:
    """Give a gift's coins back and take the creator's diamonds for it; logs `gift_retracted`."""
    shell = shell_of(state)
    caller = backend(request, shell)
    reason = checked_text(data.reason, "reason", 200)
    key = idempotency_key(request)
    result = await shell.settlement.ask(
        RetractGift(actor=caller.actor, key=key, gift_id=gift, reason=reason)
    )
    if isinstance(result.outcome, Refused):
        raise refused(result.outcome)
    return outcome_body(result.outcome) | {"replayed": result.replayed}


@post("/gifts/{gift:str}/hide", status_code=200)
async def hide(
    state: State, request: Request[Any, Any, Any], gift: FromPath[str]
) -> dict[str, Any]:
    """Stop showing a gift; no money moves. For the backend and the room's creator."""
    shell = shell_of(state)
    place = split_gift_id(gift)
    if place is None:
        raise ApiError("unknown_gift", f"There is no gift {gift}.")
    room = await find_room(shell, place[0])
    caller = backend_or(request, shell, room.creator)
    key = idempotency_key(request)
    result = await shell.settlement.ask(HideGift(actor=caller.actor, key=key, gift_id=gift))
    if isinstance(result.outcome, Refused):
        raise refused(result.outcome)
    return outcome_body(result.outcome) | {"replayed": result.replayed}


gifts_router = Router(path="/v1", route_handlers=[retract, hide], tags=["gifts"])
