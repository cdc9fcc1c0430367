"""The host platform's side: rooms, grants, the log and wallets over HTTP.

This is what a platform's backend would do with its API key, and all of it is in the contract. A
server that does not answer is `Unreachable`; one that says no to the set-up is `SetupRefused`.
Neither the secret nor the key is ever part of a message.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType

import httpx

import largesse_client
from largesse_client import ApiError, Entry, GiftEvent, GiftRetracted, Unreachable, Unreadable
from largesse_client.http.answers import CatalogueGift, RoomState
from loadtest.plan import Plan, gifter_index
from loadtest.verdict import Books

REQUESTS_AT_ONCE = 16
TOKEN_SPARE_S = 600


class SetupRefused(Exception):
    """The server answered, and the answer is no."""


@contextmanager
def alone() -> Iterator[None]:
    """Out of a task group, let the reason for which a run ends come as one error and no group.

    Not `except*`: what is raised inside it comes out of Python 3.11.2, Debian 12's own, in a group
    once more. A group with anything else in it is a bug as well and stays whole.
    """
    try:
        yield
    except BaseExceptionGroup as errors:
        known, others = errors.split((Unreachable, SetupRefused))
        if known is None or others is not None:
            raise
        error: BaseException = known
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None


@contextmanager
def wanted(what: str) -> Iterator[None]:
    """A no to what the run needs ends it, in the server's own words."""
    try:
        yield
    except (ApiError, Unreadable) as error:
        raise SetupRefused(f"{what}: {error}") from error


class Backend:
    """An open HTTP client with the API key. Use as an async context."""

    def __init__(self, plan: Plan, api_key: str) -> None:
        self._plan = plan
        # Straight to the server: a proxy between would be measured too.
        self._http = httpx.AsyncClient(trust_env=False)
        self._backend = largesse_client.Backend(plan.url, api_key, http=self._http)

    async def __aenter__(self) -> "Backend":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def open_room(self) -> RoomState:
        """The room of the plan, made when it is missing."""
        rooms, name = self._backend.rooms, self._plan.room
        try:
            return await rooms.show(name)
        except ApiError as error:
            if error.status != 404:
                raise SetupRefused(f"the room could not be read: {error}") from error
        with wanted("the room could not be made"):
            return await rooms.open(name, title="Load test", creator="loadtest-creator")

    async def room(self) -> RoomState:
        with wanted("the room could not be read"):
            return await self._backend.rooms.show(self._plan.room)

    async def catalogue(self) -> list[CatalogueGift]:
        with wanted("the catalogue could not be read"):
            gifts = (await self._backend.gifts.catalogue()).gifts
        return [gift for gift in gifts if gift.enabled]

    async def grant(self, users: Iterable[str], coins: int) -> None:
        async def one(user: str) -> None:
            with wanted(f"no coins for {user}"):
                await self._backend.users.grant(
                    user, coins, reason="load test", key=f"{user}-grant"
                )

        await _all(one, users)

    async def wallets(self, users: Iterable[str]) -> dict[str, int]:
        """Coins by user, in the order given."""
        found = dict.fromkeys(users, 0)

        async def one(user: str) -> None:
            with wanted(f"no wallet of {user}"):
                found[user] = (await self._backend.users.wallet(user)).coins

        await _all(one, list(found))
        return found

    async def read_log(self, books: Books, to: int) -> None:
        """Page through the raw log behind the books' head, up to the seq `to` at least."""
        while books.head < to:
            before = books.head
            with wanted("the log could not be read"):
                page = await self._backend.rooms.log(self._plan.room, after=before)
            for entry in page.events:
                self._book(books, entry)
            if books.head == before:
                books.faults.append(f"the log ends at {before}, its head is {page.head}")
                return

    def _book(self, books: Books, entry: Entry) -> None:
        match entry:
            case GiftEvent():
                if entry.merged != 1:
                    books.faults.append(f"seq {entry.seq} of the raw log is merged")
                owner = gifter_index(self._plan, entry.from_.id)
                books.add(entry.seq, entry.coins, gift=True, owner=owner)
            case GiftRetracted():
                books.add(entry.seq, -entry.coins, gift=False, owner=None)
            case _:
                books.add(entry.seq, 0, gift=False, owner=None)


async def _all(one: Callable[[str], Awaitable[None]], users: Iterable[str]) -> None:
    """Run `one` for each user with a few workers; the first error ends all."""
    rest = iter(list(users))

    async def work() -> None:
        for user in rest:
            await one(user)

    with alone():
        async with asyncio.TaskGroup() as group:
            for _ in range(REQUESTS_AT_ONCE):
                group.create_task(work())
