"""The timing wheel visits everybody once a turn."""

import asyncio

from kit.waiting import PATIENCE_S
from server.live.wheel import SLOTS, Wheel


def test_everybody_is_visited_once_a_turn() -> None:
    visits: list[int] = []
    wheel: Wheel[int] = Wheel(1_000, visits.append)
    for item in range(200):
        wheel.add(item)
    for _ in range(SLOTS):
        wheel.turn()
    assert sorted(visits) == list(range(200))
    for _ in range(SLOTS):
        wheel.turn()
    assert sorted(visits) == sorted([*range(200), *range(200)])


def test_visits_are_spread_evenly() -> None:
    visits: list[int] = []
    wheel: Wheel[int] = Wheel(1_000, visits.append)
    for item in range(SLOTS * 3):
        wheel.add(item)
    for turn in range(1, SLOTS + 1):
        wheel.turn()
        assert len(visits) == turn * 3


def test_who_was_removed_is_not_visited() -> None:
    visits: list[str] = []
    wheel: Wheel[str] = Wheel(1_000, visits.append)
    slot = wheel.add("ann")
    wheel.add("bob")
    wheel.remove("ann", slot)
    wheel.remove("ann", slot)
    for _ in range(SLOTS):
        wheel.turn()
    assert visits == ["bob"]


def test_a_visit_may_remove_itself_and_others() -> None:
    places: dict[int, int] = {}
    visits: list[int] = []

    def visit(item: int) -> None:
        visits.append(item)
        for each, slot in places.items():
            wheel.remove(each, slot)

    wheel: Wheel[int] = Wheel(1_000, visit)
    for item in range(SLOTS * 2):
        places[item] = wheel.add(item)
    for _ in range(SLOTS * 2):
        wheel.turn()
    assert len(visits) == 2, "the two that were in one slot, and nobody after them"


async def test_it_turns_once_a_period() -> None:
    turned = asyncio.Event()
    wheel: Wheel[str] = Wheel(50, lambda item: turned.set())
    wheel.add("ann")
    running = asyncio.create_task(wheel.run())
    async with asyncio.timeout(PATIENCE_S):
        await turned.wait()
    running.cancel()
