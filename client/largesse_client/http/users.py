"""Users: wallets and statements, limits, and what an operator may do about an account."""

from collections.abc import AsyncIterator
from typing import Literal

import msgspec

from largesse_client.http.answers import (
    Erased,
    Frozen,
    Granted,
    LevelShown,
    Limits,
    Paused,
    Reversed,
    RevokedToken,
    StatementLine,
    UserLine,
    UserState,
    Wallet,
)
from largesse_client.http.asking import Asking, at

KEEP = msgspec.UNSET
"""A limit that is left as it is."""

Limit = int | msgspec.UnsetType | None


class _LimitsWish(msgspec.Struct, frozen=True):
    daily_coins: Limit = KEEP
    weekly_coins: Limit = KEEP
    monthly_coins: Limit = KEEP
    per_gift_coins: Limit = KEEP


class Users:
    """`backend.users`"""

    def __init__(self, asking: Asking) -> None:
        self._ask = asking

    async def grant(self, user: str, coins: int, *, reason: str, key: str | None = None) -> Granted:
        """Coins into a wallet without a payment: promotions, tests, play money."""
        body = {"user": user, "coins": coins, "reason": reason}
        return await self._ask.change(Granted, "POST", at("grants"), body, key=key)

    async def wallet(self, user: str) -> Wallet:
        """What a user has, owes, and may still spend."""
        return await self._ask.get(Wallet, at("users", user, "wallet"))

    def statement(self, user: str) -> AsyncIterator[StatementLine]:
        """Every transfer that touched the user's accounts, newest first."""
        return self._ask.pages(StatementLine, at("users", user, "statement"))

    def search(self, text: str = "", *, frozen: bool | None = None) -> AsyncIterator[UserLine]:
        """Accounts by a part of id or name."""
        return self._ask.pages(UserLine, at("users"), search=text, frozen=frozen)

    async def show(self, user: str) -> UserState:
        """One account with its wallet."""
        return await self._ask.get(UserState, at("users", user))

    async def set_limits(
        self,
        user: str,
        *,
        daily_coins: Limit = KEEP,
        weekly_coins: Limit = KEEP,
        monthly_coins: Limit = KEEP,
        per_gift_coins: Limit = KEEP,
        key: str | None = None,
    ) -> Limits:
        """Limits of the user's own: a lower one counts at once, a higher one (or None: the
        operator's) after 24 hours."""
        wish = _LimitsWish(daily_coins, weekly_coins, monthly_coins, per_gift_coins)
        return await self._ask.change(Limits, "PUT", at("users", user, "limits"), wish, key=key)

    async def pause(self, user: str, days: Literal[1, 7, 30], *, key: str | None = None) -> Paused:
        """No gifts until then; only with that user's own token, and it cannot be undone early."""
        path = at("users", user, "pause")
        return await self._ask.change(Paused, "POST", path, {"days": days}, key=key)

    async def hide_level(
        self, user: str, *, hidden: bool = True, key: str | None = None
    ) -> LevelShown:
        """Show the gifter level to others, or do not."""
        path = at("users", user, "level")
        return await self._ask.change(LevelShown, "PUT", path, {"hidden": hidden}, key=key)

    async def freeze(
        self, user: str, *, reason: str | None = None, key: str | None = None
    ) -> Frozen:
        """No gifts, purchases or payouts any more."""
        path, body = at("users", user, "freeze"), None if reason is None else {"reason": reason}
        return await self._ask.change(Frozen, "POST", path, body, key=key)

    async def unfreeze(self, user: str, *, key: str | None = None) -> Frozen:
        return await self._ask.change(Frozen, "POST", at("users", user, "unfreeze"), key=key)

    async def revoke_token(
        self, jti: str, *, reason: str, expires_ms: int | None = None, key: str | None = None
    ) -> RevokedToken:
        """Refuse tokens with this `jti` from now on, until they end by themselves or for ever, and
        close who is connected with one."""
        body: dict[str, str | int] = {"jti": jti, "reason": reason}
        if expires_ms is not None:
            body["expires_ms"] = expires_ms
        return await self._ask.change(RevokedToken, "POST", at("tokens", "revoke"), body, key=key)

    async def export(self, user: str) -> bytes:
        """Everything that is kept about a user, as a file of JSON."""
        return await self._ask.fetch(at("users", user, "export"))

    async def erase(self, user: str, *, key: str | None = None) -> Erased:
        """Forget name and messages. What was given and got stays booked under the id."""
        return await self._ask.change(Erased, "POST", at("users", user, "erase"), key=key)

    async def reverse(
        self, user: str, *, from_ms: int, to_ms: int, reason: str, dry_run: bool = False
    ) -> Reversed:
        """Take back all gifts of a period. It goes on where the last one stopped: ask again while
        `left`."""
        path = at("users", user, "reverse")
        body = {"from_ms": from_ms, "to_ms": to_ms, "reason": reason, "dry_run": dry_run}
        return await self._ask.change(Reversed, "POST", path, body)
