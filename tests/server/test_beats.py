"""What nodes tell each other of their rooms, with the time as an argument."""

from server.live.beats import SILENT_BEATS, WHOLE_EVERY, Beats, RoomNow
from server.live.letters import Beat

BEAT_MS = 100
SILENT_MS = SILENT_BEATS * BEAT_MS


def node(name: str = "one") -> Beats:
    return Beats(name, BEAT_MS)


def beat(number: int, *, whole: bool = False, name: str = "two", **viewers: int) -> Beat:
    rooms = {room: ("e", 5, count) for room, count in viewers.items()}
    return Beat(name, number, whole, rooms, [])


def test_the_first_word_says_everything_and_then_only_what_changes() -> None:
    beats = node()
    r: RoomNow = ("e", 1, 2)
    s: RoomNow = ("e", 7, 1)
    first = beats.tell({"r": r, "s": s}, 1, 0)
    assert (first.whole, first.rooms) == (True, {"r": r, "s": s})
    assert beats.tell({"r": r, "s": s}, 2, 100).rooms == {}
    moved: RoomNow = ("e", 2, 2)
    then = beats.tell({"r": moved, "s": s}, 3, 200)
    assert (then.whole, then.rooms) == (False, {"r": moved})


def test_everything_is_said_again_every_few_beats_and_when_somebody_new_is_heard() -> None:
    beats, r = node(), {"r": ("e", 1, 2)}
    wholes = [beats.tell(r, number, number * BEAT_MS).whole for number in range(12)]
    assert [at for at, whole in enumerate(wholes) if whole] == [0, WHOLE_EVERY + 1]
    beats.hear(beat(1), 1_300)
    assert beats.tell(r, 20, 1_300).whole
    beats.hear(beat(2), 1_400)
    assert not beats.tell(r, 21, 1_400).whole


def test_viewers_elsewhere_are_summed_and_only_changes_are_news() -> None:
    beats = node()
    assert beats.hear(beat(1, name="two", r=3, s=1), 0).recounted == {"r", "s"}
    assert beats.hear(beat(1, name="three", r=4), 0).recounted == {"r"}
    assert (beats.viewers("r"), beats.viewers("s"), beats.viewers("t")) == (7, 1, 0)
    assert beats.hear(beat(2, name="two", r=3), 0).recounted == set()
    assert beats.hear(beat(3, name="two", r=0), 0).recounted == {"r"}
    assert beats.viewers("r") == 4


def test_a_whole_word_takes_back_what_it_does_not_name() -> None:
    beats = node()
    beats.hear(beat(1, r=3, s=1), 0)
    assert beats.hear(beat(2, r=3, whole=True), 0).recounted == {"s"}
    assert (beats.viewers("r"), beats.viewers("s")) == (3, 0)


def test_an_older_word_that_comes_later_says_nothing() -> None:
    beats = node()
    beats.hear(beat(5, r=3), 0)
    assert beats.hear(beat(5, r=9), 0).recounted == set()
    assert beats.hear(beat(4, r=1), 0).recounted == set()
    assert beats.viewers("r") == 3


def test_a_node_that_is_silent_for_too_long_watches_nothing() -> None:
    beats = node()
    beats.hear(beat(1, name="two", r=3), 0)
    beats.hear(beat(1, name="three", r=4), 500)
    assert beats.forget_silent(SILENT_MS) == set()
    assert beats.forget_silent(SILENT_MS + 1) == {"r"}
    assert beats.viewers("r") == 4
    beats.hear(beat(2, name="two", r=2), SILENT_MS + 2)
    assert beats.viewers("r") == 6, "it was only slow"


def test_a_node_that_has_stopped_is_gone_at_once() -> None:
    beats = node()
    beats.hear(beat(1, r=3), 0)
    assert beats.left("two") == {"r"}
    assert beats.left("two") == set()
    assert beats.viewers("r") == 0


def test_a_room_that_nobody_watches_here_is_told_for_some_time() -> None:
    beats = node()
    beats.settled("r", "e", 8, 0)
    told = [beats.tell({}, n, n * BEAT_MS).rooms.get("r") for n in range(SILENT_BEATS + 10)]
    assert told.count(("e", 8, 0)) == 2, "at once, and with the next whole word"
    beats.settled("r", "e", 9, 9_000)
    watched: RoomNow = ("e", 10, 1)
    assert beats.tell({"r": watched}, 99, 9_000).rooms["r"] == watched


def test_who_was_forgotten_is_told_more_than_once_and_is_news_once() -> None:
    one, two = node("one"), node("two")
    one.forgot(["ann"], 0)
    news = []
    for number in range(1, SILENT_BEATS + 5):
        now_ms = number * BEAT_MS
        news.append(two.hear(one.tell({}, number, now_ms), now_ms).erased)
        assert two.tell({}, number, now_ms).erased == [], "it is not ours to tell"
    assert news[0] == {"ann"} and not any(news[1:])
    assert one.tell({}, 99, 99 * BEAT_MS).erased == []
