"""Two servers on one ledger, and a fan-out between them that does all that its contract allows."""

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncIterator, Callable, Collection
from typing import Any, NamedTuple

from fanout import Fanout, LocalBus, Receiver
from kit.servers.described import asking
from kit.servers.serving import BACKEND, Client, Live, settings
from kit.waiting import PATIENCE_S
from server.app import serving
from server.live.letters import AnyLetter, read_letter
from storage import Store, open_store


class Leaky:
    """What one node publishes may be lost, late, doubled and overtaken."""

    def __init__(self, inner: Fanout) -> None:
        self.inner = inner
        self.lose: Callable[[AnyLetter], bool] = lambda letter: False
        """Which letters do not arrive."""
        self.rng: random.Random | None = None
        """Chance does what it likes with those that do."""
        self.dropped = 0
        self.sent: list[AnyLetter] = []

    @property
    def alone(self) -> bool:
        return self.inner.alone

    def publish(self, channel: str, payload: bytes) -> None:
        letter = read_letter(payload)
        self.sent.append(letter)
        if self.lose(letter):
            self.dropped += 1
        elif self.rng is None:
            self.inner.publish(channel, payload)
        else:
            self._trouble(self.rng, channel, payload)

    def _trouble(self, rng: random.Random, channel: str, payload: bytes) -> None:
        for _ in range(rng.choices((0, 1, 2), (30, 60, 10))[0]):
            late_s = rng.choice((0, 0, 0.002, 0.02, 0.4))
            loop = asyncio.get_running_loop()
            loop.call_later(late_s, self.inner.publish, channel, payload)

    async def listen(self, channels: Collection[str], receiver: Receiver) -> None:
        await self.inner.listen(channels, receiver)

    def ignore(self, channel: str) -> None:
        self.inner.ignore(channel)

    async def close(self) -> None:
        await self.inner.close()


class Pair(NamedTuple):
    one: Live
    two: Live
    from_one: Leaky
    """What the first says to the second."""
    from_two: Leaky
    store: Store

    def by_letters_alone(self) -> None:
        """From now on nobody looks into the ledger by itself: what is found was told."""
        for live in (self.one, self.two):
            live.node.hub._beats_until_ledger = 1_000_000


BEAT_MS = 100
QUICK = {"tick_ms": 5, "heartbeat_ms": BEAT_MS}
"""Beats and heartbeats come often, so that what they find is found soon."""


@contextlib.asynccontextmanager
async def node(store: Store, fanout: Fanout, **changed: Any) -> AsyncIterator[Live]:
    async with (
        serving(settings(**QUICK | changed), store, fanout=fanout) as app,
        asking(app.url, BACKEND) as http,
    ):
        live = Live(app.url, http, app)
        try:
            yield live
        finally:
            await live.close()


@contextlib.asynccontextmanager
async def two_nodes(**changed: Any) -> AsyncIterator[Pair]:
    """Two servers on one ledger, with a room `r` in it."""
    bus = LocalBus()
    from_one, from_two = Leaky(bus.join()), Leaky(bus.join())
    store = await open_store("sqlite:///:memory:")
    try:
        async with node(store, from_one, **changed) as one, node(store, from_two, **changed) as two:
            await one.room()
            yield Pair(one, two, from_one, from_two, store)
    finally:
        await store.close()


async def frames_until(
    client: Client, seq: int, within_s: float = PATIENCE_S
) -> list[dict[str, Any]]:
    """Frames up to this seq, checked to hang together."""
    while not any(m["type"] == "events" and m["last"] >= seq for m in client.heard):
        await client.hear("events", within_s=within_s)
    frames = [m for m in client.heard if m["type"] == "events"]
    for before, after in itertools.pairwise(frames):
        assert after["first"] == before["last"] + 1
        assert after["total_before"] == before["total_coins"]
    return frames
