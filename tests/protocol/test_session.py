"""The session's table: every message, in every phase, from every role."""

from typing import cast

import pytest

from protocol.codec import Fault
from protocol.codes import CloseCode, Code
from protocol.messages import (
    AskStanding,
    ClientMessage,
    Gift,
    Hello,
    Join,
    Leave,
    Message,
    Ping,
    Shown,
)
from protocol.session import FAULTS_MAX, ROLES, ROOMS_MAX, SAYABLE, Phase, Session

MESSAGES: dict[str, ClientMessage] = {
    "hello": Hello(token="t"),
    "join": Join(room="r1", id="i"),
    "leave": Leave(room="r1", id="i"),
    "gift": Gift(key="k", room="r1", gift="rose"),
    "standing": AskStanding(room="r1", id="i"),
    "shown": Shown(room="r1", seq=1),
    "ping": Ping(id="i"),
}

# In r1, which is joined. `-` is yes, a word the refusal's code, a number the close code.
TABLE = """
           new   viewer     creator    admin      overlay    closed
hello      -     forbidden  forbidden  forbidden  forbidden  forbidden
join       4501  -          -          -          -          forbidden
leave      4501  -          -          -          -          forbidden
gift       4501  -          -          -          forbidden  forbidden
standing   4501  -          -          -          -          forbidden
shown      4501  forbidden  forbidden  forbidden  -          forbidden
ping       4501  -          -          -          -          forbidden
"""
HEAD, *LINES = [line.split() for line in TABLE.strip().splitlines()]
CASES = [
    (line[0], column, word) for line in LINES for column, word in zip(HEAD, line[1:], strict=True)
]


def session_in(column: str, *rooms: str, allowed: frozenset[str] | None = None) -> Session:
    session = Session()
    if column != "new":
        session.open("viewer" if column == "closed" else column, allowed)
        for room in rooms:
            session.joined(room)
    if column == "closed":
        session.close()
    return session


def word_for(verdict: Fault | CloseCode | None) -> str:
    match verdict:
        case None:
            return "-"
        case CloseCode():
            return str(int(verdict))
        case Fault(code=code):
            return str(code)


@pytest.mark.parametrize(("message", "column", "expected"), CASES)
def test_who_may_say_what_when(message: str, column: str, expected: str) -> None:
    verdict = session_in(column, "r1").judge(MESSAGES[message])
    assert word_for(verdict) == expected
    if isinstance(verdict, Fault):
        assert verdict.message
        assert verdict.key == getattr(MESSAGES[message], "key", None)
        assert verdict.id == getattr(MESSAGES[message], "id", None)


def test_the_table_is_complete() -> None:
    types = {type(message) for message in MESSAGES.values()}
    assert types == set().union(*SAYABLE.values())
    assert set(HEAD) == {"new", "closed", *ROLES}
    assert {line[0] for line in LINES} == set(MESSAGES)


@pytest.mark.parametrize("name", ["leave", "gift", "standing"])
@pytest.mark.parametrize("role", ["viewer", "creator", "admin"])
def test_a_room_must_be_joined_first(role: str, name: str) -> None:
    verdict = session_in(role, "r2").judge(MESSAGES[name])
    assert isinstance(verdict, Fault) and verdict.code is Code.NOT_JOINED
    assert (verdict.key or verdict.id) in ("k", "i")


def test_an_overlay_shows_only_where_it_is() -> None:
    assert word_for(session_in("overlay").judge(MESSAGES["shown"])) == "not_joined"


@pytest.mark.parametrize("role", list(ROLES))
def test_a_token_for_some_rooms_joins_no_other(role: str) -> None:
    session = session_in(role, allowed=frozenset({"r2"}))
    verdict = session.judge(Join(room="r1", id="i"))
    assert isinstance(verdict, Fault)
    assert (verdict.code, verdict.id) == (Code.FORBIDDEN, "i")
    assert session.judge(Join(room="r2")) is None
    assert session_in(role, allowed=frozenset()).judge(Join(room="r2")) is not None


def test_one_connection_follows_a_limited_number_of_rooms_and_may_join_one_again() -> None:
    session = session_in("viewer", *(f"room{n}" for n in range(ROOMS_MAX - 1)))
    assert session.judge(Join(room="r1")) is None
    session.joined("r1")
    assert word_for(session.judge(Join(room="one more"))) == "forbidden"
    assert session.judge(Join(room="r1")) is None
    session.left("room0")
    assert session.judge(Join(room="one more")) is None


def test_a_gift_may_follow_its_join_at_once_and_a_refused_join_leaves_things_as_they_were() -> None:
    session = session_in("viewer", "r2")
    session.joining("r1")
    assert session.judge(MESSAGES["gift"]) is None
    assert word_for(session.judge(MESSAGES["standing"])) == "not_joined"
    session.not_joined("r1")
    assert word_for(session.judge(MESSAGES["gift"])) == "not_joined"
    session.joining("r2")
    session.not_joined("r2")
    assert session.rooms == {"r2"} and session.in_room("r2")


def test_who_leaves_while_joining_has_left() -> None:
    session = session_in("viewer")
    session.joining("r1")
    session.left("r1")
    assert not session.in_room("r1")


def test_judging_changes_nothing() -> None:
    session = session_in("viewer")
    session.judge(Join(room="r1"))
    assert session.rooms == set() and session.phase is Phase.OPEN and session.faults == 0


def test_too_many_broken_messages_end_the_connection() -> None:
    session = session_in("viewer")
    verdicts = [session.count_fault() for _ in range(FAULTS_MAX)]
    assert verdicts == [None] * (FAULTS_MAX - 1) + [CloseCode.BAD_MESSAGES]


class Wave(Message, frozen=True, kw_only=True, tag="wave"):
    """A message that nobody entered in the tables."""

    room: str
    key: str = "k"


@pytest.mark.parametrize("column", ["viewer", "creator", "admin", "overlay", "closed"])
def test_a_message_that_is_in_no_table_is_refused(column: str) -> None:
    verdict = session_in(column, "r1").judge(cast(ClientMessage, Wave(room="r1")))
    assert isinstance(verdict, Fault)
    assert (verdict.code, verdict.key) == (Code.FORBIDDEN, "k")


def test_before_hello_a_message_that_is_in_no_table_ends_the_connection() -> None:
    verdict = session_in("new").judge(cast(ClientMessage, Wave(room="r1")))
    assert verdict is CloseCode.NOT_AUTHENTICATED


def test_a_message_is_never_let_through_because_nobody_thought_of_its_rooms(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the tables, and yet without a case that says where it may be sent."""
    monkeypatch.setitem(SAYABLE, Phase.OPEN, SAYABLE[Phase.OPEN] | {Wave})
    monkeypatch.setitem(ROLES, "viewer", ROLES["viewer"] | {Wave})
    with pytest.raises(AssertionError):
        session_in("viewer").judge(cast(ClientMessage, Wave(room="r1")))
