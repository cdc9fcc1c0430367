"""Users over HTTP: their limits and pauses, and what operators may do about an account."""

import hashlib
from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec
import orjson
from litestar import Request, Router, get, post, put
from litestar.datastructures import State
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.response import Stream

from protocol.messages import MONEY_MAX
from rules.commands import (
    EraseUser,
    Freeze,
    HideLevel,
    PauseGifting,
    ReverseGifts,
    SetLimits,
    Unfreeze,
)
from rules.lifecycles import OPEN_PAYOUTS
from rules.outcomes import GiftsReversed
from rules.rows import User
from server.api.answers import booked, outcome_body
from server.api.checks import (
    backend,
    backend_or,
    checked_id,
    checked_switch,
    checked_text,
    checked_whole,
    idempotency_key,
    shell_of,
)
from server.api.context import Context
from server.api.errors import ApiError
from server.api.lists import LIST_MAX, Limit
from server.api.statements import asked_line, statement_line
from server.api.wallets import LimitsBody, limits_body, wallet_fields
from storage import GiftLine

REVERSED_AT_ONCE = 100
"""Gifts in one command: others' gifts wait for no more than that."""
REVERSED_PER_REQUEST = 2_000
GIFTS_LOOKED_AT = 100_000

LIMITS = ("daily_coins", "weekly_coins", "monthly_coins", "per_gift_coins")

Text = Annotated[str, QueryParameter(max_length=64)]


class LimitsWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    daily_coins: int | msgspec.UnsetType | None = msgspec.UNSET
    weekly_coins: int | msgspec.UnsetType | None = msgspec.UNSET
    monthly_coins: int | msgspec.UnsetType | None = msgspec.UNSET
    per_gift_coins: int | msgspec.UnsetType | None = msgspec.UNSET


class PauseWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    days: int


class FreezeWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: str = "frozen by the operator"


class LevelWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    hidden: bool


class Reversal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    from_ms: int
    to_ms: int
    reason: str
    dry_run: bool = False


@put("/users/{user:str}/limits")
async def set_limits(
    state: State, request: Request[Any, Any, Any], user: FromPath[str], data: JSONBody[LimitsWish]
) -> LimitsBody:
    """Change limits of one's own: a lower one counts at once, a higher one after 24 hours, and
    null goes back to the operator's default."""
    shell = shell_of(state)
    caller = backend_or(request, shell, checked_id(user, "user"))
    sent: dict[str, Any] = await request.json()
    wanted: dict[str, Any] = {}
    for name in LIMITS:
        if name in sent:
            wanted[name] = None if sent[name] is None else await checked_whole(request, name)
    if not wanted:
        raise ApiError("invalid", f"Send at least one of {', '.join(LIMITS)}.", {"field": "body"})
    command = SetLimits(actor=caller.actor, key=idempotency_key(request), user=user, **wanted)
    await booked(shell, command)
    now_ms = shell.clock()
    found = await shell.store.money.user(user)
    return limits_body(found or User(user, "", 0, -1), shell.policy.limits, now_ms)


@post("/users/{user:str}/pause", status_code=200)
async def pause(
    state: State, request: Request[Any, Any, Any], user: FromPath[str], data: JSONBody[PauseWish]
) -> dict[str, Any]:
    """No gifts for 1, 7 or 30 days. It cannot be undone early, by nobody."""
    shell = shell_of(state)
    caller = backend_or(request, shell, checked_id(user, "user"))
    if caller.identity is None:
        raise ApiError("forbidden", "Only the user can pause their own gifting.")
    days = await checked_whole(request, "days")
    key = idempotency_key(request)
    return outcome_body(
        await booked(shell, PauseGifting(actor=caller.actor, key=key, user=user, days=days))
    )


@post("/users/{user:str}/freeze", status_code=200)
async def freeze(
    state: State,
    request: Request[Any, Any, Any],
    user: FromPath[str],
    data: JSONBody[FreezeWish | None] = None,
) -> dict[str, Any]:
    """Stop an account from giving, buying and cashing out."""
    shell = shell_of(state)
    caller = backend(request, shell)
    reason = checked_text((data or FreezeWish()).reason, "reason", 200)
    command = Freeze(
        actor=caller.actor,
        key=idempotency_key(request),
        user=checked_id(user, "user"),
        reason=reason,
    )
    return outcome_body(await booked(shell, command)) | {"frozen": True}


