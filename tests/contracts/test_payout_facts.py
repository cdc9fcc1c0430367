"""Who gave what a payout is made of: of the days from one on, without what was taken back."""

from contextlib import closing
from typing import Any

import pytest

from kit.building import builders as b
from kit.building.ledgers import NOW_MS, book, new_ledger
from rules.review import PayoutFacts
from storage.sqlite.money_reads import payout_facts

DAY_MS = 86_400_000
DAY = NOW_MS // DAY_MS
CAKE = 25


def given(connection: Any, *gifts: Any, day: int = 0) -> int:
    """Book gifts on a day; the number of the last command."""
    book(connection, *gifts, now_ms=NOW_MS + day * DAY_MS)
    return int(connection.execute("SELECT max(id) FROM command").fetchone()[0])


def test_only_the_days_from_the_first_on_count() -> None:
    with closing(new_ledger()) as connection:
        given(connection, b.set_policy(), b.open_room(), b.grant("ada"), b.grant("bob"))
        given(connection, b.gift("bob", "cake", quantity=3), day=1)
        given(connection, b.gift("ada", "cake"), b.gift("ada", "cake"), day=2)
        given(connection, b.gift("bob", "cake", visibility="anonymous"), day=8)
        as_of = given(connection, b.gift("ada", "cake"), b.retract("r1:3"), day=9)

        def since(day: int) -> PayoutFacts:
            found = payout_facts(connection, "cleo", DAY + day)
            assert (found.as_of, found.from_day) == (as_of, DAY + day)
            return found

        def cakes(day: int) -> tuple[int, ...]:
            found = since(day)
            coins = (found.earned_coins, found.coins, found.top_coins, found.new_sender_coins)
            return tuple(part // CAKE for part in coins)

        assert cakes(1) == (6, 5, 3, 4), "on the ninth day ada was no newcomer"
        assert cakes(2) == (3, 2, 2, 1)
        assert cakes(3) == (2, 1, 1, 0)
        assert cakes(10) == (0, 0, 0, 0)
        assert payout_facts(connection, "nobody", DAY).earned_coins == 0


def test_a_thousand_givers_and_one_more_are_all_counted() -> None:
    with closing(new_ledger()) as connection:
        given(connection, b.set_policy(), b.open_room())
        givers = [f"giver-{number}" for number in range(1_001)]
        given(connection, *(b.grant(giver, 5) for giver in givers))
        given(connection, *(b.gift(giver) for giver in givers))
        found = payout_facts(connection, "cleo", DAY)
        assert (found.earned_coins, found.coins, found.new_sender_coins) == (1_001,) * 3


@pytest.mark.parametrize("back_on", [0, 1])
def test_gifts_back_and_payments_that_were_taken_back_are_seen(back_on: int) -> None:
    with closing(new_ledger()) as connection:
        opened = [b.open_room("r1"), b.open_room("r2", "ada"), b.open_room("r3", "eve")]
        given(connection, b.set_policy(), *opened, b.grant("ada"), b.grant("cleo"))
        given(connection, b.gift("cleo", room="r2"), b.gift("cleo", room="r3"), day=back_on)
        given(connection, b.gift("ada"), day=1)
        assert payout_facts(connection, "cleo", DAY + 1).gave_back == bool(back_on)
        assert payout_facts(connection, "cleo", DAY).gave_back
        paid = [b.start_purchase("ada"), b.settle_purchase()]
        given(connection, *paid, day=1)
        assert not payout_facts(connection, "cleo", DAY).charged_back
        given(connection, b.charge_back(), day=1)
        assert payout_facts(connection, "cleo", DAY).charged_back
        assert not payout_facts(connection, "cleo", DAY + 2).charged_back, "gave nothing since"
