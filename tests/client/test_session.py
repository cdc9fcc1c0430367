"""The client's session without a socket: the same behaviour as web/static/session.js."""

import itertools
from typing import Any

import pytest

from kit.clients.line import WELCOME, Line, asking, entry, frame, joined, live, refused
from largesse_client import news as n
from largesse_client.effects import CancelTimers, Connect, Drop
from largesse_client.messages import GiftEvent, OtherEntry, Refused
from largesse_client.session import ROOMS_MAX, Phase, Session


def test_a_room_that_was_joined_before_the_welcome_is_asked_for_after_it() -> None:
    line = Line().start().join()
    assert line.sent == []
    line.opened()
    assert [message.room for message in line.say(WELCOME).sent] == ["r"]


def test_starting_connects_and_watches_the_line() -> None:
    line = Line().start()
    assert isinstance(line.effects[0], CancelTimers) and isinstance(line.effects[1], Connect)
    assert line.timer("watchdog") == 10_000
    assert line.start().effects == []


def test_after_a_reconnect_it_resumes_from_the_last_entry_it_has() -> None:
    line = live().say(frame(100, entry(11, 5))).back()
    [join] = line.sent
    assert (join.resume.epoch, join.resume.seq) == ("e1", 11)


def test_a_recovered_log_goes_on_where_it_was() -> None:
    line = live().back()
    line.say(joined(12, 109, id=line.id, recovered=True))
    line.say(frame(100, entry(11, 4), entry(12, 5)))
    assert [event.seq for event in line.told(GiftEvent)] == [11, 12]
    assert line.session.rooms["r"].total_coins == 109


def test_a_log_that_was_not_recovered_starts_anew_and_the_count_of_verified_goes_on() -> None:
    line = live().say(frame(100, entry(11, 5))).back()
    line.say(joined(700, 9_000, id=line.id, epoch="e2"))
    room = line.session.rooms["r"]
    assert (room.log.epoch, room.seq, room.total_coins, room.verified) == ("e2", 700, 9_000, 1)


def test_entries_know_their_room_and_are_told_before_their_frame() -> None:
    line = live().say(frame(100, entry(11, 5)))
    first, second = (effect.news for effect in line.effects)
    assert isinstance(first, GiftEvent) and first.room == "r" and first.from_.name == "Ann"
    assert (second.first, second.last, second.coins, second.faults) == (11, 11, 5, ())


def test_the_same_frame_twice_is_told_once() -> None:
    line = live().say(frame(100, entry(11, 5)))
    assert line.say(frame(100, entry(11, 5))).effects == []


def test_a_gap_tells_nothing_and_asks_once_dropping_frames_until_the_answer() -> None:
    line = live().say(frame(110, entry(13, 5)))
    [gap] = line.told(n.Gap)
    assert (gap.room, gap.expected, gap.first) == ("r", 11, 13)
    assert line.told(GiftEvent) == []
    [join] = line.sent
    assert join.resume.seq == 10
    assert line.say(frame(100, entry(11, 5))).effects == []
    line.say(joined(13, 115, id=join.id, recovered=True))
    line.say(frame(100, entry(11, 5), entry(12, 5), entry(13, 5)))
    assert len(line.told(GiftEvent)) == 3


@pytest.mark.parametrize(
    "wrong",
    [
        frame(100, entry(11, 5), total_coins=999),
        frame(99, entry(11, 5)),
        frame(100, entry(11, 5), last=12),
        frame(100, entry(11, 5), entry(11, 5), last=12),
        frame(100, entry(11, 5), omitted={"gifts": 0, "coins": 3}),
        frame(100, entry(11, 5, merged=2), first=11),
        frame(100, entry(11, 5), entry(12, 5), omitted={"gifts": -1, "coins": 0}, last=11),
    ],
    ids=["sum", "before", "too-far", "seq-twice", "omitted", "merged", "less-than-nothing"],
)
def test_what_does_not_add_up_is_told_and_not_shown_and_a_new_start_is_asked(
    wrong: dict[str, Any],
) -> None:
    line = live().say(wrong)
    [mismatch] = line.told(n.Mismatch)
    assert mismatch.mismatches == 1 and mismatch.message
    assert line.told(GiftEvent) == []
    [join] = line.sent
    assert join.resume is None
    assert line.session.rooms["r"].total_coins == 100


def test_merged_and_omitted_gifts_and_retractions_add_up() -> None:
    back = entry(15, 5, kind="gift_retracted", gift_id="r:11", gift_seq=11)
    whole = frame(100, entry(12, 10, merged=2), entry(13, 7), back)
    whole |= {"omitted": {"gifts": 1, "coins": 2}, "total_coins": 114}
    line = live().say(whole)
    assert line.told(n.Mismatch) == []
    assert line.session.rooms["r"].total_coins == 114


