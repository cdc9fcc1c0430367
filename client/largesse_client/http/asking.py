"""One request to the API: who asks, under which key, how often, and what an error says.

A request that changes something carries an idempotency key, made here unless the caller gives one,
and keeps it over all tries; so a lost connection, 429 and 503 are tried again without a thought.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from largesse_client.connection import new_key
from largesse_client.wire import Unreadable

T = TypeVar("T")

TRIES = 6
TIMEOUT_S = 30.0
FILE_TIMEOUT_S = 300.0
"""Ten thousand lines for the bank, or a user's whole history, take their time."""

PAGE_MAX = 200
WAIT_MAX_S = 10.0
BACKOFF_S = 0.1
AGAIN = (429, 503)
MESSAGE_CHARACTERS_MAX = 300

Params = Mapping[str, str | int | bool | None]


class ApiError(Exception):
    """The server's no.

    `code` is one of the contract's (`http_502` when it was a proxy that spoke), `message` a
    sentence for a person, `retry` is `fix`, `same` or `new`, `status` the HTTP status.
    `request_id` finds it in the server's log; `key` is the idempotency key that the request had.
    """

    def __init__(
        self,
        *,
        status: int,
        code: str,
        message: str,
        retry: str = "fix",
        details: dict[str, Any] | None = None,
        request_id: str = "",
        key: str | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.retry = retry
        self.details = details or {}
        self.request_id = request_id
        self.key = key


class Unreachable(Exception):
    """No answer came. A request that changes something may have been booked: ask again with its
    `key` to learn the answer, and it happens once. Not so when it was never `asked`."""

    def __init__(self, message: str, key: str | None = None, *, asked: bool = True) -> None:
        super().__init__(message)
        self.key = key
        self.asked = asked


class Page(msgspec.Struct, Generic[T], frozen=True):
    """A part of a list; `next_cursor` is where it goes on."""

    items: list[T]
    next_cursor: str | None = None


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """`key` None asks without one. `body` is JSON, or a file of the type `file_type`."""

    method: str
    path: str
    params: Params | None = None
    body: object = None
    key: str | None = None
    file_type: str = ""
    timeout_s: float = TIMEOUT_S


class Asking:
    """An HTTP client with a server's address and the API key, or a user's token."""

    def __init__(self, url: str, secret: str, http: httpx.AsyncClient | None, tries: int) -> None:
        self._url = url.rstrip("/")
        self._secret = secret
        self._own = http is None
        self._http = http if http is not None else httpx.AsyncClient()
        self._tries = tries

    async def close(self) -> None:
        if self._own:
            await self._http.aclose()

    async def get(self, kind: type[T], path: str, **params: str | int | bool | None) -> T:
        """The answer to a question. Raises ApiError, Unreachable, Unreadable."""
        return read(await self.ask(Request(method="GET", path=path, params=params)), kind)

    async def change(
        self, kind: type[T], method: str, path: str, body: object = None, *, key: str | None = None
    ) -> T:
        """The answer to a request that changes something. Raises as `get`."""
        made = key if key is not None else new_key()
        request = Request(method=method, path=path, body=body, key=made)
        return read(await self.ask(request), kind)

    async def pages(
        self, kind: type[T], path: str, **params: str | int | bool | None
    ) -> AsyncIterator[T]:
        """All items of a list, page by page. Raises as `get`."""
        cursor: str | None = None
        while True:
            page = await self.get(Page[kind], path, **params, limit=PAGE_MAX, cursor=cursor)  # type: ignore[valid-type]
            for item in page.items:
                yield item
            cursor = page.next_cursor
            if cursor is None:
                return

    async def fetch(self, path: str, **params: str | int | bool | None) -> bytes:
        """An answer that is a file. Raises ApiError, Unreachable."""
        request = Request(method="GET", path=path, params=params, timeout_s=FILE_TIMEOUT_S)
        return (await self.ask(request)).content

    async def ask(self, request: Request) -> httpx.Response:
        """The answer, after as many tries as it takes. Raises ApiError, Unreachable."""
        for attempt in range(self._tries):
            last = attempt + 1 == self._tries
            try:
                response = await self._once(request)
            except (httpx.TransportError, httpx.DecodingError) as error:
                asked = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
                # Asking twice is asking once, with a key; who was never connected has not asked.
                if last or (asked and request.method != "GET" and request.key is None):
                    why = str(error) or type(error).__name__
                    sentence = f"{self._url} cannot be reached: {why}"
                    raise Unreachable(sentence, request.key, asked=asked) from error
                await asyncio.sleep(wait_s("", attempt))
                continue
            if response.is_success:
                return response
            if last or response.status_code not in AGAIN:
                raise api_error(response, request.key)
            await asyncio.sleep(wait_s(response.headers.get("Retry-After", ""), attempt))
        raise AssertionError("at least one try")

    async def _once(self, request: Request) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._secret}"}
        content: bytes | None = None
        if request.key is not None:
            headers["Idempotency-Key"] = request.key
        if request.file_type:
            assert isinstance(request.body, bytes)
            headers["Content-Type"], content = request.file_type, request.body
        elif request.body is not None:
            headers["Content-Type"] = "application/json"
            content = msgspec.json.encode(request.body)
        return await self._http.request(
            request.method,
            self._url + request.path,
            params=_given(request.params or {}),
            headers=headers,
            content=content,
            timeout=request.timeout_s,
        )


def at(*parts: object) -> str:
    """The path of these parts under `/v1`, whatever characters an id has. Raises ValueError."""
    segments = [quote(str(part), safe="") for part in parts]
    if "" in segments:
        raise ValueError("an id must not be empty")
    # Dots by themselves would be resolved on the way, and name something else.
    return "/v1/" + "/".join(s if s.strip(".") else s.replace(".", "%2E") for s in segments)


def read(response: httpx.Response, kind: type[T]) -> T:
    """The body as what the contract says that it is. Raises Unreadable."""
    try:
        return msgspec.json.decode(response.content, type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise Unreadable(f"{response.url.path}: {error}") from error


class _Error(msgspec.Struct, frozen=True):
    code: str
    message: str
    retry: str = "fix"
    details: dict[str, Any] | None = None
    request_id: str = ""


class _ErrorBody(msgspec.Struct, frozen=True):
    error: _Error


def api_error(response: httpx.Response, key: str | None = None) -> ApiError:
    """What an answer says that is no success; a proxy's words are taken as they are."""
    try:
        said = msgspec.json.decode(response.content, type=_ErrorBody).error
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        text = response.content[: MESSAGE_CHARACTERS_MAX * 4].decode("utf-8", "replace")
        retry = "same" if response.status_code >= 500 else "fix"
        said = _Error(f"http_{response.status_code}", text[:MESSAGE_CHARACTERS_MAX], retry)
    return ApiError(
        status=response.status_code,
        code=said.code,
        message=said.message,
        retry=said.retry,
        details=said.details,
        request_id=said.request_id,
        key=key,
    )


def wait_s(after: str, attempt: int) -> float:
    """As long as the server says, or with full jitter."""
    if after.isascii() and after.isdigit():
        return min(float(after), WAIT_MAX_S)
    return random.random() * min(WAIT_MAX_S, BACKOFF_S * (1 << min(attempt, 16)))


def _given(params: Params) -> dict[str, str | int]:
    return {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in params.items()
        if value is not None
    }
