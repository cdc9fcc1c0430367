"""What `rules` writes into a room's log, and what `protocol` and the contract say is in it.

The two packages do not know each other; this is where they are held side by side.
"""

from typing import Any

import msgspec
import orjson
import pytest

from kit.building import builders
from protocol import messages
from protocol.messages import Combo, GiftEvent, GiftHidden, GiftRetracted, Giver, Person, RoomClosed
from rules import ledger
from rules.book import new_book
from rules.settle import settle

# Section 1.2 of the contract: the fields of a gift, and those that may be absent.
ALWAYS = set("kind seq id at_ms from to gift name animation quantity coins combo merged".split())
FULL = ALWAYS | {"from_total", "message", "level_up"}


def read(body: bytes) -> messages.Event:
    return msgspec.json.decode(body, type=messages.Event)


def bodies_after(*commands: Any, now_ms: int = 5_000) -> list[bytes]:
    book = new_book()
    settle(book, [builders.set_policy(), builders.open_room(), builders.grant()], 0)
    results = settle(book, list(commands), now_ms)
    assert all(result.events for result in results)
    return [event.body for event in book.events]


def gift_event(**fields: Any) -> tuple[dict[str, Any], GiftEvent]:
    [body] = bodies_after(builders.gift(**fields))
    event = read(body)
    assert isinstance(event, GiftEvent)
    return orjson.loads(body), event


def test_a_public_gift_has_every_field_of_the_contract() -> None:
    raw, event = gift_event(
        gift="cake",
        quantity=2,
        message="für dich",
        name="Ada L.",
    )
    assert set(raw) == FULL
    assert raw["from"] == {"id": "ada", "name": "Ada L.", "level": 2}
    assert raw["to"] == {"id": "cleo", "name": "Cleo"}
    assert event == GiftEvent(
        seq=1,
        id="r1:1",
        at_ms=5_000,
        from_=Giver(id="ada", name="Ada L.", level=2),
        to=Person(id="cleo", name="Cleo"),
        gift="cake",
        name="Cake",
        animation="tray",
        quantity=2,
        coins=50,
        from_total=50,
        combo=Combo(id="c1", count=2, coins=50, ends_ms=8_000),
        message="für dich",
        level_up=2,
        merged=1,
    )


def test_without_a_message_there_is_no_message() -> None:
    raw, event = gift_event()
    assert set(raw) == FULL - {"message", "level_up"}
    assert event.message is None


def test_an_empty_message_is_a_message() -> None:
    raw, _ = gift_event(message="")
    assert raw["message"] == ""


def test_a_gift_without_combos_says_null() -> None:
    raw, event = gift_event(gift="lion")
    assert raw["combo"] is None and event.combo is None
    assert raw["animation"] == "full"


@pytest.mark.parametrize("gift", ["cake", "lion"])
def test_an_anonymous_gift_tells_nothing_about_its_giver(gift: str) -> None:
    [body] = bodies_after(builders.gift(gift=gift, visibility="anonymous", name="Ada Lovelace"))
    raw, event = orjson.loads(body), read(body)
    assert set(raw) == FULL - {"message", "from_total", "level_up"}
    assert raw["from"] == {"anonymous": True}
    assert isinstance(event, GiftEvent)
    assert event.from_ == Giver(anonymous=True) and event.from_total is None
    assert b"ada" not in body.lower() and b"lovelace" not in body.lower()


def test_a_retraction_names_the_gift_and_the_new_sum() -> None:
    gift, retraction = bodies_after(builders.gift(gift="cake"), builders.retract(reason="fraud"))
    event = read(retraction)
    assert event == GiftRetracted(
        seq=2,
        id="r1:1",
        at_ms=5_000,
        gift_id=orjson.loads(gift)["id"],
        gift_seq=1,
        from_=Giver(id="ada", name="Ada", level=0),
        to=Person(id="cleo", name="Cleo"),
        gift="cake",
        coins=25,
        from_total=0,
    )


def test_the_retraction_of_an_anonymous_gift_tells_nothing_either() -> None:
    _, body = bodies_after(builders.gift(visibility="anonymous"), builders.retract())
    event = read(body)
    assert isinstance(event, GiftRetracted)
    assert event.from_ == Giver(anonymous=True)
    assert "from_total" not in orjson.loads(body)
    assert b"ada" not in body.lower()


def test_hiding_and_closing_are_entries_of_the_log_too() -> None:
    _, hidden, closed = bodies_after(builders.gift(), builders.hide(), builders.close_room())
    assert read(hidden) == GiftHidden(seq=2, at_ms=5_000, gift_id="r1:1", gift_seq=1)
    assert read(closed) == RoomClosed(seq=3, at_ms=5_000)


def test_no_event_tells_what_the_creator_earned() -> None:
    commands = [builders.gift(), builders.hide(), builders.retract(), builders.close_room()]
    assert all(b"millidiamond" not in body for body in bodies_after(*commands))


def test_both_count_as_far_as_a_browser_does() -> None:
    assert messages.MONEY_MAX == ledger.MONEY_MAX == 2**53 - 1
