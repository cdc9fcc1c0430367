"""Gifts in the client's session: booked once, whatever the line and the server do meanwhile."""

import pytest

from kit.clients.line import WELCOME, Line, accepted, asking, joined, live, refused
from largesse_client import news as n
from largesse_client.effects import Reply
from largesse_client.messages import Accepted, Gift, Leave, Refused
from largesse_client.session import PENDING_MAX


def test_an_unanswered_gift_goes_out_again_after_a_reconnect_with_the_same_key() -> None:
    line = live().give("k1")
    [first] = line.sent
    line.back()
    assert not [m for m in line.sent if isinstance(m, Gift)], "not before the room is joined"
    line.say(joined(10, 100, id=line.id, recovered=True))
    assert line.sent == [first]
    line.say(accepted("k1", 11, replayed=True))
    [reply] = line.answers
    assert reply.question == ("gift", "k1") and reply.answer.replayed
    assert len(line.session.pending) == 0


def test_an_answered_gift_never_goes_out_again() -> None:
    line = live().give("k1").say(accepted("k1", 11)).back()
    assert line.say(joined(11, 101, id=line.id, recovered=True)).sent == []


def test_retry_same_sends_the_same_key_again_and_answers_nothing_yet() -> None:
    line = live().give("k1")
    [first] = line.sent
    line.say(refused(key="k1", retry_after_ms=300))
    assert line.answers == []
    [delayed] = line.told(n.Delayed)
    wait = line.timer("resend")
    assert delayed.key == "k1" and delayed.retry_in_ms == wait
    assert wait is not None and 300 <= wait < 400
    assert line.at(wait - 1).ring("resend").sent == []
    assert line.at(wait).ring("resend").sent == [first]


def test_a_held_gift_that_is_due_while_its_room_is_asked_for_waits_for_the_answer() -> None:
    line = live().give("k1")
    [first] = line.sent
    line.say(refused(key="k1", retry_after_ms=300)).join()
    id = line.id
    line.at(1_000).ring("resend")
    assert (line.sent, line.timer("resend")) == ([], None), "nothing to look at until the answer"
    assert line.say(joined(10, 100, id=id, recovered=True)).sent == [first]


@pytest.mark.parametrize("retry", ["fix", "new"])
def test_other_refusals_are_final(retry: str) -> None:
    line = live().give("k1").say(refused(key="k1", code="x", message="No.", retry=retry))
    [reply] = line.answers
    assert reply.answer.message == "No." and not reply.answer.local
    assert len(line.session.pending) == 0


def test_gifts_given_while_the_line_is_down_wait_for_the_join() -> None:
    line = live().broken().give("k1")
    assert line.sent == []
    line.ring("reconnect", "").opened().say(WELCOME)
    line.say(joined(10, 100, id=line.id, recovered=True))
    assert [message.key for message in line.sent] == ["k1"]


def test_too_many_waiting_gifts_are_refused_here() -> None:
    line = live().broken()
    for number in range(PENDING_MAX):
        assert line.give(f"k{number}").answers == []
    [reply] = line.give("one-more").answers
    assert (reply.answer.code, reply.answer.local) == ("busy", True)
    assert line.give("k1").answers == [], "one that waits already is no new one"


def test_a_gift_that_is_given_up_is_unknown_and_does_not_go_out_again() -> None:
    line = live().give("k1")
    [reply] = line.did(line.session.give_up("k1")).answers
    assert reply.answer == n.Unknown(key="k1", message=reply.answer.message)
    line.back()
    assert line.say(joined(10, 100, id=line.id, recovered=True)).sent == []


def is_not_joined(line: Line, key: str) -> None:
    [reply] = line.answers
    answer = reply.answer
    assert isinstance(answer, Refused)
    assert (answer.key, answer.code, answer.local) == (key, "not_joined", True)
    assert len(line.session.pending) == 0


def is_unknown(line: Line, key: str) -> None:
    [reply] = line.answers
    assert isinstance(reply.answer, n.Unknown) and reply.answer.key == key
    assert len(line.session.pending) == 0


def left(line: Line) -> Line:
    """The room is left; the answer to its join is of no interest here."""
    line.leave()
    gifts = [e for e in line.effects if not isinstance(e, Reply) or e.question[0] == "gift"]
    return line.did(gifts)


def test_leaving_refuses_the_gifts_that_were_never_sent_and_only_those_of_that_room() -> None:
    line = asking().join("other")
    line.give("k1").give("k2", "other")
    left(line)
    assert line.sent == [Leave(room="r")]
    is_key = [reply.question for reply in line.answers]
    assert is_key == [("gift", "k1")] and "k2" in line.session.pending


def test_leaving_while_the_line_is_down_refuses_what_was_given_meanwhile() -> None:
    is_not_joined(left(live().broken().give("k1")), "k1")


def test_a_refused_join_refuses_the_gifts_that_waited_for_it() -> None:
    line = asking()
    id = line.id
    line.give("k1").say(refused(id=id, code="unknown_room", retry="fix"))
    line.did([e for e in line.effects if not isinstance(e, Reply) or e.question[0] == "gift"])
    is_not_joined(line, "k1")


def test_a_join_that_is_asked_again_keeps_the_gifts_that_wait_for_it() -> None:
    line = asking()
    id = line.id
    assert line.give("k1").say(refused(id=id)).answers == []
    assert len(line.session.pending) == 1


def test_a_gift_into_a_room_that_was_left_or_never_joined_is_refused_at_once() -> None:
    is_not_joined(left(live()).give("k1"), "k1")
    is_not_joined(Line().start().give("k1"), "k1")


def test_a_sent_gift_waits_for_its_answer_after_leaving_for_the_server_still_answers() -> None:
    line = left(live().give("k1"))
    assert line.answers == []
    line.say(accepted("k1", 11))
    assert [type(reply.answer) for reply in line.answers] == [Accepted]


def test_a_sent_gift_is_unknown_when_the_line_breaks_after_leaving() -> None:
    line = left(live().give("k1"))
    is_unknown(line.broken(), "k1")
    line.ring("reconnect", "").opened().say(WELCOME)
    assert line.sent == [] and line.answers == []


def test_a_sent_gift_is_unknown_when_the_room_is_left_after_the_line_broke() -> None:
    is_unknown(left(live().give("k1").broken()), "k1")


def test_a_held_gift_is_unknown_when_its_room_is_left() -> None:
    is_unknown(left(live().give("k1").say(refused(key="k1"))), "k1")
    line = left(live().give("k1")).say(refused(key="k1"))
    is_unknown(line, "k1")
    assert line.told(n.Delayed) == [], "it will not be sent again"


def test_an_unknown_gift_can_be_given_again_to_learn_what_became_of_it() -> None:
    line = live().give("k1")
    [first] = line.sent
    left(line.broken())
    line.join().ring("reconnect", "").opened().say(WELCOME)
    line.say(joined(11, 101, id=line.id))
    assert line.give("k1").sent == [first]
    assert line.say(accepted("k1", 11, replayed=True)).answers[0].answer.replayed
