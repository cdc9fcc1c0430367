"""Users over HTTP: their limits and pauses, and what operators may do about an account."""

import hashlib
from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec
import orjson
from litestar import Router, get, post, put
from litestar.params import JSONBody, QueryParameter
from litestar.response import Stream

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
from server.api.access import backend, backend_or_user, user_alone
from server.api.answers import booked, shaped
from server.api.context import Context
from server.api.errors import ApiError
from server.api.fields import Reason, UserInPath, Whole
from server.api.lists import LIST_MAX, CursorText, Limit, Page
from server.api.request import Asker, InContext, Key
from server.api.statements import asked_line, statement_line
from server.api.wallets import LimitsBody, WalletBody, limits_body, wallet_fields
from storage import GiftLine

REVERSED_AT_ONCE = 100
"""Gifts in one command: others' gifts wait for no more than that."""
REVERSED_PER_REQUEST = 2_000
GIFTS_LOOKED_AT = 100_000

LIMITS = ("daily_coins", "weekly_coins", "monthly_coins", "per_gift_coins")

Text = Annotated[str, QueryParameter(max_length=64, description="A part of an id or a name.")]
MaybeFrozen = Annotated[
    bool | None, QueryParameter(description="Only those that are frozen, or not.")
]
OwnLimit = Annotated[
    int,
    msgspec.Meta(
        description="a whole number from 0 to what the operator allows",
        examples=[500],
        extra_json_schema={"minimum": 0},
    ),
]
Days = Annotated[
    int,
    msgspec.Meta(description="1, 7 or 30", examples=[7], extra_json_schema={"enum": [1, 7, 30]}),
]


class LimitsWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """At least one; null goes back to the operator's default."""

    daily_coins: OwnLimit | msgspec.UnsetType | None = msgspec.UNSET
    weekly_coins: OwnLimit | msgspec.UnsetType | None = msgspec.UNSET
    monthly_coins: OwnLimit | msgspec.UnsetType | None = msgspec.UNSET
    per_gift_coins: OwnLimit | msgspec.UnsetType | None = msgspec.UNSET


class PauseWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    days: Days


class PausedBody(msgspec.Struct, frozen=True):
    user: str
    until_ms: int


class FreezeWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: Reason = "frozen by the operator"


class FrozenBody(msgspec.Struct, frozen=True):
    user: str
    frozen: bool


class LevelWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    hidden: bool


class LevelBody(msgspec.Struct, frozen=True):
    user: str
    hidden: bool


class ErasedBody(msgspec.Struct, frozen=True):
    user: str


class UserLine(msgspec.Struct, frozen=True, kw_only=True):
    user: str
    name: str
    frozen: bool
    since_ms: int | None
    """When the account's first coins came; null before."""
    gifted_coins: int
    paused_until_ms: int | None


class UserPage(Page[UserLine], frozen=True):
    """Users in order of id."""


class UserBody(WalletBody, frozen=True, kw_only=True):
    user: str
    name: str
    since_ms: int | None
    gifted_coins: int


class Reversal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    from_ms: Whole
    to_ms: Whole
    reason: Reason
    dry_run: bool = False
    """Nothing moves; the answer says what would."""


class ReversedCreator(msgspec.Struct, frozen=True):
    creator: str
    gifts: int
    coins: int
    millidiamonds: int


class ReversedRoom(msgspec.Struct, frozen=True):
    room: str
    gifts: int
    coins: int


class OpenPayout(msgspec.Struct, frozen=True):
    payout: str
    creator: str
    status: str


class ReversalBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    gifts: int
    coins: int
    creators: list[ReversedCreator]
    rooms: list[ReversedRoom]
    payouts: list[OpenPayout]
    """Of these creators, and not paid yet."""
    dry_run: bool
    left: bool
    """There is more: ask again."""
    reversed_gifts: int | msgspec.UnsetType = msgspec.UNSET
    """Absent in a dry run."""
    debt_paid_coins: int | msgspec.UnsetType = msgspec.UNSET


