"""Gifters and viewers who keep their own history, over any number of lives of one server.

A gifter's socket is a closed loop: a few gifts in flight, the next when an answer has come. What
was promised (`Ack`) is written down the moment it is read and before anything is made of it; a key
without an answer is sent again, with the same content, at the next connection. A viewer resumes
from what it has seen and keeps every frame's bounds and entries. `books.py` compares all of it with
the log. This module judges nothing: what it cannot explain it keeps in `surprises`.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

import websockets

from kit.servers.serving import API_KEY, token
from kit.waiting import PATIENCE_S
from largesse_client import Backend
from largesse_client.messages import (
    Accepted,
    Events,
    Gift,
    Join,
    Joined,
    Refused,
    ResumePoint,
)
from largesse_client.wire import decode, encode
from loadtest.frames import summarise
from loadtest.ledger import Ledger

Say = Callable[[str], None]

ROOM = "stage"
GIFTS = ("spark", "leaf", "biscuit", "kite", "note")
COINS = 10_000_000
"""Each gifter's wallet: more than any of these tests can spend, so that a refusal is a bug."""
FOREVER = 2**53
EVENTS = '{"type":"events"'
GONE = (websockets.WebSocketException, OSError, TimeoutError, EOFError)
"""How a connection to a server ends that was killed at any moment."""


class Ack(NamedTuple):
    """An `accepted` as it was read; `life` counts the server's starts from 0."""

    life: int
    user: str
    key: str
    seq: int
    coins: int
    balance: int
    total: int
    replayed: bool


@contextlib.asynccontextmanager
async def connection(url: str, user: str) -> AsyncIterator[websockets.ClientConnection]:
    """A socket that does not wait long for a goodbye: the other side may be dead or traced."""
    headers = {"Authorization": f"Bearer {token(user)}"}
    async with websockets.connect(
        url.replace("http", "ws") + "/v1/ws",
        additional_headers=headers,
        compression=None,
        max_size=None,
        ping_interval=None,
        open_timeout=PATIENCE_S,
        close_timeout=0.5,
    ) as socket:
        yield socket


async def join(socket: websockets.ClientConnection, resume: ResumePoint | None = None) -> Joined:
    await socket.send(encode(Join(room=ROOM, resume=resume)).decode())
    async with asyncio.timeout(PATIENCE_S):
        while True:
            message = decode(str(await socket.recv()).encode())
            if isinstance(message, Joined):
                return message


class Gifter:
    """One socket of a user. `waiting` are the gifts that were sent and not answered yet."""

    def __init__(self, load: "Load", user: str, name: str, in_flight: int) -> None:
        self.load = load
        self.user = user
        self.name = name
        self.waiting: dict[str, Gift] = {}
        self.joined = False
        self._in_flight = in_flight
        self._made = 0
        self._again: list[str] = []

    async def live(self, url: str) -> None:
        """One connection: send again what has no answer, then go on until the line is dead."""
        with contextlib.suppress(*GONE):
            async with connection(url, self.user) as socket:
                await join(socket)
                self.joined = True
                self._again = list(self.waiting)
                while await self._send(socket):
                    self._hear(str(await socket.recv()))

    async def _send(self, socket: websockets.ClientConnection) -> bool:
        """Send what may be sent; False when everything is answered and nothing new is wanted."""
        for key in self._again:
            await socket.send(encode(self.waiting[key]).decode())
        self._again = []
        while len(self.waiting) < self._in_flight and not self.load.ending:
            gift = self._next()
            self.waiting[gift.key] = gift
            await socket.send(encode(gift).decode())
        return bool(self.waiting)

    def _next(self) -> Gift:
        """Half of the gifts say their key aloud, so that the log can be matched to it by name."""
        self._made += 1
        key = f"{self.name}-{self._made}"
        dice = self.load.dice
        return Gift(
            key=key,
            room=ROOM,
            gift=dice.choice(GIFTS),
            quantity=dice.choice((1, 1, 1, 3)),
            message=key if dice.random() < 0.5 else None,
        )

    def _hear(self, text: str) -> None:
        if text.startswith(EVENTS):
            return
        message = decode(text.encode())
        if isinstance(message, Accepted):
            ack = Ack(
                life=self.load.life,
                user=self.user,
                key=message.key,
                seq=message.seq,
                coins=message.coins,
                balance=message.balance_coins,
                total=message.total_coins,
                replayed=message.replayed,
            )
            self.load.acks.append(ack)
            self.load.answered(self, message.key)
        elif isinstance(message, Refused):
            self._refused(message)

    def _refused(self, message: Refused) -> None:
        """`same` means the same key later; any other refusal is not expected here."""
        self.load.refusals.append(message)
        if message.retry == "same" and message.key is not None:
            self._again.append(message.key)
        else:
            self.load.surprises.append(f"{self.name}: {message}")


