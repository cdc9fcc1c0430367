"""The client's messages against the server's, field by field, and both against the contract."""

import re
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from kit.tables.contract_table import CONTRACT, EVENTS
from largesse_client import backoff, wire
from largesse_client import messages as ours
from protocol import codec, codes
from protocol import messages as theirs

OWN = {("Refused", "room"), ("Refused", "local")} | {
    (kind, "room") for kind in ("GiftEvent", "GiftRetracted", "GiftHidden", "RoomClosed")
}
"""Fields that the client adds for its users, and that are never on the wire."""

NOT_SAID = {"Hello"}
"""The client's token is in the header of the upgrade."""

PAGE = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text("utf-8")


def structs(module: Any) -> dict[str, type[msgspec.Struct]]:
    found = (value for value in vars(module).values() if isinstance(value, type))
    return {
        kind.__name__: kind
        for kind in found
        if issubclass(kind, msgspec.Struct) and kind.__module__ == module.__name__
    }


OURS, THEIRS = structs(ours), structs(theirs)


def test_both_sides_have_the_same_messages() -> None:
    assert set(THEIRS) - set(OURS) == NOT_SAID
    assert set(OURS) - set(THEIRS) == {"OtherEntry"}
    names = {kind.__name__ for kind in get_args(theirs.ServerMessage)}
    assert {kind.__name__ for kind in get_args(ours.ServerMessage)} == names
    names = {kind.__name__ for kind in get_args(theirs.ClientMessage)} - NOT_SAID
    assert {kind.__name__ for kind in get_args(ours.ClientMessage)} == names
    names = {kind.__name__ for kind in get_args(theirs.Event)}
    assert {kind.__name__ for kind in get_args(ours.KnownEntry)} == names
    assert ours.PROTOCOL == theirs.PROTOCOL_VERSION


@pytest.mark.parametrize("name", sorted(set(OURS) & set(THEIRS)))
def test_every_field_is_the_same(name: str) -> None:
    mine = {f.encode_name: f for f in msgspec.structs.fields(OURS[name])}
    server = {f.encode_name: f for f in msgspec.structs.fields(THEIRS[name])}
    added = {field for field in mine if (name, field) in OWN}
    assert set(mine) - added == set(server)
    for field, its in server.items():
        assert mine[field].name == its.name, field
        assert mine[field].required == its.required, field
        assert mine[field].default == its.default, field
    own, other = OURS[name].__struct_config__, THEIRS[name].__struct_config__
    assert (own.tag, own.tag_field) == (other.tag, other.tag_field)


def example(shape: Any) -> Any:
    """A value that fits a shape of the contract's table, with every field that may be there."""
    match shape:
        case dict():
            return {name.rstrip("?"): example(part) for name, part in shape.items()}
        case [part]:
            return [] if callable(part) else [example(part)]
        case tuple():
            return example(shape[0])
    if shape.__name__ == "anything":
        return {"left_coins": 1}
    values = [1, "e", True, None, "session", "viewer", "open", "fix", "busy"]
    return next(value for value in values if shape(value))


@pytest.mark.parametrize("kind", sorted(CONTRACT))
def test_every_message_of_the_contract_is_read_as_the_server_reads_it(kind: str) -> None:
    said = {"type": kind} | example(CONTRACT[kind])
    if kind == "events":
        said["events"] = [{"kind": name} | example(shape) for name, shape in EVENTS.items()]
        for name, entry in zip(EVENTS, said["events"], strict=True):
            entry["kind"] = name
    body = msgspec.json.encode(said)
    read, server = wire.decode(body), msgspec.json.decode(body, type=theirs.ServerMessage)
    assert msgspec.to_builtins(read, builtin_types=[msgspec.Raw]) == msgspec.to_builtins(
        server, builtin_types=[msgspec.Raw]
    )
    if isinstance(read, ours.Events) and isinstance(server, theirs.Events):
        for mine, other in zip(read.events, server.events, strict=True):
            entry = msgspec.to_builtins(wire.decode_entry(mine))
            assert entry == msgspec.to_builtins(msgspec.json.decode(other, type=theirs.Event))


@pytest.mark.parametrize(
    "message",
    [
        ours.Join(room="r"),
        ours.Join(room="r", resume=ours.ResumePoint(epoch="e", seq=3), id="c1"),
        ours.Leave(room="r"),
        ours.Gift(key="k", room="r", gift="spark"),
        ours.Gift(
            key="k", room="r", gift="spark", quantity=7, to="cara", price=3, message="Hi",
            visibility="anonymous",
        ),
        ours.AskStanding(room="r", id="c2"),
        ours.Shown(room="r", seq=9),
        ours.Ping(id="c3"),
    ],
    ids=lambda message: type(message).__name__,
)  # fmt: skip
def test_what_the_client_says_is_what_the_server_reads(message: ours.ClientMessage) -> None:
    read = codec.decode(wire.encode(message))
    assert type(read).__name__ == type(message).__name__
    assert msgspec.structs.asdict(read) == _plain(message)  # type: ignore[arg-type]


def _plain(message: ours.ClientMessage) -> dict[str, Any]:
    fields = msgspec.structs.asdict(message)
    if isinstance(message, ours.Join) and message.resume is not None:
        point = message.resume
        fields["resume"] = theirs.ResumePoint(epoch=point.epoch, seq=point.seq)
    return fields


def test_the_client_comes_back_as_the_contract_says() -> None:
    for code in (1000, 1006, 4000, 4003, 4499):
        assert backoff.comes_back(code)
    for code in (4500, 4505, 4999):
        assert not backoff.comes_back(code)
    for close in codes.CloseCode:
        sentence = backoff.close_sentence(close)
        assert sentence.endswith(".") and str(int(close)) not in sentence, "it has words for it"


def test_every_field_of_every_message_is_in_the_contract() -> None:
    for name, kind in OURS.items():
        for field in kind.__struct_encode_fields__:
            assert name == "OtherEntry" or re.search(rf"\b{field}\b", PAGE), (name, field)