@put("/users/{user:str}/limits", guards=[backend_or_user])
async def set_limits(
    context: InContext, caller: Asker, key: Key, user: UserInPath, data: JSONBody[LimitsWish]
) -> LimitsBody:
    """Change limits of one's own: a lower one counts at once, a higher one after 24 hours, and
    null goes back to the operator's default."""
    sent = {name: getattr(data, name) for name in LIMITS}
    wanted = {name: coins for name, coins in sent.items() if coins is not msgspec.UNSET}
    if not wanted:
        raise ApiError("invalid", f"Send at least one of {', '.join(LIMITS)}.", {"field": "body"})
    await booked(context, SetLimits(actor=caller.actor, key=key, user=user, **wanted))
    found = await context.store.money.user(user)
    return limits_body(found or User(user, "", 0, -1), context.policy.limits, context.clock())


@post("/users/{user:str}/pause", guards=[user_alone], status_code=200)
async def pause_gifting(
    context: InContext, caller: Asker, key: Key, user: UserInPath, data: JSONBody[PauseWish]
) -> PausedBody:
    """No gifts for 1, 7 or 30 days. It cannot be undone early, by nobody."""
    command = PauseGifting(actor=caller.actor, key=key, user=user, days=data.days)
    return shaped(PausedBody, await booked(context, command))


@post("/users/{user:str}/freeze", guards=[backend], status_code=200)
async def freeze_user(
    context: InContext,
    caller: Asker,
    key: Key,
    user: UserInPath,
    data: JSONBody[FreezeWish | None] = None,
) -> FrozenBody:
    """Stop an account from giving, buying and cashing out."""
    reason = (data or FreezeWish()).reason
    await booked(context, Freeze(actor=caller.actor, key=key, user=user, reason=reason))
    return FrozenBody(user, True)


@post("/users/{user:str}/unfreeze", guards=[backend], status_code=200)
async def unfreeze_user(
    context: InContext, caller: Asker, key: Key, user: UserInPath
) -> FrozenBody:
    """Let a frozen account go on. One with coins owed still has to pay them first."""
    await booked(context, Unfreeze(actor=caller.actor, key=key, user=user))
    return FrozenBody(user, False)


@put("/users/{user:str}/level", guards=[backend_or_user])
async def hide_level(
    context: InContext, caller: Asker, key: Key, user: UserInPath, data: JSONBody[LevelWish]
) -> LevelBody:
    """Show one's gifter level to others, or do not."""
    command = HideLevel(actor=caller.actor, key=key, user=user, hidden=data.hidden)
    return shaped(LevelBody, await booked(context, command), hidden=data.hidden)


@get("/users", guards=[backend])
async def search_users(
    context: InContext,
    search: Text = "",
    frozen: MaybeFrozen = None,
    cursor: CursorText = "",
    limit: Limit = 50,
) -> UserPage:
    """Users by a part of their id or name."""
    found = await context.store.money.users(search, frozen, cursor, limit)
    items = [
        shaped(
            UserLine,
            row,
            user=row.id,
            since_ms=_since(row),
            paused_until_ms=row.paused_until_ms or None,
        )
        for row in found
    ]
    return UserPage(items, found[-1].id if len(found) == limit else None)


def _since(user: User) -> int | None:
    return user.since_ms if user.since_ms >= 0 else None


@get("/users/{user:str}", guards=[backend_or_user], refuses=["unknown_user"])
async def show_user(context: InContext, user: UserInPath) -> UserBody:
    """One user, with the wallet."""
    wallet = await context.store.wallet(user)
    if wallet.user is None and await context.store.money.creator(user) is None:
        raise ApiError("unknown_user", f"Nobody called {user} has given, had or earned anything.")
    found = wallet.user or User(user, "", 0, -1)
    return UserBody(
        user=found.id,
        name=found.name,
        since_ms=_since(found),
        gifted_coins=found.gifted_coins,
        **wallet_fields(wallet, context.policy.limits, context.clock()),
    )


@get(
    "/users/{user:str}/export",
    guards=[backend_or_user],
    answers={200: dict[str, Any]},
    refuses=["wrong_state"],
)
async def export_user(context: InContext, user: UserInPath) -> Stream:
    """Everything that is kept about a user, for them to have."""
    if user in context.exporting:
        raise ApiError("wrong_state", f"An export of {user} is on its way; wait until it is done.")
    parts = _export(context, user)
    # Only what has begun can end: who leaves before the first byte must not keep the place.
    first = await anext(parts)
    headers = {"Content-Disposition": f'attachment; filename="largesse-{user}.json"'}
    return Stream(_from(first, parts), media_type="application/json", headers=headers)


