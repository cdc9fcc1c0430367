"""The parts of a running server that its connections and its HTTP API share, and its life.

One object, made by `app` and passed to who needs it: no module-level state anywhere. Its life is
told here: `run` keeps the tasks, `drain` sends everybody away in paced steps, settles what is
queued, and lets go.
"""

import asyncio
import contextlib
import logging
import random
import secrets
from collections import deque
from collections.abc import Sequence
from typing import Any

import structlog

from fanout import Fanout
from protocol import CloseCode, Phase, encode
from protocol.messages import Heartbeat, Notice
from rules.commands import DisableEndpoint
from rules.limits import TokenBucket, full_bucket
from rules.policy import Policy
from rules.results import Result
from server.auth import Identity, TokenFault, TokenVerifier
from server.chores import Chores
from server.clock import Clock, steady_ms
from server.duty import Duty, Term
from server.live.admission import Admission
from server.live.connection import Connection
from server.live.hub import Hub
from server.live.joins import Joins
from server.live.wheel import Wheel
from server.metrics import Metrics
from server.payments import Provider
from server.settings.table import Settings
from server.settlement import Order, Settlement
from server.webhooks import Guard, Poster, Worker
from storage import Store, StoreBroken, StoreError

log = structlog.get_logger()

DRAIN_STEP_MS = 50
"""Connections are closed in steps, so that their reconnects arrive in steps."""

LET_GO_MS = 20

ASKERS_KEPT = 100_000

TOO_FAST_MS = 500
"""How long we do not read from who is above `message_rate`. What was read already, at most one
buffer of the event loop, is still answered."""


