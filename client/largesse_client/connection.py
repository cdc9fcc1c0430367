"""A live connection on asyncio: the socket, the clock and the timers around a `Session`.

    async with largesse_client.connect("http://127.0.0.1:8080", token=token) as live:
        await live.join("harbour")
        async for news in live:
            print(news)

One task owns the line: it dials, reads, and dials again when the session says so; what is to be
sent goes through a bounded outbox and a writer beside it. Everything that is decided is decided in
session.py. Refusals are values, because a no is an ordinary answer to a gift; exceptions are for
what ends the connection (`Ended`) and for waits that were too long (`TimeoutError`).
"""

import asyncio
import inspect
import random
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self, cast
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from largesse_client.effects import (
    Answer,
    CancelTimers,
    Connect,
    Drop,
    Effect,
    Question,
    Reply,
    Send,
    Tell,
    Timer,
)
from largesse_client.inbox import Inbox
from largesse_client.messages import Accepted, Gift, Joined, Pong, Refused, Standing
from largesse_client.news import Disconnected, News, Unknown
from largesse_client.pending import uuid7
from largesse_client.rooms import Room
from largesse_client.session import Phase, Session
from largesse_client.wire import encode

Token = str | Callable[[], str | Awaitable[str]]
"""A token, or a function that is asked for a fresh one before each connection: so `Live` outlives
its tokens."""

WITHIN_S = 30.0
"""How long an answer is waited for, unless the caller says otherwise."""

OPEN_TIMEOUT_S = 10.0
NEWS_MAX = 10_000
OUTBOX_MAX = 1_000
"""Messages that were not written yet. A line that takes none for so long is dead."""

FRAME_BYTES_MAX = 16 * 1024 * 1024
"""Far above what a server sends at once, and a limit on what a stranger may make us keep."""

GOODBYE, GOODBYE_S = 1000, 1.0
BROKEN = 1006
"""The close code for a line that broke without one."""


