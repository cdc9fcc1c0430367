"""A room is a fold over its events: frames, boards, combos and resumes without a socket."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from kit.building import builders
from kit.building.ledgers import book, new_ledger
from rules.events import Event
from rules.rows import Room as BookedRoom
from server.live.letters import Batch, read_letter, write_letter
from server.live.room import COMMIT_MS, Room, plain_frame
from storage import RoomState

WINDOW_MS = 3_000


class Books:
    """The real rules in memory; every call books something and gives the event."""

    def __init__(self) -> None:
        self.ledger = new_ledger()
        self.events: list[Event] = []
        self.now_ms = 1_000_000
        self.do(builders.set_policy(combo_window_ms=WINDOW_MS), builders.open_room())
        for user in ("ada", "bob", "cyd"):
            self.do(builders.grant(user, 10_000_000))

    def do(self, *commands: Any) -> list[Event]:
        results = book(self.ledger, *commands, now_ms=self.now_ms)
        made = [event for result in results for event in result.events]
        self.events += made
        return made

    def gift(self, sender: str = "ada", gift: str = "rose", **fields: Any) -> Event:
        [event] = self.do(builders.gift(sender, gift, **fields))
        return event


def empty_room(ring_events: int = 100) -> Room:
    row = BookedRoom("r1", "Show", "cleo", "Cleo", "open", "epoch-r1", 0, 0, 1)
    return Room(RoomState(row, [], []), ring_events)


@pytest.fixture
def books() -> Iterator[Books]:
    books = Books()
    yield books
    books.ledger.close()


def taken(room: Room, entries_max: int = 60) -> dict[str, Any]:
    [frame, *_] = room.take_frame(entries_max).payloads
    result: dict[str, Any] = json.loads(frame)
    return result


def ended(room: Room) -> list[dict[str, Any]]:
    return [json.loads(payload) for payload in room.take_ended_combos()]


def test_a_gap_and_a_repetition_are_bugs(books: Books) -> None:
    room = empty_room()
    first, second = books.gift(), books.gift()
    with pytest.raises(AssertionError):
        room.apply(second)
    room.apply(first)
    with pytest.raises(AssertionError):
        room.apply(first)


def test_frames_follow_each_other(books: Books) -> None:
    room = empty_room()
    assert room.take_frame(60).payloads == []
    for coins in (1, 25):
        room.apply(books.gift(gift="rose" if coins == 1 else "cake"))
    frame = taken(room)
    assert (frame["first"], frame["last"]) == (1, 2)
    assert (frame["total_before"], frame["total_coins"]) == (0, 26)
    room.apply(books.gift(quantity=3))
    room.apply(books.do(builders.retract("r1:2"))[0])
    frame = taken(room)
    assert (frame["first"], frame["last"]) == (3, 4)
    assert (frame["total_before"], frame["total_coins"]) == (26, 4)
    assert room.take_frame(60).payloads == []


def test_a_busy_frame_counts_what_it_leaves_out(books: Books) -> None:
    room = empty_room()
    for number in range(60):
        room.apply(books.gift("ada" if number % 2 else "bob", message=f"no {number}"))
    frame = room.take_frame(10)
    told = json.loads(frame.payloads[0])
    assert len(told["events"]) == 10 and told["omitted"] == {"gifts": 50, "coins": 50}
    assert told["total_coins"] == 60 and frame.omitted == 50


def test_the_end_of_a_room_is_an_event_and_a_notice(books: Books) -> None:
    room = empty_room()
    room.apply(books.do(builders.close_room())[0])
    frame, notice = (json.loads(payload) for payload in room.take_frame(60).payloads)
    assert frame["events"][0]["kind"] == "room_closed"
    assert (notice["type"], notice["code"]) == ("notice", "room_closed")
    assert room.status == "closed"


# --- combos --------------------------------------------------------------------------------------


def test_a_combo_ends_once_when_its_time_is_over(books: Books) -> None:
    room = empty_room()
    room.apply(books.gift())
    books.now_ms += WINDOW_MS
    last = books.gift()
    room.apply(last)
    over_ms = json.loads(last.body)["combo"]["ends_ms"] + COMMIT_MS
    room.end_combos(over_ms)
    assert ended(room) == []
    room.end_combos(over_ms + 1)
    [combo] = ended(room)
    assert combo["combo"] == {"id": "c1", "count": 2, "coins": 2} and combo["gift"] == "rose"
    room.end_combos(over_ms + 10**9)
    assert ended(room) == []


def test_a_gift_in_time_that_commits_late_does_not_end_the_combo_twice(books: Books) -> None:
    """It was settled at the last moment; the clock has gone on while the disk was written."""
    room = empty_room()
    room.apply(books.gift())
    books.now_ms += WINDOW_MS
    late = books.gift()
    room.end_combos(books.now_ms + 50)
    room.apply(late)
    assert json.loads(late.body)["combo"] == {
        "id": "c1",
        "count": 2,
        "coins": 2,
        "ends_ms": books.now_ms + WINDOW_MS,
    }
    room.end_combos(books.now_ms + 10**6)
    assert [each["combo"]["count"] for each in ended(room)] == [2]


def test_another_gift_of_the_sender_ends_the_combo(books: Books) -> None:
    room = empty_room()
    for event in (
        books.gift(),
        books.gift("bob"),
        books.gift(gift="cake"),
        books.gift(gift="lion"),
    ):
        room.apply(event)
    assert [each["combo"]["id"] for each in ended(room)] == ["c1", "c3"]
    room.end_combos(10**13)
    assert [each["combo"]["id"] for each in ended(room)] == ["c2"]


def test_a_full_combo_ends_and_a_new_one_begins(books: Books) -> None:
    room = empty_room()
    room.apply(books.gift(quantity=9_999))
    room.apply(books.gift())
    assert [each["combo"]["count"] for each in ended(room)] == [9_999]
    room.end_combos(10**13)
    assert [each["combo"]["count"] for each in ended(room)] == [1]


def test_anonymous_combos_end_by_time_and_name_nobody(books: Books) -> None:
    room = empty_room()
    hidden = {"visibility": "anonymous"}
    room.apply(books.gift(**hidden))
    room.apply(books.gift("bob", **hidden))
    room.apply(books.gift())
    assert ended(room) == [], "a public gift must not tell whose anonymous combo ends"
    room.end_combos(10**13)
    combos = ended(room)
    assert len(combos) == 3
    assert [combo["from"] for combo in combos[:2]] == [{"anonymous": True}] * 2


# --- boards --------------------------------------------------------------------------------------


def test_a_board_is_sent_when_its_top_changes(books: Books) -> None:
    room = empty_room()
    assert room.take_board() == []
    room.apply(books.gift())
    [board] = [json.loads(payload) for payload in room.take_board()]
    assert (board["as_of"], board["top"][0]["coins"]) == (1, 1)
    assert room.take_board() == []
    room.apply(books.gift(visibility="anonymous"))
    assert room.take_board() == [], "nobody's place has changed"


def test_a_retraction_takes_a_giver_off_the_board(books: Books) -> None:
    room = empty_room()
    room.apply(books.gift())
    room.apply(books.do(builders.retract("r1:1"))[0])
    assert room.top() == () and room.me("ada").rank is None


# --- resuming ------------------------------------------------------------------------------------


def test_a_resume_gets_each_entry_by_itself(books: Books) -> None:
    room = empty_room()
    for _ in range(30):
        room.apply(books.gift())
    taken(room)
    after, told = 4, []
    while (step := room.resume_frame(after, 7)) is not None:
        frame = json.loads(step[0])
        assert frame["first"] == after + 1 and frame["last"] == step[1] <= after + 7
        assert frame["total_before"] == after and frame["total_coins"] == step[1]
        told += frame["events"]
        after = step[1]
    assert after == 30 and [each["seq"] for each in told] == list(range(5, 31))
    assert {each["merged"] for each in told} == {1}


def test_a_resume_ends_where_the_others_are(books: Books) -> None:
    room = empty_room()
    for _ in range(3):
        room.apply(books.gift())
    taken(room)
    room.apply(books.gift())
    step = room.resume_frame(0, 200)
    assert step is not None and step[1] == 3, "what is pending comes with everybody's next frame"
    assert room.resume_frame(3, 200) is None
    taken(room)
    step = room.resume_frame(0, 200)
    assert step is not None and step[1] == 4 == json.loads(step[0])["last"]


def test_the_ring_forgets_the_oldest(books: Books) -> None:
    room = empty_room(ring_events=5)
    for _ in range(12):
        room.apply(books.gift())
    taken(room)
    assert room.oldest() == 8
    step = room.resume_frame(7, 200)
    assert step is not None and json.loads(step[0])["first"] == 8


def test_an_empty_ring_has_nothing(books: Books) -> None:
    assert empty_room().oldest() == 1
    assert empty_room().resume_frame(0, 200) is None


# --- other nodes ---------------------------------------------------------------------------------


def test_a_batch_travels_unchanged(books: Books) -> None:
    events = [books.gift(), books.gift("bob", message="grüße 🎁"), *books.do(builders.hide("r1:1"))]
    letter = Batch("r1", "e", events)
    assert read_letter(write_letter(letter)) == letter


def test_a_plain_frame_adds_up_with_a_retraction_first(books: Books) -> None:
    books.gift(gift="cake")
    books.gift()
    retraction = books.do(builders.retract("r1:1"))[0]
    frame = json.loads(plain_frame("r1", "e", [retraction, books.gift()]))
    assert (frame["first"], frame["last"]) == (3, 4)
    assert (frame["total_before"], frame["total_coins"]) == (26, 2)