class Shell:
    """See the module's text. `policy` is what the books say, not what the settings say."""

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        fanout: Fanout,
        verifier: TokenVerifier,
        policy: Policy,
        provider: Provider,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self.settings = settings
        self.store = store
        self.fanout = fanout
        self.policy = policy
        self.provider = provider
        self.clock = clock
        self.metrics = Metrics()
        self.admission = Admission(settings, steady_ms())
        self.connections: set[Connection] = set()
        self.broken = False
        self.quiet = logging.getLogger("largesse.websocket")
        self.quiet.disabled = True
        self.hub = Hub(settings, fanout, clock, self.metrics)
        self.joins = Joins(self)
        self.hub.heal = self.joins.heal
        self.settlement = Settlement(
            store,
            self._deliver,
            clock,
            self.metrics,
            queue_max=settings.queue_max,
            batch_max=settings.batch_max,
        )
        self.verifier = verifier
        self.rng = rng
        self.chores = self._make_chores()
        self.webhooks: Worker | None = None
        """While this node is on duty."""
        self.duty = Duty(
            store.leases,
            self._on_duty,
            holder=f"{rng.getrandbits(32):08x}",
            ttl_ms=settings.duty_ms,
        )
        self._askers: dict[str, TokenBucket] = {}
        """By user, the one that asked longest ago first."""
        self._held_back: deque[Connection] = deque()
        self._heartbeats: Wheel[Connection] = Wheel(settings.heartbeat_ms, self._heartbeat)
        self._pings: Wheel[Connection] = Wheel(settings.ping_ms, Connection.ping)

    def _make_chores(self) -> Chores:
        settings = self.settings
        return Chores(
            store=self.store,
            settlement=self.settlement,
            provider=self.provider,
            policy=self.policy,
            return_url=settings.public_url,
            clock=self.clock,
        )

    async def _on_duty(self, term: Term) -> None:
        """What one node at a time does."""
        worker = self.webhooks = self._make_webhooks(term)
        self.metrics.on_duty.set(1)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.chores.run())
                tasks.create_task(worker.run())
        finally:
            self.webhooks = None
            self.metrics.on_duty.set(0)
            with contextlib.suppress(StoreError):  # what is not recorded is sent again
                await worker.put_down()

    def _make_webhooks(self, term: Term) -> Worker:
        settings = self.settings
        return Worker(
            deliveries=self.store.deliveries_under(term.lease),
            endpoints=self.store.money.endpoints,
            disable=self._disable_endpoint,
            poster=Poster(Guard(allow_private=settings.webhook_allow_private)),
            secret=settings.webhook_secret or settings.token_secret,
            clock=self.clock,
            rng=self.rng,
            lasts=term.lasts,
            alone=lambda: self.fanout.alone,
        )

    def nudge_webhooks(self) -> None:
        """There may be something to send, if this node is the one that sends."""
        if self.webhooks is not None:
            self.webhooks.nudge()

    # What connections ask

    def verify(self, token: str) -> Identity | TokenFault:
        return self.verifier.verify(token, self.clock())

    def still_valid(self, identity: Identity) -> bool:
        """Whether a token that was good is good now: not expired and not revoked."""
        revoked = identity.token_id is not None and self.verifier.is_revoked(identity.token_id)
        return not revoked and self.clock() < identity.expires_ms

    def too_fast(self, user: str) -> bool:
        """Count a wish of a user over HTTP: whether it is one too many for now. Each may become a
        row for ever, so they are not for the asking without end."""
        now_ms = steady_ms()
        bucket = self._askers.pop(user, None)
        if bucket is None:
            bucket = full_bucket(self.settings.http_rate, self.settings.http_burst, now_ms)
            if len(self._askers) >= ASKERS_KEPT:
                del self._askers[next(iter(self._askers))]
        self._askers[user] = bucket
        return bucket.take(now_ms) > 0

    def not_ready(self) -> list[str]:
        """Why no users should be sent here; nothing when they may."""
        reasons = []
        if self.admission.draining:
            reasons.append("draining: the server is shutting down")
        if self.broken:
            reasons.append("broken: the database failed, restart the server")
        if self.settlement.full():
            reasons.append("busy: the queue in front of the ledger is full")
        return reasons

    def catalogue_version(self) -> str:
        return self.policy.catalogue.version

    def address_of(self, transport: asyncio.Transport, headers: Any) -> str:
        """The peer's address; what a trusted proxy says it is, when one of ours does."""
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if isinstance(peer, tuple) else ""
        if address in self.settings.trusted_proxies:
            forwarded: str = ",".join(headers.get_all("X-Forwarded-For"))
            return forwarded.rpartition(",")[2].strip() or address
        return address

    def watch(self, connection: Connection) -> tuple[int, int]:
        """Take an admitted connection under the wheels."""
        self.connections.add(connection)
        self.metrics.connections.set(len(self.connections))
        return self._heartbeats.add(connection), self._pings.add(connection)

    def forget(self, connection: Connection) -> None:
        """A connection is gone; it may never have been admitted."""
        self.hub.leave(connection)
        if connection.slots is None:
            return
        self.connections.discard(connection)
        self.metrics.connections.set(len(self.connections))
        self._heartbeats.remove(connection, connection.slots[0])
        self._pings.remove(connection, connection.slots[1])
        connection.slots = None
        self.admission.leave(connection.address)

    def _heartbeat(self, connection: Connection) -> None:
        """Visit a connection: is its token good, and has it heard anything lately?"""
        connection.check()
        if connection.session.phase is not Phase.OPEN:
            return
        recently_ms = steady_ms() - self.settings.heartbeat_ms // 2
        rooms: dict[str, int] = {}
        for room in connection.session.rooms:
            hall = self.hub.halls.get(room)
            if hall is not None:
                if hall.sent_ms > recently_ms and connection in hall.viewers:
                    return
                rooms[room] = hall.room.sent
        connection.send(encode(Heartbeat(now_ms=self.clock(), rooms=rooms)))

    def _deliver(self, orders: Sequence[Order], results: Sequence[Result]) -> None:
        """What is durable is shown, answered, and told to the host platform."""
        self.hub.deliver(orders, results)
        if self.webhooks is not None and self.webhooks.has_somebody():
            self.webhooks.nudge()

    async def _disable_endpoint(self, endpoint: str, reason: str) -> None:
        key = f"disable-{secrets.token_hex(16)}"
        await self.settlement.ask(
            DisableEndpoint(actor="operator", key=key, endpoint=endpoint, reason=reason)
        )

    # Too much at once

    def hold_back(self, connection: Connection) -> int:
        """The queue is full: stop reading from who filled it, until there is room.

        Refusing costs nearly as much as queueing, so a server that only refuses has no time left to
        book; what is not read waits in the sender's own socket. Returns the milliseconds after
        which the refused gift may be sent again, different for everyone.
        """
        if not connection.held_back:
            connection.held_back = True
            connection.transport.pause_reading()
            self._held_back.append(connection)
        return self.rng.randrange(200, 1_000)

    def hold_for_a_while(self, connection: Connection) -> None:
        """It sends faster than its rate: a refusal each would be more work for us than for it."""
        if not connection.held_back:
            connection.held_back = True
            connection.transport.pause_reading()
            loop = asyncio.get_running_loop()
            loop.call_later(TOO_FAST_MS / 1000, self._read_again, connection)

    def _read_again(self, connection: Connection) -> None:
        connection.held_back = False
        if not connection.transport.is_closing():
            connection.transport.resume_reading()

    async def _let_go(self) -> None:
        """Read again, from the first who was held back on, a few at a time while there is room."""
        while True:
            await asyncio.sleep(LET_GO_MS / 1000)
            count = len(self._held_back) // 25 + 8
            while self._held_back and count and self.settlement.half_empty():
                self._read_again(self._held_back.popleft())
                count -= 1

    # Life

    async def run(self) -> None:
        """The server's tasks, until drained. Raises StoreBroken when the books are in doubt."""
        async with asyncio.TaskGroup() as tasks:
            forever = [
                tasks.create_task(work)
                for work in (
                    self.hub.run(),
                    self.joins.run(),
                    self._heartbeats.run(),
                    self._pings.run(),
                    self._let_go(),
                    self.duty.run(),
                )
            ]
            try:
                await self.settlement.run()
            except StoreBroken:
                self.broken = True
                raise
            for task in forever:
                task.cancel()

    async def drain(self) -> None:
        """Send everybody away over `drain_ms`, then let `run` settle what is queued and end."""
        self.admission.draining = True
        leaving = list(self.connections)
        log.info("drain.started", connections=len(leaving))
        self.rng.shuffle(leaving)
        for connection in leaving:
            if connection.session.phase is Phase.OPEN:
                connection.send(self._farewell())
        steps = max(1, self.settings.drain_ms // DRAIN_STEP_MS)
        size = -(-len(leaving) // steps)
        if self.broken:
            return self._cut(leaving)
        for start in range(0, len(leaving), max(1, size)):
            for connection in leaving[start : start + size]:
                connection.close(CloseCode.DRAINING)
            await asyncio.sleep(DRAIN_STEP_MS / 1000)
        self.settlement.close()

    def _cut(self, connections: list[Connection]) -> None:
        """The books are in doubt: close everybody at once and answer nobody."""
        for connection in connections:
            connection.close(CloseCode.SERVER_ERROR)

    def _farewell(self) -> bytes:
        """Everyone gets another moment to come back at."""
        wait_ms = self.rng.randrange(500, 500 + max(1, self.settings.drain_ms))
        sentence = "The server is restarting; reconnect and resume."
        return encode(Notice(code="draining", message=sentence, reconnect_after_ms=wait_ms))
