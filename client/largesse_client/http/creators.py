"""What creators earn: boards, rates, earnings, payouts and the bank's files."""

from collections.abc import AsyncIterator, Iterable
from typing import Literal

import msgspec

from largesse_client.http.answers import (
    BankResults,
    BoardPage,
    Earnings,
    Payout,
    PayoutRequest,
    Rates,
)
from largesse_client.http.asking import FILE_TIMEOUT_S, Asking, Request, at, read


class BankResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line of the bank's answer."""

    payout: str
    paid: bool
    reference: str | None = None


class Creators:
    """`backend.creators`"""

    def __init__(self, asking: Asking) -> None:
        self._ask = asking

    async def board(
        self,
        creator: str,
        *,
        window: Literal["day", "week", "month", "all"] = "all",
        limit: int = 10,
    ) -> BoardPage:
        """Who gave most over all rooms: today, since Monday, since the 1st (UTC), or ever."""
        path = at("creators", creator, "board")
        return await self._ask.get(BoardPage, path, window=window, limit=limit)

    async def rates(self, creator: str) -> Rates:
        """Millidiamonds per coin now, and the creator's own rates."""
        return await self._ask.get(Rates, at("creators", creator, "rate"))

    async def set_rate(
        self,
        creator: str,
        rate_permille: int,
        *,
        from_ms: int | None = None,
        until_ms: int | None = None,
        key: str | None = None,
    ) -> Rates:
        """From a moment on (now), for ever or until another; never for what was earned before."""
        wish = {"rate_permille": rate_permille, "from_ms": from_ms, "until_ms": until_ms}
        body = {name: value for name, value in wish.items() if value is not None}
        return await self._ask.change(Rates, "PUT", at("creators", creator, "rate"), body, key=key)

    async def earnings(
        self, creator: str, *, from_day: str | None = None, to_day: str | None = None
    ) -> Earnings:
        """By UTC day (YYYY-MM-DD, both included; the last 30) and kind of gift, net of what was
        taken back."""
        path = at("creators", creator, "earnings")
        return await self._ask.get(Earnings, path, **{"from": from_day, "to": to_day})


class Payouts:
    """`backend.payouts`"""

    def __init__(self, asking: Asking) -> None:
        self._ask = asking

    async def request(self, millidiamonds: int, *, key: str | None = None) -> PayoutRequest:
        """Ask for available diamonds as money; only with the creator's own token."""
        body = {"millidiamonds": millidiamonds}
        return await self._ask.change(PayoutRequest, "POST", at("payouts"), body, key=key)

    async def show(self, payout: str) -> Payout:
        return await self._ask.get(Payout, at("payouts", payout))

    def all(
        self, *, status: str | None = None, creator: str | None = None
    ) -> AsyncIterator[Payout]:
        """Newest first."""
        return self._ask.pages(Payout, at("payouts"), status=status, creator=creator)

    async def approve(self, payout: str, *, key: str | None = None) -> Payout:
        """Somebody has looked at it: the bank may pay."""
        return await self._ask.change(Payout, "POST", at("payouts", payout, "approve"), key=key)

    async def paid(
        self, payout: str, *, reference: str | None = None, key: str | None = None
    ) -> Payout:
        """The bank has paid."""
        path = at("payouts", payout, "paid")
        body = None if reference is None else {"reference": reference}
        return await self._ask.change(Payout, "POST", path, body, key=key)

    async def reject(self, payout: str, *, reason: str, key: str | None = None) -> Payout:
        """It will not be paid: its diamonds are available again."""
        path, body = at("payouts", payout, "reject"), {"reason": reason}
        return await self._ask.change(Payout, "POST", path, body, key=key)

    async def export(
        self, *, status: str = "approved", format: Literal["csv", "json"] = "csv"
    ) -> bytes:
        """The bank's list, as a file."""
        return await self._ask.fetch(at("payouts", "export"), status=status, format=format)

    async def results(
        self, results: Iterable[BankResult] | bytes, *, key: str | None = None
    ) -> BankResults:
        """The bank's answer: lines, or its CSV file as bytes.

        It is sent without a key unless you give one: then the lines' content is what makes them
        count once, in whichever file they come.
        """
        is_file = isinstance(results, bytes)
        request = Request(
            method="POST",
            path=at("payouts", "results"),
            body=results if is_file else {"results": list(results)},
            file_type="text/csv" if is_file else "",
            key=key,
            timeout_s=FILE_TIMEOUT_S,
        )
        return read(await self._ask.ask(request), BankResults)
