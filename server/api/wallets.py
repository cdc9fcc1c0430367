"""What a user has, owes and may still spend, as JSON: for the wallet, the limits and the search."""

from typing import Any

from rules.book import DAY_MS
from rules.levels import level_of
from rules.policy import SpendingLimits
from rules.rows import User
from rules.spending import WINDOWS, Window, own_limit, windows
from storage import Wallet


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