@post("/users/{user:str}/unfreeze", status_code=200)
async def unfreeze(
    state: State, request: Request[Any, Any, Any], user: FromPath[str]
) -> dict[str, Any]:
    """Let a frozen account go on. One with coins owed still has to pay them first."""
    shell = shell_of(state)
    caller = backend(request, shell)
    key = idempotency_key(request)
    command = Unfreeze(actor=caller.actor, key=key, user=checked_id(user, "user"))
    return outcome_body(await booked(shell, command)) | {"frozen": False}


@put("/users/{user:str}/level")
async def hide_level(
    state: State, request: Request[Any, Any, Any], user: FromPath[str], data: JSONBody[LevelWish]
) -> dict[str, Any]:
    """Show one's gifter level to others, or do not."""
    shell = shell_of(state)
    caller = backend_or(request, shell, checked_id(user, "user"))
    key = idempotency_key(request)
    hidden = await checked_switch(request, "hidden")
    command = HideLevel(actor=caller.actor, key=key, user=user, hidden=hidden)
    return outcome_body(await booked(shell, command)) | {"hidden": hidden}


@get("/users")
async def search_users(
    state: State,
    request: Request[Any, Any, Any],
    search: Text = "",
    frozen: FromQuery[bool | None] = None,
    cursor: FromQuery[str] = "",
    limit: Limit = 50,
) -> dict[str, Any]:
    """Users by a part of their id or name."""
    shell = shell_of(state)
    backend(request, shell)
    found = await shell.store.money.users(search, frozen, cursor, limit)
    items = [
        {
            "user": row.id,
            "name": row.name,
            "frozen": row.frozen,
            "since_ms": _since(row),
            "gifted_coins": row.gifted_coins,
            "paused_until_ms": row.paused_until_ms or None,
        }
        for row in found
    ]
    return {"items": items, "next_cursor": found[-1].id if len(found) == limit else None}


def _since(user: User) -> int | None:
    return user.since_ms if user.since_ms >= 0 else None


@get("/users/{user:str}")
async def show_user(
    state: State, request: Request[Any, Any, Any], user: FromPath[str]
) -> dict[str, Any]:
    """One user, with the wallet."""
    shell = shell_of(state)
    backend_or(request, shell, checked_id(user, "user"))
    wallet, now_ms = await shell.store.wallet(user), shell.clock()
    if wallet.user is None and await shell.store.money.creator(user) is None:
        raise ApiError("unknown_user", f"Nobody called {user} has given, had or earned anything.")
    found = wallet.user or User(user, "", 0, -1)
    body = {"user": found.id, "name": found.name, "since_ms": _since(found)}
    body |= {"gifted_coins": found.gifted_coins}
    return body | wallet_fields(wallet, shell.policy.limits, now_ms)


@get("/users/{user:str}/export")
async def export_user(state: State, request: Request[Any, Any, Any], user: FromPath[str]) -> Stream:
    """Everything that is kept about a user, for them to have."""
    shell = shell_of(state)
    backend_or(request, shell, checked_id(user, "user"))
    if user in shell.exporting:
        raise ApiError("wrong_state", f"An export of {user} is on its way; wait until it is done.")
    parts = _export(shell, user)
    # Only what has begun can end: who leaves before the first byte must not keep the place.
    first = await anext(parts)
    headers = {"Content-Disposition": f'attachment; filename="largesse-{user}.json"'}
    return Stream(_from(first, parts), media_type="application/json", headers=headers)


