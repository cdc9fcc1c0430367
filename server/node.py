"""One running server: its parts, made and tied together here, and its life.

Nobody but `app` and the tests is handed a node; each part is given the parts that it asks, by name.
Who else is to be told of something (a letter, a revocation) is tied to it here, or ties itself to
the post. The life: `run` keeps the tasks, `drain` sends everybody away in paced
steps, settles what is queued, and lets go.
"""

import asyncio
import contextlib
import random
import secrets
from collections.abc import Sequence

from fanout import Fanout
from rules.commands import DisableEndpoint
from rules.outcomes import LinkIssued, PolicySet, TokenRevoked
from rules.results import Result
from rules.rows import Endpoint
from server.auth import TokenVerifier
from server.chores import Chores
from server.clock import Clock
from server.duty import Duty, Term
from server.in_force import InForce
from server.live.hub import Hub
from server.live.joins import Joins
from server.live.letters import ALL, Look
from server.live.lobby import Lobby
from server.live.post import Post
from server.live.unread import Unread
from server.live.users import Users
from server.metrics import Metrics
from server.payments import Provider
from server.settings.table import Settings
from server.settlement import Order, Settlement
from server.webhooks import Guard, Poster, Worker
from storage import Store, StoreBroken, StoreError

RULINGS = (LinkIssued, PolicySet, TokenRevoked)
"""After these another policy is in force, or fewer tokens are (`in_force`)."""


class Node:
    """See the module's text. What is in force is what the books say, not the settings."""

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        fanout: Fanout,
        verifier: TokenVerifier,
        in_force: InForce,
        provider: Provider,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self.settings = settings
        self.store = store
        self.fanout = fanout
        self.clock = clock
        self.rng = rng
        self.verifier = verifier
        self.in_force = in_force
        self.provider = provider
        self.metrics = Metrics()
        self.broken = False
        self.settlement = Settlement(
            store,
            self._deliver,
            clock,
            self.metrics,
            queue_max=settings.queue_max,
            batch_max=settings.batch_max,
        )
        unread = Unread()
        self.post = Post(fanout, f"{rng.getrandbits(64):016x}")
        self.users = Users(settings, self.post, unread, clock)
        self.hub = Hub(settings, self.post, self.users, unread, clock, self.metrics)
        joins = Joins(self.hub, self.post, unread, store)
        self.lobby = Lobby(self.hub, joins, self.settlement, verifier, in_force, clock, rng)
        in_force.on_revoked(self.lobby.turn_out)
        self.post.on(Look, lambda letter: in_force.look_soon())
        self.chores = Chores(
            store=store,
            settlement=self.settlement,
            provider=provider,
            in_force=in_force,
            return_url=settings.public_url,
            clock=clock,
        )
        self.webhooks: Worker | None = None
        """While this node is on duty."""
        self.duty = Duty(
            store.leases,
            self._on_duty,
            holder=self.post.node,
            ttl_ms=settings.duty_ms,
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

    def _deliver(self, orders: Sequence[Order], results: Sequence[Result]) -> None:
        """What is durable is shown, and told to the host platform."""
        self.hub.deliver(orders, results)
        if not self.post.alone and any(isinstance(r.outcome, RULINGS) for r in results):
            self.post.send(ALL, Look())
        if self.webhooks is not None and self.webhooks.has_somebody():
            self.webhooks.nudge()

    async def _disable_endpoint(self, endpoint: Endpoint, reason: str) -> None:
        """Unless it was set to another address meanwhile: that has said nothing."""
        key, name, url = f"disable-{secrets.token_hex(16)}", endpoint.id, endpoint.url
        await self.settlement.ask(
            DisableEndpoint(actor="operator", key=key, endpoint=name, reason=reason, url=url)
        )

    def not_ready(self) -> list[str]:
        """Why no users should be sent here; nothing when they may."""
        reasons = []
        if self.lobby.admission.draining:
            reasons.append("draining: the server is shutting down")
        if self.broken:
            reasons.append("broken: the database failed, restart the server")
        if self.settlement.full():
            reasons.append("busy: the queue in front of the ledger is full")
        return reasons

    async def run(self) -> None:
        """The server's tasks, until drained. Raises StoreBroken, in a group, when the books are in
        doubt, whichever of the tasks has found it out."""
        try:
            async with asyncio.TaskGroup() as tasks:
                forever = [
                    tasks.create_task(work)
                    for work in (self.lobby.run(), self.in_force.run(), self.duty.run())
                ]
                await self.settlement.run()
                for task in forever:
                    task.cancel()
        except BaseExceptionGroup as errors:
            self.broken = errors.subgroup(StoreBroken) is not None
            raise

    async def drain(self) -> None:
        """Send everybody away over `drain_ms`, then let `run` settle what is queued and end."""
        await self.lobby.send_away(at_once=self.broken)
        self.hub.say_goodbye()
        if not self.broken:
            self.settlement.close()
