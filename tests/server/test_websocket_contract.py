"""The WebSocket as protocol.md (section 1) promises it, seen by somebody who believes nothing else.

Every message that a client of a stage hears is also held against the table in conftest.
"""

import asyncio
import base64
import json
import time
from typing import Any

import jwt
import pytest
import websockets
from websockets.frames import Close, Opcode

from serving import API_KEY, SECRET, Client, live, token

pytestmark = pytest.mark.asyncio(loop_scope="module")


def signed(algorithm: str = "HS256", secret: str = SECRET, **claims: Any) -> str:
    """A token as somebody else's program would make it; a claim of None is left out."""
    given = {"sub": "ann", "name": "Ann", "exp": int(time.time()) + 600, "adult": True} | claims
    return jwt.encode({k: v for k, v in given.items() if v is not None}, secret, algorithm)


async def upgrade(server: Any, path: str = "", **headers: str) -> int:
    """The status of the answer to an upgrade; 101 when it was taken."""
    url = server.ws + path if path.startswith("?") or not path else server.url + path
    try:
        async with websockets.connect(
            url.replace("http:", "ws:"), additional_headers=headers, proxy=None
        ):
            return 101
    except websockets.InvalidStatus as refused:
        return refused.response.status_code


async def hello_close_code(server: Any, **message: Any) -> int:
    """How the server closes after this first message."""
    async with websockets.connect(server.ws) as socket:
        await socket.send(json.dumps(message))
        with pytest.raises(websockets.ConnectionClosed):
            async with asyncio.timeout(5):
                await socket.recv()
        assert socket.close_code is not None
        return socket.close_code


# --- coming in -----------------------------------------------------------------------------------


async def test_hello_is_answered_with_welcome(stage):
    client = await stage.silent()
    ann = stage.user("ann")
    welcome = await client.ask("welcome", type="hello", token=token(ann), protocol=1)
    assert welcome["user"] == {"id": ann, "name": ann.title()}
    assert (welcome["protocol"], welcome["role"]) == (1, "viewer")
    assert welcome["heartbeat_ms"] == 300
    assert abs(welcome["now_ms"] - time.time() * 1000) < 2_000
    catalogue = await stage.get("catalogue")
    assert welcome["catalogue"] == catalogue["version"]


async def test_a_token_in_the_header_is_welcomed_at_once(stage):
    one, two = await stage.connect("ann", role="creator"), await stage.connect("ann")
    sessions = {one.heard[0]["session"], two.heard[0]["session"]}
    assert one.heard[0]["role"] == "creator" and len(sessions) == 2


async def test_a_second_hello_is_forbidden_and_changes_nobody(stage):
    client = await stage.connect("ann")
    refused = await client.ask("refused", type="hello", token=token("eve"), protocol=1)
    assert refused["code"] == "forbidden"
    assert (await client.ask("pong", type="ping"))["type"] == "pong"


@pytest.mark.parametrize("first", ["ping", "join", "gift", "standing", "leave", "shown"])
async def test_the_first_message_must_be_hello(server, first):
    fields = {"room": "r", "key": "k", "gift": "spark", "seq": 1}
    assert await hello_close_code(server, type=first, **fields) == 4501


async def test_another_protocol_version_is_closed(server):
    assert await hello_close_code(server, type="hello", token=token("ann"), protocol=2) == 4504
    assert await hello_close_code(server, type="hello", token="rubbish", protocol=99) == 4504


BAD = {
    "forged": lambda: signed(secret="somebody else's secret of 32 bytes"),
    "nonsense": lambda: "a.b.c",
    "empty": lambda: "",
    "no exp": lambda: signed(exp=None),
    "exp as text": lambda: signed(exp=None) and signed(exp="tomorrow"),
    "unknown role": lambda: signed(role="root"),
    "no sub": lambda: signed(sub=None),
    "sub with a slash": lambda: signed(sub="a/b"),
    "sub too long": lambda: signed(sub="a" * 65),
    "name too long": lambda: signed(name="n" * 65),
    "overlay without rooms": lambda: signed(role="overlay"),
    "another algorithm": lambda: signed("HS512", secret=SECRET * 2),
    "alg none": lambda: ".".join(
        base64.urlsafe_b64encode(part).rstrip(b"=").decode()
        for part in (b'{"alg":"none","typ":"JWT"}', b'{"sub":"ann","exp":99999999999}', b"")
    ),
}


