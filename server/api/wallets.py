"""Wallets over HTTP: grants, statements, and what a user has, owes and may still spend."""

from typing import Any, Literal

import msgspec
from litestar import Router, get, post
from litestar.params import JSONBody

from rules.commands import Grant
from rules.days import DAY_MS
from rules.levels import level_of
from rules.policy import SpendingLimits
from rules.rows import User
from rules.spending import WINDOWS, Window, own_limit, windows
from server.api.access import backend, backend_or_user
from server.api.answers import settled, shaped
from server.api.fields import Amount, Id, Reason, UserInPath
from server.api.lists import Cursor, Limit
from server.api.request import Asker, InContext, Key
from server.api.statements import StatementPage, statement_line
from storage import Wallet

LimitName = Literal["daily", "weekly", "monthly", "per_gift"]


class Granting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    user: Id
    coins: Amount
    reason: Reason


class GrantBody(msgspec.Struct, frozen=True, kw_only=True):
    user: str
    coins: int
    balance_coins: int
    debt_paid_coins: int
    """The part of the coins that paid what the user owed."""
    replayed: bool
    """The key had been used before, and this is the answer it got then."""


class WindowBody(msgspec.Struct, frozen=True, kw_only=True):
    """A limit over a day, a week or a month, and what is left of it."""

    limit_coins: int | None
    source: Literal["own", "default", "first_day"] | None
    own_coins: int | None
    spent_coins: int
    left_coins: int | None
    frees_ms: int | None
    """When the oldest of what was spent counts no more."""


class RaiseBody(msgspec.Struct, frozen=True, kw_only=True):
    limit: LimitName
    coins: int | None
    """Null: none of one's own."""
    at_ms: int


class LimitsBody(msgspec.Struct, frozen=True, kw_only=True):
    daily: WindowBody
    weekly: WindowBody
    monthly: WindowBody
    per_gift_coins: int | None
    raises: list[RaiseBody]
    """Limits that were raised and do not count yet."""
    paused_until_ms: int | None


class WalletBody(msgspec.Struct, frozen=True, kw_only=True):
    coins: int
    millidiamonds_pending: int
    millidiamonds_available: int
    millidiamonds_reserved: int
    diamond_debt_millidiamonds: int
    coin_debt: int
    level: int
    level_hidden: bool
    frozen: bool
    spent_today: int
    limits: LimitsBody


def wallet_fields(wallet: Wallet, limits: SpendingLimits, now_ms: int) -> dict[str, Any]:
    """The fields of a WalletBody. Limits of somebody unknown are those of a new account."""
    user = wallet.user or User("", "", 0, -1)
    return {
        "coins": wallet.coins,
        "millidiamonds_pending": wallet.millidiamonds_pending,
        "millidiamonds_available": wallet.millidiamonds_available,
        "millidiamonds_reserved": wallet.millidiamonds_reserved,
        "diamond_debt_millidiamonds": wallet.diamond_debt,
        "coin_debt": wallet.coin_debt,
        "level": level_of(user.gifted_coins),
        "level_hidden": user.level_hidden,
        "frozen": user.frozen,
        "spent_today": _spent_today(user, now_ms),
        "limits": limits_body(user, limits, now_ms),
    }


def _spent_today(user: User, now_ms: int) -> int:
    """Coins since midnight UTC, less those that were taken back."""
    return sum(row.coins for row in user.days if row.unit == now_ms // DAY_MS)


def limits_body(user: User, limits: SpendingLimits, now_ms: int) -> LimitsBody:
    """Every limit with what is left of it. For 24 hours it is the one that allows least."""
    applying = list(windows(user, limits, now_ms))
    paused = user.paused_until_ms
    return LimitsBody(
        **{name: _window_body(user, name, applying, now_ms) for name in WINDOWS},
        per_gift_coins=own_limit(user, "per_gift", now_ms),
        raises=[
            shaped(RaiseBody, waiting, limit=name)
            for name, waiting in user.raises.items()
            if waiting.at_ms > now_ms
        ],
        paused_until_ms=paused if paused > now_ms else None,
    )


def _window_body(user: User, name: str, applying: list[Window], now_ms: int) -> WindowBody:
    own = own_limit(user, name, now_ms)
    same = [window for window in applying if window.name == name]
    if not same:
        return WindowBody(
            limit_coins=None,
            source=None,
            own_coins=own,
            spent_coins=0,
            left_coins=None,
            frees_ms=None,
        )
    window = min(same, key=lambda one: one.left_coins)
    frees_ms = window.buckets[0][0] if window.buckets else None
    return shaped(WindowBody, window, own_coins=own, frees_ms=frees_ms)


@post("/grants", guards=[backend], status_code=201, refuses=["bad_quantity"])
async def grant_coins(
    context: InContext, caller: Asker, key: Key, data: JSONBody[Granting]
) -> GrantBody:
    """Put coins into a wallet without a payment: promotions, tests, play money."""
    command = Grant(
        actor=caller.actor, key=key, user=data.user, coins=data.coins, reason=data.reason
    )
    result = await settled(context, command)
    return shaped(GrantBody, result.outcome, replayed=result.replayed)


@get("/users/{user:str}/wallet", guards=[backend_or_user])
async def show_wallet(context: InContext, user: UserInPath) -> WalletBody:
    """What a user has, owes, has spent since midnight UTC and may still spend."""
    wallet = await context.store.wallet(user)
    return WalletBody(**wallet_fields(wallet, context.policy.limits, context.clock()))


@get("/users/{user:str}/statement", guards=[backend_or_user])
async def show_statement(
    context: InContext, user: UserInPath, cursor: Cursor = None, limit: Limit = 50
) -> StatementPage:
    """Every transfer that touched the user's accounts, newest first, with the balance after it."""
    rows, more = await context.store.statement(user, cursor, limit)
    items = [statement_line(row) for row in rows]
    return StatementPage(items, str(rows[-1].place) if more else None)


wallets_router = Router(
    path="/v1", route_handlers=[grant_coins, show_wallet, show_statement], tags=["wallets"]
)
