"""Coins for money: what they cost, orders, refunds, chargebacks."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from largesse_client.http.answers import (
    ChargedBack,
    Purchase,
    Refund,
    RefusedNotification,
    Shop,
    Suspended,
)
from largesse_client.http.asking import Asking, at


class Purchases:
    """`backend.purchases`"""

    def __init__(self, asking: Asking) -> None:
        self._ask = asking

    async def shop(self) -> Shop:
        """The bundles, and the price of an exact amount."""
        return await self._ask.get(Shop, at("bundles"))

    async def start(
        self,
        *,
        user: str | None = None,
        bundle: str | None = None,
        coins: int | None = None,
        key: str | None = None,
    ) -> Purchase:
        """Order a bundle, or an exact amount of coins; send the payer to `checkout_url`."""
        wish = {"user": user, "bundle": bundle, "coins": coins}
        body = {name: value for name, value in wish.items() if value is not None}
        return await self._ask.change(Purchase, "POST", at("purchases"), body, key=key)

    async def show(self, purchase: str) -> Purchase:
        return await self._ask.get(Purchase, at("purchases", purchase))

    def all(self, *, user: str | None = None, status: str | None = None) -> AsyncIterator[Purchase]:
        """Newest first."""
        return self._ask.pages(Purchase, at("purchases"), user=user, status=status)

    async def refund(
        self, purchase: str, *, reason: str, coins: int | None = None, key: str | None = None
    ) -> Refund:
        """Give money back, for the unspent coins or for as many as asked; what is spent is owed."""
        path, body = at("purchases", purchase, "refund"), {"reason": reason}
        wish = body if coins is None else body | {"coins": coins}
        return await self._ask.change(Refund, "POST", path, wish, key=key)

    async def charge_back(
        self, purchase: str, *, reason: str, key: str | None = None
    ) -> ChargedBack | Suspended:
        """The payer's bank took the money back, and the provider did not say so itself. Of a
        purchase that was refunded before it is suspended."""
        path, body = at("purchases", purchase, "chargeback"), {"reason": reason}
        answer = await self._ask.change(dict[str, Any], "POST", path, body, key=key)
        if "entry" in answer:
            return msgspec.convert(answer, Suspended)
        return msgspec.convert(answer, ChargedBack)

    def refused_notifications(self) -> AsyncIterator[RefusedNotification]:
        """What claimed to be the provider and was not signed, too old or unreadable."""
        return self._ask.pages(RefusedNotification, at("notifications", "refused"))
