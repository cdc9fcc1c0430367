"""Section 1.2 of protocol.md as a table, and whether a message of the server is what it says.

`CONTRACT` is that section and nothing else. Every message that a client of a `Stage` hears (see
server/conftest.py) is held against it, whatever the test was about.
"""

import re
from collections.abc import Callable
from typing import Any


def whole(value: Any) -> bool:
    return type(value) is int and 0 <= value <= 2**53 - 1


def positive(value: Any) -> bool:
    return whole(value) and value > 0


def text(value: Any) -> bool:
    return type(value) is str and value != ""


def string(value: Any) -> bool:
    return type(value) is str and len(value) <= 64


def truth(value: Any) -> bool:
    return type(value) is bool


def anything(value: Any) -> bool:
    return True


def one_of(*values: object) -> Callable[[Any], bool]:
    """One of these, and of its type: 1 is not true."""
    return lambda value: any(type(value) is type(each) and value == each for each in values)


def nothing(value: Any) -> bool:
    return value is None


def fits(value: Any, shape: Any, where: str = "") -> None:
    """Assert that a JSON value has a shape: a predicate, a dict of exactly these fields (`?` marks
    one that may be absent), a list of one shape, or a tuple of alternatives."""
    match shape:
        case dict():
            assert isinstance(value, dict), (where, value)
            optional = {name.rstrip("?") for name in shape if name.endswith("?")}
            known = {name.rstrip("?"): part for name, part in shape.items()}
            assert known.keys() - optional <= value.keys() <= known.keys(), (where, value)
            for name, part in value.items():
                fits(part, known[name], f"{where}.{name}")
        case [part]:
            assert isinstance(value, list), (where, value)
            for number, each in enumerate(value):
                fits(each, part, f"{where}[{number}]")
        case tuple():
            problems = []
            for part in shape:
                try:
                    return fits(value, part, where)
                except AssertionError as problem:
                    problems.append(problem)
            raise AssertionError((where, value, problems))
        case _:
            assert shape(value), (where, value, getattr(shape, "__name__", shape))


PERSON = {"id": text, "name": text}
GIVER = ({"id": text, "name": text, "level": whole}, {"anonymous": one_of(True)})
COMBO = {"id": text, "count": positive, "coins": positive, "ends_ms": positive}
ME = {"coins": whole, "rank": (positive, nothing)}
PLACE = {"rank": positive, "user": PERSON, "coins": positive}
BOARD = {"room": text, "as_of": whole, "window": one_of("session"), "top": [PLACE]}
FIX = "malformed unknown_type too_large not_joined unknown_room unknown_gift bad_quantity"
FIX += " bad_recipient price_changed key_reused forbidden self_gift"
SAME = "rate_limited busy unavailable"
NEW = "insufficient_coins limit_per_gift limit_daily limit_weekly limit_monthly gifting_paused"
NEW += " not_of_age account_frozen room_closed gift_unavailable"
RETRY = {
    code: retry
    for codes, retry in ((FIX, "fix"), (SAME, "same"), (NEW, "new"))
    for code in codes.split()
}

EVENTS = {
    "gift": {
        "kind": text,
        "seq": positive,
        "id": text,
        "at_ms": positive,
        "from": GIVER,
        "to": PERSON,
        "gift": text,
        "name": text,
        "animation": text,
        "quantity": positive,
        "coins": positive,
        "from_total?": positive,
        "combo": (COMBO, nothing),
        "message?": text,
        "level_up?": positive,
        "merged": positive,
    },
    "gift_retracted": {
        "kind": text,
        "seq": positive,
        "id": text,
        "at_ms": positive,
        "gift_id": text,
        "gift_seq": positive,
        "from": GIVER,
        "to": PERSON,
        "gift": text,
        "coins": positive,
        "from_total?": whole,
    },
    "gift_hidden": {
        "kind": text,
        "seq": positive,
        "at_ms": positive,
        "gift_id": text,
        "gift_seq": positive,
    },
    "room_closed": {"kind": text, "seq": positive, "at_ms": positive},
}


