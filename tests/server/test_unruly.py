"""Clients that misbehave cost the others nothing, and never the server's stop."""

import asyncio
import json

from kit.servers.serving import live
from kit.waiting import PATIENCE_S

UPGRADE_WITHOUT_KEY = (
    b"GET /v1/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\n\r\n"
)


async def test_a_broken_upgrade_is_answered_and_does_not_disturb_the_stop() -> None:
    async with live(ping_ms=100) as server:
        await server.room()
        await server.grant("ann", 10)
        ann = await server.join("ann")
        host, port = server.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(UPGRADE_WITHOUT_KEY)
        assert b" 400 " in await reader.readline()
        await asyncio.sleep(0.3)  # two turns of the ping wheel
        assert (await ann.gift("k1"))["type"] == "accepted"
        assert len(server.node.lobby.guests) == 1
        writer.close()


async def test_who_is_far_above_the_rate_is_read_less() -> None:
    async with live(message_rate=10, message_burst=5) as server:
        await server.room()
        await server.grant("bob", 10)
        loud, bob = await server.connect("loud"), await server.join("bob")
        await asyncio.gather(*(loud.socket.send('{"type":"ping"}') for _ in range(50)))
        answers = [await loud.hear("pong", "refused") for _ in range(50)]
        refused = [answer for answer in answers if answer["type"] == "refused"]
        assert {(answer["code"], answer["retry"]) for answer in refused} == {
            ("rate_limited", "same")
        }
        assert (await bob.gift("k1"))["type"] == "accepted"
        held = [c for c in server.node.lobby.guests if c._held_back]
        assert [c.identity.user for c in held] == ["loud"]
        async with asyncio.timeout(PATIENCE_S):
            while held[0]._held_back:
                await asyncio.sleep(0.02)
        await loud.ask("pong", "refused", type="ping")


async def test_endless_pieces_of_a_message_end_the_connection() -> None:
    async with live() as server:
        ann = await server.connect("ann")

        async def pieces():  # type: ignore[no-untyped-def]
            for _ in range(3_000):
                yield " "

        with_close = asyncio.create_task(ann.socket.send(pieces()))
        assert await ann.closed() == 4500
        await asyncio.gather(with_close, return_exceptions=True)


async def test_the_close_reason_of_a_bad_token_says_what_is_wrong() -> None:
    async with live() as server:
        nobody = await server.connect()
        await nobody.socket.send(json.dumps({"type": "hello", "token": "no.jwt.here"}))
        assert await nobody.closed() == 4501
        assert "JWT" in (nobody.socket.close_reason or "")
