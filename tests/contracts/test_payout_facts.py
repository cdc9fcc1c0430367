"""Who gave what a payout is made of: of the days from one on, without what was taken back."""

from typing import Any

import pytest

from kit.building import builders as b
from kit.building.ledgers import NOW_MS
from rules.review import PayoutFacts
from storage import Store

DAY_MS = 86_400_000
DAY = NOW_MS // DAY_MS
CAKE = 25


async def given(store: Store, *gifts: Any, day: int = 0) -> int:
    """Book gifts on a day; the number of the last command."""
    await store.settle(gifts, NOW_MS + day * DAY_MS)
    return (await store.balances([])).as_of


async def test_only_the_days_from_the_first_on_count(store: Store) -> None:
    await given(store, b.set_policy(), b.open_room(), b.grant("ada"), b.grant("bob"))
    await given(store, b.gift("bob", "cake", quantity=3), day=1)
    await given(store, b.gift("ada", "cake"), b.gift("ada", "cake"), day=2)
    await given(store, b.gift("bob", "cake", visibility="anonymous"), day=8)
    as_of = await given(store, b.gift("ada", "cake"), b.retract("r1:3"), day=9)

    async def since(day: int) -> PayoutFacts:
        found = await store.money.payout_facts("cleo", DAY + day)
        assert (found.as_of, found.from_day) == (as_of, DAY + day)
        return found

    async def cakes(day: int) -> tuple[int, ...]:
        found = await since(day)
        coins = (found.earned_coins, found.coins, found.top_coins, found.new_sender_coins)
        return tuple(part // CAKE for part in coins)

    assert await cakes(1) == (6, 5, 3, 4), "on the ninth day ada was no newcomer"
    assert await cakes(2) == (3, 2, 2, 1)
    assert await cakes(3) == (2, 1, 1, 0)
    assert await cakes(10) == (0, 0, 0, 0)
    assert (await store.money.payout_facts("nobody", DAY)).earned_coins == 0


async def test_a_thousand_givers_and_one_more_are_all_counted(store: Store) -> None:
    await given(store, b.set_policy(), b.open_room())
    givers = [f"giver-{number}" for number in range(1_001)]
    await given(store, *(b.grant(giver, 5) for giver in givers))
    await given(store, *(b.gift(giver) for giver in givers))
    found = await store.money.payout_facts("cleo", DAY)
    assert (found.earned_coins, found.coins, found.new_sender_coins) == (1_001,) * 3


@pytest.mark.parametrize("back_on", [0, 1])
async def test_gifts_back_and_payments_that_were_taken_back_are_seen(
    store: Store, back_on: int
) -> None:
    opened = [b.open_room("r1"), b.open_room("r2", "ada"), b.open_room("r3", "eve")]
    await given(store, b.set_policy(), *opened, b.grant("ada"), b.grant("cleo"))
    await given(store, b.gift("cleo", room="r2"), b.gift("cleo", room="r3"), day=back_on)
    await given(store, b.gift("ada"), day=1)
    assert (await store.money.payout_facts("cleo", DAY + 1)).gave_back == bool(back_on)
    assert (await store.money.payout_facts("cleo", DAY)).gave_back
    paid = [b.start_purchase("ada"), b.settle_purchase()]
    await given(store, *paid, day=1)
    assert not (await store.money.payout_facts("cleo", DAY)).charged_back
    await given(store, b.charge_back(), day=1)
    assert (await store.money.payout_facts("cleo", DAY)).charged_back
    assert not (await store.money.payout_facts("cleo", DAY + 2)).charged_back, "gave nothing since"
