"""Which node is on duty: it does the chores and sends the webhooks, and no other does.

Every node looks at one lease in the store (storage/leases.py). Its life: nobody has it, or it did
not change for `ttl_ms` while we looked at it: take it. While we have it, work, and renew it every
fifth of `ttl_ms`. We lean on it for two thirds of `ttl_ms` from the moment before we last asked to
have it renewed; then the work is cancelled, whether or not somebody else has it yet. At the end it
is released, so that the next one need not wait.

Only steady clocks are read, each for itself: what the nodes call now does not matter. A node whose
steady clock ran half as fast again as ours would take the lease while we still work, and so does
any node when we are frozen: when we wake up, the work may go on for a moment, until the loop comes
round to us. That is harmless. Chores are commands whose keys or effects are the same a second time,
and providers know each purchase and refund by our id; what the webhooks' worker writes is refused
once the term is over, and an event that it posts once more has the same id as before.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from server.clock import Clock, steady_ms
from storage import Lease, LeaseLost, Leases, StoreError, StoreUnavailable

log = structlog.get_logger()

DUTY = "duty"
LOOKS_PER_TTL = 5
"""How often we look at the lease, or renew it: two of these may fail before the work must stop."""


class Term:
    """One term of duty, and for how long its lease may be leant on."""

    def __init__(self, lease: Lease, until_ms: int, clock: Clock) -> None:
        self.lease = lease
        self.until_ms = until_ms
        self._clock = clock

    def left_ms(self) -> int:
        return max(0, self.until_ms - self._clock())

    def lasts(self) -> bool:
        """Whether nobody else can be on duty; to be asked before what is seen outside."""
        return self.left_ms() > 0


class Duty:
    """Opened by `run` in a task. `work` is called for each term of this node, and cancelled at the
    end of the term; when it raises LeaseLost, in a group or not, the term is over too. `holder` is
    a name that no other node has, nor had."""

    def __init__(
        self,
        leases: Leases,
        work: Callable[[Term], Coroutine[Any, Any, None]],
        *,
        holder: str,
        ttl_ms: int,
        clock: Clock = steady_ms,
    ) -> None:
        self._leases = leases
        self._work = work
        self._holder = holder
        self._ttl_ms = ttl_ms
        self._look_s = ttl_ms / LOOKS_PER_TTL / 1000
        self._clock = clock

    async def run(self) -> None:
        """Be on duty whenever nobody else is, until cancelled. Raises what the work raises."""
        while True:
            term = await self._begin()
            log.info("duty.began", holder=self._holder, term=term.lease.term)
            try:
                await self._serve(term)
            finally:
                log.info("duty.ended", holder=self._holder, term=term.lease.term)
                with contextlib.suppress(StoreError):  # then the others wait for our silence
                    await self._leases.release(term.lease)

    async def _begin(self) -> Term:
        """Wait until the lease is free, or its holder silent, and take it. Under our own name it is
        free too: what we did has ended, and only our release, or the answer to us, was lost."""
        seen: Lease | None = None
        since_ms = 0
        while True:
            try:
                found = await self._leases.seen(DUTY)
                if found != seen:
                    seen, since_ms = found, self._clock()
                silent = self._clock() - since_ms >= self._ttl_ms
                if silent or found.holder in ("", self._holder):
                    asked_ms = self._clock()
                    if lease := await self._leases.take(found, self._holder):
                        return Term(lease, self._end_ms(asked_ms), self._clock)
            except StoreUnavailable as error:
                log.error("duty.unavailable", error=str(error))
            await asyncio.sleep(self._look_s)

    def _end_ms(self, asked_ms: int) -> int:
        return asked_ms + self._ttl_ms * 2 // 3

    async def _serve(self, term: Term) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                working = tasks.create_task(self._work(term))
                await self._keep(term)
                working.cancel()
        except* LeaseLost as lost:
            log.warning("duty.lost", term=term.lease.term, error=str(lost.exceptions[0]))

    async def _keep(self, term: Term) -> None:
        """Renew the lease; returns when the term is over."""
        while term.lasts():
            await asyncio.sleep(min(self._look_s, term.left_ms() / 1000))
            asked_ms = self._clock()
            try:
                async with asyncio.timeout(max(0.001, term.left_ms() / 1000)):
                    renewed = await self._leases.renew(term.lease)
            except (StoreUnavailable, TimeoutError) as error:
                log.warning("duty.not_renewed", term=term.lease.term, error=str(error))
                continue
            if renewed is None:
                log.warning("duty.taken_over", term=term.lease.term)
                return
            term.until_ms = self._end_ms(asked_ms)
