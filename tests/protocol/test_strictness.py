"""What is no message never becomes one: numbers, text and JSON at and beyond every limit.

The tables are R19 to R21 of the reliability programme; the properties at the end throw anything.
"""

import string
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from largesse_client import wire
from protocol import messages as m
from protocol.codec import Fault, decode, encode, encode_refusal
from protocol.codes import RETRY, Code

GIFT = {"type": "gift", "key": "k", "room": "r", "gift": "rose"}


def gift_frame(**fields: Any) -> bytes:
    return orjson.dumps(GIFT | fields)


def raw_gift(field: str, value: str) -> bytes:
    """A gift with one field written by hand."""
    rest = {name: text for name, text in GIFT.items() if name != field}
    return orjson.dumps(rest)[:-1] + f',"{field}":{value}}}'.encode()


NINES = "9" * 5_000


@pytest.mark.parametrize(
    "value",
    [*'true false 1.0 1e2 1e308 1E400 0.1 -0.0 "1" "" [] {} null'.split(), NINES, f"-{NINES}"],
    ids=lambda value: value[:8],
)
def test_only_a_whole_number_is_a_quantity(value: str) -> None:
    fault = decode(raw_gift("quantity", value))
    assert isinstance(fault, Fault)
    assert (fault.code, fault.key) == (Code.MALFORMED, "k")


@pytest.mark.parametrize("value", ["NaN", "Infinity", "0x10", "01", "+1", ".5", "1.", "1_000", ""])
def test_what_is_no_json_number_makes_the_frame_unreadable(value: str) -> None:
    fault = decode(raw_gift("quantity", value))
    assert isinstance(fault, Fault)
    assert (fault.code, fault.key) == (Code.MALFORMED, None)


@pytest.mark.parametrize(
    "value", [0, -1, 1, 10_000, 2**31, 2**53 - 1, 2**53, 2**53 + 1, 2**63, 2**64, -(2**63)]
)
def test_every_whole_number_reaches_the_rules_exactly(value: int) -> None:
    """They answer `bad_quantity`; that is more use to a client than `malformed`."""
    gift = decode(raw_gift("quantity", str(value)))
    assert isinstance(gift, m.Gift) and gift.quantity == value


@pytest.mark.parametrize(("field", "low"), [("price", 0), ("seq", 0)])
def test_amounts_and_seqs_stay_within_the_numbers_that_are_exact(field: str, low: int) -> None:
    def frame(value: int) -> bytes:
        if field == "price":
            return raw_gift("price", str(value))
        return b'{"type":"shown","room":"r","seq":%d}' % value

    for good in (low, 2**53 - 1):
        assert not isinstance(decode(frame(good)), Fault)
    for bad in (low - 1, 2**53, 2**53 + 1, 2**63, 2**64):
        assert isinstance(decode(frame(bad)), Fault)


LONG = {"key": 64, "room": 64, "gift": 64, "to": 64, "message": 200}


@pytest.mark.parametrize("field", LONG)
@pytest.mark.parametrize("character", ["a", "\N{ROSE}", "é"])
def test_lengths_are_limited_in_characters(field: str, character: str) -> None:
    fits = decode(gift_frame(**{field: character * LONG[field]}))
    assert isinstance(fits, m.Gift)
    fault = decode(gift_frame(**{field: character * (LONG[field] + 1)}))
    assert isinstance(fault, Fault) and fault.code is Code.MALFORMED
    assert fault.key == (None if field == "key" else "k")


@pytest.mark.parametrize("field", ["key", "room", "gift", "to"])
def test_a_name_is_never_empty(field: str) -> None:
    assert isinstance(decode(gift_frame(**{field: ""})), Fault)


@pytest.mark.parametrize("kind", ["join", "leave", "standing", "ping"])
def test_an_id_has_64_characters_at_most(kind: str) -> None:
    message = {"type": kind, "room": "r"}
    assert not isinstance(decode(orjson.dumps(message | {"id": "i" * 64})), Fault)
    fault = decode(orjson.dumps(message | {"id": "i" * 65}))
    assert isinstance(fault, Fault) and fault.id is None


UNSEEN = ["\x00", "\n", "\r", "\t", "\x1f", "\x7f", "\x85", "\u2028", "\u2029"]
UNSEEN += ["\u202a", "\u202b", "\u202c", "\u202d", "\u202e"]
UNSEEN += ["\u2066", "\u2067", "\u2068", "\u2069"]


@pytest.mark.parametrize("character", UNSEEN, ids=ascii)
def test_control_characters_and_direction_overrides_are_refused(character: str) -> None:
    fault = decode(gift_frame(message=f"a{character}b"))
    assert isinstance(fault, Fault)
    assert (fault.code, fault.key) == (Code.MALFORMED, "k")
    fault = decode(gift_frame(key=f"a{character}b"))
    assert isinstance(fault, Fault) and fault.key is None


