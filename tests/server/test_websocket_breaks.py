"""Limits of the WebSocket and frames that break the rules, as in protocol.md (section 1).

Every message that a client of a stage hears is also held against `contract_table`.
"""

import asyncio
import json

import pytest
from websockets.frames import Close, Opcode

from kit.servers.serving import Client, live
from kit.waiting import PATIENCE_S

pytestmark = pytest.mark.asyncio(loop_scope="module")


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
        hub = server.node.hub
        async with asyncio.timeout(PATIENCE_S):
            swept_ms = hub._swept_ms
            while hub._swept_ms == swept_ms or server.node.users.here["ann"].guests:
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
    while (frame := await socket.frame())[0] == Opcode.TEXT:
        kind = json.loads(frame[1])["type"]
        assert kind in ("viewers", "board"), "the answer to the gift came before the pong"
    assert frame == (Opcode.PONG, b"between")
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
