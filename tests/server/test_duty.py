"""One node's terms of duty, over real leases and with steady clocks that the test turns.

How often a node looks is real time; for how long somebody was silent is what its clock says. So no
pause of the machine makes a node silent, and the test waits for looks and not for time-outs."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

from kit.waiting import until
from server.duty import DUTY, LOOKS_PER_TTL, Duty, Term
from storage import Lease, LeaseLost, Leases, Store, StoreBroken, StoreUnavailable, open_store

TTL_MS = 500


class Node:
    """A node that writes down what it was on duty for."""

    def __init__(self, leases: Leases, name: str) -> None:
        self.terms: list[Term] = []
        self.working = False
        self.ended = 0
        self.fault: Exception | None = None
        self.now_ms = 1_000
        self.duty = Duty(
            leases,
            self._work,
            holder=name,
            ttl_ms=TTL_MS,
            clock=lambda: self.now_ms,
        )
        self.task: asyncio.Task[None] | None = None

    async def _work(self, term: Term) -> None:
        self.terms.append(term)
        self.working = True
        try:
            while self.fault is None:
                await asyncio.sleep(0.005)
            raise self.fault
        finally:
            self.working = False
            self.ended += 1

    def start(self) -> "Node":
        self.task = asyncio.get_running_loop().create_task(self.duty.run())
        return self

    async def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.task


async def some_looks() -> None:
    """Time in which a node that should do something would have done it."""
    await asyncio.sleep(4 * TTL_MS / LOOKS_PER_TTL / 1000)


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    opened = await open_store("sqlite:///:memory:")
    yield opened
    await opened.close()


NewNode = Callable[..., Node]


@pytest.fixture
async def node(store: Store) -> AsyncIterator[NewNode]:
    made: list[Node] = []

    def new(name: str, leases: Leases | None = None) -> Node:
        made.append(Node(leases or store.leases, name))
        return made[-1]

    yield new
    for each in made:
        await each.stop()


class Cut:
    """Leases as a node sees them that may lose its way to the store."""

    def __init__(self, leases: Leases) -> None:
        self._leases = leases
        self.fault: Exception | None = None
        self.hangs = False

    async def _way(self) -> None:
        if self.hangs:
            await asyncio.sleep(3_600)
        if self.fault:
            raise self.fault

    async def seen(self, name: str) -> Lease:
        await self._way()
        return await self._leases.seen(name)

    async def take(self, seen: Lease, holder: str) -> Lease | None:
        await self._way()
        return await self._leases.take(seen, holder)

    async def renew(self, held: Lease) -> Lease | None:
        await self._way()
        return await self._leases.renew(held)

    async def release(self, held: Lease) -> None:
        if self.hangs or self.fault:
            raise StoreUnavailable("cut off")
        await self._leases.release(held)


async def test_who_comes_first_is_on_duty_at_once_and_stays_it_as_long_as_it_renews(
    node: NewNode, store: Store
) -> None:
    one = node("one").start()
    await until(lambda: one.working)
    two = node("two").start()
    for _ in range(8):
        one.now_ms += TTL_MS // 4
        two.now_ms += TTL_MS // 4
        until_ms = one.terms[0].until_ms
        await until(lambda until_ms=until_ms: one.terms[0].until_ms > until_ms)
    assert (one.working, len(one.terms), two.terms) == (True, 1, [])


async def test_who_stops_hands_over_without_a_wait(node: NewNode) -> None:
    one = node("one").start()
    await until(lambda: one.working)
    two = node("two").start()
    await some_looks()
    await one.stop()
    await until(lambda: two.working)
    assert two.terms[0].lease.term == one.terms[0].lease.term + 1


async def test_who_is_silent_is_relieved_after_the_whole_time_and_not_before(
    node: NewNode, store: Store
) -> None:
    dead = await store.leases.take(await store.leases.seen(DUTY), "a node that dies")
    assert dead is not None
    one = node("one").start()
    await some_looks()
    one.now_ms += TTL_MS - 1
    await some_looks()
    assert not one.terms
    one.now_ms += 1
    await until(lambda: one.working)
    assert one.terms[0].lease.term == dead.term + 1


@pytest.mark.parametrize("how", ["hangs", "fails"])
async def test_who_cannot_renew_stops_after_two_thirds_of_the_time_that_the_others_wait(
    node: NewNode, store: Store, how: str
) -> None:
    cut = Cut(store.leases)
    one = node("one", cut).start()
    await until(lambda: one.working)
    cut.hangs, cut.fault = how == "hangs", StoreUnavailable("cut off")
    two = node("two").start()
    await some_looks()
    assert (one.working, two.working) == (True, False)
    for each in (one, two):
        each.now_ms += TTL_MS * 2 // 3
    await until(lambda: not one.working)
    await some_looks()
    assert not two.terms
    two.now_ms += TTL_MS - TTL_MS * 2 // 3
    await until(lambda: two.working)
    assert (await store.leases.seen(DUTY)).term == 2
    cut.hangs, cut.fault = False, None  # it comes back, and waits like anybody
    await some_looks()
    assert (two.working, len(one.terms), len(two.terms)) == (True, 1, 1)


async def test_who_finds_the_way_back_before_the_others_took_over_goes_on_at_once(
    node: NewNode, store: Store
) -> None:
    cut = Cut(store.leases)
    one = node("one", cut).start()
    await until(lambda: one.working)
    cut.fault = StoreUnavailable("cut off")
    one.now_ms += TTL_MS * 2 // 3
    await until(lambda: not one.working)
    await some_looks()
    assert (await store.leases.seen(DUTY)).holder == "one"
    cut.fault = None
    await until(lambda: one.working)
    assert [term.lease.term for term in one.terms] == [1, 2]


async def test_who_was_frozen_and_relieved_stops_when_it_wakes_up(
    node: NewNode, store: Store
) -> None:
    one = node("one").start()
    await until(lambda: one.working)
    one.now_ms += 10 * TTL_MS  # its loop did not run meanwhile, and its clock did
    assert not one.terms[0].lasts()
    assert await store.leases.take(await store.leases.seen(DUTY), "another") is not None
    await until(lambda: not one.working)
    await some_looks()
    assert (await store.leases.seen(DUTY)).holder == "another"


async def test_who_finds_the_lease_taken_stops_although_its_clock_stood_still(
    node: NewNode, store: Store
) -> None:
    """Some machines' steady clocks stand while they are suspended."""
    one = node("one").start()
    await until(lambda: one.working)
    assert await store.leases.take(await store.leases.seen(DUTY), "another") is not None
    await until(lambda: not one.working)


async def test_work_that_is_refused_as_stale_ends_the_term(node: NewNode, store: Store) -> None:
    one = node("one").start()
    await until(lambda: one.working)
    assert await store.leases.take(await store.leases.seen(DUTY), "another") is not None
    one.fault = LeaseLost("refused")
    await until(lambda: one.ended == 1)
    assert one.task is not None and not one.task.done()


async def test_other_trouble_of_the_work_is_raised_and_the_lease_released(
    node: NewNode, store: Store
) -> None:
    one = node("one").start()
    await until(lambda: one.working)
    one.fault = StoreBroken("the disk")
    assert one.task is not None
    with pytest.raises(ExceptionGroup) as caught:
        await one.task
    one.task = None
    assert caught.group_contains(StoreBroken)
    assert (await store.leases.seen(DUTY)).holder == ""
