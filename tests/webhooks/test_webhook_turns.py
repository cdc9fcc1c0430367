"""One worker after the other: what the next one need not send again, and what an old one may not
do any more."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from kit.building.builders import gift
from kit.servers.receiving import Receiver, Rig
from server.webhooks import worker
from storage import LeaseLost
from storage.deliveries import Attempted, Deliveries

SINCE = 5
"""The number of the first command after the show."""


async def test_a_worker_that_was_relieved_records_nothing_and_ends(
    rig: Rig, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It froze between a failed post and the record of it: the next worker posts meanwhile."""
    leases = rig.store.leases
    mine = await leases.take(await leases.seen("duty"), "one")
    assert mine is not None
    rig.deliveries = rig.store.deliveries_under(mine)
    rig.endpoint(receiver.url, since=SINCE)
    rig.start()
    await rig.until(rig.worker.has_somebody)
    await rig.quiet()
    monkeypatch.setattr(worker, "PACE_MS", 300)
    receiver.status = 500
    await rig.settle(gift())
    await rig.until(lambda: len(receiver.posts) == 1)
    theirs = await leases.take(await leases.seen("duty"), "two")
    assert theirs is not None
    with pytest.raises(ExceptionGroup) as caught:
        await rig.until(lambda: False)
    assert caught.group_contains(LeaseLost)
    assert (await rig.states(), await rig.attempts()) == (["pending"], [])
    with pytest.raises(LeaseLost):
        await rig.worker.put_down()


async def test_nothing_more_is_posted_when_the_term_is_over(rig: Rig, receiver: Receiver) -> None:
    rig.endpoint(receiver.url, since=SINCE)
    rig.lasts = False
    rig.start()
    await rig.settle(gift())
    await rig.settled("pending")
    await rig.quiet()
    assert receiver.posts == []


async def test_what_came_back_is_recorded_when_the_worker_is_put_down(
    rig: Rig, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.endpoint(receiver.url, since=SINCE)
    rig.start()
    await rig.until(rig.worker.has_somebody)
    await rig.quiet()
    monkeypatch.setattr(worker, "PACE_MS", 10_000)
    await rig.settle(gift())
    await rig.until(lambda: len(receiver.posts) == 1)
    for _ in range(20):  # turns of the loop, in which the answer comes back however long they take
        await asyncio.sleep(0.01)
    await rig.kill()
    assert await rig.states() == ["pending"]
    await rig.worker.put_down()
    assert await rig.states() == ["delivered"]


class Slow:
    """Deliveries whose answer to the first record is not heard, though it was made."""

    def __init__(self, deliveries: Deliveries) -> None:
        self._deliveries = deliveries
        self.made = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._deliveries, name)

    async def record(self, attempts: Sequence[Attempted]) -> None:
        await self._deliveries.record(attempts)
        self.made += 1
        if self.made == 1:
            await asyncio.sleep(3_600)


async def test_what_was_being_recorded_when_the_worker_was_ended_is_not_recorded_twice(
    rig: Rig, receiver: Receiver
) -> None:
    rig.endpoint(receiver.url, since=SINCE)
    rig.deliveries = slow = Slow(rig.store.deliveries)  # type: ignore[assignment]
    rig.start()
    receiver.status = 500
    await rig.settle(gift())
    await rig.until(lambda: slow.made == 1)
    await rig.kill()
    await rig.worker.put_down()
    assert len(await rig.attempts()) == 1


async def test_what_others_settle_is_found_without_a_nudge(rig: Rig, receiver: Receiver) -> None:
    rig.alone = False
    rig.endpoint(receiver.url, since=SINCE)
    rig.start()
    await rig.until(rig.worker.has_somebody)
    await rig.quiet()
    await rig.store.settle([gift()], rig.now_ms)
    await rig.settled("delivered")