def test_a_server_that_is_wrong_every_time_is_asked_ever_less_often() -> None:
    line = live()
    waits = []
    for _ in range(8):
        line.say(frame(100, entry(11, 5), total_coins=999))
        waits.append(line.timer("ask") or 0)
        if line.timer("ask"):
            line.ring("ask")
        line.say(joined(10, 100, id=line.id))
    assert waits[0] == 0
    assert all(later >= earlier > 0 for earlier, later in itertools.pairwise(waits[1:]))


def test_a_frame_that_fits_makes_the_next_question_urgent_again() -> None:
    line = live().say(frame(110, entry(13, 5)))
    line.say(joined(10, 100, id=line.id, recovered=True)).say(frame(100, entry(11, 5)))
    assert len(line.say(frame(110, entry(13, 5))).sent) == 1


def test_resumes_that_lead_nowhere_end_in_a_new_start() -> None:
    line = live()
    for _ in range(4):
        line.say(frame(110, entry(13, 5)))
        if line.timer("ask"):
            line.ring("ask")
        [join] = line.sent
        line.say(joined(13, 110, id=join.id, recovered=join.resume is not None))
    assert line.session.rooms["r"].seq == 13


def test_a_recovered_log_that_is_shorter_than_ours_is_a_mismatch() -> None:
    line = live().back()
    line.say(joined(7, 50, id=line.id, recovered=True))
    assert len(line.told(n.Mismatch)) == 1


def test_another_epoch_is_a_gap() -> None:
    assert live().say(frame(100, entry(11, 5), epoch="e2")).told(n.Gap)


def test_the_answer_to_an_older_join_is_passed_over() -> None:
    line = live().back()
    line.say(joined(50, 700, id="another", recovered=False))
    assert line.effects == [] and line.session.rooms["r"].seq == 10


def test_a_heartbeat_ahead_of_us_is_believed_to_be_early_for_two_seconds() -> None:
    line = live().say({"type": "heartbeat", "now_ms": 0, "rooms": {"r": 12}})
    assert line.timer("behind") == 2_000 and line.sent == []
    assert line.say({"type": "heartbeat", "now_ms": 0, "rooms": {"r": 13}}).effects == []
    [join] = line.ring("behind").sent
    assert join.resume.seq == 10


def test_a_frame_that_catches_up_with_the_heartbeat_in_time_changes_nothing() -> None:
    line = live().say({"type": "heartbeat", "now_ms": 0, "rooms": {"r": 11}})
    line.say(frame(100, entry(11, 5)))
    assert line.ring("behind").effects == []


def test_a_long_catch_up_is_not_disturbed_while_it_moves() -> None:
    line = live().say({"type": "heartbeat", "now_ms": 0, "rooms": {"r": 99}})
    line.say(frame(100, entry(11, 5)))
    assert line.ring("behind").timer("behind") == 2_000
    assert line.sent == []
    [join] = line.ring("behind").sent
    assert join.resume.seq == 11


def test_a_recovered_join_whose_frames_never_come_is_asked_again() -> None:
    line = live().back()
    line.say(joined(12, 109, id=line.id, recovered=True))
    assert line.timer("behind") == 2_000
    [join] = line.ring("behind").sent
    assert join.resume.seq == 10


def test_silence_for_two_and_a_half_heartbeats_drops_the_line() -> None:
    line = live().at(20_000).say({"type": "pong"})
    assert line.at(25_000).ring("watchdog").timer("watchdog") == 20_000
    assert line.at(45_000).ring("watchdog").effects == [Drop(4002, "")]


def test_a_close_below_4500_comes_back_after_jitter_and_the_notice_is_honoured_once() -> None:
    restart = {"type": "notice", "code": "draining", "message": "Restart."}
    line = live().say(restart | {"reconnect_after_ms": 7_000})
    assert line.broken(4000).timer("reconnect") == 7_000 + 250
    [news] = line.told(n.Disconnected)
    assert (news.code, news.reconnect_in_ms) == (4000, 7_250)
    line.ring("reconnect", "")
    assert line.broken().timer("reconnect") == 500


def test_a_door_that_is_closed_for_now_is_tried_after_what_it_says() -> None:
    line = Line().start().broken(503, after_ms=3_000)
    assert line.timer("reconnect") == 3_250 and line.session.phase is Phase.WAITING


def test_back_off_grows_while_connections_do_not_last_and_starts_over_after_one_that_did() -> None:
    line = live()
    waits = []
    for _ in range(3):
        waits.append(line.broken().timer("reconnect"))
        line.ring("reconnect", "")
    assert waits == [250, 500, 1_000]
    line.opened().say(WELCOME).at(60_000)
    assert line.broken().timer("reconnect") == 250


