"""Gifter levels: fifty steps that only gifts can climb."""

import orjson
from hypothesis import given
from hypothesis import strategies as st

from kit.building import builders
from rules.book import new_book
from rules.levels import THRESHOLDS, level_of
from rules.settle import settle

coins = st.integers(0, 20_000_000)


def test_there_are_fifty_steps_each_higher_than_the_one_before() -> None:
    assert len(THRESHOLDS) == 50
    assert list(THRESHOLDS) == sorted(set(THRESHOLDS))
    assert sum(step <= 200_000 for step in THRESHOLDS) == 25


def test_a_level_begins_exactly_at_its_threshold() -> None:
    assert level_of(0) == 0
    for level, threshold in enumerate(THRESHOLDS, 1):
        assert (level_of(threshold - 1), level_of(threshold)) == (level - 1, level)
    assert level_of(2**53 - 1) == 50


@given(coins, coins)
def test_more_coins_are_never_a_lower_level(one: int, other: int) -> None:
    assert (one <= other) == (level_of(one) <= level_of(other)) or level_of(one) == level_of(other)


def test_a_gift_shows_the_level_after_it_and_a_retraction_takes_it_back() -> None:
    book = new_book()
    settle(book, [builders.set_policy(), builders.open_room(), builders.open_room("r2")], 0)
    settle(book, [builders.grant("ada", 1_000)], 0)
    gifts = [builders.gift(quantity=49), builders.gift(room="r2"), builders.gift()]
    settle(book, [*gifts, builders.retract("r1:1"), builders.gift()], 0)
    levels = [orjson.loads(event.body)["from"]["level"] for event in book.events]
    assert levels == [level_of(49), level_of(50), level_of(51), level_of(2), level_of(3)]
    assert levels[:2] == [1, 2]


def test_an_anonymous_gift_moves_no_level() -> None:
    book = new_book()
    settle(book, [builders.set_policy(), builders.open_room(), builders.grant("ada", 1_000)], 0)
    hidden = builders.gift(gift="cake", quantity=9, visibility="anonymous")
    settle(book, [builders.gift(), hidden, builders.gift()], 0)
    levels = [orjson.loads(event.body)["from"].get("level") for event in book.events]
    assert levels == [level_of(1), None, level_of(2)]


def shown(*commands: object) -> list[tuple[int | None, int | None]]:
    """(level, level_up) of each gift and retraction."""
    book = new_book()
    settle(book, [builders.set_policy(), builders.open_room(), builders.grant("ada", 1_000)], 0)
    settle(book, commands, 0)
    bodies = [orjson.loads(event.body) for event in book.events]
    return [(body["from"].get("level"), body.get("level_up")) for body in bodies]


def test_the_gift_that_raises_a_level_from_the_second_on_says_so_and_no_other() -> None:
    gifts = [builders.gift(), builders.gift(quantity=48), builders.gift(), builders.gift()]
    assert shown(*gifts) == [(1, None), (1, None), (2, 2), (2, None)]
    both = builders.gift(gift="lion")
    assert shown(both, builders.gift()) == [(5, 5), (5, None)]
    anonymous = builders.gift(gift="lion", visibility="anonymous")
    assert shown(anonymous, builders.gift()) == [(None, None), (1, None)]


def test_a_level_that_was_lost_by_a_retraction_is_told_when_it_is_reached_again() -> None:
    gift = builders.gift(quantity=50)
    assert shown(gift, builders.retract(), gift, builders.gift(quantity=50)) == [
        (2, 2),
        (0, None),
        (2, 2),
    ]


def test_a_hidden_level_is_shown_nowhere() -> None:
    hide, show = builders.hide_level(), builders.hide_level(hidden=False)
    gifts = [builders.gift(quantity=50), builders.retract("r1:1"), builders.gift(quantity=50)]
    assert shown(hide, *gifts, show, builders.gift()) == [
        (0, None),
        (0, None),
        (0, None),
        (2, None),
    ]