@pytest.mark.parametrize(
    "text", ["", "مرحبا", "שלום", "👩\u200d👩\u200d👧", "e\u0301", "é", "<b>", "'; DROP TABLE"]
)
def test_the_worlds_scripts_and_emoji_are_welcome(text: str) -> None:
    gift = decode(gift_frame(message=text))
    assert isinstance(gift, m.Gift) and gift.message == text


NOT_A_MESSAGE = {
    "empty": b"",
    "blank": b" ",
    "array": b"[]",
    "string": b'"gift"',
    "null": b"null",
    "number": b"5",
    "two objects": b'{"type":"ping"}{"type":"ping"}',
    "trailing garbage": b'{"type":"ping"} x',
    "trailing comma": b'{"type":"ping",}',
    "cut": b'{"type":"ping"',
    "BOM": b'\xef\xbb\xbf{"type":"ping"}',
    "UTF-16": '{"type":"ping"}'.encode("utf-16"),
    "invalid UTF-8": b'{"type":"ping","id":"\xff"}',
    "overlong UTF-8": b'{"type":"ping","id":"\xc0\x80"}',
    "UTF-8 surrogate": b'{"type":"ping","id":"\xed\xa0\x80"}',
    "lone surrogate": b'{"type":"ping","id":"\\ud800"}',
    "lone surrogate in an unknown field": b'{"type":"ping","x":"\\udfff"}',
    "raw control character": b'{"type":"ping","id":"a\nb"}',
    "deep array": b"[" * 16_000,
    "deep and closed": b"[" * 8_000 + b"]" * 8_000,
    "deep unknown field": b'{"type":"ping","x":' + b"[" * 8_000 + b"]" * 8_000 + b"}",
    "deep object": b'{"a":' * 2_500 + b"1" + b"}" * 2_500,
    "comment": b'{"type":"ping"/**/}',
}


@pytest.mark.parametrize("name", NOT_A_MESSAGE)
def test_what_is_no_json_object_is_malformed(name: str) -> None:
    fault = decode(NOT_A_MESSAGE[name])
    assert isinstance(fault, Fault)
    assert (fault.code, fault.key, fault.id) == (Code.MALFORMED, None, None)


def test_a_frame_has_16_kib_at_most() -> None:
    empty = len(gift_frame(x=""))
    assert isinstance(decode(gift_frame(x="x" * (16_384 - empty))), m.Gift)
    fault = decode(gift_frame(x="x" * (16_385 - empty)))
    assert isinstance(fault, Fault) and fault.code is Code.TOO_LARGE
    fault = decode(b"[" * 100_000)
    assert isinstance(fault, Fault) and fault.code is Code.TOO_LARGE


@pytest.mark.parametrize("kind", ["fireworks", "", "Gift", "welcome", 5, None, [], {}, True])
def test_an_unknown_type_is_told_so_with_what_names_it(kind: Any) -> None:
    fault = decode(orjson.dumps({"type": kind, "key": "k", "id": "i"}))
    assert isinstance(fault, Fault)
    assert (fault.code, fault.key, fault.id) == (Code.UNKNOWN_TYPE, "k", "i")


def test_a_message_without_a_type_is_of_no_known_type() -> None:
    fault = decode(b'{"key":"k"}')
    assert isinstance(fault, Fault) and (fault.code, fault.key) == (Code.UNKNOWN_TYPE, "k")


def test_unknown_fields_are_skipped() -> None:
    assert decode(gift_frame(colour="red", more={"deep": [1, {"x": None}]})) == m.Gift(
        key="k", room="r", gift="rose"
    )


def test_of_a_field_that_comes_twice_the_last_one_counts() -> None:
    gift = decode(b'{"type":"gift","key":"k","room":"r","gift":"rose","quantity":1,"quantity":2}')
    assert isinstance(gift, m.Gift) and gift.quantity == 2
    assert isinstance(decode(b'{"type":"ping","type":"gift"}'), Fault)


@pytest.mark.parametrize(
    "change",
    [
        {"room": None},
        {"gift": 5},
        {"quantity": "1"},
        {"to": ["cleo"]},
        {"price": 1.5},
        {"message": 5},
        {"visibility": "secret"},
        {"visibility": None},
    ],
    ids=str,
)
def test_a_gift_that_cannot_be_read_is_refused_by_its_key(change: dict[str, Any]) -> None:
    fault = decode(gift_frame(**change))
    assert isinstance(fault, Fault)
    assert (fault.code, fault.key) == (Code.MALFORMED, "k")
    assert next(iter(change)) in fault.message


