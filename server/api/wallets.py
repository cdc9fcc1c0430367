"""Wallets over HTTP: grants, statements, and what a user has, owes and may still spend."""

from typing import Annotated, Any

import msgspec
from litestar import Request, Router, get, post
from litestar.datastructures import State
from litestar.params import FromPath, JSONBody, QueryParameter

from protocol.messages import MONEY_MAX
from rules.book import DAY_MS
from rules.commands import Grant
from rules.levels import level_of
from rules.outcomes import Granted, Refused
from rules.policy import SpendingLimits
from rules.rows import User
from rules.spending import WINDOWS, Window, own_limit, windows
from server.api.access import backend, backend_or
from server.api.answers import outcome_body
from server.api.errors import refused
from server.api.fields import checked_id, checked_text, checked_whole
from server.api.lists import Limit
from server.api.request import idempotency_key, shell_of
from storage import Wallet


class Granting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    user: str
    coins: int
    reason: str


def wallet_body(wallet: Wallet, limits: SpendingLimits, now_ms: int) -> dict[str, Any]:
    """`GET /v1/users/{user}/wallet`. Limits of somebody unknown are those of a new account."""
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


def limits_body(user: User, limits: SpendingLimits, now_ms: int) -> dict[str, Any]:
    """Every limit with what is left of it. For 24 hours it is the one that allows least."""
    applying = list(windows(user, limits, now_ms))
    body: dict[str, Any] = {name: _window_body(user, name, applying, now_ms) for name in WINDOWS}
    paused = user.paused_until_ms
    return body | {
        "per_gift_coins": own_limit(user, "per_gift", now_ms),
        "raises": [
            {"limit": name, "coins": waiting.coins, "at_ms": waiting.at_ms}
            for name, waiting in user.raises.items()
            if waiting.at_ms > now_ms
        ],
        "paused_until_ms": paused if paused > now_ms else None,
    }


def _window_body(user: User, name: str, applying: list[Window], now_ms: int) -> dict[str, Any]:
    own = own_limit(user, name, now_ms)
    same = [window for window in applying if window.name == name]
    if not same:
        return {
            "limit_coins": None,
            "source": None,
            "own_coins": own,
            "spent_coins": 0,
            "left_coins": None,
            "frees_ms": None,
        }
    window = min(same, key=lambda one: one.left_coins)
    return {
        "limit_coins": window.limit_coins,
        "source": window.source,
        "own_coins": own,
        "spent_coins": window.spent_coins,
        "left_coins": window.left_coins,
        "frees_ms": window.buckets[0][0] if window.buckets else None,
    }


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


wallets_router = Router(
    path="/v1", route_handlers=[grant, show_wallet, show_statement], tags=["wallets"]
)
