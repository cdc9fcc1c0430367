"""The plan is a function of its seed, and its pace never asks a gifter for more than its share."""

from itertools import pairwise

import msgspec
import pytest

from loadtest.plan import (
    Plan,
    coins_needed,
    due,
    gift_key,
    gift_number,
    gifter_index,
    gifter_name,
    is_loopback,
    make_schedule,
    mistakes,
    slow_window_s,
    source_address,
)

PLAN = Plan(
    url="http://127.0.0.1:8080",
    room="r",
    run="lt1",
    gifters=200,
    rate=2000.0,
    duration_s=20.0,
    gifts=("rose", "perfume"),
)


def test_the_same_seed_makes_the_same_schedule_and_another_seed_another() -> None:
    other = msgspec.structs.replace(PLAN, seed=2)
    assert make_schedule(PLAN) == make_schedule(PLAN)
    assert make_schedule(PLAN) != make_schedule(other)


def test_a_round_lets_every_gifter_send_once() -> None:
    schedule = make_schedule(PLAN)
    assert sorted(schedule.sender(n) for n in range(200)) == list(range(200))


def test_no_gifter_ever_passes_ten_a_second_with_a_burst_of_twenty() -> None:
    schedule, tokens, last_s = make_schedule(PLAN), [20.0] * 200, [0.0] * 200
    for n in range(PLAN.gifts_due):
        now_s, sender = n / PLAN.rate, schedule.sender(n)
        tokens[sender] = min(20.0, tokens[sender] + (now_s - last_s[sender]) * 10) - 1
        last_s[sender] = now_s
        assert tokens[sender] >= 18.99


def test_gifts_of_one_gifter_are_evenly_spaced() -> None:
    schedule = make_schedule(PLAN)
    times = [n / PLAN.rate for n in range(4000) if schedule.sender(n) == 7]
    assert all(b - a == pytest.approx(0.1) for a, b in pairwise(times))


@pytest.mark.parametrize(("elapsed_s", "gifts"), [(-1, 0), (0, 1), (0.5, 1001), (99, 40_000)])
def test_what_is_due(elapsed_s: float, gifts: int) -> None:
    assert due(PLAN, elapsed_s) == gifts


def test_a_closed_loop_has_no_schedule() -> None:
    assert due(msgspec.structs.replace(PLAN, closed_loop=4), 5) == 0


def test_gifters_tap_one_gift_several_times() -> None:
    schedule = make_schedule(PLAN)
    for start in range(0, 80, PLAN.taps):
        assert len({schedule.gift(3, k) for k in range(start, start + PLAN.taps)}) == 1


def test_keys_and_names_can_be_read_back() -> None:
    assert gift_number(gift_key(PLAN, 12)) == 12
    assert gift_number("someone-else's") is None
    assert gifter_index(PLAN, gifter_name(PLAN, 5)) == 5
    assert gifter_index(PLAN, "lt2-g5") is None
    assert gifter_index(PLAN, None) is None


def test_coins_cover_the_dearest_gift_every_time() -> None:
    assert coins_needed(PLAN, 20) >= PLAN.gifts_due / 200 * 20
    assert coins_needed(msgspec.structs.replace(PLAN, coins_each=7), 20) == 7


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://localhost:1", True),
        ("http://127.9.9.9", True),
        ("http://[::1]:80", True),
        ("http://127.0.0.1.example.org", False),
        ("http://10.0.0.1", False),
    ],
)
def test_only_this_machine_is_loopback(url: str, local: bool) -> None:
    assert is_loopback(url) is local


def test_another_host_needs_a_word() -> None:
    far = msgspec.structs.replace(PLAN, url="https://example.org")
    assert mistakes(far, mine=True, descriptors=9999) == []
    assert "yes-this-is-my-server" in mistakes(far, mine=False, descriptors=9999)[0]


def test_all_mistakes_are_told_at_once() -> None:
    bad = Plan(
        url="ftp://x", room="r", run="x", viewers=5, quantity=0, gifters=0, rate=5, connect_rate=0
    )
    assert len(mistakes(bad, mine=False, descriptors=9999)) == 4


def test_more_connections_than_open_files_are_refused() -> None:
    assert "open files" in mistakes(PLAN, mine=False, descriptors=100)[0]


def test_slow_viewers_read_again_before_the_end() -> None:
    begin, end = slow_window_s(PLAN)
    assert 0 < begin < end < PLAN.duration_s


def test_many_connections_come_from_several_addresses() -> None:
    assert source_address(50_000, many=False) is None
    assert source_address(19_999, many=True) == "127.0.0.1"
    assert source_address(20_000, many=True) == "127.0.0.2"
