"""Joining and gifting without waiting for each other's answers, and being told to wait."""

import asyncio

import pytest

from kit.servers.serving import Live, live


async def test_a_gift_may_follow_its_join_at_once() -> None:
    async with live() as server:
        await server.room()
        await server.grant("ann", 10)
        ann = await server.connect("ann")
        await ann.say(type="join", room="r")
        await ann.say(type="gift", room="r", gift="spark", key="k1")
        answers = [await ann.hear("joined", "accepted", "refused") for _ in range(2)]
        assert sorted(answer["type"] for answer in answers) == ["accepted", "joined"]


async def test_a_gift_into_a_room_that_does_not_exist_moves_nothing() -> None:
    async with live() as server:
        ann = await server.connect("ann")
        await ann.say(type="join", room="nowhere")
        answer = await ann.gift("k1", room="nowhere")
        assert answer["code"] == "unknown_room"


async def test_leaving_before_joined_is_leaving() -> None:
    async with live() as server:
        await server.room()
        await server.grant("bob", 10)
        ann, bob = await server.connect("ann"), await server.join("bob")
        await ann.say(type="join", room="r")
        await ann.ask("left", type="leave", room="r")
        await bob.gift("k1")
        await ann.ask("pong", type="ping")
        assert "events" not in [message["type"] for message in ann.heard]


async def test_rooms_that_are_being_joined_count_as_rooms() -> None:
    async with live() as server:
        for number in range(60):
            await server.room(f"r{number}")
        ann = await server.connect("ann")
        for number in range(60):
            await ann.say(type="join", room=f"r{number}", id=str(number))
        answers = [await ann.hear("joined", "refused") for _ in range(60)]
        assert sum(answer["type"] == "joined" for answer in answers) == 50
        assert {answer["code"] for answer in answers if "code" in answer} == {"forbidden"}


async def test_an_overlay_does_not_show_its_creators_wallet() -> None:
    async with live() as server:
        await server.room(creator="cara")
        await server.grant("cara", 500)
        overlay = await server.connect("cara", role="overlay", rooms=["r"])
        joined = await overlay.ask("joined", type="join", room="r")
        assert joined["balance_coins"] == 0
        await server.grant("cara", 5)
        await overlay.ask("pong", type="ping")
        assert "balance" not in [message["type"] for message in overlay.heard]


async def flood(server: Live, gifts: int) -> set[str]:
    """Send many gifts at once and repeat those that were too many; what was refused on the way."""
    ann = await server.join("ann")
    waiting = {f"k{number}" for number in range(gifts)}
    codes = set()
    while waiting:
        for key in sorted(waiting):
            await ann.say(type="gift", room="r", gift="spark", key=key)
        for _ in range(len(waiting)):
            answer = await ann.hear("accepted", "refused")
            if answer["type"] == "accepted":
                waiting.discard(answer["key"])
            else:
                codes.add((answer["code"], answer["retry"]))
                assert answer["retry_after_ms"] >= 200
    return codes


async def test_who_fills_the_queue_is_read_again_when_there_is_room() -> None:
    async with live(queue_max=8) as server:
        await server.room()
        await server.grant("ann", 1_000)
        assert await flood(server, 300) == {("busy", "same")}
        room = (await server.http.get("/v1/rooms/r")).json()
        assert (room["seq"], room["total_coins"]) == (300, 300)
        connection = next(iter(server.node.lobby.guests))
        assert not connection._held_back


async def test_a_room_that_cannot_be_read_keeps_nobody_out_of_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with live() as server:
        for room in ("bad", "good", "slow"):
            await server.room(room)
        go_on, read = asyncio.Event(), server.node.store.room

        async def reading(room: str, recent: int) -> object:
            if room == "slow":
                await go_on.wait()
            if room == "bad":
                raise ZeroDivisionError
            return await read(room, recent)

        monkeypatch.setattr(server.node.store, "room", reading)
        clients = [await server.connect(user) for user in ("ann", "bob", "cyd")]
        for client, room in zip(clients, ("slow", "bad", "good"), strict=True):
            await client.say(type="join", room=room)
            await client.ask("pong", type="ping")
        go_on.set()
        slow, bad, good = [await client.hear("joined", "refused") for client in clients]
        assert (slow["type"], bad["code"], good["type"]) == ("joined", "unavailable", "joined")