@pytest.mark.parametrize("missing", ["key", "room", "gift"])
def test_a_gift_with_a_field_missing_says_which(missing: str) -> None:
    fault = decode(orjson.dumps({name: GIFT[name] for name in GIFT if name != missing}))
    assert isinstance(fault, Fault) and missing in fault.message


@pytest.mark.parametrize("kind", ["join", "leave", "standing"])
def test_a_request_that_cannot_be_read_is_refused_by_its_id(kind: str) -> None:
    fault = decode(orjson.dumps({"type": kind, "id": "i", "room": 5}))
    assert isinstance(fault, Fault) and (fault.code, fault.id) == (Code.MALFORMED, "i")


@pytest.mark.parametrize("resume", [{}, {"epoch": "e"}, {"epoch": "e", "seq": -1}, 5, [1]], ids=str)
def test_a_resume_point_is_whole_or_refused(resume: Any) -> None:
    fault = decode(orjson.dumps({"type": "join", "room": "r", "resume": resume}))
    assert isinstance(fault, Fault)


LONG_TEXT = "Z" * 8_000


@pytest.mark.parametrize(
    "fields",
    [
        {"visibility": LONG_TEXT},
        {"type": LONG_TEXT},
        {"key": LONG_TEXT},
        {"room": LONG_TEXT},
        {LONG_TEXT: 1, "room": 5},
        {"message": LONG_TEXT},
        {"to": {LONG_TEXT: 1}},
        {"visibility": "\u202e" * 300},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_a_fault_does_not_send_back_what_was_sent(fields: dict[str, Any]) -> None:
    fault = decode(gift_frame(**fields))
    assert isinstance(fault, Fault)
    check_fault(fault)
    assert fault.message.count("Z") <= 300
    assert len(fault.message) < 400


# Anything at all


def check_fault(fault: Fault) -> None:
    assert str(RETRY[fault.code]) == "fix"
    assert fault.message and len(fault.message) <= 400
    assert fault.message.isprintable()
    for echo in (fault.key, fault.id):
        assert echo is None or (len(echo) <= 64 and not any(c in echo for c in UNSEEN))
    assert wire.decode(encode_refusal(fault.code, fault.message, key=fault.key, id=fault.id))


def check_within_limits(message: m.ClientMessage) -> None:
    """The limits of the contract, written down once more."""
    for name, (least, most) in {
        "key": (1, 64),
        "room": (1, 64),
        "gift": (1, 64),
        "to": (1, 64),
        "id": (0, 64),
        "message": (0, 200),
    }.items():
        text = getattr(message, name, None)
        assert text is None or (type(text) is str and least <= len(text) <= most)
    for name in ("seq", "price"):
        number = getattr(message, name, None)
        assert number is None or (type(number) is int and 0 <= number <= 2**53 - 1)
    if isinstance(message, m.Gift):
        assert type(message.quantity) is int
        assert message.visibility in ("public", "anonymous")
        assert not any(c in message.key + (message.message or "") for c in UNSEEN)


def check(frame: bytes) -> None:
    match decode(frame):
        case Fault() as fault:
            check_fault(fault)
        case message:
            check_within_limits(message)
            assert decode(encode(message)) == message


@given(st.binary(max_size=200))
@example(b'{"type":"ping"}')
def test_no_bytes_raise_or_slip_through(frame: bytes) -> None:
    check(frame)


texts = st.text(max_size=5) | st.sampled_from(["k", "\u202e", "a" * 64, "a" * 65, "\x00"])
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3)
)
fields = st.sampled_from(
    "key room gift quantity to price message visibility id resume token protocol seq".split()
)
kinds = st.sampled_from("hello join leave gift standing shown ping welcome".split())


@given(kinds | values, st.dictionaries(fields | texts, values, max_size=8))
def test_no_json_object_raises_or_slips_through(kind: Any, rest: dict[str, Any]) -> None:
    check(orjson.dumps(rest | {"type": kind}))


@given(values)
def test_no_json_raises_or_slips_through(value: Any) -> None:
    check(orjson.dumps(value))


names = st.text(string.ascii_letters, min_size=1, max_size=64)


@given(names, names, fields, values)
def test_a_message_that_is_nearly_right_is_always_answered_by_its_name(
    key: str, id: str, field: str, value: Any
) -> None:
    for kind in ("gift", "join", "standing", "ping", "shown"):
        message = {"type": kind, "room": "r", "gift": "g", "seq": 1, field: value}
        message |= {"key": key, "id": id}
        fault = decode(orjson.dumps(message))
        if isinstance(fault, Fault):
            assert fault.key == key if kind == "gift" else fault.id == id
