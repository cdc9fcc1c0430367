"""Rolling limits against their definition, and what counts against them and what does not."""

from hypothesis import given
from hypothesis import strategies as st

from kit.building import builders
from rules.book import new_book
from rules.outcomes import GiftAccepted
from rules.results import Result
from rules.rows import Bucket, LimitRaise, User
from rules.settle import settle
from rules.spending import count, own_limit, uncount, windows

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
LENGTHS_MS = {"daily": DAY_MS, "weekly": 7 * DAY_MS, "monthly": 30 * DAY_MS}
SLACK_MS = {"daily": HOUR_MS, "weekly": DAY_MS, "monthly": DAY_MS}
"""What was spent frees at most so much later than it might."""

steps_ms = st.sampled_from([1, 1_000, HOUR_MS - 1, HOUR_MS, 5 * HOUR_MS, DAY_MS, 6 * DAY_MS])
spending = st.lists(st.tuples(steps_ms, st.integers(1, 60)), max_size=40)


def spent_between(gifts: list[tuple[int, int]], after_ms: int, until_ms: int) -> int:
    return sum(coins for at_ms, coins in gifts if after_ms < at_ms <= until_ms)


@given(st.sampled_from(list(LENGTHS_MS)), st.integers(0, 100), spending, st.integers(0, DAY_MS))
def test_a_limit_holds_in_every_window_and_refuses_nothing_that_is_clear_of_it(
    name: str, limit: int, wishes: list[tuple[int, int]], start_ms: int
) -> None:
    book, now_ms, given_ms = new_book(), start_ms, []
    first = [builders.set_policy(), builders.open_room(), builders.grant("ada", 10_000)]
    settle(book, [*first, builders.set_limits(**{f"{name}_coins": limit})], now_ms)
    length_ms = LENGTHS_MS[name]
    for step_ms, coins in wishes:
        now_ms += step_ms
        [result] = settle(book, [builders.gift(quantity=coins)], now_ms)
        exact = spent_between(given_ms, now_ms - length_ms, now_ms)
        late = spent_between(given_ms, now_ms - length_ms - SLACK_MS[name] - 1, now_ms)
        if isinstance(result.outcome, GiftAccepted):
            given_ms.append((now_ms, coins))
            assert exact + coins <= limit
        else:
            assert result.outcome.code == f"limit_{name}" and late + coins > limit
            check_frees(result, coins, limit, now_ms)


def check_frees(result: Result, coins: int, limit: int, now_ms: int) -> None:
    """The moment that a refusal names is later than now, and never comes for what is too much."""
    details = result.outcome.details
    assert (details["frees_ms"] is None) == (coins > limit)
    assert details["frees_ms"] is None or details["frees_ms"] > now_ms
    assert details["left_coins"] == max(0, limit - details["spent_coins"]) < coins


@given(st.integers(1, 100), spending, st.integers(1, 100))
def test_what_is_said_to_free_then_is_free_then_and_not_a_moment_sooner(
    limit: int, wishes: list[tuple[int, int]], wanted: int
) -> None:
    book, now_ms = new_book(), 0
    settle(book, [builders.set_policy(), builders.open_room(), builders.grant("ada", 10_000)], 0)
    settle(book, [builders.set_limits(daily_coins=limit)], 0)
    for step_ms, coins in wishes:
        now_ms += step_ms
        settle(book, [builders.gift(quantity=coins)], now_ms)
    user = book.users["ada"]
    [window] = [w for w in windows(user, builders.NO_LIMITS, now_ms) if w.name == "daily"]
    frees_ms = window.frees_ms(wanted)
    fits_now = window.spent_coins + wanted <= limit
    assert (frees_ms is None) == (fits_now or wanted > limit)
    if frees_ms is not None:
        for at_ms, fits in ((frees_ms - 1, False), (frees_ms, True)):
            [then] = [w for w in windows(user, builders.NO_LIMITS, at_ms) if w.name == "daily"]
            assert (then.spent_coins + wanted <= limit) == fits


@given(st.lists(st.tuples(st.integers(-DAY_MS, 3 * DAY_MS), st.integers(1, 9)), max_size=60))
def test_few_buckets_are_kept_and_in_order_whatever_the_clock_does(
    steps: list[tuple[int, int]],
) -> None:
    user, now_ms = User("ada", "", 0, 0), 100 * DAY_MS
    for step_ms, coins in steps:
        now_ms += step_ms
        count(user, coins, 0, now_ms)
        for rows, kept in ((user.hours, 25), (user.days, 31)):
            units = [row.unit for row in rows]
            assert units == sorted(set(units)) and len(units) <= kept


def test_a_bucket_is_kept_for_as_long_as_it_counts() -> None:
    user = User("ada", "", 0, 0)
    for hour in range(100 * 24):
        count(user, 1, 0, hour * HOUR_MS)
    assert [row.unit for row in user.hours] == list(range(2_375, 2_400))
    assert [row.unit for row in user.days] == list(range(69, 100))


def test_giving_back_never_counts_below_zero() -> None:
    user = User("ada", "", 0, 0)
    count(user, 5, 3, 0)
    uncount(user, 7, 4, 0)
    assert (user.hours, user.days) == ([Bucket(0, 0, 0)], [Bucket(0, 0, 0)])
    uncount(user, 7, 4, DAY_MS)
    assert (user.hours, user.days) == ([Bucket(0, 0, 0)], [Bucket(0, 0, 0)])


def test_a_raise_that_waits_changes_nothing_before_its_moment() -> None:
    user = User("ada", "", 0, 0, limits={"daily": 5}, raises={"daily": LimitRaise(9, 100)})
    assert [own_limit(user, "daily", at_ms) for at_ms in (0, 99, 100)] == [5, 5, 9]
    user.raises["daily"] = LimitRaise(None, 100)
    assert [own_limit(user, "daily", at_ms) for at_ms in (99, 100)] == [5, None]


def test_limits_are_checked_against_the_gifts_of_the_same_batch() -> None:
    book = new_book()
    settle(book, [builders.set_policy(), builders.open_room(), builders.grant("ada", 100)], 0)
    asked = [builders.set_limits(daily_coins=3), *(builders.gift() for _ in range(5))]
    results = settle(book, asked, 0)
    accepted = [isinstance(result.outcome, GiftAccepted) for result in results[1:]]
    assert accepted == [True, True, True, False, False]
