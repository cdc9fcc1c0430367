"""What every store keeps of webhooks on their way: heads, cursors, lists, and sending again."""

import json
import random

import pytest

from kit.building.builders import gift, grant, open_room, retract, set_policy
from kit.building.ledgers import NOW_MS
from storage import Store
from storage.deliveries import Attempted, Deliveries, Entered


@pytest.fixture
async def kept(store: Store) -> Deliveries:
    """An endpoint that is told of forty gifts: commands 4 to 43."""
    show = [set_policy(), open_room("r1"), grant("ada", 10_000)]
    await store.settle([*show, *[gift() for _ in range(40)]], NOW_MS)
    assert await store.deliveries.follow("e1", 4)
    return store.deliveries


def events(*commands: int, lane: str = "a", endpoint: str = "e1") -> list[Entered]:
    return [Entered(endpoint, command, "gift.accepted", lane) for command in commands]


async def heads(kept: Deliveries) -> dict[str, int]:
    """The head of each of e1's lanes."""
    runs, _ = await kept.due({"e1": 100}, [], 2**60, 1)
    return {run.lane[1]: run.events[0].entry.command for run in runs}


async def test_a_lane_is_handed_out_with_what_may_follow_and_not_while_it_is_busy(
    kept: Deliveries,
) -> None:
    given = [*events(4, 5, 6), *events(7, 8, lane="b")]
    await kept.enter(given, {"e1": (3, 8)}, NOW_MS)
    runs, wait_ms = await kept.due({"e1": 8}, [("e1", "b")], NOW_MS, 2)
    assert [(run.lane, [due.entry.command for due in run.events]) for run in runs] == [
        (("e1", "a"), [4, 5])
    ]
    assert wait_ms is None
    assert (await kept.cursors())["e1"] == (4, 8, 5)


async def test_the_next_moment_is_that_of_the_first_head_that_waits(kept: Deliveries) -> None:
    await kept.enter([*events(4), *events(5, lane="b")], {"e1": (3, 5)}, NOW_MS)
    lane = ("e1", "a")
    await kept.record([Attempted(lane, 4, NOW_MS, 500, "no", 1, "pending", NOW_MS + 700)])
    assert (await kept.due({"e1": 0}, [], NOW_MS, 2))[1] == NOW_MS + 700
    assert (await kept.due({}, [], NOW_MS, 2)) == ([], None)


async def test_a_cursor_that_a_replay_set_back_is_not_moved_on_by_a_page_read_before(
    kept: Deliveries,
) -> None:
    await kept.enter(events(4, 5), {"e1": (3, 5)}, NOW_MS)
    assert await kept.replay_since("e1", NOW_MS) == 4
    await kept.enter(events(6), {"e1": (5, 6)}, NOW_MS)
    assert (await kept.cursors())["e1"].command == 3


async def test_a_replay_never_goes_before_the_endpoint(kept: Deliveries) -> None:
    assert await kept.replay_since("e1", 0) == 4
    assert await kept.replay_since("nobody", 0) is None
    assert await kept.replay_since("e1", NOW_MS + 1) == 4


async def test_a_later_beginning_forgets_what_was_before_it(kept: Deliveries) -> None:
    given = [*events(4, 5, 6), *events(7, lane="b")]
    await kept.enter(given, {"e1": (3, 7)}, NOW_MS)
    assert await kept.follow("e1", 6)
    assert await heads(kept) == {"a": 6, "b": 7}
    assert (await kept.cursors())["e1"] == (6, 7, 2)


async def test_deliveries_are_listed_newest_first_by_state_and_in_pages(kept: Deliveries) -> None:
    await kept.enter(events(*range(4, 14)), {"e1": (3, 13)}, NOW_MS)
    lane = ("e1", "a")
    await kept.record([Attempted(lane, 4, NOW_MS, 200, None, 3, "delivered", NOW_MS)])
    first = await kept.listed("e1", None, None, 4)
    assert [d.command for d in first] == [13, 12, 11, 10]
    second = await kept.listed("e1", None, first[-1].command, 100)
    assert [d.command for d in second] == [9, 8, 7, 6, 5, 4]
    assert [d.next_ms for d in second] == [None, None, None, None, NOW_MS, None]
    assert [d.command for d in await kept.listed("e1", "delivered", None, 9)] == [4]
    assert await kept.listed("e2", None, None, 9) == []
    assert await kept.attempts("e1", 5) == []
    assert await kept.attempts("e1", 99) is None


async def test_forgetting_goes_in_steps_until_nothing_is_left(kept: Deliveries) -> None:
    await kept.enter(events(*range(4, 14)), {"e1": (3, 13)}, NOW_MS)
    steps = 0
    while not await kept.forget("e1"):
        steps += 1
        assert steps < 100
    assert await kept.cursors() == {} and await kept.listed("e1", None, None, 99) == []
    assert await kept.forget("e1"), "there is nothing to forget twice"


