"""What a busy frame shows: nothing is left out of the sums, and the order is the log's."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rules.events import Event
from server.live.condense import MERGE_ABOVE, Entry, condense


def entry(seq: int, kind: str = "gift", **fields: Any) -> Entry:
    """One entry of a log; a gift's coins count up, a retraction's count down."""
    body: dict[str, Any] = {"kind": kind, "seq": seq}
    coins = 0
    if kind == "gift":
        coins = fields.pop("coins", 1)
        body |= {
            "from": {"id": "ann", "name": "Ann", "level": seq % 5},
            "to": {"id": "cara", "name": "Cara"},
            "gift": "spark",
            "quantity": 1,
            "coins": coins,
            "from_total": seq * 10,
            "combo": {"id": "c1", "count": seq, "coins": seq, "ends_ms": 1},
            "merged": 1,
        }
    elif kind == "gift_retracted":
        coins = -fields.pop("coins", 1)
        body["coins"] = -coins
    body |= fields
    event = Event("r", seq, seq, kind, coins, 0, json.dumps(body, separators=(",", ":")).encode())
    return event, body


GIVERS = st.sampled_from(
    [
        {"id": "ann", "name": "A", "level": 1},
        {"id": "bob", "name": "B", "level": 2},
        {"anonymous": True},
    ]
)
GIFTS = st.fixed_dictionaries(
    {
        "from": GIVERS,
        "gift": st.sampled_from(["spark", "note"]),
        "quantity": st.integers(1, 3),
        "coins": st.integers(1, 50),
        "combo": st.sampled_from([None, {"id": "c1", "count": 2}, {"id": "c2", "count": 5}]),
    },
    optional={"message": st.sampled_from(["hi", "ho"])},
)
KINDS = st.one_of(
    st.tuples(st.just("gift"), GIFTS),
    st.tuples(st.just("gift_retracted"), st.fixed_dictionaries({"coins": st.integers(1, 50)})),
    st.tuples(st.sampled_from(["gift_hidden", "room_closed", "goal"]), st.just({})),
)
LOGS = st.lists(KINDS, min_size=1, max_size=70).map(
    lambda log: [entry(seq, kind, **fields) for seq, (kind, fields) in enumerate(log, 1)]
)


def shown_of(entries: list[Entry], entries_max: int) -> tuple[list[dict[str, Any]], Any]:
    shown = condense(entries, entries_max)
    return [json.loads(body) for body in shown.bodies], shown


@given(LOGS, st.integers(1, 40))
def test_every_gift_is_shown_merged_or_counted(log: list[Entry], entries_max: int) -> None:
    bodies, shown = shown_of(log, entries_max)
    by_seq = {event.seq: (event, body) for event, body in log}
    left = dict(by_seq)
    assert [body["seq"] for body in bodies] == sorted(body["seq"] for body in bodies)
    for body in bodies:
        merged = body.get("merged", 1)
        parts = [by_seq[seq] for seq in range(body["seq"] - merged + 1, body["seq"] + 1)]
        for event, _ in parts:
            del left[event.seq]
        last = parts[-1][1]
        if merged == 1:
            assert body == last
            continue
        assert all("message" not in part for _, part in parts), "a message would be lost"
        assert len({json.dumps([p["from"].get("id"), p["gift"], p["kind"]]) for _, p in parts}) == 1
        if "anonymous" in body["from"]:
            ids = {part["combo"] and part["combo"]["id"] for _, part in parts}
            assert len(ids) == 1 and None not in ids, "two unknown givers are not one"
        sums = {name: sum(part[name] for _, part in parts) for name in ("quantity", "coins")}
        assert body == last | sums | {"merged": merged}
    assert all(event.kind == "gift" for event, _ in left.values()), "only gifts may be left out"
    assert shown.omitted_gifts == len(left)
    assert shown.omitted_coins == sum(event.coins for event, _ in left.values())
    assert shown.merged == sum(body.get("merged", 1) - 1 for body in bodies)


@given(LOGS, st.integers(1, 40))
def test_a_frame_has_no_more_entries_than_it_may(log: list[Entry], entries_max: int) -> None:
    bodies, _ = shown_of(log, entries_max)
    others = sum(event.kind != "gift" for event, _ in log)
    assert len(bodies) <= max(entries_max, others)


def test_a_quiet_frame_is_shown_as_it_is() -> None:
    log = [entry(seq) for seq in range(1, MERGE_ABOVE + 1)]
    shown = condense(log, 60)
    assert shown.bodies == [event.body for event, _ in log]
    assert (shown.merged, shown.omitted_gifts, shown.omitted_coins) == (0, 0, 0)


def test_one_more_and_neighbours_become_one_entry() -> None:
    log = [entry(seq, coins=2) for seq in range(1, MERGE_ABOVE + 2)]
    [body], shown = shown_of(log, 60)
    assert body == log[-1][1] | {"quantity": 21, "coins": 42, "merged": 21}
    assert shown.merged == 20


def test_a_gift_with_a_message_stands_alone() -> None:
    log = [entry(seq) for seq in range(1, 31)]
    log[9] = entry(10, message="hello")
    bodies, shown = shown_of(log, 60)
    assert [(body["seq"], body["merged"]) for body in bodies] == [(9, 9), (10, 1), (30, 20)]
    assert bodies[1]["message"] == "hello" and shown.merged == 27


def test_anonymous_neighbours_are_one_only_by_their_combo() -> None:
    unknown = {"from": {"anonymous": True}, "from_total": None}
    combos = [{"id": "c1", "count": 1}] * 10 + [{"id": "c2", "count": 1}] * 10 + [None] * 5
    log = [entry(seq, combo=combo, **unknown) for seq, combo in enumerate(combos, 1)]
    bodies, _ = shown_of(log, 60)
    assert [(body["seq"], body["merged"]) for body in bodies] == [
        (10, 10),
        (20, 10),
        *((seq, 1) for seq in range(21, 26)),
    ]


def test_another_gift_giver_or_recipient_is_another_entry() -> None:
    log = [entry(seq) for seq in range(1, 31)]
    log[4] = entry(5, gift="note")
    log[14] = entry(15, **{"from": {"id": "bob", "name": "B", "level": 1}})
    log[24] = entry(25, to={"id": "dora", "name": "D"})
    bodies, _ = shown_of(log, 60)
    assert [body["seq"] for body in bodies] == [4, 5, 14, 15, 24, 25, 30]


def test_the_cheapest_go_first_and_of_equals_the_older() -> None:
    """Two senders in turn, so that nothing merges."""
    prices = [5, 1, 1, 9, 1, 7]
    log = [
        entry(seq, coins=coins, **{"from": {"id": f"u{seq}"}})
        for seq, coins in enumerate(prices, 1)
    ]
    bodies, shown = shown_of(log, 4)
    assert [body["seq"] for body in bodies] == [1, 4, 5, 6]
    assert (shown.omitted_gifts, shown.omitted_coins) == (2, 2)


def test_what_is_no_gift_is_never_left_out() -> None:
    log = [entry(seq, "gift_hidden") for seq in range(1, 31)] + [entry(31, coins=1_000)]
    bodies, shown = shown_of(log, 5)
    assert len(bodies) == 30 and {body["kind"] for body in bodies} == {"gift_hidden"}
    assert shown.omitted_coins == 1_000
