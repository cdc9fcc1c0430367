"""No text of any message hides anything, whichever field of whichever message it stands in.

The fields are found by their types, so a new message or field is tested here by being there.
"""

from collections.abc import Iterator
from typing import Any, get_args

import msgspec
import orjson
import pytest
from msgspec import inspect

from kit.building.examples import written
from protocol import codec
from protocol import messages as m
from protocol.codec import Fault, decode
from protocol.codes import Code

UNSEEN = ["\u0007", "\u202e"]


def spoiled(value: Any, character: str) -> Iterator[Any]:
    """The message again and again, with the character in another of its texts each time."""
    match value:
        case "abc":
            yield f"a{character}c"
        case dict():
            for name, part in value.items():
                yield from (value | {name: bad} for bad in spoiled(part, character))
                if name == "abc":
                    yield {f"a{character}c": part}
        case list():
            for place, part in enumerate(value):
                for bad in spoiled(part, character):
                    yield [*value[:place], bad, *value[place + 1 :]]


def frames(message: type, character: str) -> list[bytes]:
    """As it may come: the character itself, where JSON allows that, and its escape."""
    bad = list(spoiled(written(inspect.type_info(message), "abc"), character))
    escaped = [msgspec.json.encode(value) for value in bad]
    escape = f"\\u{ord(character):04x}".encode()
    return escaped + [frame.replace(character.encode(), escape) for frame in escaped]


SHOWN = [message for message in get_args(m.ClientMessage) if message is not m.Hello]


@pytest.mark.parametrize("message", SHOWN)
def test_every_message_as_it_should_be_is_read(message: type) -> None:
    assert isinstance(decode(orjson.dumps(written(inspect.type_info(message), "abc"))), message)
    words = written(inspect.type_info(message), "Zoë 👩\u200d👧")
    assert isinstance(decode(orjson.dumps(words)), message)


@pytest.mark.parametrize("character", UNSEEN, ids=ascii)
@pytest.mark.parametrize("message", SHOWN)
def test_no_text_of_a_message_hides_anything(message: type, character: str) -> None:
    bad = frames(message, character)
    assert bad
    for frame in bad:
        fault = decode(frame)
        assert isinstance(fault, Fault) and fault.code is Code.MALFORMED, frame


class Caption(m.Part, frozen=True, kw_only=True):
    text: str


class Wave(m.Message, frozen=True, kw_only=True, tag="wave"):
    """A message that nobody has thought of yet."""

    room: m.Id
    words: m.Text | None = None
    caption: Caption | None = None
    lines: list[Caption]
    names: dict[str, str]


@pytest.mark.parametrize("character", UNSEEN, ids=ascii)
def test_neither_does_one_that_is_new(character: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "_read_client", msgspec.json.Decoder(m.ClientMessage | Wave))
    assert isinstance(decode(orjson.dumps(written(inspect.type_info(Wave), "abc"))), Wave)
    bad = frames(Wave, character)
    assert len(bad) == 2 * 6
    for frame in bad:
        assert isinstance(decode(frame), Fault), frame
