"""The demo's gifters: they come, have no coins, are given some, and give as anybody does."""

import asyncio
import random
from typing import Any

import pytest

from kit.servers.serving import API_KEY, SECRET, live
from kit.waiting import until
from largesse_client import Backend, GiftEvent, make_token
from server import demo
from server.demo import COINS, DEMO_ROOM, NAMES, play


async def test_the_demos_gifters_gift_until_they_are_stopped() -> None:
    async with live() as server, Backend(server.url, API_KEY) as backend:
        playing = asyncio.create_task(play(server.url, SECRET, API_KEY, random.Random(1), 40))
        seen: list[GiftEvent] = []
        async with asyncio.timeout(60):
            while len(seen) < 12 and not playing.done():
                await asyncio.sleep(0.1)
                seen = [event async for event in _gifts(backend)]
        playing.cancel()
        await asyncio.wait([playing])
        assert playing.cancelled()
        names = {gift.from_.name.split()[0] for gift in seen if gift.from_.name}
        assert len(names) > 3 and names <= set(NAMES)
        assert (await backend.users.wallet(str(seen[0].from_.id))).coins < COINS


async def test_a_gifter_whom_the_server_does_not_want_tries_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def tokens(secret: str, user: str, **named: Any) -> str:
        asked.append(user)
        return make_token("another secret of 32 bytes and more", user, **named)

    monkeypatch.setattr(demo, "make_token", tokens)
    async with live() as server:
        playing = asyncio.create_task(play(server.url, SECRET, API_KEY, random.Random(1), 1))
        await until(lambda: len(asked) == 2 or playing.done())
        playing.cancel()
        await asyncio.wait([playing])
        assert playing.cancelled()


async def _gifts(backend: Backend):
    if [room async for room in backend.rooms.all()]:
        async for event in backend.rooms.events(DEMO_ROOM):
            if isinstance(event, GiftEvent):
                yield event