def make_bad(name: str) -> str:
    try:
        return BAD[name]()
    except TypeError:  # PyJWT itself will not make this one
        header, _, tail = signed().partition(".")
        return f"{header}.eyJzdWIiOiJhbm4iLCJleHAiOiJ4In0.{tail.rpartition('.')[2]}"


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_token_is_not_let_in(server, name):
    bad = make_bad(name)
    assert await hello_close_code(server, type="hello", token=bad, protocol=1) == 4501
    assert await upgrade(server, Authorization=f"Bearer {bad}") == 401
    assert await upgrade(server, f"?token={bad or 'x'}") == 401


async def test_an_expired_token_is_not_let_in(server):
    expired = signed(exp=int(time.time()) - 1)
    assert await hello_close_code(server, type="hello", token=expired, protocol=1) == 4502
    assert await upgrade(server, Authorization=f"Bearer {expired}") == 401


async def test_the_api_key_is_no_token(server):
    assert await upgrade(server, Authorization=f"Bearer {API_KEY}") == 401
    assert await hello_close_code(server, type="hello", token=API_KEY, protocol=1) == 4501


async def test_only_overlay_tokens_may_stand_in_the_address(stage):
    viewer = token(stage.user("ann"))
    overlay = token(stage.creator, role="overlay", rooms=[stage.room])
    assert await upgrade(stage.server, f"?token={viewer}") == 401
    assert await upgrade(stage.server, f"?token={overlay}") == 101
    assert await upgrade(stage.server, Authorization=f"Basic {viewer}") == 401


async def test_the_origin_must_be_the_same_host(server):
    host = server.url.removeprefix("http://")
    ok = {"Authorization": f"Bearer {token('ann')}"}
    assert await upgrade(server, **ok, Origin=f"http://{host}") == 101
    for origin in ("https://evil.example", "http://127.0.0.1:1", "null", f"http://{host}.evil"):
        assert await upgrade(server, **ok, Origin=origin) == 403


async def test_the_origin_must_be_on_the_list():
    async with live(allowed_origins=("https://show.example",)) as server:
        host = server.url.removeprefix("http://")
        assert await upgrade(server, Origin="https://show.example") == 101
        for origin in (f"http://{host}", "https://show.example.evil", "http://show.example"):
            assert await upgrade(server, Origin=origin) == 403


@pytest.mark.parametrize("path", ["/", "/v1/ws/", "/v1/WS", "/v2/ws", "/ws", "/v1/rooms"])
async def test_the_socket_is_at_one_path(server, path):
    assert await upgrade(server, path) == 404


async def test_who_says_nothing_is_closed():
    async with live(hello_timeout_ms=100) as server:
        began = time.monotonic()
        client = await server.connect()
        assert await client.closed() == 4501
        assert time.monotonic() - began < 2
        talker = await server.connect()
        await talker.ask("welcome", type="hello", token=token("ann"), protocol=1)
        await asyncio.sleep(0.2)  # longer than the time to say hello
        await talker.ask("pong", type="ping")


async def test_a_token_that_expires_ends_the_connection():
    async with live(heartbeat_ms=100) as server:
        soon = signed(exp=int(time.time()) + 2)
        client = await server.connect()
        await client.ask("welcome", type="hello", token=soon, protocol=1)
        assert await client.closed() == 4502


async def test_a_user_may_have_so_many_connections():
    async with live(max_connections_per_user=2) as server:
        one, two = await server.connect("ann"), await server.connect("ann")
        third = await server.connect()
        await third.say(type="hello", token=token("ann"), protocol=1)
        assert await third.closed() == 4505
        await server.connect("bob")
        await one.socket.close()
        await two.ask("pong", type="ping")
        async with asyncio.timeout(5):
            while len(server.shell.hub.users["ann"].connections) > 1:
                await asyncio.sleep(0)
        await server.connect("ann")


async def test_a_full_server_says_when_to_come_back():
    async with live(max_connections=2) as server:
        await server.connect("ann")
        await server.connect("bob")
        with pytest.raises(websockets.InvalidStatus) as refused:
            await server.connect("cyd")
        assert refused.value.response.status_code == 503
        assert int(refused.value.response.headers["Retry-After"]) >= 1


# --- rooms ---------------------------------------------------------------------------------------


