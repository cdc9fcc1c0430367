"""What a room's log says: one line per gift, retraction, hiding and closing, encoded once.

The line is written inside the transaction that moved the money and is never changed; viewers,
overlays, the HTTP log and the boards all read these same bytes.
"""

import re
from typing import Any, NamedTuple

import msgspec
import orjson

from rules.catalogue import Gift
from rules.commands import SendGift
from rules.outcomes import ComboShown
from rules.rows import GiftRecord, Room


class Event(NamedTuple):
    """One entry of a room's log."""

    room: str
    seq: int
    command: int
    kind: str
    coins: int
    """What it adds to the room's total: negative for a retraction, 0 for what moves no money."""
    total_coins: int
    """The room's total after it."""
    body: bytes
    """The JSON object that everybody sees."""


ANONYMOUS: dict[str, Any] = {"anonymous": True}


def giver(id: str, name: str, level: int) -> dict[str, Any]:
    return {"id": id, "name": name, "level": level}


class Giving(msgspec.Struct, frozen=True, gc=False):
    """A gift on its way into the books: what was asked for, where, and what it comes to."""

    command: SendGift
    room: Room
    gift: Gift
    coins: int
    millidiamonds: int
    now_ms: int


def gift_body(
    giving: Giving,
    *,
    seq: int,
    source: dict[str, Any],
    from_total: int | None,
    combo: ComboShown | None,
    level_up: int | None,
) -> bytes:
    command, room, gift = giving.command, giving.room, giving.gift
    body: dict[str, Any] = {
        "kind": "gift",
        "seq": seq,
        "id": gift_id(room.id, seq),
        "at_ms": giving.now_ms,
        "from": source,
        "to": {"id": room.creator, "name": room.creator_name},
        "gift": gift.id,
        "name": gift.name,
        "animation": gift.animation,
        "quantity": command.quantity,
        "coins": giving.coins,
    }
    if from_total is not None:
        body["from_total"] = from_total
    body["combo"] = combo and {
        "id": combo.id,
        "count": combo.count,
        "coins": combo.coins,
        "ends_ms": combo.ends_ms,
    }
    if command.message is not None:
        body["message"] = command.message
    if level_up is not None:
        body["level_up"] = level_up
    body["merged"] = 1
    return orjson.dumps(body)


def retracted_body(
    gift: GiftRecord, *, seq: int, at_ms: int, source: dict[str, Any], from_total: int | None
) -> bytes:
    id = gift_id(gift.room, gift.seq)
    body: dict[str, Any] = {
        "kind": "gift_retracted",
        "seq": seq,
        "id": id,
        "at_ms": at_ms,
        "gift_id": id,
        "gift_seq": gift.seq,
        "from": source,
        "to": {"id": gift.recipient, "name": gift.recipient_name},
        "gift": gift.gift,
        "coins": gift.coins,
    }
    if from_total is not None:
        body["from_total"] = from_total
    return orjson.dumps(body)


def hidden_body(*, seq: int, at_ms: int, gift_id: str, gift_seq: int) -> bytes:
    body = {"kind": "gift_hidden", "seq": seq, "at_ms": at_ms, "gift_id": gift_id}
    return orjson.dumps(body | {"gift_seq": gift_seq})


def closed_body(*, seq: int, at_ms: int) -> bytes:
    return orjson.dumps({"kind": "room_closed", "seq": seq, "at_ms": at_ms})


def gift_id(room: str, seq: int) -> str:
    """A gift is named by its place in its room's log."""
    return f"{room}:{seq}"


def split_gift_id(id: str) -> tuple[str, int] | None:
    """The room and seq that a gift's id names; None when it cannot be one.

    A gift has one id: with leading zeros a viewer would be told of a gift that it never saw.
    """
    room, _, digits = id.rpartition(":")
    if not room or not _SEQ.fullmatch(digits):
        return None
    return room, int(digits)


_SEQ = re.compile("[1-9][0-9]{0,14}")


def speaks_of(body: bytes, user: str) -> bool:
    """Whether a line of a log names this user as the giver."""
    source: Any = orjson.loads(body).get("from")
    return source is not None and source.get("id") == user


def forget(body: bytes | str) -> bytes:
    """The line without the giver's name and message: as if they had said neither."""
    line = orjson.loads(body)
    if "name" in line["from"]:
        line["from"]["name"] = ""
    line.pop("message", None)
    return orjson.dumps(line)