@pytest.mark.parametrize("code", [4500, 4502, 4999, 401, 403])
def test_some_ends_are_final_and_answer_everything(code: int) -> None:
    line = live().give("k1").broken(code)
    assert line.timer("reconnect") is None and line.session.phase is Phase.REFUSED
    [news] = line.told(n.Disconnected)
    assert news.reconnect_in_ms is None and news.message.endswith((".", ")."))
    assert [type(reply.answer) for reply in line.answers] == [n.Unknown]
    assert line.give("k").answers[0].answer.code == "not_connected"
    assert line.join("other").answers[0].answer.code == "not_connected"


def test_whoever_gets_fresh_tokens_comes_back_from_the_end_of_one_that_was_good() -> None:
    line = Line(Session(fresh_tokens=True)).start().opened().say(WELCOME).join()
    line.say(joined(10, 100, id=line.id)).give("k1").broken(4502)
    assert line.timer("reconnect") == 250 and line.answers == []
    line.ring("reconnect", "").opened().broken(4502)
    assert line.session.phase is Phase.REFUSED, "this one was never good"


def test_stop_answers_what_is_open_and_stays_stopped() -> None:
    line = live().give("k1")
    line.did(line.session.stop())
    assert isinstance(line.answers[0].answer, n.Unknown)
    assert line.effects[1] == Drop(1000, "closed by the client")
    assert line.broken().effects == []


def test_a_refused_join_is_told_with_its_room_and_a_busy_one_is_asked_again() -> None:
    line = asking()
    line.say(refused(id=line.id))
    assert line.timer("ask") == 1_000 and line.answers == []
    line.ring("ask")
    line.say(refused(id=line.id, code="unknown_room", retry="fix"))
    [reply] = line.answers
    assert reply.question == ("join", "r") and reply.answer.room == "r"
    assert line.told(Refused) == [reply.answer]
    assert line.session.rooms == {}


def test_more_rooms_than_a_connection_may_follow_are_refused_here() -> None:
    line = live()
    for number in range(ROOMS_MAX - 1):
        line.join(f"r{number}")
    [reply] = line.join("one-more").answers
    assert (reply.answer.code, reply.answer.local) == ("too_many_rooms", True)


def test_later_messages_kinds_and_rooms_that_were_left_do_nothing() -> None:
    line = live()
    assert line.say({"type": "fireworks"}).effects == []
    line.say(frame(100, {"kind": "fireworks", "seq": 11, "at_ms": 5, "size": "huge"}))
    assert line.told(OtherEntry) == [OtherEntry(kind="fireworks", seq=11, at_ms=5, room="r")]
    assert line.session.rooms["r"].seq == 11
    line.leave()
    assert line.say(frame(100, entry(12, 1))).effects == []


@pytest.mark.parametrize(
    "nonsense",
    ["[]", "{}", '{"type": "viewers"}', "\xff", '{"type": "viewers", "room": "r", "count": "3"}'],
)
def test_what_breaks_the_contract_is_told_and_passed_over(nonsense: str) -> None:
    line = live()
    line.did(line.session.heard(nonsense.encode("latin-1"), 0, 0.5))
    assert len(line.told(n.Misread)) == 1
    assert line.say(frame(100, entry(11, 5))).told(GiftEvent)


def test_a_frame_with_a_broken_entry_is_noticed_as_a_gap() -> None:
    line = live().say(frame(100, entry(11, 5) | {"to": 7}))
    assert line.told(n.Misread) and line.session.rooms["r"].seq == 10
    assert line.say(frame(105, entry(12, 5))).told(n.Gap)


def test_a_question_is_asked_again_after_a_reconnect_and_answered_once() -> None:
    line = live()
    id, effects = line.session.ask_standing("r")
    [first] = line.did(effects).sent
    line.back()
    [again] = line.say(joined(10, 100, id=line.id, recovered=True)).sent
    assert again == first and again.id == id
    answer = {"type": "standing", "id": id, "room": "r", "as_of": 10, "coins": 7, "rank": 2}
    line.say(answer | {"to_next_coins": 3})
    [reply] = line.answers
    assert reply.question == ("ask", id) and reply.answer.coins == 7
    assert line.session.rooms["r"].me.rank == 2
    assert line.say(answer | {"to_next_coins": 3}).answers == []


def test_states_are_those_that_were_told_last() -> None:
    line = live()
    room = line.session.rooms["r"]
    assert (room.title, room.creator.id, room.status, room.viewers) == ("A room", "cara", "open", 3)
    assert line.session.balance_coins == 500
    line.say({"type": "viewers", "room": "r", "count": 9})
    line.say({"type": "board", "room": "r", "as_of": 11, "window": "session", "top": []})
    line.say({"type": "balance", "balance_coins": 77, "reason": "grant"})
    line.say(frame(100, {"kind": "room_closed", "seq": 11, "at_ms": 1}))
    assert (room.viewers, room.board.as_of, room.status) == (9, 11, "closed")
    assert line.session.balance_coins == 77