async def test_joined_tells_the_whole_state(stage):
    ann = await stage.join("ann", coins=100)
    await stage.gift(ann, "k1", gift="note", quantity=3)
    bob = await stage.connect("bob")
    joined = await bob.ask("joined", type="join", room=stage.room, id="j-1")
    room = await stage.books()
    top = [{"rank": 1, "user": {"id": stage.user("ann"), "name": stage.user("Ann")}, "coins": 15}]
    assert joined == {
        "type": "joined",
        "id": "j-1",
        "room": stage.room,
        "title": "A room",
        "creator": {"id": stage.creator, "name": "Cara"},
        "status": "open",
        "epoch": room["epoch"],
        "seq": 1,
        "recovered": False,
        "total_coins": 15,
        "viewers": 2,
        "board": {"room": stage.room, "as_of": 1, "window": "session", "top": top},
        "me": {"coins": 0, "rank": None},
        "balance_coins": 0,
    }
    again = await ann.ask("joined", type="join", room=stage.room)
    assert again["me"] == {"coins": 15, "rank": 1} and again["balance_coins"] == 85
    assert again["viewers"] == 2 and "id" not in again


async def test_a_room_that_does_not_exist(stage):
    client = await stage.connect("ann")
    refused = await client.ask("refused", type="join", room="nowhere", id="x")
    assert (refused["code"], refused["id"]) == ("unknown_room", "x")


async def test_what_needs_the_room_is_refused_outside_of_it(stage):
    client = await stage.connect("ann")
    for message in ({"type": "leave"}, {"type": "standing"}):
        refused = await client.ask("refused", room=stage.room, id="i", **message)
        assert (refused["code"], refused["id"]) == ("not_joined", "i")
    assert (await stage.gift(client, "k1"))["code"] == "not_joined"


async def test_leaving_ends_the_frames(stage):
    ann, bob = await stage.join("ann", coins=10), await stage.join("bob")
    left = await bob.ask("left", type="leave", room=stage.room, id="bye")
    assert left == {"type": "left", "id": "bye", "room": stage.room}
    await stage.gift(ann, "k1")
    assert "events" not in {message["type"] for message in await stage.settled(bob)}
    assert (await bob.ask("refused", type="leave", room=stage.room))["code"] == "not_joined"


async def test_a_token_for_some_rooms_opens_no_other(stage):
    await stage.server.room(f"{stage.room}-other", stage.creator)
    client = await stage.connect("ann", rooms=[stage.room])
    await client.ask("joined", type="join", room=stage.room)
    refused = await client.ask("refused", type="join", room=f"{stage.room}-other", id="i")
    assert (refused["code"], refused["id"]) == ("forbidden", "i")


async def test_an_overlay_watches_and_may_not_give(stage):
    overlay = await stage.join("cara", coins=10, role="overlay", rooms=[stage.room])
    assert (await stage.gift(overlay, "k1"))["code"] == "forbidden"
    await overlay.say(type="shown", room=stage.room, seq=0)
    heard = await stage.settled(overlay)
    assert [m["code"] for m in heard if m["type"] == "refused"] == ["forbidden"], "of the gift"
    viewer = await stage.join("ann")
    refused = await viewer.ask("refused", type="shown", room=stage.room, seq=0)
    assert refused["code"] == "forbidden"
    assert await stage.coins("cara") == 10


async def test_one_connection_follows_several_rooms(stage):
    other = f"{stage.room}-two"
    await stage.server.room(other, stage.creator)
    ann, bob = await stage.join("ann", coins=10), await stage.join("bob")
    await ann.ask("joined", type="join", room=other)
    await bob.ask("joined", type="join", room=other)
    await ann.gift("k1", room=other)
    await stage.gift(ann, "k2")
    frames = [await bob.hear("events"), await bob.hear("events")]
    assert {frame["room"] for frame in frames} == {other, stage.room}
    for frame in frames:
        assert (frame["first"], frame["last"], frame["total_coins"]) == (1, 1, 1)


async def test_viewers_are_counted(stage):
    ann = await stage.join("ann")
    await stage.join("bob")
    cyd = await stage.join("cyd")
    await ann.hear("viewers", count=3)
    assert (await stage.books())["viewers"] == 3
    await cyd.socket.close()
    await ann.hear("viewers", count=2)
    await stage.join("dan")
    await ann.hear("viewers", count=3)