def event(value: Any) -> bool:
    fits(value, EVENTS[value["kind"]], value["kind"])
    if value["kind"] == "gift":
        assert ("from_total" in value) != ("anonymous" in value["from"]), value
    return True


CONTRACT: dict[str, dict[str, Any]] = {
    "welcome": {
        "protocol": one_of(1),
        "session": text,
        "user": PERSON,
        "role": one_of("viewer", "creator", "overlay", "admin"),
        "now_ms": positive,
        "heartbeat_ms": positive,
        "catalogue": text,
    },
    "joined": {
        "id?": string,
        "room": text,
        "title": text,
        "creator": PERSON,
        "status": one_of("open", "closed"),
        "epoch": text,
        "seq": whole,
        "recovered": truth,
        "total_coins": whole,
        "viewers": positive,
        "board": BOARD,
        "me": ME,
        "balance_coins": whole,
    },
    "left": {"id?": string, "room": text},
    "accepted": {
        "key": text,
        "room": text,
        "seq": positive,
        "gift": text,
        "quantity": positive,
        "coins": positive,
        "balance_coins": whole,
        "total_coins": whole,
        "me": ME,
        "combo": (COMBO, nothing),
        "at_ms": positive,
        "replayed": truth,
    },
    "refused": {
        "key?": string,
        "id?": string,
        "code": one_of(*RETRY),
        "message": text,
        "retry": one_of("fix", "same", "new"),
        "retry_after_ms?": positive,
        "details?": anything,
    },
    "events": {
        "room": text,
        "epoch": text,
        "first": positive,
        "last": positive,
        "total_before": whole,
        "total_coins": whole,
        "events": [event],
        "omitted": {"gifts": whole, "coins": whole},
    },
    "board": BOARD,
    "standing": {
        "id?": string,
        "room": text,
        "as_of": whole,
        "coins": whole,
        "rank": (positive, nothing),
        "to_next_coins": (positive, nothing),
    },
    "viewers": {"room": text, "count": whole},
    "combo_ended": {
        "room": text,
        "combo": {"id": text, "count": positive, "coins": positive},
        "from": GIVER,
        "gift": text,
    },
    "balance": {"balance_coins": whole, "reason": text},
    "heartbeat": {"now_ms": positive, "rooms": anything},
    "pong": {"id?": string},
    "level_up": {"room": text, "user": PERSON, "level": positive},
    "notice": {
        "code": text,
        "message": text,
        "reconnect_after_ms?": positive,
        "details?": anything,
    },
}


def check_message(message: dict[str, Any]) -> None:
    """Assert that a message of the server is exactly what the contract says."""
    kind = message["type"]
    fits(message, {"type": text} | CONTRACT[kind], kind)
    if kind == "refused":
        assert message["retry"] == RETRY[message["code"]], message
        assert (message["retry"] == "same") == ("retry_after_ms" in message), message
        assert re.search(r"[.…]$", message["message"]), "a sentence for a person"
        assert len(message["message"]) < 400
    if kind == "events":
        check_frame(message)


def check_frame(frame: dict[str, Any]) -> None:
    """Assert what one `events` frame promises by itself."""
    events = frame["events"]
    seqs = [each["seq"] for each in events]
    assert seqs == sorted(set(seqs)) and frame["first"] <= frame["last"], frame
    assert not seqs or (frame["first"] <= seqs[0] and seqs[-1] <= frame["last"]), frame
    shown = sum(each.get("merged", 1) for each in events)
    assert shown + frame["omitted"]["gifts"] == frame["last"] - frame["first"] + 1, frame
    gifts = sum(each["coins"] for each in events if each["kind"] == "gift")
    back = sum(each["coins"] for each in events if each["kind"] == "gift_retracted")
    total = frame["total_before"] + gifts + frame["omitted"]["coins"] - back
    assert total == frame["total_coins"], frame