class Ended(Exception):
    """The connection has ended and will not come back as it is.

    `code`: a close code of the contract (from 4500 on), or the HTTP status of a refused upgrade.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message


def connect(
    url: str, token: Token, *, open_within_s: float = WITHIN_S, news_max: int = NEWS_MAX
) -> "Live":
    """A connection to a server, to be used with `async with`.

    `url` is the server's address, such as `https://gifts.example`, or that of its WebSocket.
    Entering waits for the first `welcome`, trying again meanwhile; it raises `Ended` when the
    server will not have us, and TimeoutError after `open_within_s`. From then on the connection
    comes back by itself. `news_max`: how much untaken news is kept (see inbox.py).
    """
    return Live(websocket_url(url), token, open_within_s=open_within_s, news_max=news_max)


def websocket_url(url: str) -> str:
    """The WebSocket of the server at that address. Raises ValueError."""
    parts = urlsplit(url)
    scheme = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}.get(parts.scheme)
    if scheme is None or not parts.netloc:
        raise ValueError(f"{url!r} is no address such as https://gifts.example")
    path = parts.path.rstrip("/")
    return f"{scheme}://{parts.netloc}{path if path.endswith('/v1/ws') else path + '/v1/ws'}"


class Live:
    """An open connection; `connect` makes it. Iterate over it to get the news (news.py)."""

    def __init__(self, url: str, token: Token, *, open_within_s: float, news_max: int) -> None:
        self._url = url
        self._token = token
        self._open_within_s = open_within_s
        self._session = Session(fresh_tokens=not isinstance(token, str))
        self._inbox = Inbox(news_max)
        self._answers: dict[Question, asyncio.Future[Answer]] = {}
        self._timers: dict[tuple[str, str], asyncio.TimerHandle] = {}
        self._outbox: deque[bytes] = deque()
        self._to_write = asyncio.Event()
        self._to_dial = asyncio.Event()
        self._settled = asyncio.Event()
        self._socket: ClientConnection | None = None
        self._dropped: Drop | None = None
        self._ended: BaseException | None = None
        self._task: asyncio.Task[None] | None = None
        self._why = "no answer"

    # What you look at

    @property
    def phase(self) -> Phase:
        """Where the connection is in its life."""
        return self._session.phase

    @property
    def balance_coins(self) -> int | None:
        """The wallet's coins, as they were told last; None before the first `joined`."""
        return self._session.balance_coins

    @property
    def unanswered(self) -> int:
        """How many gifts wait for their answer."""
        return len(self._session.pending)

    def room(self, name: str) -> Room | None:
        """What is known of a room that is followed: total, board, viewers, own place."""
        return self._session.rooms.get(name)

    # What you call

    async def join(self, room: str, *, within_s: float = WITHIN_S) -> Joined | Refused:
        """Follow a room, now and after every reconnect. A busy server is asked again.

        Raises TimeoutError (the room is still wanted, and joined when that is possible), Ended.
        """
        answer = self._answer(("join", room))
        self._do(self._session.join(room))
        return cast(Joined | Refused, await _wait(answer, within_s))

    def leave(self, room: str) -> None:
        """Stop following a room. Gifts into it that were not sent yet are refused."""
        self._do(self._session.leave(room))

    async def gift(
        self,
        *,
        room: str,
        gift: str,
        quantity: int = 1,
        to: str | None = None,
        price: int | None = None,
        message: str | None = None,
        anonymous: bool = False,
        key: str | None = None,
        within_s: float = WITHIN_S,
    ) -> Accepted | Refused | Unknown:
        """Give a gift into a room that was joined, exactly once.

        It is sent again after a reconnect, and while the server is busy, under the one key that it
        has. `Unknown`: no answer came within `within_s`, or the room or the connection was left;
        to learn what became of it, give it again with that `key` and the same fields. Whoever
        cancels this call leaves the gift on its way. Raises Ended.
        """
        key = key if key is not None else new_key()
        wish = Gift(
            key=key,
            room=room,
            gift=gift,
            quantity=quantity,
            to=to,
            price=price,
            message=message,
            visibility="anonymous" if anonymous else "public",
        )
        answer = self._answer(("gift", key))
        self._do(self._session.gift(wish, _now_ms()))
        try:
            return cast(Accepted | Refused | Unknown, await _wait(answer, within_s))
        except TimeoutError:
            self._do(self._session.give_up(key))
            return cast(Accepted | Refused | Unknown, answer.result())

    async def standing(self, room: str, *, within_s: float = WITHIN_S) -> Standing | Refused:
        """One's own place on a room's board. Raises TimeoutError, Ended."""
        id, effects = self._session.ask_standing(room)
        return cast(Standing | Refused, await self._ask(id, effects, within_s))

    async def ping(self, *, within_s: float = WITHIN_S) -> Pong | Refused:
        """See whether the server answers. Raises TimeoutError, Ended."""
        id, effects = self._session.ping()
        return cast(Pong | Refused, await self._ask(id, effects, within_s))

    def shown(self, room: str, seq: int) -> None:
        """Overlays: everything up to `seq` has been shown."""
        self._do(self._session.shown(room, seq))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> News:
        """The next news. The iteration ends after `close`; raises Ended when the server ends it."""
        news = await self._inbox.take()
        if news is not None:
            return news
        if self._ended is not None:
            raise self._ended
        raise StopAsyncIteration

    async def close(self) -> None:
        """Leave for good. Gifts without an answer become `Unknown`."""
        self._do(self._session.stop())
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._inbox.end()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        try:
            async with asyncio.timeout(self._open_within_s):
                await self._settled.wait()
        except TimeoutError:
            await self.close()
            raise TimeoutError(f"not connected in {self._open_within_s} s: {self._why}") from None
        except BaseException:
            await self.close()
            raise
        if self._ended is not None:
            await self.close()
            raise self._ended
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    # Answers

    def _answer(self, question: Question) -> asyncio.Future[Answer]:
        """Where the answer to a question will be; the same for all who ask the same."""
        if self._ended is not None:
            raise self._ended
        if question not in self._answers:
            self._answers[question] = asyncio.get_running_loop().create_future()
        return self._answers[question]

    async def _ask(self, id: str, effects: list[Effect], within_s: float) -> Answer:
        question = ("ask", id)
        answer = self._answer(question)
        self._do(effects)
        try:
            return await _wait(answer, within_s)
        finally:
            self._session.forget(question)
            self._answers.pop(question, None)

    # The session's effects

    def _do(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send():
                    self._send(effect)
                case Tell(news=news):
                    self._tell(news)
                case Reply(question=question, answer=answer):
                    waiting = self._answers.pop(question, None)
                    if waiting is not None and not waiting.done():
                        waiting.set_result(answer)
                case Timer():
                    self._set_timer(effect)
                case CancelTimers():
                    self._cancel_timers()
                case Connect():
                    self._to_dial.set()
                case Drop():
                    self._drop(effect)

    def _send(self, effect: Send) -> None:
        if len(self._outbox) >= OUTBOX_MAX:
            self._drop(Drop(BROKEN, "nothing could be sent any more"))
            return
        self._outbox.append(encode(effect.message))
        self._to_write.set()

    def _tell(self, news: News) -> None:
        self._inbox.put(news)
        if isinstance(news, Disconnected):
            self._why = news.message
            if news.reconnect_in_ms is None:
                self._end(Ended(news.code, news.message))
        if self._session.phase is Phase.LIVE:
            self._settled.set()

    def _end(self, why: BaseException) -> None:
        """Nothing comes any more: all that is waited for learns why."""
        self._ended = why
        self._settled.set()
        self._inbox.end()
        self._to_dial.set()
        for waiting in self._answers.values():
            if not waiting.done():
                waiting.set_exception(why)
                waiting.exception()  # nobody may be waiting, and that is no mistake
        self._answers.clear()

    def _drop(self, effect: Drop) -> None:
        """Not waiting for the close handshake, which takes minutes on a dead line; `close` alone
        says goodbye, and waits a moment."""
        self._dropped = effect
        if self._socket is not None and effect.code != GOODBYE:
            self._socket.transport.abort()

    def _set_timer(self, timer: Timer) -> None:
        name = (timer.name, timer.room)
        if name in self._timers:
            self._timers[name].cancel()
        loop = asyncio.get_running_loop()
        self._timers[name] = loop.call_later(timer.in_ms / 1000, self._ring, *name)

    def _cancel_timers(self) -> None:
        for handle in self._timers.values():
            handle.cancel()
        self._timers.clear()

    def _ring(self, name: str, room: str) -> None:
        self._timers.pop((name, room), None)
        self._do(self._session.rang(name, room, _now_ms()))

    # The line

    async def _run(self) -> None:
        """Dial whenever the session asks for it, until it is over."""
        try:
            self._do(self._session.start(_now_ms()))
            while self._ended is None:
                await self._to_dial.wait()
                self._to_dial.clear()
                if self._session.phase is Phase.CONNECTING:
                    await self._line()
        except Exception as error:  # a bug, or what the caller's own `token` raised
            self._end(error)
        finally:
            self._cancel_timers()

    async def _line(self) -> None:
        """One connection, from the dialling to its end."""
        self._dropped = None
        code, reason, after_ms = BROKEN, "", 0
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                token = await self._fresh_token()
                self._socket = await open_socket(
                    self._url,
                    additional_headers={"Authorization": f"Bearer {token}"},
                    max_size=FRAME_BYTES_MAX,
                    compression=None,  # a server's shared frames are not compressed anyway
                    ping_interval=None,  # the protocol has heartbeats of its own
                    close_timeout=GOODBYE_S,
                    open_timeout=None,
                )
            if self._dropped is None:  # nobody gave it up while it was being opened
                code, reason = await self._talk(self._socket)
        except InvalidStatus as error:
            code, after_ms = error.response.status_code, _retry_after_ms(error)
            reason = f"The server answered with HTTP {code}."
        except (OSError, TimeoutError, WebSocketException) as error:
            reason = f"The server cannot be reached: {error}"
        finally:
            socket, self._socket = self._socket, None
            if socket is not None:
                await socket.close()
        if self._dropped is not None:
            code, reason = self._dropped.code, self._dropped.reason
        self._do(self._session.closed(code, reason, _now_ms(), random.random(), after_ms))

    async def _fresh_token(self) -> str:
        if isinstance(self._token, str):
            return self._token
        given = self._token()
        return await given if inspect.isawaitable(given) else given

    async def _talk(self, socket: ClientConnection) -> tuple[int, str]:
        """Read and write until the line ends; its close code and reason."""
        self._outbox.clear()
        self._do(self._session.opened())
        async with asyncio.TaskGroup() as tasks:
            writer = tasks.create_task(self._write(socket))
            try:
                while True:
                    frame = await socket.recv(decode=False)
                    self._do(self._session.heard(frame, _now_ms(), random.random()))
            except ConnectionClosed:
                writer.cancel()
        return socket.close_code or BROKEN, socket.close_reason or ""

    async def _write(self, socket: ClientConnection) -> None:
        """A dead line is noticed by the reader."""
        try:
            while True:
                while self._outbox:
                    await socket.send(self._outbox[0], text=True)
                    self._outbox.popleft()
                self._to_write.clear()
                await self._to_write.wait()
        except ConnectionClosed:
            return


def new_key() -> str:
    """A new idempotency key: a UUIDv7."""
    return uuid7(time.time_ns() // 1_000_000, secrets.token_bytes(10))


async def _wait(answer: asyncio.Future[Answer], within_s: float) -> Answer:
    """Its result; whoever stops waiting leaves it as it is. Raises TimeoutError."""
    async with asyncio.timeout(within_s):
        return await asyncio.shield(answer)


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def _retry_after_ms(error: InvalidStatus) -> int:
    after = error.response.headers.get("Retry-After", "")
    return min(int(after), 3_600) * 1000 if after.isascii() and after.isdigit() else 0