async def test_ping_echoes_its_id(stage):
    client = await stage.connect("ann")
    assert await client.ask("pong", type="ping") == {"type": "pong"}
    for id in ("", "é" * 64, "x"):
        assert (await client.ask("pong", type="ping", id=id))["id"] == id


async def test_silence_is_filled_with_heartbeats_that_name_the_heads(stage):
    ann, idle = await stage.join("ann", coins=5), await stage.connect("bob")
    await stage.gift(ann, "k1")
    beat = await ann.hear("heartbeat", rooms={stage.room: 1})
    assert abs(beat["now_ms"] - time.time() * 1000) < 2_000
    assert (await idle.hear("heartbeat"))["rooms"] == {}
    again = await ann.hear("heartbeat")
    assert again["now_ms"] - beat["now_ms"] < 3 * 300


# --- standing and balance ------------------------------------------------------------------------


async def test_standing_says_what_is_missing_to_the_next(stage):
    ann, bob = await stage.join("ann", coins=100), await stage.join("bob", coins=100)
    asked = {"type": "standing", "room": stage.room}
    first = await ann.ask("standing", **asked, id="s")
    assert first == {
        "type": "standing",
        "id": "s",
        "room": stage.room,
        "as_of": 0,
        "coins": 0,
        "rank": None,
        "to_next_coins": None,
    }
    await stage.gift(ann, "k1", gift="lantern", quantity=3)
    await stage.gift(bob, "k1", gift="lantern")
    mine, next_one = await ann.ask("standing", **asked), await bob.ask("standing", **asked)
    assert (mine["coins"], mine["rank"], mine["to_next_coins"], mine["as_of"]) == (30, 1, None, 2)
    assert (next_one["coins"], next_one["rank"]) == (10, 2)
    assert next_one["to_next_coins"] == 21, "20 make a tie, and the first one there stays first"
    await stage.gift(bob, "k2", quantity=20)
    assert (await bob.ask("standing", **asked))["rank"] == 2, "a tie goes to who was there first"
    await stage.gift(bob, "k3")
    assert (await bob.ask("standing", **asked))["rank"] == 1
    assert (await stage.join("cyd")).heard[-1]["me"] == {"coins": 0, "rank": None}


async def test_a_grant_is_pushed_to_every_connection_of_the_user(stage):
    one, two, other = await stage.join("ann"), await stage.connect("ann"), await stage.join("bob")
    await stage.server.grant(stage.user("ann"), 70)
    for client in (one, two):
        assert (await client.hear("balance"))["balance_coins"] == 70
    assert "balance" not in {m["type"] for m in await stage.settled(other)}


async def test_a_gift_is_pushed_to_the_users_other_connections_only(stage):
    sender, second = await stage.join("ann", coins=50), await stage.join("ann")
    assert (await stage.gift(sender, "k1", gift="note"))["balance_coins"] == 45
    assert (await second.hear("balance"))["balance_coins"] == 45
    assert "balance" not in {m["type"] for m in await stage.settled(sender)}


async def test_a_refused_or_repeated_gift_pushes_no_balance(stage):
    sender, second = await stage.join("ann", coins=3), await stage.join("ann")
    await stage.gift(sender, "k1", gift="note")
    await stage.gift(sender, "k2")
    assert (await second.hear("balance"))["balance_coins"] == 2
    await stage.gift(sender, "k2")
    assert [m["type"] for m in await stage.settled(second)].count("balance") == 1


# --- gifts ---------------------------------------------------------------------------------------


async def test_accepted_and_the_event_say_the_same(stage):
    ann, bob = await stage.join("ann", coins=100), await stage.join("bob")
    wish = {"gift": "kettle", "quantity": 2, "to": stage.creator, "price": 9, "message": "Hi 🎁"}
    answer = await stage.gift(ann, "k1", **wish)
    combo = {"id": answer["combo"]["id"], "count": 2, "coins": 18}
    assert answer["combo"] == combo | {"ends_ms": answer["at_ms"] + 400}
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
    frames = [m for m in await stage.settled(ann) if m["type"] == "events"]
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
    assert (await stage.gift(ann, "k9", gift="note"))["combo"]["id"] != last["id"]


