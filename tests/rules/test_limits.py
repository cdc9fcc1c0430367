"""The token bucket: how fast one sender may be, whatever the clock does."""

from hypothesis import given
from hypothesis import strategies as st

from rules.limits import full_bucket

rates = st.integers(1, 1_000)
bursts = st.integers(1, 50)
waits_ms = st.lists(st.integers(0, 3_000), max_size=80)


def test_a_burst_passes_and_the_next_must_wait() -> None:
    bucket = full_bucket(rate=10, burst=20, now_ms=5)
    assert [bucket.take(5) for _ in range(20)] == [0] * 20
    assert bucket.take(5) == 100
    assert bucket.take(104) == 1
    assert bucket.take(105) == 0
    assert bucket.take(105) == 100


def test_silence_saves_up_no_more_than_the_burst() -> None:
    bucket = full_bucket(rate=10, burst=3, now_ms=0)
    assert [bucket.take(10**12) for _ in range(4)] == [0, 0, 0, 100]


def test_a_refusal_costs_nothing() -> None:
    bucket = full_bucket(rate=1, burst=1, now_ms=0)
    assert bucket.take(0) == 0
    for now_ms in range(0, 1_000, 10):
        assert bucket.take(now_ms) == 1_000 - now_ms
    assert bucket.take(1_000) == 0


def test_a_clock_that_steps_back_adds_nothing_and_does_not_freeze_the_sender() -> None:
    bucket = full_bucket(rate=10, burst=1, now_ms=1_000_000)
    assert bucket.take(1_000_000) == 0
    assert bucket.take(0) == 100
    assert bucket.take(99) == 1
    assert bucket.take(100) == 0


@given(rates, bursts, waits_ms)
def test_no_window_ever_holds_more_than_the_burst_and_what_the_rate_gives(
    rate: int, burst: int, waits: list[int]
) -> None:
    bucket, now_ms, taken = full_bucket(rate, burst, 0), 0, []
    for wait_ms in waits:
        now_ms += wait_ms
        while bucket.take(now_ms) == 0:
            taken.append(now_ms)
            if len(taken) > 300:
                break
    for start, first in enumerate(taken):
        for end in range(start, len(taken)):
            inside = end - start + 1
            assert inside * 1000 <= burst * 1000 + rate * (taken[end] - first)


@given(rates, bursts, st.lists(st.integers(-2_000, 2_000), max_size=80))
def test_a_clock_that_jumps_about_gives_no_more_than_its_steps_forward(
    rate: int, burst: int, jumps: list[int]
) -> None:
    bucket, now_ms, forward_ms, taken = full_bucket(rate, burst, 0), 0, 0, 0
    for jump in jumps:
        now_ms, forward_ms = now_ms + jump, forward_ms + max(0, jump)
        taken += bucket.take(now_ms) == 0
    assert taken * 1000 <= burst * 1000 + rate * forward_ms


@given(rates, bursts, waits_ms)
def test_the_wait_that_is_told_is_enough_and_not_one_millisecond_too_long(
    rate: int, burst: int, waits: list[int]
) -> None:
    bucket, now_ms = full_bucket(rate, burst, 0), 0
    for wait_ms in waits:
        now_ms += wait_ms
        missing_ms = bucket.take(now_ms)
        if missing_ms:
            if missing_ms > 1:
                assert bucket.take(now_ms + missing_ms - 1) == 1
            assert bucket.take(now_ms + missing_ms) == 0
            now_ms += missing_ms


def test_a_token_taken_elsewhere_is_gone_here_and_what_is_owed_is_gained_back_first() -> None:
    bucket = full_bucket(rate=10, burst=2, now_ms=0)
    bucket.taken_elsewhere(0)
    assert [bucket.take(0), bucket.take(0)] == [0, 100]
    bucket.taken_elsewhere(0)  # both nodes gave the last one
    assert bucket.take(0) == 200
    assert bucket.take(199) == 1
    assert bucket.take(200) == 0


def test_what_is_owed_has_an_end() -> None:
    bucket = full_bucket(rate=10, burst=2, now_ms=0)
    for _ in range(1_000):
        bucket.taken_elsewhere(0)
    bucket.at_most(-(10**9), 0)
    assert bucket.take(0) == 300


def test_of_two_buckets_for_the_same_things_the_emptier_counts() -> None:
    bucket = full_bucket(rate=10, burst=5, now_ms=0)
    bucket.at_most(9_000, 0)
    assert bucket.level(0) == 5_000
    bucket.at_most(1_000, 0)
    assert [bucket.take(0), bucket.take(0)] == [0, 100]
    bucket.at_most(4_000, 0)
    assert bucket.take(0) == 100


@given(rates, bursts, st.lists(st.tuples(st.integers(0, 500), st.booleans()), max_size=200))
def test_two_nodes_that_tell_each_other_give_no_more_than_one(
    rate: int, burst: int, wishes: list[tuple[int, bool]]
) -> None:
    here, there = full_bucket(rate, burst, 0), full_bucket(rate, burst, 0)
    now_ms = taken = 0
    for wait_ms, is_here in wishes:
        now_ms += wait_ms
        mine, other = (here, there) if is_here else (there, here)
        if mine.take(now_ms) == 0:
            taken += 1
            other.taken_elsewhere(now_ms)
    assert taken * 1000 <= burst * 1000 + rate * now_ms


def test_a_full_bucket_holds_its_burst_and_not_a_thousandth_more() -> None:
    bucket = full_bucket(rate=3, burst=7, now_ms=0)
    assert bucket.level(10**9) == 7_000


def test_the_time_to_wait_is_a_whole_number() -> None:
    bucket = full_bucket(rate=3, burst=1, now_ms=0)
    assert bucket.take(0) == 0
    wait_ms = bucket.take(0)
    assert (wait_ms, type(wait_ms)) == (334, int)


def test_another_bucket_owes_no_more_than_a_burst() -> None:
    bucket = full_bucket(rate=3, burst=7, now_ms=0)
    bucket.at_most(-6_000, now_ms=0)
    assert bucket.level(0) == -6_000
    bucket.at_most(-10_000, now_ms=0)
    assert bucket.level(0) == -7_000
