"""What has to be done from time to time and nobody asks for: releasing diamonds, paying refunds
back, and looking after purchases whose provider was down or whose notification was lost.

Every chore is a question to the books and commands that follow from the answer, so it may be cut
off anywhere and is done again. What is in memory between two rounds is only where the last one
stopped.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable

import structlog

from rules.commands import ReleaseDiamonds
from rules.creators import due_day
from rules.days import DAY_MS
from rules.rows import Purchase
from server.clock import Clock
from server.in_force import InForce
from server.payments import checkouts, notifications
from server.payments.contract import Provider, ProviderDown, ProviderRefused
from server.settlement import Settlement
from storage import Store, StoreUnavailable

log = structlog.get_logger()

ROUND_S = 1.0
REFUND_ROUND_S = 5.0
PROVIDER_ROUND_S = 30.0
"""Between two rounds of questions to the provider."""
AT_ONCE = 100
LOOK_UP_AFTER_MS = 2 * 60_000
"""A buyer needs a moment; after that a notification may have been lost."""
LOOK_UP_UNTIL_MS = 3 * DAY_MS


class Chores:
    """Opened by `run` in a task."""

    def __init__(
        self,
        *,
        store: Store,
        settlement: Settlement,
        provider: Provider,
        in_force: InForce,
        return_url: str,
        clock: Clock,
    ) -> None:
        self._store = store
        self._settlement = settlement
        self._provider = provider
        self._in_force = in_force
        self._return_url = return_url
        self._clock = clock
        self._look_on_ms = 0
        self._refund_after: tuple[int, str] | None = None
        self.rounds = 0

    async def run(self) -> None:
        """Do the chores until cancelled. Trouble with one of them is logged and tried again."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._repeat(self.release, ROUND_S))
            tasks.create_task(self._repeat(self.refund, REFUND_ROUND_S))
            tasks.create_task(self._repeat(self.resume, PROVIDER_ROUND_S))
            tasks.create_task(self._repeat(self.look_up, PROVIDER_ROUND_S))

    async def _repeat(self, chore: Callable[[], Awaitable[None]], pause_s: float) -> None:
        """Each chore by itself: a provider that takes its time holds up no release."""
        while True:
            try:
                await chore()
            except StoreUnavailable as error:
                log.error("chores.failed", chore=getattr(chore, "__name__", ""), error=str(error))
            except Exception:
                # A bug in a chore is no reason to end the show; the next round may fare better.
                log.exception("chores.failed", chore=getattr(chore, "__name__", ""))
            self.rounds += 1
            await asyncio.sleep(pause_s)

    async def release(self) -> None:
        """Make diamonds available that have been pending long enough."""
        now_ms = self._clock()
        last_day = due_day(self._in_force.policy.hold_days, now_ms)
        for creator in await self._store.money.due_creators(last_day, AT_ONCE):
            key = f"release-{secrets.token_hex(16)}"
            await self._settlement.ask(ReleaseDiamonds(actor="operator", key=key, creator=creator))

    async def refund(self) -> None:
        """Tell the provider of refunds that it does not know yet: some in each round, in turn, so
        that those it refuses do not stand before the others."""
        waiting = await self._store.money.waiting_refunds(
            self._provider.name, self._refund_after, AT_ONCE
        )
        last = waiting[-1][0] if len(waiting) == AT_ONCE else None
        self._refund_after = (last.at_ms, last.id) if last else None
        for refund, purchase in waiting:
            await checkouts.pay_back(refund, purchase, self._provider, self._settlement)

    async def resume(self) -> None:
        """Start the checkouts of purchases whose provider was down when they were made.

        Only where the public address is a setting: a provider takes a second try for the first one
        when it is the same to the letter, and here nobody knows how the buyer calls this server.
        """
        after: tuple[int, str] | None = None
        more = bool(self._return_url)
        while more:
            from_ms = self._clock() - LOOK_UP_UNTIL_MS
            waiting = await self._store.money.unstarted(
                self._provider.name, from_ms, after, AT_ONCE
            )
            for purchase in waiting:
                await self._start(purchase)
            more = len(waiting) == AT_ONCE
            after = (waiting[-1].started_ms, waiting[-1].id) if more else None

    async def _start(self, purchase: Purchase) -> None:
        with contextlib.suppress(ProviderRefused):  # logged, and the purchase has failed
            await checkouts.start(purchase, self._return_url, self._provider, self._settlement)

    async def look_up(self) -> None:
        """Ask what became of checkouts that nobody told us of: some in each round, in turn."""
        now_ms = self._clock()
        waiting = await self._store.money.open_checkouts(
            max(now_ms - LOOK_UP_UNTIL_MS, self._look_on_ms), now_ms - LOOK_UP_AFTER_MS, AT_ONCE
        )
        self._look_on_ms = waiting[-1].started_ms + 1 if len(waiting) == AT_ONCE else 0
        for purchase in waiting:
            if purchase.provider != self._provider.name:
                continue
            try:
                found = await self._provider.look_up(purchase.checkout)
            except (ProviderDown, ProviderRefused) as error:
                log.warning("payments.look_up_failed", purchase=purchase.id, error=str(error))
                continue
            if found is not None:
                # What the books were too busy for is found again in a later round.
                with contextlib.suppress(notifications.NotYet):
                    await notifications.take(
                        found, self._provider.name, self._store, self._settlement
                    )