async def test_another_gift_ends_the_combo_at_once(stage):
    ann, bob = await stage.join("ann", coins=500), await stage.join("bob")
    first = await stage.gift(ann, "k1", gift="clap")
    second = await stage.gift(ann, "k2", gift="note")
    third = await stage.gift(ann, "k3", gift="lighthouse")
    assert third["combo"] is None
    ended = [await bob.hear("combo_ended"), await bob.hear("combo_ended")]
    assert [each["combo"]["id"] for each in ended] == [first["combo"]["id"], second["combo"]["id"]]
    assert time.time() * 1000 < second["combo"]["ends_ms"], "before its time was over"
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


# --- limits --------------------------------------------------------------------------------------


async def test_too_many_gifts_are_put_off_and_then_taken_once():
    async with live(gift_rate=20, gift_burst=3) as server:
        await server.room()
        await server.grant("ann", 100)
        ann = await server.join("ann")
        for number in range(6):
            await ann.say(type="gift", room="r", gift="spark", key=f"k{number}")
        answers = {}
        for _ in range(6):
            answer = await ann.hear("accepted", "refused")
            answers[answer["key"]] = answer
        refused = [a for a in answers.values() if a["type"] == "refused"]
        assert len(refused) >= 2
        for answer in refused:
            assert (answer["code"], answer["retry"]) == ("rate_limited", "same")
            assert 0 < answer["retry_after_ms"] <= 1_000
        last = refused[-1]
        await asyncio.sleep(last["retry_after_ms"] / 1000)
        taken = await ann.gift(last["key"])
        assert taken["type"] == "accepted" and not taken["replayed"]
        total = (await server.http.get("/v1/rooms/r")).json()["total_coins"]
        assert total == 6 - len(refused) + 1


async def test_a_second_connection_does_not_double_the_rate():
    async with live(gift_rate=1, gift_burst=3) as server:
        await server.room()
        await server.grant("ann", 100)
        one, two = await server.join("ann"), await server.join("ann")
        types = [(await client.gift(f"k{n}"))["type"] for n, client in enumerate([one, two] * 2)]
        assert types == ["accepted", "accepted", "accepted", "refused"]
        await one.socket.close()
        await two.socket.close()
        hub = server.shell.hub
        async with asyncio.timeout(5):
            swept_ms = hub._swept_ms
            while hub._swept_ms == swept_ms or hub.users["ann"].connections:
                await asyncio.sleep(0.01)
        three = await server.join("ann")
        assert (await three.gift("k9"))["code"] == "rate_limited", "reconnecting is no way around"


async def test_too_many_messages_are_put_off():
    async with live(message_rate=20, message_burst=3) as server:
        ann = await server.connect("ann")
        for number in range(6):
            await ann.say(type="ping", id=str(number))
        answers = [await ann.hear("pong", "refused") for _ in range(6)]
        refused = [a for a in answers if a["type"] == "refused"]
        assert {a["code"] for a in refused} == {"rate_limited"} and refused[0]["id"] == "3"
        assert all(a["retry_after_ms"] > 0 for a in refused)


async def test_a_full_queue_is_busy_and_stores_nothing(raw):
    async with live(queue_max=2, batch_max=1) as server:
        await server.room()
        await server.grant("ann", 1_000)
        socket = await raw(server, "ann")
        await socket.say({"type": "join", "room": "r"})
        await socket.hear("joined")
        wishes = [{"type": "gift", "room": "r", "gift": "spark", "key": f"k{n}"} for n in range(50)]
        await socket.say(*wishes)
        answers = {}
        for _ in wishes:
            answer = await socket.hear("accepted", "refused")
            answers[answer["key"]] = answer
        busy = [key for key, answer in answers.items() if answer["type"] == "refused"]
        assert len(busy) >= 40 and len(answers) == 50
        for key in busy:
            assert (answers[key]["code"], answers[key]["retry"]) == ("busy", "same")
            assert answers[key]["retry_after_ms"] > 0
        books = (await server.http.get("/v1/rooms/r")).json()
        assert books["seq"] == books["total_coins"] == 50 - len(busy)
        await socket.say(wishes[int(busy[0][1:])])
        assert not (await socket.hear("accepted"))["replayed"]
        socket.vanish()


# --- frames that break the rules -----------------------------------------------------------------


