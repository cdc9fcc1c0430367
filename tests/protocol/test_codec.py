"""Bytes to messages and back: every message of the contract comes through as it was."""

import json

import msgspec
import orjson
import pytest

from protocol import messages as m
from protocol.codec import (
    Fault,
    decode,
    encode,
    encode_events,
    encode_refusal,
)
from protocol.codes import Code

read_server = msgspec.json.Decoder(m.ServerMessage).decode
PERSON = m.Person(id="ada", name="Ada")
COMBO = m.Combo(id="c1", count=2, coins=2, ends_ms=9)
PLACE = m.Place(rank=1, user=PERSON, coins=5)
BOARD = {"room": "r", "as_of": 5, "window": "session", "top": (PLACE,)}
ME = m.Me(coins=5, rank=None)

FROM_CLIENT = [
    m.Hello(token="t"),
    m.Hello(token="t", protocol=2),
    m.Join(room="r"),
    m.Join(room="r", id="", resume=m.ResumePoint(epoch="e", seq=0)),
    m.Leave(room="r", id="5"),
    m.Gift(key="k", room="r", gift="rose"),
    m.Gift(
        key="k",
        room="r",
        gift="rose",
        quantity=9_999,
        to="cleo",
        price=1,
        message="\N{ROSE}",
        visibility="anonymous",
    ),
    m.AskStanding(room="r", id="i"),
    m.Shown(room="r", seq=2**53 - 1),
    m.Ping(),
    m.Ping(id="i"),
]

FROM_SERVER = [
    m.Welcome(
        protocol=1,
        session="s",
        user=PERSON,
        role="viewer",
        now_ms=1,
        heartbeat_ms=2,
        catalogue="v",
    ),
    m.Joined(
        id="i",
        room="r",
        title="T",
        creator=PERSON,
        status="open",
        epoch="e",
        seq=5,
        recovered=False,
        total_coins=7,
        viewers=0,
        board=m.BoardTop(**BOARD),
        me=ME,
        balance_coins=9,
    ),
    m.Left(room="r"),
    m.Accepted(
        key="k",
        room="r",
        seq=5,
        gift="rose",
        quantity=1,
        coins=1,
        balance_coins=9,
        total_coins=7,
        me=m.Me(coins=5, rank=1),
        combo=COMBO,
        at_ms=3,
        replayed=False,
    ),
    m.Refused(key="k", code="busy", message="Later.", retry="same", retry_after_ms=5),
    m.Refused(id="i", code="unknown_room", message="No.", retry="fix", details={"a": 1, "b": "c"}),
    m.Board(**BOARD),
    m.Standing(room="r", as_of=1, coins=0, rank=None, to_next_coins=None),
    m.Viewers(room="r", count=3),
    m.ComboEnded(
        room="r",
        combo=m.EndedCombo(id="c1", count=2, coins=2),
        from_=m.Giver(id="ada", name="Ada", level=1),
        gift="rose",
    ),
    m.Balance(balance_coins=5, reason="grant"),
    m.Heartbeat(now_ms=5, rooms={"r": 1}),
    m.Pong(),
    m.Notice(code="draining", message="Bye.", reconnect_after_ms=5),
    m.LevelUp(room="r", user=m.Person(id="u", name="U"), level=7),
]


# Round trips


@pytest.mark.parametrize("message", FROM_CLIENT, ids=lambda message: type(message).__name__)
def test_what_a_client_says_comes_through(message: m.ClientMessage) -> None:
    assert decode(encode(message)) == message


@pytest.mark.parametrize("message", FROM_SERVER, ids=lambda message: type(message).__name__)
def test_what_the_server_says_comes_through(message: m.ServerMessage) -> None:
    assert read_server(encode(message)) == message


def test_every_message_is_in_this_file() -> None:
    assert {type(message) for message in FROM_CLIENT} == set(m.ClientMessage.__args__)
    assert {type(message) for message in FROM_SERVER} | {m.Events} == set(m.ServerMessage.__args__)


def test_fields_that_may_be_null_are_always_there_and_optional_ones_only_when_set() -> None:
    standing = orjson.loads(encode(FROM_SERVER[7]))
    assert standing == {
        "type": "standing",
        "room": "r",
        "as_of": 1,
        "coins": 0,
        "rank": None,
        "to_next_coins": None,
    }
    assert orjson.loads(encode(m.Pong())) == {"type": "pong"}
    assert orjson.loads(encode(FROM_SERVER[3]))["me"] == {"coins": 5, "rank": 1}


def test_an_events_frame_carries_its_events_byte_for_byte() -> None:
    bodies = [b'{"kind":"room_closed","seq":1,"at_ms":5}', b'{"kind":"later",  "x":[1e2]}']
    frame = encode_events(
        room="r",
        epoch="e",
        first=1,
        last=2,
        total_before=3,
        total_coins=7,
        bodies=bodies,
        omitted_gifts=2,
        omitted_coins=4,
    )
    events = read_server(frame)
    assert isinstance(events, m.Events)
    assert [bytes(body) for body in events.events] == bodies
    fields = orjson.loads(frame)
    assert fields.pop("events") == [orjson.loads(body) for body in bodies]
    assert fields == {
        "type": "events",
        "room": "r",
        "epoch": "e",
        "first": 1,
        "last": 2,
        "total_before": 3,
        "total_coins": 7,
        "omitted": {"gifts": 2, "coins": 4},
    }


def test_a_refusal_is_written_with_what_is_known_and_nothing_else() -> None:
    assert orjson.loads(encode_refusal("busy", "Later.", key="k", retry_after_ms=0)) == {
        "type": "refused",
        "key": "k",
        "code": "busy",
        "message": "Later.",
        "retry": "same",
        "retry_after_ms": 0,
    }
    refused = read_server(encode_refusal(Code.FORBIDDEN, "No.", id="", details={"n": 1}))
    wanted = m.Refused(id="", code="forbidden", message="No.", retry="fix", details={"n": 1})
    assert refused == wanted


UNSEEN = [chr(n) for n in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x202E, 0x2066, 0x2069)]


@pytest.mark.parametrize("character", UNSEEN, ids=lambda c: f"{ord(c):04x}")
def test_an_unseen_character_is_refused_however_it_is_written(character: str) -> None:
    wish = {"type": "gift", "room": "r", "gift": "rose", "key": "k", "message": f"a{character}b"}
    for ascii_only in (True, False):
        refused = decode(json.dumps(wish, ensure_ascii=ascii_only).encode())
        assert isinstance(refused, Fault) and refused.code is Code.MALFORMED
    raw = json.dumps(wish | {"message": "a@b"}).encode().replace(b"@", character.encode())
    assert isinstance(decode(raw), Fault)
