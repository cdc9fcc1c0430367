"""The queue in front of the ledger: order, batches, limits, and what happens when it fails."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from kit.building.builders import gift, grant
from kit.waiting import PATIENCE_S
from rules.outcomes import Granted, Refused
from rules.results import Result
from server.metrics import Metrics
from server.settlement import Order, Settlement
from storage import StoreBroken, StoreUnavailable


class SlowStore:
    """Settles a batch when the test says so; keeps what it was given."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.go = asyncio.Semaphore(0)
        self.fail: Exception | None = None

    async def settle(self, commands: Sequence[Any], now_ms: int) -> list[Result]:
        self.batches.append(list(commands))
        await self.go.acquire()
        if self.fail:
            raise self.fail
        return [Result(Granted(user="u", coins=n, balance_coins=n)) for n in range(len(commands))]


class Asker:
    """Remembers what it was told, in order; or breaks when it is told, or is to send it."""

    def __init__(self, breaks_at: str = "") -> None:
        self.heard: list[str] = []
        self._breaks_at = breaks_at

    def answer(self, command: Any, result: Result) -> None:
        if self._breaks_at == "answer":
            raise ZeroDivisionError
        self.heard.append(command.key)

    def flush(self) -> None:
        if self._breaks_at == "flush":
            raise ZeroDivisionError
        self.heard.append("flush")


class Bench:
    """A settlement on a slow store, with what it delivered."""

    def __init__(self, queue_max: int = 100, batch_max: int = 10) -> None:
        self.store = SlowStore()
        self.delivered: list[tuple[list[Order], list[Result]]] = []
        self.settlement = Settlement(
            self.store,  # type: ignore[arg-type]
            lambda orders, results: self.delivered.append((list(orders), list(results))),
            lambda: 1,
            Metrics(),
            queue_max=queue_max,
            batch_max=batch_max,
        )

    async def started(self) -> "asyncio.Task[None]":
        task = asyncio.create_task(self.settlement.run())
        await self.reaches(1)
        return task

    async def reaches(self, batches: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while len(self.store.batches) < batches:
                await asyncio.sleep(0)


async def test_what_waits_while_one_commits_is_the_next_batch() -> None:
    bench = Bench()
    commands = [gift() for _ in range(6)]
    bench.settlement.submit(commands[0], Asker())
    task = await bench.started()
    for command in commands[1:]:
        assert bench.settlement.submit(command, Asker())
    assert not bench.delivered, "nobody is answered before the store has"
    bench.store.go.release()
    await bench.reaches(2)
    assert bench.store.batches == [commands[:1], commands[1:]]
    bench.store.go.release()
    bench.settlement.close()
    await task
    assert [order.command for orders, _ in bench.delivered for order in orders] == commands


async def test_a_batch_has_its_limit() -> None:
    bench = Bench(batch_max=3)
    for _ in range(8):
        bench.settlement.submit(gift(), Asker())
    bench.store.go = asyncio.Semaphore(10)
    bench.settlement.close()
    await bench.settlement.run()
    assert [len(batch) for batch in bench.store.batches] == [3, 3, 2]


async def test_a_full_queue_takes_nothing() -> None:
    bench = Bench(queue_max=2)
    assert bench.settlement.submit(gift(), Asker()) and not bench.settlement.full()
    assert bench.settlement.submit(gift(), Asker()) and bench.settlement.full()
    assert not bench.settlement.submit(gift(), Asker())
    outcome = (await bench.settlement.ask(grant())).outcome
    assert isinstance(outcome, Refused) and outcome.code == "busy"


async def test_a_closed_settlement_takes_nothing_and_finishes() -> None:
    bench = Bench()
    bench.settlement.submit(gift(), Asker())
    bench.settlement.close()
    assert not bench.settlement.submit(gift(), Asker())
    bench.store.go.release()
    await bench.settlement.run()
    assert len(bench.delivered) == 1


async def test_when_nothing_was_stored_everybody_is_told_and_it_goes_on() -> None:
    bench = Bench()
    bench.store.fail = StoreUnavailable("disk full")
    bench.settlement.submit(gift(), Asker())
    bench.settlement.submit(gift(), Asker())
    task = await bench.started()
    bench.store.go.release()
    asking = asyncio.create_task(bench.settlement.ask(grant()))
    await bench.reaches(2)
    assert {r.outcome.code for _, rs in bench.delivered for r in rs} == {"unavailable"}
    bench.store.fail = None
    bench.store.go.release()
    assert isinstance((await asking).outcome, Granted)
    bench.settlement.close()
    await task


async def test_when_it_is_unknown_what_was_stored_nobody_is_answered() -> None:
    bench = Bench()
    bench.store.fail = StoreBroken("fsync failed")
    bench.settlement.submit(gift(), Asker())
    task = await bench.started()
    bench.store.go.release()
    with pytest.raises(StoreBroken):
        await task
    assert not bench.delivered


async def test_a_caller_that_gives_up_does_not_stop_the_command() -> None:
    bench = Bench()
    asking = asyncio.create_task(bench.settlement.ask(grant()))
    await asyncio.sleep(0)
    task = await bench.started()
    asking.cancel()
    bench.store.go.release()
    bench.settlement.close()
    await task
    assert len(bench.delivered) == 1


async def test_who_asks_is_answered_after_the_batch_was_shown() -> None:
    bench = Bench()
    seen_when_answered: list[int] = []

    async def ask() -> None:
        await bench.settlement.ask(grant())
        seen_when_answered.append(len(bench.delivered))

    asking = asyncio.create_task(ask())
    await asyncio.sleep(0)
    task = await bench.started()
    bench.store.go.release()
    await asking
    assert seen_when_answered == [1]
    bench.settlement.close()
    await task


async def test_an_asker_is_told_in_order_and_once_more_when_a_batch_is_answered() -> None:
    bench, asker = Bench(), Asker()
    commands = [gift() for _ in range(3)]
    bench.settlement.submit(commands[0], asker)
    task = await bench.started()
    for command in commands[1:]:
        bench.settlement.submit(command, asker)
    bench.store.go.release()
    bench.store.go.release()
    bench.settlement.close()
    await task
    first, second, third = [command.key for command in commands]
    assert asker.heard == [first, "flush", second, third, "flush"]


@pytest.mark.parametrize("step", ["answer", "flush"])
async def test_who_cannot_be_answered_costs_nobody_else_the_answer(step: str) -> None:
    bench, broken, sound = Bench(), Asker(breaks_at=step), Asker()
    bench.settlement.submit(gift(), broken)
    last = gift()
    bench.settlement.submit(last, sound)
    task = await bench.started()
    bench.store.go.release()
    bench.settlement.close()
    await task
    assert sound.heard == [last.key, "flush"]