async def test_a_large_message_is_refused_and_a_huge_one_ends_it(stage):
    client = await stage.join("ann")
    room = {"type": "ping", "id": "i", "pad": ""}
    room["pad"] = "x" * (16_384 - len(json.dumps(room)))
    await client.socket.send(json.dumps(room))
    await client.hear("pong")
    room["pad"] += "x"
    await client.socket.send(json.dumps(room))
    assert (await client.hear("refused"))["code"] == "too_large"
    await client.ask("pong", type="ping")
    await client.socket.send("x" * (64 * 1024 + 1))
    assert await client.closed() == 1009


UNREADABLE = {
    "no JSON": ("gift please", "malformed"),
    "cut off": ('{"type":"ping"', "malformed"),
    "a list": ('[{"type":"ping"}]', "malformed"),
    "a number": ("1", "malformed"),
    "nothing": ("", "malformed"),
    "NaN": ('{"type":"ping","id":NaN}', "malformed"),
    "two objects": ('{"type":"ping"}{"type":"ping"}', "malformed"),
    "deep nesting": ('{"type":"ping","x":' + "[" * 5_000, "malformed"),
    "a lone surrogate": ('{"type":"ping","id":"\\ud800"}', "malformed"),
    "no type": ('{"room":"r"}', "unknown_type"),
    "type null": ('{"type":null}', "unknown_type"),
    "unknown type": ('{"type":"steal"}', "unknown_type"),
    "a server's type": ('{"type":"accepted","key":"k"}', "unknown_type"),
    "no room": ('{"type":"join"}', "malformed"),
    "an empty room": ('{"type":"join","room":""}', "malformed"),
    "half a resume": ('{"type":"join","room":"r","resume":{"seq":1}}', "malformed"),
    "a resume below zero": (
        '{"type":"join","room":"r","resume":{"epoch":"e","seq":-1}}',
        "malformed",
    ),
    "a long id": (json.dumps({"type": "ping", "id": "i" * 65}), "malformed"),
}


@pytest.mark.parametrize("name", UNREADABLE)
async def test_an_unreadable_message_is_refused_and_the_next_is_read(stage, name):
    sent, code = UNREADABLE[name]
    client = await stage.connect("ann")
    await client.socket.send(sent)
    assert (await client.hear("refused"))["code"] == code
    await client.ask("pong", type="ping")


async def test_fields_that_nobody_knows_are_skipped(stage):
    client = await stage.connect("ann")
    assert (await client.ask("pong", type="ping", id="i", later=[1]))["id"] == "i"


async def test_key_and_id_of_a_broken_message_are_echoed(stage):
    client = await stage.connect("ann")
    refused = await client.ask("refused", type="gift", key="k7", room=5)
    assert refused["key"] == "k7"
    assert (await client.ask("refused", type="nonsense", id="i7"))["id"] == "i7"


async def test_binary_frames_are_refused(stage):
    client = await stage.join("ann", coins=5)
    wish = {"type": "gift", "room": stage.room, "gift": "spark", "key": "k"}
    await client.socket.send(json.dumps(wish).encode())
    assert (await client.hear("refused"))["code"] == "malformed"
    assert await stage.coins("ann") == 5


async def test_twenty_broken_messages_end_the_connection(stage):
    client = await stage.connect("ann")
    for number in range(20):
        await client.socket.send(f"rubbish {number}")
    assert await client.closed() == 4500
    assert sum(m["type"] == "refused" for m in client.heard) == 20


async def test_a_refused_wish_is_no_broken_message(stage):
    client = await stage.connect("ann")
    for number in range(30):
        await client.ask("refused", type="standing", room=stage.room, id=str(number))
    await client.ask("pong", type="ping")


async def test_fragments_make_one_message(stage, raw):
    await stage.server.grant(stage.user("ann"), 10)
    socket = await raw(stage.server, stage.user("ann"))
    await socket.say({"type": "join", "room": stage.room})
    await socket.hear("joined")
    wish = {"type": "gift", "room": stage.room, "gift": "note", "key": "k", "message": "grüße"}
    data = json.dumps(wish, ensure_ascii=False).encode()
    parts = [data[i : i + 7] for i in range(0, len(data), 7)]
    await socket.send((Opcode.TEXT, parts[0], False), (Opcode.PING, b"between"))
    await socket.send(*((Opcode.CONT, part, False) for part in parts[1:]))
    await socket.send((Opcode.CONT, b"", True))
    pong = await socket.frame()
    assert pong == (Opcode.PONG, b"between")
    assert (await socket.hear("accepted"))["coins"] == 5


