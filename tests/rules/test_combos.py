"""Combos: what continues one, what ends it, and what they look like on the wire."""

from typing import Any

import orjson
import pytest

from kit.building import builders
from rules.book import Book, new_book
from rules.combos import GIFTS_MAX, Combo, continue_combo
from rules.settle import settle

WINDOW_MS = 3_000
FIRST = Combo(first_seq=7, gift="rose", recipient="cleo", count=2, coins=2, last_ms=10_000)


def one_more(last: Combo | None = FIRST, **changes: Any) -> Combo:
    gift = {
        "seq": 9,
        "gift": "rose",
        "recipient": "cleo",
        "quantity": 1,
        "coins": 1,
        "at_ms": 10_500,
        "window_ms": WINDOW_MS,
    }
    return continue_combo(last, **gift | changes)


def test_the_first_gift_starts_a_combo_named_after_its_seq() -> None:
    combo = one_more(None, quantity=3, coins=3)
    assert (combo.id, combo.count, combo.coins, combo.last_ms) == ("c9", 3, 3, 10_500)


def test_the_next_gift_makes_it_grow_and_keeps_its_name() -> None:
    combo = one_more(quantity=3, coins=3)
    assert (combo.id, combo.count, combo.coins, combo.last_ms) == ("c7", 5, 5, 10_500)


@pytest.mark.parametrize(
    ("at_ms", "continues"),
    [
        (9_999, False),
        (10_000, True),
        (10_001, True),
        (12_999, True),
        (13_000, True),
        (13_001, False),
        (0, False),
    ],
)
def test_the_window_is_closed_at_both_ends_and_a_clock_that_stepped_back_starts_anew(
    at_ms: int, continues: bool
) -> None:
    assert (one_more(at_ms=at_ms).id == "c7") is continues


@pytest.mark.parametrize("change", [{"gift": "cake"}, {"recipient": "dora"}], ids=str)
def test_another_gift_recipient_or_visibility_starts_a_new_one(change: dict[str, Any]) -> None:
    combo = one_more(**change)
    assert (combo.id, combo.count, combo.coins) == ("c9", 1, 1)


@pytest.mark.parametrize(("quantity", "expected"), [(9_997, ("c7", 9_999)), (9_998, ("c9", 9_998))])
def test_a_combo_ends_at_four_digits(quantity: int, expected: tuple[str, int]) -> None:
    combo = one_more(quantity=quantity, coins=quantity)
    assert (combo.id, combo.count) == expected
    assert combo.count <= GIFTS_MAX


# In the room


def room_with_gifts(*gifts: tuple[int, dict[str, Any]], window_ms: int = WINDOW_MS) -> Book:
    """Each gift is (at_ms, fields); the room's seqs count from 1."""
    book = new_book()
    set_up = [
        builders.set_policy(combo_window_ms=window_ms),
        builders.open_room("r1", "cleo"),
        builders.open_room("r2", "cleo"),
        builders.grant("ada", 100_000),
        builders.grant("bob", 100_000),
    ]
    settle(book, set_up, 0)
    for at_ms, fields in gifts:
        settle(book, [builders.gift(**fields)], at_ms)
    return book


def combos_of(book: Book) -> list[Any]:
    shown = [orjson.loads(event.body)["combo"] for event in book.events]
    return [combo and (combo["id"], combo["count"], combo["coins"]) for combo in shown]


def test_a_combo_is_shown_with_its_sums_and_its_end() -> None:
    book = room_with_gifts((10, {"gift": "cake", "quantity": 2}), (20, {"gift": "cake"}))
    first, second = (orjson.loads(event.body)["combo"] for event in book.events)
    assert first == {"id": "c1", "count": 2, "coins": 50, "ends_ms": 3_010}
    assert second == {"id": "c1", "count": 3, "coins": 75, "ends_ms": 3_020}


def test_the_operators_window_counts() -> None:
    book = room_with_gifts((0, {}), (500, {}), (1_001, {}), window_ms=500)
    assert combos_of(book) == [("c1", 1, 1), ("c1", 2, 2), ("c3", 1, 1)]


def test_two_senders_have_two_combos_at_once() -> None:
    book = room_with_gifts((0, {}), (1, {"sender": "bob"}), (2, {}), (3, {"sender": "bob"}))
    assert combos_of(book) == [("c1", 1, 1), ("c2", 1, 1), ("c1", 2, 2), ("c2", 2, 2)]


def test_a_gift_in_another_room_neither_joins_nor_ends_a_combo() -> None:
    book = room_with_gifts((0, {}), (1, {"room": "r2"}), (2, {}))
    assert combos_of(book) == [("c1", 1, 1), ("c1", 1, 1), ("c1", 2, 2)]


def test_another_gift_between_ends_the_combo_even_one_without_combos() -> None:
    book = room_with_gifts((0, {}), (1, {"gift": "lion"}), (2, {}), (3, {"gift": "cake"}), (4, {}))
    assert combos_of(book) == [("c1", 1, 1), None, ("c3", 1, 1), ("c4", 1, 25), ("c5", 1, 1)]


def test_a_refused_gift_leaves_the_combo_alone() -> None:
    book = room_with_gifts((0, {}), (1, {"gift": "ghost"}), (2, {"quantity": 0}), (3, {}))
    assert combos_of(book) == [("c1", 1, 1), ("c1", 2, 2)]


def test_a_retraction_leaves_the_running_combo_alone() -> None:
    book = room_with_gifts((0, {}))
    settle(book, [builders.retract("r1:1")], 1)
    settle(book, [builders.gift()], 2)
    assert orjson.loads(book.events[-1].body)["combo"]["id"] == "c1"


def test_an_anonymous_gift_neither_continues_nor_breaks_a_public_combo() -> None:
    anonymous = {"visibility": "anonymous"}
    book = room_with_gifts((0, {}), (1, anonymous), (2, anonymous), (3, {}))
    assert combos_of(book) == [("c1", 1, 1), ("c2", 1, 1), ("c2", 2, 2), ("c1", 2, 2)]
