"""What the host platform is told of each thing that can happen."""

import json
import typing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kit.building.builders import (
    close_room,
    freeze,
    gift,
    grant,
    hide,
    open_room,
    retract,
    set_policy,
    unfreeze,
)
from kit.building.examples import example
from kit.building.ledgers import NOW_MS, book, new_ledger
from rules.commands import write
from rules.lifecycles import PayoutStatus
from rules.outcomes import (
    AnyOutcome,
    EpochsRenewed,
    GiftsReversed,
    PayoutChanged,
    PurchasePaid,
    Refused,
)
from rules.refusals import RefusalCode
from server.webhooks import TYPES, events
from storage.deliveries import JournalEntry
from storage.sqlite.deliveries import journal

MOMENT = "2023-11-14T22:13:20.000Z"


def entry(outcome: AnyOutcome, body: dict[str, Any] | None = None) -> JournalEntry:
    """A journal entry that says this."""
    texts = (json.dumps(body or {}), write(outcome).decode())
    return JournalEntry(7, "any", *texts, NOW_MS, "0123456789abcdef", None, None)


def told(outcome: AnyOutcome, body: dict[str, Any] | None = None) -> dict[str, Any]:
    event = events.project(entry(outcome, body))
    assert event is not None
    return {"lane": event.lane} | json.loads(event.payload)


def of_ledger(path: Path, *commands: Any) -> list[dict[str, Any]]:
    connection = new_ledger(path / "books.db")
    book(connection, set_policy(), grant("ada", 10_000))
    book(connection, *commands)
    found = [events.project(each) for each in journal(connection, 2, 100)]
    connection.close()
    return [{"lane": e.lane} | json.loads(e.payload) for e in found if e]


def test_a_gift_says_who_gave_what_to_whom_and_what_it_cost(tmp_path: Path) -> None:
    _, event = of_ledger(
        tmp_path, open_room("r1"), gift("ada", "cake", quantity=2, message="hello")
    )
    assert (event["type"], event["lane"], event["timestamp"]) == (
        "gift.accepted",
        "room:r1",
        MOMENT,
    )
    assert event["data"] == {
        "gift_id": "r1:1",
        "room": "r1",
        "seq": 1,
        "from": {"id": "ada", "name": "Ada"},
        "to": {"id": "cleo", "name": "Cleo"},
        "anonymous": False,
        "gift": "cake",
        "quantity": 2,
        "coins": 50,
        "balance_coins": 9_950,
        "total_coins": 50,
        "millidiamonds": 25_000,
        "message": "hello",
    }


def test_an_anonymous_gift_carries_its_giver_to_the_backend(tmp_path: Path) -> None:
    _, event = of_ledger(tmp_path, open_room("r1"), gift("ada", visibility="anonymous"))
    assert event["data"]["anonymous"] is True
    assert event["data"]["from"] == {"id": "ada", "name": "Ada"}


def test_a_retraction_names_the_giver_the_gift_and_the_reason(tmp_path: Path) -> None:
    given = gift("ada", "lion", visibility="anonymous")
    *_, event = of_ledger(tmp_path, open_room("r1"), given, retract("r1:1", reason="a bot"))
    assert (event["type"], event["lane"]) == ("gift.retracted", "room:r1")
    wanted = {
        "gift_id": "r1:1",
        "room": "r1",
        "seq": 2,
        "from": {"id": "ada"},
        "to": {"id": "cleo", "name": "Cleo"},
        "gift": "lion",
        "coins": 500,
        "reason": "a bot",
    }
    assert event["data"].items() >= wanted.items()


def test_rooms_and_hidings_are_told_in_the_lane_of_the_room(tmp_path: Path) -> None:
    found = of_ledger(tmp_path, open_room("r1"), gift(), hide("r1:1"), close_room("r1"))
    kinds = [event["type"] for event in found]
    assert kinds == ["room.opened", "gift.accepted", "gift.hidden", "room.closed"]
    assert {event["lane"] for event in found} == {"room:r1"}
    opened = {"room": "r1", "title": "Morning show", "creator": "cleo", "creator_name": "Cleo"}
    assert found[0]["data"] == opened
    assert found[2]["data"] == {"gift_id": "r1:1", "room": "r1", "seq": 2}


def test_what_was_so_before_is_not_told_again(tmp_path: Path) -> None:
    commands = (freeze("ada"), freeze("ada"), unfreeze("ada"), unfreeze("ada"))
    found = of_ledger(tmp_path, *commands)
    assert [one["type"] for one in found] == ["account.frozen", "account.unfrozen"]


