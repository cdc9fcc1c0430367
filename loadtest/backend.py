"""The host platform's side: rooms, grants, the log and wallets over HTTP, and the users' tokens.

This is what a platform's backend would do with its API key, and all of it is in the contract. A
server that does not answer is `Unreachable`; one that says no to the set-up is `SetupRefused`.
Neither the secret nor the key is ever part of a message.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, TypeVar

import httpx
import jwt
import msgspec

from loadtest.plan import Plan, gifter_index
from loadtest.verdict import Books
from protocol.codec import decode_event
from protocol.messages import GiftEvent, GiftRetracted

T = TypeVar("T")

REQUESTS_AT_ONCE = 16
TRIES = 6
PAGE_MAX = 1_000
PAGE_SAFE = 200
TIMEOUT_S = 30.0
TOKEN_SPARE_S = 600


class Unreachable(Exception):
    """Nobody answers at that address."""


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


class Room(msgspec.Struct, frozen=True):
    epoch: str
    seq: int
    total_coins: int
    status: str = "open"
    creator: Any = None


class CatalogueGift(msgspec.Struct, frozen=True):
    id: str
    coins: int
    enabled: bool = True
    combo: bool = False


class _Catalogue(msgspec.Struct):
    gifts: list[CatalogueGift]


class _Page(msgspec.Struct):
    events: list[msgspec.Raw]
    head: int


class _Wallet(msgspec.Struct):
    coins: int


class _AnySeq(msgspec.Struct):
    seq: int


def make_token(secret: str, user: str, expires_s: int) -> str:
    """A viewer's token that may gift, as section 1.3 of the contract wants it."""
    claims = {"sub": user, "name": user, "role": "viewer", "adult": True, "exp": expires_s}
    return jwt.encode(claims, secret, algorithm="HS256")


class Backend:
    """An open HTTP client with the API key. Use as an async context."""

    def __init__(self, plan: Plan, api_key: str) -> None:
        self._plan = plan
        self._page = PAGE_MAX
        self._gate = asyncio.Semaphore(REQUESTS_AT_ONCE)
        self._http = httpx.AsyncClient(
            base_url=plan.url.rstrip("/"),
            headers={"Authorization": f"Bearer {api_key}"},
            timeout=TIMEOUT_S,
            trust_env=False,
        )

    async def __aenter__(self) -> "Backend":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def open_room(self) -> Room:
        """The room of the plan, made when it is missing."""
        path = f"/v1/rooms/{self._plan.room}"
        answer = await self._ask("GET", path)
        if answer.status_code == 404:
            room = {"id": self._plan.room, "title": "Load test", "creator": "loadtest-creator"}
            answer = await self._ask("POST", "/v1/rooms", json=room)
            if answer.status_code not in (200, 201, 409):
                raise SetupRefused(_said(answer, "the room could not be made"))
            answer = await self._ask("GET", path)
        return _read(answer, Room, "the room could not be read")

    async def room(self) -> Room:
        answer = await self._ask("GET", f"/v1/rooms/{self._plan.room}")
        return _read(answer, Room, "the room could not be read")

    async def catalogue(self) -> list[CatalogueGift]:
        answer = await self._ask("GET", "/v1/catalogue")
        gifts = _read(answer, _Catalogue, "the catalogue could not be read").gifts
        return [gift for gift in gifts if gift.enabled]

    async def grant(self, users: Iterable[str], coins: int) -> None:
        async def one(user: str) -> None:
            answer = await self._ask(
                "POST",
                "/v1/grants",
                json={"user": user, "coins": coins, "reason": "load test"},
                headers={"Idempotency-Key": f"{user}-grant"},
            )
            if answer.status_code not in (200, 201):
                raise SetupRefused(_said(answer, f"no coins for {user}"))

        await _all(one, users)

    async def wallets(self, users: Iterable[str]) -> dict[str, int]:
        """Coins by user, in the order given."""
        found = dict.fromkeys(users, 0)

        async def one(user: str) -> None:
            answer = await self._ask("GET", f"/v1/users/{user}/wallet")
            empty = answer.status_code == 404
            found[user] = 0 if empty else _read(answer, _Wallet, f"no wallet of {user}").coins

        await _all(one, list(found))
        return found

    async def read_log(self, books: Books, to: int) -> None:
        """Page through the raw log behind the books' head, up to the seq `to` at least."""
        while books.head < to:
            before = books.head
            path = f"/v1/rooms/{self._plan.room}/events?after={before}&limit={self._page}"
            answer = await self._ask("GET", path)
            if answer.status_code in (400, 422) and self._page > PAGE_SAFE:
                self._page = PAGE_SAFE
                continue
            page = _read(answer, _Page, "the log could not be read")
            for body in page.events:
                self._book(books, body)
            if books.head == before:
                books.faults.append(f"the log ends at {before}, its head is {page.head}")
                return

    def _book(self, books: Books, body: msgspec.Raw) -> None:
        event = decode_event(body)
        match event:
            case GiftEvent():
                if event.merged != 1:
                    books.faults.append(f"seq {event.seq} of the raw log is merged")
                owner = gifter_index(self._plan, event.from_.id)
                books.add(event.seq, event.coins, gift=True, owner=owner)
            case GiftRetracted():
                books.add(event.seq, -event.coins, gift=False, owner=None)
            case None:
                seq = msgspec.json.decode(body, type=_AnySeq).seq
                books.add(seq, 0, gift=False, owner=None)
            case _:
                books.add(event.seq, 0, gift=False, owner=None)

    async def _ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """One request; again on 429, 503 and a lost connection (every POST here has a key)."""
        async with self._gate:
            for attempt in range(TRIES):
                try:
                    answer = await self._http.request(method, path, **more)
                except httpx.TransportError as error:
                    if attempt + 1 == TRIES or isinstance(error, httpx.ConnectError):
                        raise Unreachable(f"{self._plan.url}: {error}") from error
                    answer = None
                if answer is not None and answer.status_code not in (429, 503):
                    break
                if answer is not None and attempt + 1 == TRIES:
                    break
                await asyncio.sleep(_wait_s(answer, attempt))
        assert answer is not None
        return answer


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


def _wait_s(answer: httpx.Response | None, attempt: int) -> float:
    after = answer.headers.get("Retry-After", "") if answer is not None else ""
    return min(float(after), 10.0) if after.isdigit() else 0.1 * 2**attempt


def _read(answer: httpx.Response, kind: type[T], sentence: str) -> T:
    if answer.status_code != 200:
        raise SetupRefused(_said(answer, sentence))
    try:
        return msgspec.json.decode(answer.content, type=kind)
    except msgspec.MsgspecError as error:
        raise SetupRefused(f"{sentence}: {error}") from error


def _said(answer: httpx.Response, sentence: str) -> str:
    """The server's own words about a refusal, shortened."""
    return f"{sentence}: HTTP {answer.status_code} {answer.text[:300]}"
