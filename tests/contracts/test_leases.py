"""What every store's leases must do."""

import asyncio
from pathlib import Path

import pytest

from kit.building.builders import gift, grant, open_room, set_policy
from kit.building.ledgers import NOW_MS
from storage import Lease, LeaseLost, Store, open_store
from storage.deliveries import Attempted, Entered


async def taken(store: Store, holder: str, name: str = "duty") -> Lease:
    lease = await store.leases.take(await store.leases.seen(name), holder)
    assert lease is not None
    return lease


async def test_a_lease_that_nobody_ever_had_can_be_taken(store: Store) -> None:
    nobodys = await store.leases.seen("duty")
    assert nobodys == Lease("duty", "", 0, 0)
    lease = await store.leases.take(nobodys, "one")
    assert lease == Lease("duty", "one", 1, 0)
    assert await store.leases.seen("duty") == lease


async def test_of_many_who_saw_the_same_one_takes_it(store: Store) -> None:
    nobodys = await store.leases.seen("duty")
    answers = await asyncio.gather(*(store.leases.take(nobodys, f"n{i}") for i in range(9)))
    assert sum(lease is not None for lease in answers) == 1


async def test_leases_of_other_names_are_others(store: Store) -> None:
    await taken(store, "one", "duty")
    assert (await taken(store, "two", "another")).holder == "two"
    assert (await store.leases.seen("duty")).holder == "one"


async def test_a_renewal_is_seen_and_who_saw_the_lease_before_cannot_take_it(store: Store) -> None:
    lease = await taken(store, "one")
    seen = await store.leases.seen("duty")
    renewed = await store.leases.renew(lease)
    assert renewed is not None and renewed != seen and renewed.term == lease.term
    assert await store.leases.take(seen, "two") is None
    assert await store.leases.take(renewed, "two") is not None


async def test_what_was_held_at_first_renews_the_whole_term(store: Store) -> None:
    lease = await taken(store, "one")
    renewals = [await store.leases.renew(lease), await store.leases.renew(lease)]
    assert [renewed.beat for renewed in renewals if renewed] == [1, 2]


async def test_who_was_relieved_can_neither_renew_nor_release(store: Store) -> None:
    old = await taken(store, "one")
    new = await taken(store, "two")
    assert new.term == old.term + 1
    assert await store.leases.renew(old) is None
    await store.leases.release(old)
    assert await store.leases.seen("duty") == new


async def test_a_released_lease_is_free_and_its_term_is_over(store: Store) -> None:
    lease = await taken(store, "one")
    await store.leases.release(lease)
    assert (await store.leases.seen("duty")).holder == ""
    assert await store.leases.renew(lease) is None
    assert (await taken(store, "one")).term == lease.term + 1


async def with_an_event(store: Store) -> None:
    await store.settle([set_policy(), open_room(), grant("ada"), gift()], NOW_MS)


def attempted(state: str) -> Attempted:
    return Attempted(("e1", "r1"), 4, NOW_MS, 200, None, 5, state, NOW_MS)  # type: ignore[arg-type]


async def test_deliveries_are_changed_under_the_lease_while_its_term_lasts(store: Store) -> None:
    await with_an_event(store)
    deliveries = store.deliveries_under(await taken(store, "one"))
    assert await deliveries.follow("e1", 4)
    await deliveries.enter([Entered("e1", 4, "gift.accepted", "r1")], {"e1": (3, 4)}, NOW_MS)
    runs, _ = await deliveries.due({"e1": 1}, [], NOW_MS, 9)
    assert [run.lane for run in runs] == [("e1", "r1")]
    await deliveries.record([attempted("delivered")])
    [delivery] = await store.deliveries.listed("e1", None, None, 9)
    assert delivery.state == "delivered"


@pytest.mark.parametrize("end", ["taken over", "released"])
async def test_who_was_relieved_changes_nothing_about_deliveries(store: Store, end: str) -> None:
    await with_an_event(store)
    lease = await taken(store, "one")
    stale = store.deliveries_under(lease)
    await stale.follow("e1", 4)
    await stale.enter([Entered("e1", 4, "gift.accepted", "r1")], {"e1": (3, 4)}, NOW_MS)
    if end == "released":
        await store.leases.release(lease)
    else:
        next_one = store.deliveries_under(await taken(store, "two"))
        await next_one.record([attempted("delivered")])
    before = await store.deliveries.listed("e1", None, None, 9), await store.deliveries.cursors()
    for change in (
        stale.record([attempted("pending")]),
        stale.enter([Entered("e1", 4, "gift.accepted", "r1")], {"e1": (4, 5)}, NOW_MS),
        stale.follow("e1", 5),
        stale.forget("e1"),
        stale.prune(NOW_MS + 1, NOW_MS + 1),
        stale.replay("e1", [4], NOW_MS),
        stale.replay_since("e1", 0),
    ):
        with pytest.raises(LeaseLost):
            await change
    after = await store.deliveries.listed("e1", None, None, 9), await store.deliveries.cursors()
    assert after == before


async def test_a_store_that_is_opened_again_knows_that_no_holder_is_alive(tmp_path: Path) -> None:
    """Only for adapters whose file belongs to one process."""
    address = f"sqlite:///{tmp_path}/books.db"
    store = await open_store(address)
    lease = await taken(store, "one")
    await store.close()
    store = await open_store(address)
    found = await store.leases.seen("duty")
    await store.close()
    assert (found.holder, found.term) == ("", lease.term)
