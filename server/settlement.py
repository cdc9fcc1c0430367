"""The queue in front of the ledger, and the task that empties it.

Commands wait in a bounded queue; when it is full the answer is `busy` at once, and nothing grows.
While one transaction commits, the next batch gathers: under light load a batch is one command and
its latency one fsync, under heavy load hundreds share one. There is no timer to tune.

Results are handed on only after the transaction is durable, in the order of the commands: first
they are delivered to everybody whom they concern, then those who asked are answered. When the store
cannot say what it stored, nobody is answered and the server stops: after the restart every client
asks again with its key.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import structlog

from rules.commands import AnyCommand
from rules.outcomes import Refused
from rules.refusals import RefusalCode
from rules.results import Result, refuse
from server.clock import Clock, seconds
from server.metrics import Metrics
from storage import Store, StoreBroken, StoreUnavailable

log = structlog.get_logger()


class Asker(Protocol):
    """Who wants to know what became of a command."""

    def answer(self, command: AnyCommand, result: Result) -> None:
        """Called once for each command, after its result is durable and was shown to others."""

    def flush(self) -> None:
        """Called once after all answers of a batch: what they add up to may be sent now."""


class Order(NamedTuple):
    """A command that waits, and who wants to know."""

    command: AnyCommand
    asker: Asker


Deliver = Callable[[Sequence[Order], Sequence[Result]], None]


class Waiting:
    """An asker that a coroutine waits for."""

    def __init__(self) -> None:
        self.result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()

    def answer(self, command: AnyCommand, result: Result) -> None:
        if not self.result.done():
            self.result.set_result(result)

    def flush(self) -> None:
        """Nothing to do: who waits is woken by the result."""


class Settlement:
    """Opened by `run` in a task; `submit` and `ask` may be called as long as it runs."""

    def __init__(
        self,
        store: Store,
        deliver: Deliver,
        clock: Clock,
        metrics: Metrics,
        *,
        queue_max: int,
        batch_max: int,
    ) -> None:
        self._store = store
        self._deliver = deliver
        self._clock = clock
        self._metrics = metrics
        self._queue_max = queue_max
        self._batch_max = batch_max
        self._queue: deque[Order] = deque()
        self._wake = asyncio.Event()
        self._closing = False

    def submit(self, command: AnyCommand, asker: Asker) -> bool:
        """Queue a command; False when it is full or closing, and then nothing was done."""
        if len(self._queue) >= self._queue_max or self._closing:
            return False
        self._queue.append(Order(command, asker))
        self._wake.set()
        return True

    async def ask(self, command: AnyCommand) -> Result:
        """Queue a command and wait for its result; `busy` when the queue is full.

        A caller that is cancelled does not cancel the command.
        """
        waiting = Waiting()
        if not self.submit(command, waiting):
            return refuse(RefusalCode.BUSY, "The server is busy; try again with the same key.")
        return await asyncio.shield(waiting.result)

    async def run(self) -> None:
        """Settle until closed and empty. Raises StoreBroken when the books are in doubt.

        While the store works on a batch, the results of the one before are handed on: the store
        works in a thread of its own and spends much of its time outside of the interpreter.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._run(tasks)
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None  # there is one task at a time

    async def _run(self, tasks: asyncio.TaskGroup) -> None:
        done: tuple[Sequence[Order], Sequence[Result]] | None = None
        while True:
            orders = self._take_batch()
            settling = tasks.create_task(self._settle(orders)) if orders else None
            if settling:
                await asyncio.sleep(0)  # let the store begin
            if done:
                self._hand_on(*done)
                done = None
            if settling:
                done = orders, await settling
            elif self._queue:
                continue
            elif self._closing:
                return
            else:
                self._wake.clear()
                await self._wake.wait()

    def _take_batch(self) -> list[Order]:
        size = min(len(self._queue), self._batch_max)
        self._metrics.queue.set(len(self._queue) - size)
        return [self._queue.popleft() for _ in range(size)]

    async def _settle(self, orders: Sequence[Order]) -> Sequence[Result]:
        started = seconds()
        try:
            results = await self._store.settle([order.command for order in orders], self._clock())
        except StoreUnavailable as error:
            log.error("settlement.unavailable", commands=len(orders), error=str(error))
            sentence = "The ledger is not available; nothing was charged, try again."
            return [refuse(RefusalCode.UNAVAILABLE, sentence)] * len(orders)
        except StoreBroken as error:
            log.critical("settlement.broken", commands=len(orders), error=str(error))
            raise
        self._metrics.commit.observe(seconds() - started)
        self._metrics.batch_size.observe(len(orders))
        return results

    def _hand_on(self, orders: Sequence[Order], results: Sequence[Result]) -> None:
        for result in results:
            if result.replayed:
                self._metrics.replays.inc()
            elif isinstance(result.outcome, Refused):
                self._metrics.refusals.labels(result.outcome.code).inc()
        self._deliver(orders, results)
        askers: dict[Asker, None] = {}
        for (command, asker), result in zip(orders, results, strict=True):
            try:
                asker.answer(command, result)
                askers[asker] = None
            except Exception:
                log.exception("settlement.answer_failed")  # its key has the answer
        for asker in askers:
            try:
                asker.flush()
            except Exception:
                log.exception("settlement.answer_failed")

    def full(self) -> bool:
        return len(self._queue) >= self._queue_max

    def half_empty(self) -> bool:
        """Whether those who were told `busy` may try again: half of the queue is free."""
        return len(self._queue) * 2 <= self._queue_max

    def close(self) -> None:
        """Take no more commands; `run` returns when the queue is empty."""
        self._closing = True
        self._wake.set()
