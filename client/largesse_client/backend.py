"""The HTTP API for a host platform's backend.

    async with Backend("https://gifts.example", api_key) as backend:
        await backend.rooms.open("harbour", title="Mira draws", creator="mira")
        await backend.users.grant("ann", 500, reason="welcome")

A request that is refused is an `ApiError`; one that nobody answers is `Unreachable`.
"""

from types import TracebackType
from typing import Self

import httpx

from largesse_client.http.asking import TRIES, Asking
from largesse_client.http.books import Books
from largesse_client.http.creators import Creators, Payouts
from largesse_client.http.endpoints import Endpoints
from largesse_client.http.purchases import Purchases
from largesse_client.http.rooms import Gifts, Rooms
from largesse_client.http.users import Users


class Backend:
    """An open HTTP client. Use it with `async with`, or call `close`.

    `api_key` may be a user's token where the contract allows that user. `http`: a client of your
    own, with proxies or certificates; it stays yours to close. `tries`: how often a request is
    sent at most while the server is busy or cannot be reached.
    """

    def __init__(
        self,
        url: str,
        api_key: str,
        *,
        http: httpx.AsyncClient | None = None,
        tries: int = TRIES,
    ) -> None:
        self._asking = Asking(url, api_key, http, tries)
        self.rooms = Rooms(self._asking)
        self.gifts = Gifts(self._asking)
        self.users = Users(self._asking)
        self.purchases = Purchases(self._asking)
        self.creators = Creators(self._asking)
        self.payouts = Payouts(self._asking)
        self.books = Books(self._asking)
        self.endpoints = Endpoints(self._asking)

    async def close(self) -> None:
        await self._asking.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
