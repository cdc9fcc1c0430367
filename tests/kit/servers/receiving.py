"""Receivers of webhooks for tests: real sockets that answer as told, and a worker that posts."""

import asyncio
import contextlib
import json
import random
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

import msgspec

from kit.waiting import PATIENCE_S
from rules.commands import AnyCommand
from rules.results import Result
from rules.rows import Endpoint
from server.webhooks import Guard, Poster, Worker, guard
from storage.deliveries import Attempt, Delivery
from storage.sqlite.store import SqliteStore

SECRET = "the secret of the tests' webhooks"


class Post(NamedTuple):
    """A request that arrived."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def event(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(self.body)
        return event

    @property
    def seq(self) -> int:
        """Where the gift stands in its room's log."""
        return int(self.event["data"]["seq"])


class Receiver:
    """Answers every POST with what `answer` says: a status, and headers if there are some."""

    def __init__(self) -> None:
        self.posts: list[Post] = []
        self.status = 200
        self.headers: dict[str, str] = {}
        self.body = b""
        self.hangs = False
        self.answering = asyncio.Event()
        """Cleared, it keeps its answers back."""
        self.answering.set()
        self.decide: Callable[[Post], int] = lambda post: self.status
        self.connections = 0
        self.open = 0
        self.open_most = 0
        self.url = ""

    def ids(self) -> list[str]:
        return [post.id for post in self.posts]

    def seqs(self, room: str = "r1") -> list[int]:
        return [post.seq for post in self.posts if post.event["data"].get("room") == room]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                while head := await reader.readuntil(b"\r\n\r\n"):
                    await self._answer(head, reader, writer)
        finally:
            writer.transport.abort()

    async def _answer(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        first, *lines = head.decode().rstrip().split("\r\n")
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines)}
        body = await reader.readexactly(int(headers["content-length"]))
        post = Post(first.split(" ")[1], headers, body)
        self.posts.append(post)
        status = self.decide(post)
        self.open += 1
        self.open_most = max(self.open_most, self.open)
        try:
            await asyncio.sleep(3600 if self.hangs else 0.005)
            await self.answering.wait()
        finally:
            self.open -= 1
        extra = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        answer = f"HTTP/1.1 {status} So\r\nContent-Length: {len(self.body)}\r\n{extra}\r\n"
        writer.write(answer.encode() + self.body)
        await writer.drain()


@contextlib.asynccontextmanager
async def receiving(
    host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    tasks: set[asyncio.Task[None]] = set()
    writers: list[asyncio.StreamWriter] = []

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        task = asyncio.get_running_loop().create_task(receiver.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, host, 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    receiver.url = f"{'https' if tls else 'http'}://{host}:{port}/hooks"
    try:
        yield receiver
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in writers:  # also of a task that was cancelled before it began
            writer.transport.abort()
        await asyncio.sleep(0)


class Rig:
    """A ledger, a clock that is turned by hand, and a worker that can be killed and started."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self.deliveries = store.deliveries
        self.now_ms = int(time.time() * 1000)
        self.endpoints: list[Endpoint] = []
        self.disabled: list[tuple[str, str]] = []
        self.fault: Exception | None = None
        self.timeout_s = 5.0
        self.lasts = True
        self.alone = True
        self.allow_private = True
        self.resolve: guard.Resolve = guard.resolve
        self.tls: ssl.SSLContext | None = None
        self.worker = self._made()
        self._task: asyncio.Task[None] | None = None

    def endpoint(self, url: str, id: str = "e1", **changed: Any) -> Endpoint:
        """Add an endpoint that is told everything from the first command on."""
        plain = Endpoint(
            id=id, url=url, kinds=[], enabled=True, reason="", version=1, rotated_ms=0, since=1
        )
        endpoint: Endpoint = msgspec.structs.replace(plain, **changed)
        self.endpoints.append(endpoint)
        self.worker.nudge()
        return endpoint

    async def _read(self) -> list[Endpoint]:
        if self.fault:
            raise self.fault
        return list(self.endpoints)

    async def _disable(self, gone: Endpoint, reason: str) -> None:
        self.disabled.append((gone.id, reason))
        for endpoint in self.endpoints:
            endpoint.enabled &= endpoint.id != gone.id

    def _made(self) -> Worker:
        checked = Guard(allow_private=self.allow_private, resolve=self.resolve)
        return Worker(
            deliveries=self.deliveries,
            endpoints=self._read,
            disable=self._disable,
            poster=Poster(checked, timeout_s=self.timeout_s, tls=self.tls),
            secret=SECRET,
            clock=lambda: self.now_ms,
            rng=random.Random(1),
            lasts=lambda: self.lasts,
            alone=lambda: self.alone,
        )

    def start(self) -> None:
        self.worker = self._made()
        self._task = asyncio.get_running_loop().create_task(self.worker.run())

    async def kill(self) -> None:
        """End the worker wherever it is: nothing more is recorded."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def settle(self, *commands: AnyCommand) -> list[Result]:
        results = await self.store.settle(commands, self.now_ms)
        self.worker.nudge()
        return results

    def pass_ms(self, ms: int) -> None:
        self.now_ms += ms
        self.worker.nudge()

    async def until(
        self, holds: Callable[[], bool | Awaitable[bool]], within_s: float = PATIENCE_S
    ) -> None:
        async with asyncio.timeout(within_s):
            while True:
                answer = holds()
                if answer if isinstance(answer, bool) else await answer:
                    return
                if self._task and self._task.done():
                    self._task.result()
                await asyncio.sleep(0.005)

    async def states(self, endpoint: str = "e1") -> list[str]:
        """The states of an endpoint's deliveries, oldest first."""
        return [d.state for d in reversed(await self.listed(endpoint))]

    async def listed(self, endpoint: str = "e1") -> list[Delivery]:
        return await self.deliveries.listed(endpoint, None, None, 1_000)

    async def attempts(self, endpoint: str = "e1", place: int = 0) -> list[Attempt]:
        """The tries of the delivery at this place, the oldest being 0."""
        command = list(reversed(await self.listed(endpoint)))[place].command
        return await self.deliveries.attempts(endpoint, command) or []

    async def settled(self, *states: str, endpoint: str = "e1") -> None:
        """Wait until the endpoint's deliveries are in these states."""

        async def holds() -> bool:
            return tuple(await self.states(endpoint)) == states

        await self.until(holds)

    async def tried(self, times: int, endpoint: str = "e1") -> None:
        """Wait until so many tries of the endpoint's deliveries are recorded."""

        async def holds() -> bool:
            return sum(d.attempts for d in await self.listed(endpoint)) >= times

        await self.until(holds)

    async def quiet(self) -> None:
        """Time for a worker to do what it should not."""
        self.worker.nudge()
        await asyncio.sleep(0.2)
