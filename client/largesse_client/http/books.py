"""What the books could not place, and corrections by two persons."""

from collections.abc import AsyncIterator

from largesse_client.http.answers import Correction, SuspenseEntry
from largesse_client.http.asking import Asking, at


class Books:
    """`backend.books`. Corrections take an admin's token in place of the API key."""

    def __init__(self, asking: Asking) -> None:
        self._ask = asking

    def suspense(self, *, settled: bool | None = None) -> AsyncIterator[SuspenseEntry]:
        """What a person has to look at, newest first."""
        return self._ask.pages(SuspenseEntry, at("suspense"), settled=settled)

    async def settle(self, entry: int, *, note: str, key: str | None = None) -> SuspenseEntry:
        """Say what came of an entry. No money moves."""
        path = at("suspense", entry, "settle")
        return await self._ask.change(SuspenseEntry, "POST", path, {"note": note}, key=key)

    def corrections(self, *, status: str | None = None) -> AsyncIterator[Correction]:
        """Newest first."""
        return self._ask.pages(Correction, at("corrections"), status=status)

    async def propose(
        self, *, user: str, account: str, amount: int, reason: str, key: str | None = None
    ) -> Correction:
        """Change a balance once another admin has approved; a debt is below zero."""
        body = {"user": user, "account": account, "amount": amount, "reason": reason}
        return await self._ask.change(Correction, "POST", at("corrections"), body, key=key)

    async def approve(self, correction: int, *, key: str | None = None) -> Correction:
        path = at("corrections", correction, "approve")
        return await self._ask.change(Correction, "POST", path, key=key)

    async def reject(self, correction: int, *, key: str | None = None) -> Correction:
        path = at("corrections", correction, "reject")
        return await self._ask.change(Correction, "POST", path, key=key)
