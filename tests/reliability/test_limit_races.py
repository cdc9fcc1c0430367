"""Two hundred connections of one user against a daily limit with room for exactly k gifts.

All gifts are on their way before the first answer is read, and there are coins for all of them:
only the limit stands between. Between two rounds everything is taken back, which frees the limit.
"""

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

from kit.building.buying import HOOK, signed
from kit.servers.http_asking import bearer
from kit.servers.serving import BACKEND, ServerProcess
from kit.waiting import PATIENCE_S
from reliability.books import check_audit
from reliability.load import ROOM, connection, join
from server.payments import Paid

CONNECTIONS = 200
OPENING_AT_ONCE = 25
USER = "rita"
COINS = 10_000
PRICE = 5
FITTING = 37
LIMIT = FITTING * PRICE + PRICE - 1
"""Room for 37 gifts of 5 coins, and not quite for one more."""
FLAGS = {
    "gift-rate": 1_000_000,
    "gift-burst": 1_000_000,
    "max-connections-per-user": 2 * CONNECTIONS,
    "first-day-limit-coins": 0,
}


class Race:
    """The sockets of one user, joined and silent until `start`."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http
        self.sockets: list[websockets.ClientConnection] = []
        self._names = count()

    async def start(self) -> Counter[str]:
        """One gift on every socket, all before anything is read; the answers by kind."""
        keys = [f"key-{next(self._names)}" for _ in self.sockets]
        wish = {"type": "gift", "room": ROOM, "gift": "note"}
        texts = [json.dumps(wish | {"key": key}) for key in keys]
        await asyncio.gather(*(s.send(t) for s, t in zip(self.sockets, texts, strict=True)))
        async with asyncio.timeout(PATIENCE_S):
            pairs = zip(self.sockets, keys, strict=True)
            answers = await asyncio.gather(*(answer(s, key) for s, key in pairs))
        for one in answers:
            if one["type"] == "refused":
                assert (one["details"]["spent_coins"], one["details"]["left_coins"]) == (
                    FITTING * PRICE,
                    PRICE - 1,
                ), "refused while it would have fitted"
        return Counter(one.get("code", one["type"]) for one in answers)

    async def take_back(self) -> int:
        body = {"from_ms": 0, "to_ms": int(time.time() * 1000) + 60_000, "reason": "next round"}
        answer = await self.http.post(f"/v1/users/{USER}/reverse", json=body)
        return int(answer.raise_for_status().json()["reversed_gifts"])

    async def wallet(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.http.get(f"/v1/users/{USER}/wallet")).json()
        return found


async def answer(socket: websockets.ClientConnection, key: str) -> dict[str, Any]:
    while True:
        message: dict[str, Any] = json.loads(await socket.recv())
        if message["type"] in ("accepted", "refused"):
            assert message["key"] == key
            return message


@contextlib.asynccontextmanager
async def race(url: str) -> AsyncIterator[Race]:
    async with (
        httpx.AsyncClient(base_url=url, headers=BACKEND, timeout=PATIENCE_S) as http,
        contextlib.AsyncExitStack() as open_sockets,
    ):
        found = Race(http)
        room = {"id": ROOM, "title": "Stage", "creator": "cara", "creator_name": "Cara"}
        (await http.post("/v1/rooms", json=room)).raise_for_status()
        turns = asyncio.Semaphore(OPENING_AT_ONCE)

        async def enter() -> None:
            async with turns:
                socket = await open_sockets.enter_async_context(connection(url, USER))
                found.sockets.append(socket)
                await join(socket)

        await asyncio.gather(*(enter() for _ in range(CONNECTIONS)))
        try:
            yield found
        finally:
            for socket in found.sockets:
                socket.transport.abort()


async def own_limit(http: httpx.AsyncClient) -> None:
    """Granted coins, and a limit that the user chose."""
    grant = {"user": USER, "coins": COINS, "reason": "race"}
    (await http.post("/v1/grants", json=grant)).raise_for_status()
    limits = {"daily_coins": LIMIT}
    path = f"/v1/users/{USER}/limits"
    (await http.put(path, json=limits, headers=bearer(USER))).raise_for_status()


async def default_limit(http: httpx.AsyncClient) -> None:
    """Bought coins, and the operator's limit."""
    wish = {"user": USER, "coins": COINS}
    made = (await http.post("/v1/purchases", json=wish)).raise_for_status().json()
    said = Paid(
        purchase=made["purchase"],
        payment="p",
        amount_minor=made["price_minor"],
        currency=made["currency"],
    )
    headers, body = signed(said)
    (await http.post(HOOK, content=body, headers=headers)).raise_for_status()


async def race_for(folder: Path, source: str, rounds: int) -> None:
    flags = FLAGS | ({"daily-limit-coins": LIMIT} if source == "default" else {})
    server = ServerProcess(folder, **flags)
    try:
        await asyncio.to_thread(server.start)
        async with race(server.url) as crowd:
            await (own_limit if source == "own" else default_limit)(crowd.http)
            for _ in range(rounds):
                outcomes = await crowd.start()
                assert outcomes == {"accepted": FITTING, "limit_daily": CONNECTIONS - FITTING}
                wallet = await crowd.wallet()
                daily = wallet["limits"]["daily"]
                assert (daily["source"], daily["spent_coins"]) == (source, FITTING * PRICE)
                assert wallet["coins"] == COINS - FITTING * PRICE
                assert await crowd.take_back() == FITTING
    finally:
        server.kill()
    check_audit(server.database)


@pytest.mark.parametrize("source", ["own", "default"])
async def test_two_hundred_race_for_the_rest_of_a_limit(tmp_path: Path, source: str) -> None:
    await race_for(tmp_path, source, rounds=1)


@pytest.mark.deep
@pytest.mark.timeout(600)
@pytest.mark.parametrize("source", ["own", "default"])
async def test_two_hundred_race_for_the_rest_of_a_limit_thirty_times(
    tmp_path: Path, source: str
) -> None:
    await race_for(tmp_path, source, rounds=30)