async def _from(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for part in rest:
        yield part


async def _export(shell: Context, user: str) -> AsyncIterator[bytes]:
    """The file in parts, none longer than a page of a list. Lists are written as they are read."""
    shell.exporting.add(user)
    try:
        personal = await shell.store.money.personal(user)
        body = orjson.dumps(msgspec.to_builtins(personal._asdict()))
        yield body[:-1]
        for name, pages in (
            ("commands", _commands(shell, user)),
            ("transfers", _transfers(shell, user)),
        ):
            start = b',"%s":[' % name.encode()
            async for page in pages:
                if page:
                    yield start + orjson.dumps(page)[1:-1]
                    start = b","
            yield b"]" if start == b"," else start + b"]"
        yield b"}"
    finally:
        shell.exporting.discard(user)


async def _commands(shell: Context, user: str) -> AsyncIterator[list[dict[str, Any]]]:
    numbers = await shell.store.money.commands_of(user)
    for start in range(0, len(numbers), LIST_MAX):
        found = await shell.store.money.commands(numbers[start : start + LIST_MAX])
        yield [asked_line(asked) for asked in found]


async def _transfers(shell: Context, user: str) -> AsyncIterator[list[dict[str, Any]]]:
    last, more = None, True
    while more:
        page, more = await shell.store.statement(user, last, LIST_MAX)
        yield [msgspec.to_builtins(statement_line(row)) for row in page]
        last = page[-1].place if page else None


@post("/users/{user:str}/erase", status_code=200)
async def erase_user(
    state: State, request: Request[Any, Any, Any], user: FromPath[str]
) -> dict[str, Any]:
    """Forget who a user is. What they gave and got stays booked under their id."""
    shell = shell_of(state)
    caller = backend(request, shell)
    key = idempotency_key(request)
    command = EraseUser(actor=caller.actor, key=key, user=checked_id(user, "user"))
    return outcome_body(await booked(shell, command))


@post("/users/{user:str}/reverse", status_code=200)
async def reverse(
    state: State, request: Request[Any, Any, Any], user: FromPath[str], data: JSONBody[Reversal]
) -> dict[str, Any]:
    """Take back everything that a user gave in a period. With `dry_run` nothing moves, and the
    answer names what would. `left` true: there is more; ask again."""
    shell = shell_of(state)
    caller = backend(request, shell)
    checked_id(user, "user")
    from_ms, to_ms = await checked_whole(request, "from_ms"), await checked_whole(request, "to_ms")
    if not 0 <= from_ms < to_ms <= MONEY_MAX:
        raise ApiError("invalid", "`from_ms` must be before `to_ms`.", {"field": "from_ms"})
    reason = checked_text(data.reason, "reason", 200)
    dry_run = await checked_switch(request, "dry_run")
    most = GIFTS_LOOKED_AT if dry_run else REVERSED_PER_REQUEST
    found = await shell.store.money.gifts_of(user, from_ms, to_ms, most + 1)
    gifts, left = found[:most], len(found) > most
    body = await _concerned(shell, gifts) | {"dry_run": dry_run, "left": left}
    if dry_run:
        return body
    reversed_gifts, debt_paid = 0, 0
    for start in range(0, len(gifts), REVERSED_AT_ONCE):
        names = tuple(f"{gift.room}:{gift.seq}" for gift in gifts[start : start + REVERSED_AT_ONCE])
        # A request that is repeated goes on where the last one stopped: the key is the content.
        key = "reverse-" + hashlib.sha256(" ".join(names).encode()).hexdigest()[:32]
        command = ReverseGifts(actor=caller.actor, key=key, user=user, gifts=names, reason=reason)
        outcome = await booked(shell, command)
        assert isinstance(outcome, GiftsReversed)
        reversed_gifts += len(outcome.gifts)
        debt_paid += outcome.debt_paid_coins
    return body | {"reversed_gifts": reversed_gifts, "debt_paid_coins": debt_paid}


async def _concerned(shell: Context, gifts: list[GiftLine]) -> dict[str, Any]:
    """Every creator, board and open payout that reversing these gifts changes."""
    creators: dict[str, list[int]] = {}
    rooms: dict[str, list[int]] = {}
    for gift in gifts:
        creator = creators.setdefault(gift.creator, [0, 0, 0])
        room = rooms.setdefault(gift.room, [0, 0])
        for sums, steps in (
            (creator, (1, gift.coins, gift.millidiamonds)),
            (room, (1, gift.coins)),
        ):
            for place, step in enumerate(steps):
                sums[place] += step
    payouts = []
    for creator_id in creators:
        for status in OPEN_PAYOUTS:
            rows = await shell.store.money.payouts(creator_id, status, None, 1)
            payouts += [
                {"payout": row.id, "creator": row.creator, "status": row.status} for row in rows
            ]
    return {
        "gifts": len(gifts),
        "coins": sum(gift.coins for gift in gifts),
        "creators": [
            {"creator": id, "gifts": count, "coins": coins, "millidiamonds": millidiamonds}
            for id, (count, coins, millidiamonds) in sorted(creators.items())
        ],
        "rooms": [
            {"room": id, "gifts": count, "coins": coins}
            for id, (count, coins) in sorted(rooms.items())
        ],
        "payouts": payouts,
    }


people_router = Router(
    path="/v1",
    route_handlers=[
        search_users,
        show_user,
        set_limits,
        pause,
        freeze,
        unfreeze,
        hide_level,
        export_user,
        erase_user,
        reverse,
    ],
    tags=["users"],
)