class Watcher:
    """A viewer: its own ledger, and what each frame said, in the order in which it came."""

    def __init__(self, load: "Load", name: str) -> None:
        self.load = load
        self.name = name
        self.ledger = Ledger()
        self.frames: list[tuple[int, int, int, int]] = []
        self.entries: list[tuple[int, int, int]] = []
        self.snapshots: list[tuple[int, int]] = []
        self.resumed = 0
        self.socket: websockets.ClientConnection | None = None

    async def live(self, url: str) -> None:
        """Follow the room until the line is dead or `load.until` has been seen."""
        with contextlib.suppress(*GONE):
            async with connection(url, self.name) as self.socket:
                place = self.ledger
                resume = ResumePoint(epoch=place.epoch, seq=place.seq) if place.started else None
                self._joined(await join(self.socket, resume), resume)
                while self.ledger.seq < self.load.until:
                    text = str(await self.socket.recv())
                    if text.startswith(EVENTS):
                        self._follow(text.encode())

    def _joined(self, joined: Joined, resume: ResumePoint | None) -> None:
        self.snapshots.append((joined.seq, joined.total_coins))
        if resume is None:
            self.ledger.begin(joined.epoch, joined.seq, joined.total_coins)
        elif joined.recovered:
            self.ledger.recover(joined.epoch, joined.seq)
            self.resumed += 1
        else:
            self.ledger.fault(f"not recovered from {resume} to {joined.seq} of {joined.epoch}")

    def _follow(self, payload: bytes) -> None:
        events = decode(payload)
        assert isinstance(events, Events)
        seen = summarise(payload, events)
        frame = seen.read
        self.ledger.book(frame)
        self.frames.append((frame.first, frame.last, frame.total_before, frame.total_coins))
        self.entries.extend(seen.entries)


class Load:
    """Everybody of one room. `heads[n]` is the head of the log when the server's life n began."""

    def __init__(
        self, *, seed: int, users: int = 6, sockets: int = 24, viewers: int = 6, in_flight: int = 3
    ) -> None:
        self.dice = random.Random(seed)
        self.users = [f"g{number}" for number in range(users)]
        self.gifters = [
            Gifter(self, self.users[number % users], f"s{number}", in_flight)
            for number in range(sockets)
        ]
        self.watchers = [Watcher(self, f"v{number}") for number in range(viewers)]
        self.acks: list[Ack] = []
        self.refusals: list[Refused] = []
        self.surprises: list[str] = []
        self.heads: list[int] = [0]
        self.ending = False
        self.until = FOREVER

    @property
    def life(self) -> int:
        return len(self.heads) - 1

    def everybody_is_in(self) -> bool:
        """Whether all have joined at least once."""
        followed = all(watcher.ledger.started for watcher in self.watchers)
        return followed and all(gifter.joined for gifter in self.gifters)

    def answered(self, gifter: Gifter, key: str) -> None:
        if gifter.waiting.pop(key, None) is None:
            self.surprises.append(f"{gifter.name}: a second answer for {key}")

    def unanswered(self) -> list[tuple[str, Gift]]:
        return [(one.user, gift) for one in self.gifters for gift in one.waiting.values()]

    async def prepare(self, url: str) -> None:
        """The room and full wallets."""
        async with Backend(url, API_KEY) as backend:
            await backend.rooms.open(ROOM, title="Stage", creator="cara", creator_name="Cara")
            for user in self.users:
                await backend.users.grant(user, COINS, reason="load")

    async def live(self, url: str) -> None:
        """Load one life of the server; returns when every line is dead."""
        async with asyncio.TaskGroup() as tasks:
            for one in (*self.watchers, *self.gifters):
                tasks.create_task(one.live(url))

    async def finish(self, url: str, within_s: float = PATIENCE_S) -> None:
        """Get an answer for every gift, then let every viewer see the log's end."""
        self.ending = True
        async with asyncio.timeout(within_s):
            while self.unanswered():
                await asyncio.gather(*(gifter.live(url) for gifter in self.gifters))
            async with Backend(url, API_KEY) as backend:
                self.until = (await backend.rooms.show(ROOM)).seq
            await asyncio.gather(*(watcher.live(url) for watcher in self.watchers))


async def wait_for(wanted: "asyncio.Future[None] | asyncio.Task[None]", within_s: float) -> bool:
    """Whether it ended in time."""
    done, _ = await asyncio.wait([wanted], timeout=within_s)
    return bool(done)
