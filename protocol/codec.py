"""Bytes to typed messages and back, with a limit on everything.

Reading is strict (msgspec): wrong types, booleans for integers, NaN, bad UTF-8, lone surrogates,
deep nesting and oversized frames all come back as a `Fault` with the contract's code, never as an
exception. Fields that we do not know are skipped, so that newer clients can talk to us.
Writing is orjson. An event is encoded once in its life: frames are joined from ready-made bytes.
"""

import re
from collections.abc import Callable, Iterable
from functools import cache
from operator import attrgetter
from typing import Any, cast, get_args

import msgspec
import orjson
from msgspec import inspect

from protocol.codes import RETRY, Code
from protocol.messages import (
    CLIENT_FRAME_BYTES_MAX,
    ClientMessage,
    Hello,
    ServerMessage,
)

UNSEEN_CHARACTERS = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Control characters and bidirectional overrides: they fake lines and directions where shown."""

REASON_CHARACTERS_MAX = 200
"""Of a fault's explanation: enough for msgspec's own words and for no echo of a whole frame."""


class Fault(msgspec.Struct, frozen=True):
    """A frame that is no message: why, and what of it can be echoed so that its sender knows it."""

    code: Code
    message: str
    key: str | None = None
    id: str | None = None


class _Envelope(msgspec.Struct):
    type: Any = None
    key: Any = None
    id: Any = None


_read_client = msgspec.json.Decoder(ClientMessage)
_read_envelope = msgspec.json.Decoder(_Envelope)
_TYPES = frozenset(message.__struct_config__.tag for message in get_args(ClientMessage))
_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError, OverflowError, MemoryError)


def decode(frame: bytes) -> ClientMessage | Fault:
    """Read one text frame of a client."""
    if len(frame) > CLIENT_FRAME_BYTES_MAX:
        sentence = f"A message may have {CLIENT_FRAME_BYTES_MAX} bytes at most; send less."
        return Fault(Code.TOO_LARGE, sentence)
    try:
        message = cast(ClientMessage, _read_client.decode(frame))
    except _UNREADABLE as error:
        return _fault(frame, error)
    # The token of a hello is shown to nobody.
    if _is_plain(frame) or isinstance(message, Hello):
        return message
    if UNSEEN_CHARACTERS.search(texts_of(message)):
        sentence = "Take control characters and direction overrides out of the texts."
        key, id = getattr(message, "key", None), getattr(message, "id", None)
        return Fault(Code.MALFORMED, sentence, key=_echo(key), id=_echo(id))
    return message


def _is_plain(frame: bytes) -> bool:
    """Whether it is written so that no text in it can have an unseen character: in ASCII, without
    an escape and without DEL. Other control characters within a text are no JSON. Nearly every
    gift is, and looking through its texts takes half as long as reading it."""
    return frame.isascii() and b"\\" not in frame and b"\x7f" not in frame


def texts_of(message: msgspec.Struct) -> str:
    """Everything in it that a person may come to read, in one string to be searched once: all its
    texts, however deep they lie, so that those of a new field or message cannot be forgotten."""
    texts, deep = _where_texts_are(type(message))
    found = "".join(filter(None, texts(message)))
    for name in deep:
        found += _texts_in(getattr(message, name))
    return found


def _texts_in(value: object) -> str:
    match value:
        case str():
            return value
        case msgspec.Struct():
            return texts_of(value)
        case list() | tuple() | set() | frozenset():
            return "".join(map(_texts_in, value))
        case dict():
            return "".join(map(_texts_in, (*value, *value.values())))
        case _:
            return ""


@cache
def _where_texts_are(message: type[msgspec.Struct]) -> tuple[Callable[[Any], Any], list[str]]:
    """What gets the fields that are a text or null, and the names of those that may have texts in
    them. Found out once, for every gift is looked through."""
    info = inspect.type_info(message)
    assert isinstance(info, inspect.StructType)
    flat, deep = [], []
    for field in info.fields:
        parts = field.type.types if isinstance(field.type, inspect.UnionType) else (field.type,)
        kinds = {type(part) for part in parts}
        if kinds <= {inspect.StrType, inspect.NoneType}:
            flat.append(field.name)
        elif not kinds <= _WITHOUT_TEXT:
            deep.append(field.name)
    # Asked for one field, attrgetter gives no tuple: then it is asked for it twice.
    return (attrgetter(*flat, flat[0]) if flat else lambda _: ()), deep


_WITHOUT_TEXT = {
    inspect.NoneType,
    inspect.BoolType,
    inspect.IntType,
    inspect.FloatType,
    inspect.LiteralType,
}


def _fault(frame: bytes, error: BaseException) -> Fault:
    try:
        envelope = _read_envelope.decode(frame)
    except _UNREADABLE:
        return Fault(Code.MALFORMED, "Send one JSON object in UTF-8 per text frame.")
    key, echo = _echo(envelope.key), _echo(envelope.id)
    if not isinstance(envelope.type, str) or envelope.type not in _TYPES:
        names = ", ".join(sorted(str(name) for name in _TYPES))
        sentence = f"The field `type` must be one of: {names}."
        return Fault(Code.UNKNOWN_TYPE, sentence, key=key, id=echo)
    sentence = f"This `{envelope.type}` cannot be read: {_reason(error)}."
    return Fault(Code.MALFORMED, sentence, key=key, id=echo)


def _reason(error: BaseException) -> str:
    """What msgspec found, cut short: it quotes a wrong `visibility` in full."""
    text = UNSEEN_CHARACTERS.sub("?", str(error))
    return text if len(text) <= REASON_CHARACTERS_MAX else f"{text[:REASON_CHARACTERS_MAX]}…"


def _echo(value: Any) -> str | None:
    """What of a broken message may be sent back: short, printable strings only."""
    if isinstance(value, str) and len(value) <= 64 and not UNSEEN_CHARACTERS.search(value):
        return value
    return None


def encode(message: ServerMessage | ClientMessage) -> bytes:
    """Write one message as the payload of a text frame."""
    return orjson.dumps(message, default=msgspec.to_builtins)


def encode_refusal(
    code: Code | str,
    sentence: str,
    *,
    key: str | None = None,
    id: str | None = None,
    retry_after_ms: int | None = None,
    details: dict[str, Any] | None = None,
) -> bytes:
    """Write a `refused`; `retry` follows from the code. Raises KeyError for a code we never say."""
    refusal: dict[str, Any] = {"type": "refused"}
    if key is not None:
        refusal["key"] = key
    if id is not None:
        refusal["id"] = id
    refusal |= {"code": code, "message": sentence, "retry": RETRY[code]}
    if retry_after_ms is not None:
        refusal["retry_after_ms"] = retry_after_ms
    if details:
        refusal["details"] = details
    return orjson.dumps(refusal)


def encode_events(
    *,
    room: str,
    epoch: str,
    first: int,
    last: int,
    total_before: int,
    total_coins: int,
    bodies: Iterable[bytes],
    omitted_gifts: int = 0,
    omitted_coins: int = 0,
) -> bytes:
    """Write an `events` frame around events that are already encoded."""
    return orjson.dumps(
        {
            "type": "events",
            "room": room,
            "epoch": epoch,
            "first": first,
            "last": last,
            "total_before": total_before,
            "total_coins": total_coins,
            "events": [orjson.Fragment(body) for body in bodies],
            "omitted": {"gifts": omitted_gifts, "coins": omitted_coins},
        }
    )