async def test_fragments_that_are_too_much_end_the_connection(stage, raw):
    socket = await raw(stage.server, stage.user("ann"))
    await socket.hear("welcome")
    await socket.send((Opcode.TEXT, b"x" * 40_000, False), (Opcode.CONT, b"x" * 40_000, True))
    opcode, payload = (await socket.rest())[-1]
    assert opcode == Opcode.CLOSE and Close.parse(payload).code == 1009


async def test_control_frames_are_answered(stage, raw):
    socket = await raw(stage.server, stage.user("ann"))
    await socket.hear("welcome")
    await socket.send((Opcode.PING, b"are you there"), (Opcode.PONG, b"unasked"))
    assert await socket.frame() == (Opcode.PONG, b"are you there")
    await socket.send((Opcode.CLOSE, Close(1000, "bye").serialize()))
    frames = await socket.rest()
    assert frames[-1][0] == Opcode.CLOSE and Close.parse(frames[-1][1]).code == 1000


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x81\x02{}", 1002),  # not masked
        (b"\xc1\x80\0\0\0\0", 1002),  # a reserved bit
        (b"\x83\x80\0\0\0\0", 1002),  # a reserved opcode
        (b"\x80\x80\0\0\0\0", 1002),  # a continuation of nothing
        (b"\x09\x80\0\0\0\0", 1002),  # a fragmented ping
    ],
)
async def test_what_breaks_rfc_6455_ends_the_connection(stage, raw, frame, code):
    socket = await raw(stage.server, stage.user("ann"))
    await socket.hear("welcome")
    await socket.send_bytes(frame)
    opcode, payload = (await socket.rest())[-1]
    assert opcode == Opcode.CLOSE and Close.parse(payload).code == code


async def test_nothing_follows_a_close_frame(stage, raw):
    """RFC 6455, 5.5.1: no data frames after a close frame, however much was in flight."""
    await stage.server.grant(stage.user("ann"), 100)
    socket = await raw(stage.server, stage.user("ann"))
    await socket.say({"type": "join", "room": stage.room})
    await socket.hear("joined")
    gifts = [
        (Opcode.TEXT, json.dumps(wish).encode())
        for n in range(5)
        for wish in [{"type": "gift", "room": stage.room, "gift": "spark", "key": f"k{n}"}]
    ]
    await socket.send(*gifts, *[(Opcode.BINARY, b"junk")] * 25, *gifts)
    frames = await socket.until_close()
    await stage.books()  # whatever was in flight is settled by now
    await socket.send((Opcode.CLOSE, frames[-1][1]))
    frames += await socket.rest()
    opcodes = [opcode for opcode, _ in frames]
    assert Opcode.CLOSE in opcodes
    assert opcodes.index(Opcode.CLOSE) == len(opcodes) - 1, frames[-3:]


async def test_a_viewer_who_lingers_after_goodbye_hurts_nobody(stage, raw):
    """It has closed and does not let go of the socket; one more has sent too much."""
    ann = await stage.join("ann", coins=50)
    lingering = [await raw(stage.server, stage.user(name)) for name in ("bob", "cyd")]
    for socket in lingering:
        await socket.say({"type": "join", "room": stage.room})
        await socket.hear("joined")
    gift = {"type": "gift", "room": stage.room, "gift": "spark", "key": "last"}
    await lingering[0].send(
        (Opcode.TEXT, json.dumps(gift).encode()), (Opcode.CLOSE, Close(1001, "").serialize())
    )
    await lingering[1].send((Opcode.TEXT, b"x" * 70_000))
    await lingering[1].frame()
    for number in range(3):
        assert (await stage.gift(ann, f"k{number}"))["type"] == "accepted"
    assert (await stage.books())["total_coins"] == 3


async def test_many_gifts_in_flight_are_all_answered(stage):
    ann: Client = await stage.join("ann", coins=500)
    for number in range(200):
        await ann.say(type="gift", room=stage.room, gift="spark", key=f"k{number}")
    answers = [await ann.hear("accepted") for _ in range(200)]
    assert {a["key"] for a in answers} == {f"k{n}" for n in range(200)}
    assert sorted(a["seq"] for a in answers) == list(range(1, 201))
    assert sorted(a["balance_coins"] for a in answers) == list(range(300, 500))
