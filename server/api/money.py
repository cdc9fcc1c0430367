"""Money over HTTP: grants, wallets, statements, and taking a gift back or hiding it."""

from typing import Annotated, Any

import msgspec
from litestar import Request, Router, get, post
from litestar.datastructures import State
from litestar.params import FromPath, JSONBody, QueryParameter

from protocol.messages import MONEY_MAX
from rules.commands import Grant, HideGift, RetractGift
from rules.events import split_gift_id
from rules.outcomes import Granted, Refused
from server.api.access import (
    backend,
    backend_or,
    checked_id,
    checked_text,
    checked_whole,
    idempotency_key,
    outcome_body,
)
from server.api.errors import ApiError, refused
from server.api.rooms import Limit, find_room, shell_of
from server.api.wallets import wallet_body


class Granting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    user: str
    coins: int
    reason: str


class Retraction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: str


@post("/grants", status_code=201)
async def grant(
    state: State, request: Request[Any, Any, Any], data: JSONBody[Granting]
) -> dict[str, Any]:
    """Put coins into a wallet without a payment: promotions, tests, play money."""
    shell = shell_of(state)
    caller = backend(request, shell)
    command = Grant(
        actor=caller.actor,
        key=idempotency_key(request),
        user=checked_id(data.user, "user"),
        coins=await checked_whole(request, "coins"),
        reason=checked_text(data.reason, "reason", 200),
    )
    result = await shell.settlement.ask(command)
    if isinstance(result.outcome, Refused):
        raise refused(result.outcome)
    assert isinstance(result.outcome, Granted)
    body = outcome_body(result.outcome)
    return body | {"replayed": result.replayed}


@get("/users/{user:str}/wallet")
async def show_wallet(
    state: State, request: Request[Any, Any, Any], user: FromPath[str]
) -> dict[str, Any]:
    """What a user has, owes, has spent since midnight UTC and may still spend."""
    shell = shell_of(state)
    backend_or(request, shell, checked_id(user, "user"))
    return wallet_body(await shell.store.wallet(user), shell.policy.limits, shell.clock())


@get("/users/{user:str}/statement")
async def show_statement(
    state: State,
    request: Request[Any, Any, Any],
    user: FromPath[str],
    cursor: Annotated[int | None, QueryParameter(ge=1, le=MONEY_MAX)] = None,
    limit: Limit = 50,
) -> dict[str, Any]:
    """Every transfer that touched the user's accounts, newest first, with the balance after it."""
    shell = shell_of(state)
    backend_or(request, shell, checked_id(user, "user"))
    items, more = await shell.store.statement(user, cursor, limit)
    return {"items": items, "next_cursor": str(items[-1]["id"]) if more else None}


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


money_router = Router(
    path="/v1",
    route_handlers=[grant, show_wallet, show_statement, retract, hide],
    tags=["money"],
)