def test_refusals_are_told_only_when_a_limit_was_reached(tmp_path: Path) -> None:
    assert of_ledger(tmp_path, open_room("r1"), gift("bob", "lion"))[1:] == []
    event = told(
        Refused(code=RefusalCode.LIMIT_DAILY, message="…", details={"left_coins": 3}),
        {"sender": "ada", "room": "r1", "gift": "lion"},
    )
    assert (event["type"], event["lane"]) == ("limit.reached", "user:ada")
    wish = {"user": "ada", "room": "r1", "gift": "lion", "quantity": 1}
    assert event["data"] == wish | {"limit": "daily", "left_coins": 3}


@pytest.mark.parametrize("status", PayoutStatus)
def test_a_payout_is_told_by_where_it_stands_in_the_lane_of_its_creator(
    status: PayoutStatus,
) -> None:
    outcome = PayoutChanged(
        payout="p1",
        creator="cleo",
        status=status,
        millidiamonds=5_000,
        amount_minor=5,
        currency="EUR",
    )
    event = told(outcome, {"reason": "no account"})
    assert (event["type"], event["lane"]) == (f"payout.{status}", "user:cleo")
    assert ("reason" in event["data"]) is (status is PayoutStatus.REJECTED)


def test_a_purchase_is_told_in_the_lane_of_its_user() -> None:
    sums = {"coins": 100, "price_minor": 129, "currency": "EUR", "balance_coins": 100}
    outcome = PurchasePaid(purchase="p1", user="ada", debt_paid_coins=0, **sums)
    event = told(outcome, {"payment": "pay-1", "actor": "provider:sandbox", "key": "k"})
    assert (event["type"], event["lane"]) == ("purchase.paid", "user:ada")
    assert event["data"] == sums | {"purchase": "p1", "user": "ada", "payment": "pay-1"}


def test_a_reversal_of_many_gifts_is_one_event_that_lists_them() -> None:
    outcome = GiftsReversed(user="ada", gifts=(("r1:1", 5), ("r2:4", 9)), coins=7, taken=())
    event = told(outcome, {"reason": "stolen card"})
    assert (event["type"], event["lane"]) == ("gift.reversed", "user:ada")
    wanted = {"user": "ada", "gifts": ["r1:1", "r2:4"], "count": 2, "coins": 7}
    assert event["data"] == wanted | {"reason": "stolen card"}


OUTCOMES = typing.get_args(AnyOutcome)


def test_every_type_comes_about_and_no_other() -> None:
    outcomes = [example(outcome) for outcome in OUTCOMES]
    outcomes += [msgspec.structs.replace(example(PayoutChanged), status=s) for s in PayoutStatus]
    outcomes += [msgspec.structs.replace(example(Refused), code=code) for code in RefusalCode]
    kinds = {events.kind_of(outcome) for outcome in outcomes} - {None}
    assert kinds == TYPES


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("text", ["{}", "[]", "null", '{"details":1,"gifts":[1,[]],"user":5}'])
def test_no_entry_is_an_error(outcome: type, text: str) -> None:
    said = write(example(outcome)).decode()
    one = entry(EpochsRenewed(rooms=1))._replace(outcome=said, body=text, line=text, origin=text)
    events.project(one)
    again = write(msgspec.structs.replace(example(outcome), again=False)).decode()
    told = events.project(one._replace(outcome=again))
    assert (told is None) is (events.kind_of(example(outcome)) is None)


@pytest.mark.parametrize("outcome", ["{}", "[]", "null", '{"kind":"unheard_of"}', "[", ""])
def test_an_outcome_that_is_none_of_ours_is_told_to_nobody(outcome: str) -> None:
    assert events.project(entry(EpochsRenewed(rooms=1))._replace(outcome=outcome)) is None


def test_a_payload_stays_below_the_limit_and_keeps_its_ids() -> None:
    gifts = tuple((f"room-{n}:{n}", n) for n in range(5_000))
    outcome = GiftsReversed(user="ada", gifts=gifts, coins=7, taken=())
    event = events.project(entry(outcome, {"reason": "é" * 50_000}))
    assert event is not None
    assert len(event.payload) < events.PAYLOAD_BYTES_MAX
    content = json.loads(event.payload)["data"]
    assert (content["user"], content["count"], content["shortened"]) == ("ada", 5_000, True)
    assert content["reason"] == "é" * events.SHORT_CHARACTERS


def test_a_message_id_has_no_full_stop_and_differs_after_a_restore() -> None:
    one = entry(EpochsRenewed(rooms=1))
    restored = one._replace(seal="fedcba9876543210")
    ids = [events.message_id(e, id) for e in (one, restored) for id in ("a.b", "a~b", "a-b")]
    assert ids[0] == "msg_7_0123456789ab_a~b"
    assert not [id for id in ids if "." in id]
    assert events.message_id(one, "a.b") != events.message_id(restored, "a.b")
