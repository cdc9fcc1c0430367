"""Bytes to typed messages and back.

Reading is strict about what is known (a string is no number) and blind to the rest: unknown
fields, types and kinds belong to a later version of the server. Pure.
"""

from typing import Any, cast, get_args

import msgspec

from largesse_client.messages import ClientMessage, Entry, KnownEntry, OtherEntry, ServerMessage


class Unreadable(ValueError):
    """The server has said what the contract does not allow."""


_read_message = msgspec.json.Decoder(ServerMessage)
_read_entry = msgspec.json.Decoder(KnownEntry)
_read_other = msgspec.json.Decoder(OtherEntry)
_read_any = msgspec.json.Decoder(dict[str, Any])
_write = msgspec.json.Encoder()
_TYPES = frozenset(message.__struct_config__.tag for message in get_args(ServerMessage))
_KINDS = frozenset(entry.__struct_config__.tag for entry in get_args(KnownEntry))


def encode(message: ClientMessage) -> bytes:
    """A message as the payload of a text frame."""
    return _write.encode(message)


def decode(frame: bytes | str) -> ServerMessage | None:
    """A frame of a server; None for a type that came after this version. Raises Unreadable."""
    try:
        return cast(ServerMessage, _read_message.decode(frame))
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        if _is_later(frame, "type", _TYPES):
            return None
        raise Unreadable(str(error)) from error


def decode_entry(body: bytes | msgspec.Raw) -> Entry:
    """An entry of a room's log, out of a frame or of the log over HTTP. Raises Unreadable."""
    try:
        return cast(Entry, _read_entry.decode(body))
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        try:
            if _is_later(body, "kind", _KINDS):
                return _read_other.decode(body)
        except msgspec.MsgspecError as later:
            raise Unreadable(str(later)) from later
        raise Unreadable(str(error)) from error


def _is_later(body: bytes | str | msgspec.Raw, field: str, known: frozenset[Any]) -> bool:
    try:
        name = _read_any.decode(body).get(field)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return False
    return isinstance(name, str) and name not in known
