"""A thousand connections of one user at one barrier: the last coin, exactly k coins, one key.

The sockets are real and all gifts are on their way before the first answer is read. Exactly as many
gifts as there are coins may be accepted, and one key may be booked once, whoever comes first.
"""

import asyncio
import contextlib
import json
import resource
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

from kit.servers.serving import BACKEND, ServerProcess, server_process
from kit.waiting import PATIENCE_S
from reliability.books import check_audit
from reliability.load import ROOM, connection, join

pytestmark = pytest.mark.deep

CONNECTIONS = 1_000
USER = "rita"
OPENING_AT_ONCE = 50
FLAGS = {
    "gift-rate": 1_000_000,
    "gift-burst": 1_000_000,
    "max-connections-per-user": 2 * CONNECTIONS,
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server, and descriptors enough for a thousand sockets on both sides."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with server_process(tmp_path, **FLAGS) as server:
            yield server
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    check_audit(server.database)


class Race:
    """A thousand sockets of one user, joined and silent until `start`."""

    def __init__(self, url: str, http: httpx.AsyncClient) -> None:
        self.url = url
        self.http = http
        self.sockets: list[websockets.ClientConnection] = []
        self._names = count()

    async def start(self, wishes: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Send wish n on socket n, all before anything is read; the answers in the same order."""
        texts = [json.dumps({"type": "gift", "room": ROOM} | wish) for wish in wishes]
        await asyncio.gather(*(s.send(t) for s, t in zip(self.sockets, texts, strict=True)))
        async with asyncio.timeout(PATIENCE_S):
            pairs = zip(self.sockets, wishes, strict=True)
            return await asyncio.gather(*(answer(s, wish["key"]) for s, wish in pairs))

    def key(self) -> str:
        return f"key-{next(self._names)}"

    async def grant(self, coins: int) -> None:
        body = {"user": USER, "coins": coins, "reason": "race"}
        (await self.http.post("/v1/grants", json=body)).raise_for_status()

    async def coins(self) -> int:
        return int((await self.http.get(f"/v1/users/{USER}/wallet")).json()["coins"])

    async def booked(self) -> int:
        return int((await self.http.get(f"/v1/rooms/{ROOM}")).json()["seq"])


async def answer(socket: websockets.ClientConnection, key: str) -> dict[str, Any]:
    while True:
        text = str(await socket.recv())
        if text.startswith(('{"type":"accepted"', '{"type":"refused"')):
            message: dict[str, Any] = json.loads(text)
            assert message["key"] == key
            return message


@contextlib.asynccontextmanager
async def race(url: str) -> AsyncIterator[Race]:
    async with (
        httpx.AsyncClient(base_url=url, headers=BACKEND, timeout=PATIENCE_S) as http,
        contextlib.AsyncExitStack() as open_sockets,
    ):
        found = Race(url, http)
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


def outcomes(answers: list[dict[str, Any]]) -> Counter[str]:
    return Counter(one.get("code", one["type"]) for one in answers)


async def race_for(url: str, coins: int, rounds: int) -> None:
    """`coins` coins, a thousand gifts of one coin with keys of their own."""
    async with race(url) as crowd:
        for number in range(1, rounds + 1):
            await crowd.grant(coins)
            wishes = [{"key": crowd.key(), "gift": "spark"} for _ in crowd.sockets]
            answers = await crowd.start(wishes)
            assert outcomes(answers) == {
                "accepted": coins,
                "insufficient_coins": CONNECTIONS - coins,
            }
            accepted = [one for one in answers if one["type"] == "accepted"]
            assert sorted(one["balance_coins"] for one in accepted) == [*range(coins)]
            assert await crowd.coins() == 0
            assert await crowd.booked() == number * coins


@pytest.mark.timeout(600)
async def test_a_thousand_race_for_the_last_coin_thirty_times(server: ServerProcess) -> None:
    await race_for(server.url, coins=1, rounds=30)


async def test_coins_for_137_of_a_thousand_gifts_buy_137(server: ServerProcess) -> None:
    await race_for(server.url, coins=137, rounds=1)


async def test_a_thousand_times_the_same_key_is_one_gift(server: ServerProcess) -> None:
    async with race(server.url) as crowd:
        await crowd.grant(5_000)
        key = crowd.key()
        answers = await crowd.start([{"key": key, "gift": "biscuit"}] * CONNECTIONS)
        assert outcomes(answers) == {"accepted": CONNECTIONS}
        assert Counter(one.pop("replayed") for one in answers) == {True: CONNECTIONS - 1, False: 1}
        for one in answers:
            del one["me"]
        assert answers == [answers[0]] * CONNECTIONS
        assert await crowd.coins() == 4_995
        assert await crowd.booked() == 1


async def test_one_key_with_two_contents_is_one_gift_and_says_so(server: ServerProcess) -> None:
    async with race(server.url) as crowd:
        await crowd.grant(5_000)
        key = crowd.key()
        wishes = [
            {"key": key, "gift": ("biscuit", "spark")[number % 2]} for number in range(CONNECTIONS)
        ]
        answers = await crowd.start(wishes)
        assert outcomes(answers) == {"accepted": CONNECTIONS // 2, "key_reused": CONNECTIONS // 2}
        accepted = [one for one in answers if one["type"] == "accepted"]
        assert len({(one["gift"], one["seq"], one["balance_coins"]) for one in accepted}) == 1
        assert sum(not one["replayed"] for one in accepted) == 1
        assert await crowd.coins() == 5_000 - accepted[0]["coins"]
        assert await crowd.booked() == 1
