"""Who is connected: dials at a bounded rate, brings lost viewers back with full jitter.

Owns every connection and a fixed number of dialling tasks; a viewer itself has none. A refusal at
the door (503) is a request to wait, 401 and 403 are final, and so are close codes from 4500 on.
"""

import asyncio
import random
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable

from websockets.uri import WebSocketURI

from largesse_client.backoff import FINAL_STATUSES, comes_back
from loadtest.feed import Feed
from loadtest.latency import Histogram
from loadtest.plan import VIEWERS_PER_ADDRESS, Plan, is_loopback, source_address
from loadtest.viewer import OPENING, RECEIVE_BUFFER_BYTES, Viewer

DIALLERS = 64
OPENING_S_MAX = 15.0
BACKOFF_MS = 200
BACKOFF_MS_MAX = 5_000


class Crowd:
    """All connections of one run. `stop` and nobody is brought back any more."""

    def __init__(
        self,
        plan: Plan,
        feed: Feed,
        *,
        uri: WebSocketURI,
        address: tuple[str, int],
        token: Callable[[str], str],
        dice: random.Random,
    ) -> None:
        self.plan = plan
        self.room = plan.room
        self.feed = feed
        self.uri = uri
        self.token = token
        self.viewers: list[Viewer] = []
        self.opening: set[Viewer] = set()
        self.open: set[Viewer] = set()
        self.recovered = 0
        self.snapshots = 0
        self.closes: Counter[str] = Counter()
        self.doors: Counter[str] = Counter()
        self.connect = Histogram()
        self.gone = 0
        self._address = address
        self._tls = ssl.create_default_context() if uri.secure else None
        self._many = is_loopback(plan.url) and plan.connections > VIEWERS_PER_ADDRESS
        self._dice = dice
        self._queue: asyncio.Queue[Viewer] = asyncio.Queue()
        self._next_s = 0.0
        self._stopped = False

    def start(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """Ask everybody in; the tasks are the caller's to cancel."""
        for viewer in self.viewers:
            self._queue.put_nowait(viewer)
        tasks = [group.create_task(self._dial()) for _ in range(DIALLERS)]
        return [*tasks, group.create_task(self._sweep())]

    def joined(self, viewer: Viewer) -> None:
        self.opening.discard(viewer)
        self.open.add(viewer)
        self.connect.add_ms((time.perf_counter() - viewer.dialled_s) * 1000)

    def lost(self, viewer: Viewer) -> None:
        """Called once per connection that ended, whatever ended it."""
        self.opening.discard(viewer)
        self.open.discard(viewer)
        if self._stopped:
            return
        if viewer.status:
            self.doors[str(viewer.status)] += 1
        else:
            self.closes[str(viewer.close_code or "none")] += 1
        if viewer.status in FINAL_STATUSES or not comes_back(viewer.close_code):
            self.gone += 1
            return
        self._again(viewer)

    def stop(self) -> None:
        """Let everybody leave."""
        self._stopped = True
        for viewer in list(self.open):
            viewer.leave()
        for viewer in list(self.opening):
            viewer.drop()

    @property
    def settled(self) -> bool:
        """Whether everybody has either joined or been turned away for good."""
        return len(self.open) + self.gone >= len(self.viewers)

    def _again(self, viewer: Viewer) -> None:
        """Full jitter: anywhere between nothing and a bound that doubles with every try."""
        bound_ms = min(BACKOFF_MS_MAX, BACKOFF_MS * 2 ** min(viewer.tries, 10))
        floor_ms = viewer.back_after_ms or 0
        viewer.tries += 1
        delay_s = (floor_ms + bound_ms * self._dice.random()) / 1000
        asyncio.get_running_loop().call_later(delay_s, self._queue.put_nowait, viewer)

    async def _dial(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            viewer = await self._queue.get()
            await self._pace()
            viewer.dialled_s = time.perf_counter()
            self.opening.add(viewer)
            try:
                sock = await self._socket(viewer)
                await loop.create_connection(
                    lambda viewer=viewer: viewer,
                    sock=sock,
                    ssl=self._tls,
                    server_hostname=self.uri.host if self._tls else None,
                )
            except OSError as error:
                self.opening.discard(viewer)
                self.doors[type(error).__name__] += 1
                self._again(viewer)

    async def _socket(self, viewer: Viewer) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            if viewer.slow and not viewer.ledger.started:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
            source = source_address(viewer.index, self._many)
            if source is not None and family == socket.AF_INET:
                sock.bind((source, 0))
            await asyncio.get_running_loop().sock_connect(sock, self._address)
        except BaseException:
            sock.close()
            raise
        return sock

    async def _pace(self) -> None:
        now = time.perf_counter()
        self._next_s = max(self._next_s + 1 / self.plan.connect_rate, now - 0.05)
        if self._next_s > now:
            await asyncio.sleep(self._next_s - now)

    async def _sweep(self) -> None:
        """Who has not joined in time is hung up on, and tries again."""
        while True:
            await asyncio.sleep(1)
            late = time.perf_counter() - OPENING_S_MAX
            for viewer in [one for one in self.opening if one.dialled_s < late]:
                if viewer.state >= OPENING:
                    viewer.drop()
