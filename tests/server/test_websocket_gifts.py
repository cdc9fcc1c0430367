"""Gifts over the WebSocket as protocol.md (section 1) promises them, combos and anonymity too.

Every message that a client of a stage hears is also held against `contract_table`.
"""

import json
from typing import Any

import pytest

from kit.servers.serving import live

pytestmark = pytest.mark.asyncio(loop_scope="module")


# --- gifts ---------------------------------------------------------------------------------------


async def test_accepted_and_the_event_say_the_same(stage):
    ann, bob = await stage.join("ann", coins=100), await stage.join("bob")
    wish = {"gift": "kettle", "quantity": 2, "to": stage.creator, "price": 9, "message": "Hi 🎁"}
    answer = await stage.gift(ann, "k1", **wish)
    combo = {"id": answer["combo"]["id"], "count": 2, "coins": 18}
    assert answer["combo"] == combo | {"ends_ms": answer["at_ms"] + 60_000}
    assert answer == answer | {
        "key": "k1",
        "room": stage.room,
        "seq": 1,
        "gift": "kettle",
        "quantity": 2,
        "coins": 18,
        "balance_coins": 82,
        "total_coins": 18,
        "me": {"coins": 18, "rank": 1},
        "replayed": False,
    }
    [event] = (await bob.hear("events"))["events"]
    assert event == {
        "kind": "gift",
        "seq": 1,
        "id": event["id"],
        "at_ms": answer["at_ms"],
        "from": {"id": stage.user("ann"), "name": stage.user("Ann"), "level": 1},
        "to": {"id": stage.creator, "name": "Cara"},
        "gift": "kettle",
        "name": "Kettle",
        "animation": "particles",
        "quantity": 2,
        "coins": 18,
        "from_total": 18,
        "combo": answer["combo"],
        "message": "Hi 🎁",
        "merged": 1,
    }
    assert await stage.coins("ann") == 82


async def test_the_sender_sees_the_gift_like_everybody_else(stage):
    ann = await stage.join("ann", coins=5)
    await stage.gift(ann, "k1")
    while not (frames := [m for m in ann.heard if m["type"] == "events"]):
        await ann.hear("events")  # a room that has just said something says this a tick later
    assert [each["seq"] for frame in frames for each in frame["events"]] == [1]


