"""No text of any message hides anything, whichever field of whichever message it stands in.

The fields are found by their types, so a new message or field is tested here by being there.
"""

from collections.abc import Iterator
from typing import Any, get_args

import msgspec
import orjson
import pytest
from msgspec import inspect

from protocol import codec
from protocol import messages as m
from protocol.codec import Fault, decode
from protocol.codes import Code

UNSEEN = ["\u0007", "\u202e"]


def example(kind: inspect.Type, text: str = "abc") -> Any:
    """Something that such a field may hold, with every optional part in it."""
    match kind:
        case inspect.StructType():
            fields = {field.encode_name: example(field.type, text) for field in kind.fields}
            tag = {kind.tag_field: kind.tag} if kind.tag_field else {}
            return tag | fields
        case inspect.UnionType():
            [known] = [one for one in kind.types if not isinstance(one, inspect.NoneType)]
            return example(known, text)
        case inspect.LiteralType():
            return kind.values[0]
        case inspect.ListType():
            return [example(kind.item_type, text)]
        case inspect.DictType():
            return {example(kind.key_type, text): example(kind.value_type, text)}
        case inspect.StrType():
            return text
        case inspect.IntType():
            return 1
    raise AssertionError(f"say in this test what {kind} may hold")


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
    bad = list(spoiled(example(inspect.type_info(message)), character))
    escaped = [msgspec.json.encode(value) for value in bad]
    escape = f"\\u{ord(character):04x}".encode()
    return escaped + [frame.replace(character.encode(), escape) for frame in escaped]


SHOWN = [message for message in get_args(m.ClientMessage) if message is not m.Hello]


@pytest.mark.parametrize("message", SHOWN)
def test_every_message_as_it_should_be_is_read(message: type) -> None:
    assert isinstance(decode(orjson.dumps(example(inspect.type_info(message)))), message)
    words = example(inspect.type_info(message), "Zoë 👩\u200d👧")
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
    assert isinstance(decode(orjson.dumps(example(inspect.type_info(Wave)))), Wave)
    bad = frames(Wave, character)
    assert len(bad) == 2 * 6
    for frame in bad:
        assert isinstance(decode(frame), Fault), frame
