"""The demo's gifters: they come, have no coins, are given some, and give as anybody does."""

import asyncio
import random

from kit.servers.serving import API_KEY, SECRET, live
from largesse_client import Backend, GiftEvent
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


async def _gifts(backend: Backend):
    if [room async for room in backend.rooms.all()]:
        async for event in backend.rooms.events(DEMO_ROOM):
            if isinstance(event, GiftEvent):
                yield event