REFUSED = {
    "unknown gift": ({"gift": "unicorn"}, "unknown_gift"),
    "a gift that is off": ({"gift": "atlas"}, "gift_unavailable"),
    "none at all": ({"quantity": 0}, "bad_quantity"),
    "minus one": ({"quantity": -1}, "bad_quantity"),
    "ten thousand": ({"quantity": 10_000}, "bad_quantity"),
    "more than a browser counts": ({"quantity": 2**53}, "bad_quantity"),
    "another price": ({"price": 2}, "price_changed"),
    "price nothing": ({"price": 0}, "price_changed"),
    "to somebody else": ({"to": "zoe"}, "bad_recipient"),
    "too dear": ({"gift": "glacier"}, "insufficient_coins"),
    "quantity as text": ({"quantity": "1"}, "malformed"),
    "half a gift": ({"quantity": 1.5}, "malformed"),
    "one gift as a float": ({"quantity": 1.0}, "malformed"),
    "true gifts": ({"quantity": True}, "malformed"),
    "no quantity": ({"quantity": None}, "malformed"),
    "price below zero": ({"price": -1}, "malformed"),
    "long message": ({"message": "m" * 201}, "malformed"),
    "a message of control characters": ({"message": "a\x00b"}, "malformed"),
    "strange visibility": ({"visibility": "secret"}, "malformed"),
    "gift as a number": ({"gift": 5}, "malformed"),
    "room as a number": ({"room": 5}, "malformed"),
    "another room": ({"room": "elsewhere"}, "not_joined"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_wrong_gift_moves_nothing(stage, name):
    wish, code = REFUSED[name]
    ann, bob = await stage.join("ann", coins=100), await stage.join("bob")
    refused = await stage.gift(ann, "k1", **wish)
    assert (refused["type"], refused["code"], refused["key"]) == ("refused", code, "k1")
    assert await stage.coins("ann") == 100
    assert (await stage.books())["seq"] == 0
    assert "events" not in {m["type"] for m in await stage.settled(bob)}


@pytest.mark.parametrize("key", ["", "k" * 65, None, 7, ["k"], "a\nb"])
async def test_a_wrong_key_moves_nothing(stage, key):
    ann = await stage.join("ann", coins=100)
    await ann.say(type="gift", room=stage.room, gift="spark", key=key)
    assert (await ann.hear("refused"))["code"] == "malformed"
    assert await stage.coins("ann") == 100


@pytest.mark.parametrize("key", ["k" * 64, "ключ-🎁", " ", '"\\'])
async def test_any_printable_key_will_do(stage, key):
    ann = await stage.join("ann", coins=2)
    assert (await stage.gift(ann, key))["key"] == key


async def test_the_largest_quantity_is_9999(stage):
    ann = await stage.join("ann", coins=10_000)
    answer = await stage.gift(ann, "k1", quantity=9_999)
    assert (answer["coins"], answer["combo"]["count"]) == (9_999, 9_999)
    assert (await stage.gift(ann, "k2"))["combo"]["count"] == 1, "a combo ends at 9,999"


async def test_the_current_price_is_accepted_and_named_when_it_is_another(stage):
    ann = await stage.join("ann", coins=10)
    assert (await stage.gift(ann, "k1", gift="clap", price=2))["type"] == "accepted"
    refused = await stage.gift(ann, "k2", gift="clap", price=3)
    assert refused["code"] == "price_changed" and refused["details"]["coins"] == 2
    assert (await stage.gift(ann, "k2", gift="clap", price=2))["type"] == "accepted"


async def test_nobody_gives_to_themselves(stage):
    cara = await stage.join("cara", coins=10, role="creator")
    assert (await stage.gift(cara, "k1"))["code"] == "self_gift"
    ann = await stage.join("ann", coins=10)
    assert (await stage.gift(ann, "k1", to=stage.user("ann")))["code"] == "self_gift"
    assert await stage.coins("cara") == 10


async def test_who_is_not_of_age_may_look_only(stage):
    kid = await stage.join("kid", coins=10, adult=False)
    refused = await stage.gift(kid, "k1")
    assert refused["code"] == "not_of_age"
    grown = await stage.join("kid")
    assert (await stage.gift(grown, "k1"))["code"] == "not_of_age", "the key keeps its answer"
    assert (await stage.gift(grown, "k2"))["type"] == "accepted"


async def test_adulthood_may_be_left_to_the_platform():
    async with live(require_adult=False) as server:
        await server.room()
        await server.grant("kid", 5)
        kid = await server.join("kid", adult=False)
        assert (await kid.gift("k1"))["type"] == "accepted"


async def test_a_retry_gets_the_first_answer_but_for_me_and_replayed(stage):
    ann, bob = await stage.join("ann", coins=50), await stage.join("bob", coins=50)
    first = await stage.gift(ann, "k1", gift="note")
    await stage.gift(bob, "k1", gift="lantern")
    await stage.gift(ann, "k2", gift="clap")
    again = await stage.gift(ann, "k1", gift="note")
    assert again["replayed"] and again["me"] == {"coins": 7, "rank": 2}
    assert again | {"me": 0, "replayed": 0} == first | {"me": 0, "replayed": 0}
    second = await stage.join("ann")
    assert (await stage.gift(second, "k1", gift="note"))["seq"] == first["seq"]
    assert (await stage.books())["seq"] == 3 and await stage.coins("ann") == 43


async def test_a_key_says_one_thing_only(stage):
    ann = await stage.join("ann", coins=50)
    await stage.gift(ann, "k1", gift="note", message="hi")
    others = ({"quantity": 2}, {"gift": "clap"}, {"message": "ho"}, {"visibility": "anonymous"})
    for other in others:
        refused = await stage.gift(ann, "k1", **({"gift": "note", "message": "hi"} | other))
        assert refused["code"] == "key_reused", other
    assert await stage.coins("ann") == 45


async def test_keys_belong_to_their_sender(stage):
    ann, bob = await stage.join("ann", coins=5), await stage.join("bob", coins=5)
    assert (await stage.gift(ann, "k1"))["type"] == "accepted"
    assert (await stage.gift(bob, "k1", gift="note"))["replayed"] is False


async def test_a_refusal_is_kept_under_its_key(stage):
    ann = await stage.join("ann", coins=4)
    refused = await stage.gift(ann, "k1", gift="note")
    assert refused["code"] == "insufficient_coins" and refused["retry"] == "new"
    await stage.server.grant(stage.user("ann"), 100)
    again = await stage.gift(ann, "k1", gift="note")
    assert again == refused
    assert (await stage.gift(ann, "k2", gift="note"))["balance_coins"] == 99


async def test_what_was_wrong_with_the_request_spends_no_key(stage):
    ann = await stage.join("ann", coins=10)
    assert (await stage.gift(ann, "k1", quantity=0))["retry"] == "fix"
    assert (await stage.gift(ann, "k1"))["type"] == "accepted"


async def test_a_closed_room_takes_no_gift(stage):
    ann, bob = await stage.join("ann", coins=10), await stage.join("bob")
    await stage.post(f"rooms/{stage.room}/close")
    frame = await bob.hear("events")
    assert frame["events"] == [
        {"kind": "room_closed", "seq": 1, "at_ms": frame["events"][0]["at_ms"]}
    ]
    assert (await bob.hear("notice"))["code"] == "room_closed"
    refused = await stage.gift(ann, "k1")
    assert (refused["code"], refused["retry"]) == ("room_closed", "new")
    assert (await stage.join("cyd")).heard[-1]["status"] == "closed"
    assert await stage.coins("ann") == 10


async def test_a_retraction_is_seen_and_counted(stage):
    ann, bob = await stage.join("ann", coins=50), await stage.join("bob", coins=50)
    await stage.gift(ann, "k1", gift="lantern")
    await stage.gift(bob, "k1", gift="note")
    gift = await stage.event(bob, 1)
    await stage.frame_with(bob, 2)
    await stage.post(f"gifts/{gift['id']}/retract", {"reason": "chargeback"})
    frame, event = await stage.frame_with(bob, 3), await stage.event(bob, 3)
    assert (event["kind"], event["gift_id"], event["gift_seq"]) == ("gift_retracted", gift["id"], 1)
    assert (event["coins"], event["from_total"]) == (10, 0)
    assert (frame["total_before"], frame["total_coins"]) == (15, 5)
    board = await bob.hear("board", as_of=3)
    assert [(place["user"]["id"], place["coins"]) for place in board["top"]] == [
        (stage.user("bob"), 5)
    ]
    assert (await ann.hear("balance"))["balance_coins"] == 50


async def test_a_hidden_gift_moves_no_coin(stage):
    ann, bob = await stage.join("ann", coins=50), await stage.join("bob")
    await stage.gift(ann, "k1", gift="lantern", message="rude")
    gift = await stage.event(bob, 1)
    await stage.post(f"gifts/{gift['id']}/hide")
    frame, event = await stage.frame_with(bob, 2), await stage.event(bob, 2)
    assert (event["kind"], event["gift_id"]) == ("gift_hidden", gift["id"])
    assert frame["total_before"] == frame["total_coins"] == 10


# --- combos --------------------------------------------------------------------------------------


def combos_ended(heard: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [m for m in heard if m["type"] == "combo_ended"]


async def test_a_combo_grows_and_ends_once_in_time(stage):
    ann, bob = await stage.join("ann", coins=50), await stage.join("bob")
    answers = [await stage.gift(ann, f"k{n}", gift="note", quantity=n) for n in (1, 2, 3)]
    assert [a["combo"]["count"] for a in answers] == [1, 3, 6]
    assert [a["combo"]["coins"] for a in answers] == [5, 15, 30]
    assert len({a["combo"]["id"] for a in answers}) == 1
    last = answers[-1]["combo"]
    stage.let_combos_end()
    ended = await bob.hear("combo_ended")
    assert ended == {
        "type": "combo_ended",
        "room": stage.room,
        "combo": {"id": last["id"], "count": 6, "coins": 30},
        "from": {"id": stage.user("ann"), "name": stage.user("Ann"), "level": 1},
        "gift": "note",
    }
    await bob.hear("heartbeat")
    await bob.hear("heartbeat")
    assert len(combos_ended(bob.heard)) == 1


async def test_another_gift_ends_the_combo_at_once(stage):
    ann, bob = await stage.join("ann", coins=500), await stage.join("bob")
    first = await stage.gift(ann, "k1", gift="clap")
    second = await stage.gift(ann, "k2", gift="note")
    third = await stage.gift(ann, "k3", gift="lighthouse")
    assert third["combo"] is None
    ended = [await bob.hear("combo_ended"), await bob.hear("combo_ended")]
    assert [each["combo"]["id"] for each in ended] == [first["combo"]["id"], second["combo"]["id"]]
    await bob.hear("heartbeat")
    await bob.hear("heartbeat")
    assert len(combos_ended(bob.heard)) == 2


async def test_two_senders_have_two_combos(stage):
    ann, bob = await stage.join("ann", coins=50), await stage.join("bob", coins=50)
    await stage.gift(ann, "k1")
    await stage.gift(bob, "k1")
    assert (await stage.gift(ann, "k2"))["combo"]["count"] == 2
    assert (await stage.gift(bob, "k2"))["combo"]["count"] == 2


# --- anonymity -----------------------------------------------------------------------------------


async def test_an_anonymous_giver_is_named_nowhere(stage):
    hidden = {"visibility": "anonymous"}
    ann, bob = await stage.join("quiet", coins=100), await stage.join("bob")
    answer = await stage.gift(ann, "k1", gift="note", message="for you", **hidden)
    assert answer["me"] == {"coins": 0, "rank": None} and answer["balance_coins"] == 95
    event = await stage.event(bob, 1)
    assert event["from"] == {"anonymous": True} and "from_total" not in event
    assert event["combo"]["count"] == 1 and event["message"] == "for you"
    await stage.gift(ann, "k2", gift="note", **hidden)
    await stage.frame_with(bob, 2)
    stage.let_combos_end()
    ended = await bob.hear("combo_ended")
    assert ended["from"] == {"anonymous": True} and ended["combo"]["count"] == 2
    await stage.post(f"gifts/{event['id']}/retract", {"reason": "test"})
    assert (await stage.event(bob, 3))["from"] == {"anonymous": True}
    assert (await stage.frame_with(bob, 3))["total_coins"] == 5
    board = await stage.get(f"rooms/{stage.room}/board")
    log = await stage.get(f"rooms/{stage.room}/events")
    joined = await bob.ask("joined", type="join", room=stage.room)
    assert board["top"] == joined["board"]["top"] == []
    assert joined["total_coins"] == 5
    told = json.dumps([await stage.settled(bob), board, log]).lower()
    assert "quiet" not in told


async def test_anonymous_and_public_gifts_make_two_combos(stage):
    ann = await stage.join("ann", coins=100)
    public = await stage.gift(ann, "k1")
    hidden = await stage.gift(ann, "k2", visibility="anonymous")
    assert hidden["combo"]["id"] != public["combo"]["id"] and hidden["combo"]["count"] == 1
    assert hidden["me"] == {"coins": 1, "rank": 1}, "only the public one is on the board"
