"""Users over HTTP: their limits and pauses, and what operators may do about an account."""

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
    SetLimits,
    Unfreeze,
)
from rules.refusals import RefusalCode
from rules.rows import User
from server.api.access import backend, backend_or_user, user_alone
from server.api.answers import booked, shaped
from server.api.context import Context
from server.api.errors import ApiCode, ApiError
from server.api.fields import Reason, UserInPath
from server.api.lists import LIST_MAX, CursorText, Limit, Page
from server.api.request import Asker, InContext, Key
from server.api.statements import asked_line, statement_line
from server.api.wallets import LimitsBody, WalletBody, limits_body, wallet_fields

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
    hidden: Annotated[bool, msgspec.Meta(examples=[True])]


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


@put("/users/{user:str}/limits", guards=[backend_or_user])
async def set_limits(
    context: InContext, caller: Asker, key: Key, user: UserInPath, data: JSONBody[LimitsWish]
) -> LimitsBody:
    """Change limits of one's own: a lower one counts at once, a higher one after 24 hours, and
    null goes back to the operator's default."""
    sent = {name: getattr(data, name) for name in LIMITS}
    wanted = {name: coins for name, coins in sent.items() if coins is not msgspec.UNSET}
    if not wanted:
        raise ApiError(
            RefusalCode.INVALID, f"Send at least one of {', '.join(LIMITS)}.", {"field": "body"}
        )
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
        raise ApiError(
            ApiCode.UNKNOWN_USER, f"Nobody called {user} has given, had or earned anything."
        )
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
        raise ApiError(
            RefusalCode.WRONG_STATE, f"An export of {user} is on its way; wait until it is done."
        )
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
    ],
    tags=["users"],
)