async def _from(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for part in rest:
        yield part


async def _export(context: Context, user: str) -> AsyncIterator[bytes]:
    """The file in parts, none longer than a page of a list. Lists are written as they are read."""
    context.exporting.add(user)
    try:
        personal = await context.store.money.personal(user)
        body = orjson.dumps(msgspec.to_builtins(personal._asdict()))
        yield body[:-1]
        for name, pages in (
            ("commands", _commands(context, user)),
            ("transfers", _transfers(context, user)),
        ):
            start = b',"%s":[' % name.encode()
            async for page in pages:
                if page:
                    yield start + orjson.dumps(page)[1:-1]
                    start = b","
            yield b"]" if start == b"," else start + b"]"
        yield b"}"
    finally:
        context.exporting.discard(user)


async def _commands(context: Context, user: str) -> AsyncIterator[list[dict[str, Any]]]:
    numbers = await context.store.money.commands_of(user)
    for start in range(0, len(numbers), LIST_MAX):
        found = await context.store.money.commands(numbers[start : start + LIST_MAX])
        yield [asked_line(asked) for asked in found]


async def _transfers(context: Context, user: str) -> AsyncIterator[list[dict[str, Any]]]:
    last, more = None, True
    while more:
        page, more = await context.store.statement(user, last, LIST_MAX)
        yield [msgspec.to_builtins(statement_line(row)) for row in page]
        last = page[-1].place if page else None


@post("/users/{user:str}/erase", guards=[backend], status_code=200)
async def erase_user(context: InContext, caller: Asker, key: Key, user: UserInPath) -> ErasedBody:
    """Forget who a user is. What they gave and got stays booked under their id."""
    return shaped(
        ErasedBody, await booked(context, EraseUser(actor=caller.actor, key=key, user=user))
    )


@post(
    "/users/{user:str}/reverse",
    guards=[backend],
    status_code=200,
    refuses=["unknown_gift", "not_retractable"],
)
async def reverse_gifts(
    context: InContext, caller: Asker, user: UserInPath, data: JSONBody[Reversal]
) -> ReversalBody:
    """Take back everything that a user gave in a period. With `dry_run` nothing moves, and the
    answer names what would. `left` true: there is more; ask again."""
    if data.from_ms >= data.to_ms:
        raise ApiError("invalid", "`from_ms` must be before `to_ms`.", {"field": "from_ms"})
    most = GIFTS_LOOKED_AT if data.dry_run else REVERSED_PER_REQUEST
    found = await context.store.money.gifts_of(user, data.from_ms, data.to_ms, most + 1)
    gifts, left = found[:most], len(found) > most
    body = await _concerned(context, gifts) | {"dry_run": data.dry_run, "left": left}
    if data.dry_run:
        return ReversalBody(**body)
    reversed_gifts, debt_paid = 0, 0
    for start in range(0, len(gifts), REVERSED_AT_ONCE):
        names = tuple(f"{gift.room}:{gift.seq}" for gift in gifts[start : start + REVERSED_AT_ONCE])
        # A request that is repeated goes on where the last one stopped: the key is the content.
        key = "reverse-" + hashlib.sha256(" ".join(names).encode()).hexdigest()[:32]
        outcome = await booked(
            context,
            ReverseGifts(actor=caller.actor, key=key, user=user, gifts=names, reason=data.reason),
        )
        assert isinstance(outcome, GiftsReversed)
        reversed_gifts += len(outcome.gifts)
        debt_paid += outcome.debt_paid_coins
    return ReversalBody(**body, reversed_gifts=reversed_gifts, debt_paid_coins=debt_paid)


async def _concerned(context: Context, gifts: list[GiftLine]) -> dict[str, Any]:
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
            rows = await context.store.money.payouts(creator_id, status, None, 1)
            payouts += [OpenPayout(row.id, row.creator, row.status) for row in rows]
    return {
        "gifts": len(gifts),
        "coins": sum(gift.coins for gift in gifts),
        "creators": [
            ReversedCreator(id, count, coins, millidiamonds)
            for id, (count, coins, millidiamonds) in sorted(creators.items())
        ],
        "rooms": [ReversedRoom(id, count, coins) for id, (count, coins) in sorted(rooms.items())],
        "payouts": payouts,
    }


people_router = Router(
    path="/v1",
    route_handlers=[
        search_users,
        show_user,
        set_limits,
        pause_gifting,
        freeze_user,
        unfreeze_user,
        hide_level,
        export_user,
        erase_user,
        reverse_gifts,
    ],
    tags=["users"],
)