async def test_what_is_pruned_takes_its_attempts_along(kept: Deliveries) -> None:
    await kept.enter(events(4, 5, 6), {"e1": (3, 6)}, NOW_MS)
    lane = ("e1", "a")
    await kept.record([Attempted(lane, 4, NOW_MS, 200, None, 3, "delivered", NOW_MS)])
    await kept.record([Attempted(lane, 5, NOW_MS, 500, "no", 3, "exhausted", NOW_MS)])
    assert not await kept.prune(NOW_MS, NOW_MS), "what changed at that moment is not older"
    assert not await kept.prune(NOW_MS + 1, NOW_MS)
    assert [d.command for d in await kept.listed("e1", None, None, 9)] == [6, 5]
    assert not await kept.prune(NOW_MS, NOW_MS + 1)
    assert [d.command for d in await kept.listed("e1", None, None, 9)] == [6]
    assert await kept.attempts("e1", 4) is None
    await kept.enter(events(4), {}, NOW_MS)
    assert await kept.attempts("e1", 4) == [], "entered again, it begins anew"


async def test_replaying_sends_again_and_keeps_the_attempts(kept: Deliveries) -> None:
    await kept.enter(events(4, 5), {"e1": (3, 5)}, NOW_MS)
    lane = ("e1", "a")
    await kept.record([Attempted(lane, 4, NOW_MS, 500, "no", 7, "exhausted", NOW_MS)])
    assert await heads(kept) == {"a": 5}
    assert await kept.replay("e1", [4, 99], NOW_MS + 1) == 1
    assert await heads(kept) == {"a": 4}
    [attempt] = await kept.attempts("e1", 4) or []
    assert attempt == (NOW_MS, 500, "no", 7)
    runs, _ = await kept.due({"e1": 1}, [], NOW_MS + 1, 1)
    assert [due.tries for due in runs[0].events] == [0]


async def test_the_journal_has_what_an_event_can_say(store: Store) -> None:
    await store.settle([set_policy(), open_room("r1"), grant("ada")], NOW_MS)
    await store.settle([gift(name="Ada L.", message="hi \\ \U0001f381")], NOW_MS + 1)
    await store.settle([retract("r1:1", reason="fraud")], NOW_MS + 2)
    entries = await store.deliveries.journal(0, 99)
    assert [entry.command for entry in entries] == [1, 2, 3, 4, 5]
    assert await store.deliveries.journal(1, 2) == entries[1:3]
    assert await store.deliveries.journal(5, 9) == []
    assert entries[0].seal == entries[2].seal != entries[3].seal
    given, taken = entries[3], entries[4]
    assert (given.kind, given.at_ms, taken.kind) == ("gift", NOW_MS + 1, "retract_gift")
    said = json.loads(given.body)
    assert (said["name"], said["message"]) == ("Ada L.", "hi \\ \U0001f381")
    lines = [event.body.decode() for event in await store.events("r1", 0, 9)]
    assert [given.line, taken.line] == lines
    assert given.origin is None and taken.origin is not None
    assert json.loads(taken.origin)["kind"] == "gift" and entries[2].line is None


async def test_a_result_of_a_delivery_that_was_forgotten_meanwhile_is_dropped(
    kept: Deliveries,
) -> None:
    await kept.record([Attempted(("e1", "a"), 9, NOW_MS, 200, None, 3, "delivered", NOW_MS)])
    assert await kept.listed("e1", None, None, 9) == []


@pytest.mark.parametrize("seed", range(6))
async def test_each_lane_has_its_earliest_pending_event_as_head_whatever_happens(
    kept: Deliveries, seed: int
) -> None:
    chance = random.Random(seed)
    lane_of = {command: chance.choice("abc") for command in range(4, 44)}
    pending: set[int] = set()
    cursor = 3
    for _ in range(60):
        match chance.randrange(4):
            case 0 if cursor < 43:
                page = range(cursor + 1, min(43, cursor + chance.randint(1, 6)) + 1)
                given = [events(command, lane=lane_of[command])[0] for command in page]
                await kept.enter(given, {"e1": (cursor, page[-1])}, NOW_MS)
                pending.update(page)
                cursor = page[-1]
            case 1 if pending:
                command = chance.choice(sorted(pending))
                lane, state = ("e1", lane_of[command]), chance.choice(["delivered", "exhausted"])
                await kept.record([Attempted(lane, command, 1, 200, None, 1, state, 1)])
                pending.discard(command)
            case 2 if cursor > 3:
                again = chance.sample(range(4, cursor + 1), min(3, cursor - 3))
                await kept.replay("e1", again, NOW_MS)
                pending.update(again)
            case 3 if pending:
                command = chance.choice(sorted(pending))
                lane = ("e1", lane_of[command])
                await kept.record([Attempted(lane, command, 1, 500, "no", 1, "pending", 2**50)])
        wanted: dict[str, int] = {}
        for command in sorted(pending, reverse=True):
            wanted[lane_of[command]] = command
        assert await heads(kept) == wanted
