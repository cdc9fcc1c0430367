"""The WebSocket as protocol.md (section 1) promises it, seen by somebody who believes nothing else.

Every message that a client of a stage hears is also held against `contract_table`. Gifts
are in test_websocket_gifts.py, limits and broken frames in test_websocket_breaks.py.
"""

import asyncio
import base64
import json
import time
from typing import Any

import jwt
import pytest
import websockets

from kit.servers.serving import API_KEY, SECRET, live, token
from kit.waiting import PATIENCE_S

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
            async with asyncio.timeout(PATIENCE_S):
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
        async with asyncio.timeout(PATIENCE_S):
            while len(server.node.users.here["ann"].guests) > 1:
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
