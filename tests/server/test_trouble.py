"""When something goes wrong: slow and vanished viewers, races, a stop, a full disk."""

import asyncio
import contextlib
import json
import resource
import signal
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets
from websockets.frames import Close, Opcode

import storage
from kit.servers.described import asking
from kit.servers.serving import BACKEND, Client, Live, ServerProcess, live, server_process
from kit.waiting import PATIENCE_S, until


def close_code(frames: list[tuple[int, bytes]]) -> int | None:
    """The code of the close frame among these, if one arrived."""
    codes = [Close.parse(payload).code for opcode, payload in frames if opcode == Opcode.CLOSE]
    return codes[0] if codes else None


def small_pipe(connection: Any) -> None:
    """Give the kernel a small buffer on the server's side: megabytes would fit otherwise."""
    sock = connection.transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8_192)


@contextlib.asynccontextmanager
async def in_process(folder: Path, **flags: Any) -> AsyncIterator[ServerProcess]:
    with server_process(folder, **flags) as server:
        yield server


# --- viewers who do not read ---------------------------------------------------------------------


async def test_who_does_not_read_is_closed_and_the_others_notice_nothing(raw) -> None:
    async with live(slow_bytes=100_000, slow_ms=500, tick_ms=5) as server:
        await server.room()
        await server.grant("ann", 1_000_000)
        ann, bob = await server.join("ann"), await server.join("bob")
        deaf = await raw(server, "deaf", receive_bytes=4_096)
        await deaf.say({"type": "join", "room": "r"})
        await until(lambda: server.node.hub.viewers("r") == 3)
        [stuck] = server.node.users.here["deaf"].guests
        small_pipe(stuck)
        text = "x" * 200
        highest, slowest, number = 0, 0.0, 0
        async with asyncio.timeout(PATIENCE_S):
            while stuck in server.node.lobby.guests and stuck.session.phase.value != "closed":
                began = time.monotonic()
                number += 1
                await ann.gift(f"k{number}", message=text)
                while (await bob.hear("events"))["last"] < number:
                    pass
                slowest = max(slowest, time.monotonic() - began)
                highest = max(highest, stuck.buffered())
        assert highest < 100_000 + 300_000, "what a deaf viewer costs is bounded"
        assert slowest < 1.5, "somebody else waited for it"
        closes = (await server.http.get("/metrics")).text
        assert 'largesse_closes_total{code="4001"} 1.0' in closes
        deaf.vanish()


async def test_who_reads_a_byte_a_second_is_closed_too(raw) -> None:
    async with live(slow_bytes=10_000_000, slow_ms=300, tick_ms=5) as server:
        await server.room()
        await server.grant("ann", 1_000_000)
        ann = await server.join("ann")
        slow = await raw(server, "slow", receive_bytes=4_096)
        await slow.say({"type": "join", "room": "r"})
        await until(lambda: server.node.hub.viewers("r") == 2)
        [stuck] = server.node.users.here["slow"].guests
        small_pipe(stuck)
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(PATIENCE_S):
            number = 0
            while stuck.session.phase.value != "closed":
                for _ in range(50):
                    number += 1
                    await ann.gift(f"k{number}", message="x" * 200)
                slow.buffer += await loop.sock_recv(slow.sock, 1)
        frames = await slow.until_close()
        assert close_code(frames) == 4001
        slow.vanish()


async def test_who_vanished_is_closed_by_pings(raw) -> None:
    async with live(ping_ms=150) as server:
        await server.room()
        ann = await server.join("ann")
        gone = await raw(server, "gone")
        await gone.say({"type": "join", "room": "r"})
        frames = (
            await gone.until_close()
        )  # reads, and never answers a ping: a router died in between
        assert close_code(frames) == 4002
        assert sum(opcode == Opcode.PING for opcode, _ in frames) == 1
        await until(lambda: server.node.hub.viewers("r") == 1)
        await ann.ask("pong", type="ping")
        gone.vanish()


async def test_who_answers_pings_stays() -> None:
    async with live(ping_ms=100) as server:
        silent = await server.connect("ann")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(silent.socket.wait_closed(), 0.5)
        await silent.ask("pong", type="ping")


# --- races ---------------------------------------------------------------------------------------


async def many(server: Live, users: list[str]) -> list[Client]:
    async with asyncio.TaskGroup() as tasks:
        joining = [tasks.create_task(server.join(user)) for user in users]
    return [each.result() for each in joining]


async def test_three_hundred_race_for_the_last_coin() -> None:
    async with live() as server:
        await server.room()
        await server.grant("ann", 1)
        clients = await many(server, ["ann"] * 300)
        answers = await asyncio.gather(*(c.gift(f"k{n}") for n, c in enumerate(clients)))
        accepted = [a for a in answers if a["type"] == "accepted"]
        assert len(accepted) == 1
        assert {a["code"] for a in answers if a["type"] == "refused"} == {"insufficient_coins"}
        assert (await server.http.get("/v1/rooms/r")).json()["total_coins"] == 1
        assert (await server.http.get("/v1/users/ann/wallet")).json()["coins"] == 0


async def test_three_hundred_send_one_key() -> None:
    async with live() as server:
        await server.room()
        await server.grant("ann", 1_000)
        clients = await many(server, ["ann"] * 300)
        answers = await asyncio.gather(*(c.gift("one", gift="note") for c in clients))
        assert [a["replayed"] for a in answers].count(False) == 1
        assert len({json.dumps(a | {"replayed": 0}) for a in answers}) == 1
        assert (await server.http.get("/v1/users/ann/wallet")).json()["coins"] == 995


# --- stopping ------------------------------------------------------------------------------------


FAST = {f"{what}-{how}": 1_000_000 for what in ("gift", "message") for how in ("rate", "burst")}


async def test_a_stop_sends_everybody_away_and_loses_no_gift(tmp_path: Path) -> None:
    async with (
        in_process(tmp_path, **FAST, **{"drain-ms": 300}) as server,
        asking(server.url, BACKEND) as http,
    ):
        away = Live(server.url, http)
        await away.room()
        await away.grant("ann", 100_000)
        ann, viewers = await away.join("ann"), await many(away, [f"v{n}" for n in range(20)])
        answered: dict[str, dict[str, Any]] = {}
        sent: list[str] = []

        async def give() -> None:
            with contextlib.suppress(websockets.ConnectionClosed):
                for number in range(100_000):
                    sent.append(f"k{number}")
                    await ann.say(type="gift", room="r", gift="spark", key=f"k{number}")
                    if number >= 150:  # so many are in flight
                        await ann.hear("accepted")

        async def listen() -> None:
            with contextlib.suppress(websockets.ConnectionClosed):
                while True:
                    await ann.hear("notice")

        giving = asyncio.create_task(give())
        await until(lambda: len(sent) > 300)
        assert server.process is not None
        server.process.send_signal(signal.SIGTERM)
        codes = await asyncio.gather(*(viewer.closed() for viewer in viewers))
        await giving
        await listen()
        assert set(codes) == {4000}
        for viewer in [*viewers, ann]:
            [notice] = [m for m in viewer.heard if m["type"] == "notice"]
            assert notice["code"] == "draining" and notice["reconnect_after_ms"] > 0
        waits = {m["reconnect_after_ms"] for v in viewers for m in v.heard if m["type"] == "notice"}
        assert len(waits) > 5, "they are told to come back at different times"
        answered = {m["key"]: m for m in ann.heard if m["type"] == "accepted"}
        assert ann.socket.close_code == 4000 and answered
        assert await asyncio.to_thread(server.stop) == 0
        await asyncio.to_thread(server.start)
        again = await away.join("ann")
        for key in sent[-250:]:
            await again.say(type="gift", room="r", gift="spark", key=key)
        for _ in sent[-250:]:
            answer = await again.hear("accepted")
            first = answered.get(answer["key"])
            if first is not None:
                assert answer["replayed"]
                assert answer | {"me": 0, "replayed": 0} == first | {"me": 0, "replayed": 0}
        total = (await http.get("/v1/rooms/r")).json()["total_coins"]
        assert total == len(sent), "every wish was granted once, answered before the stop or not"
        assert (await http.get("/v1/users/ann/wallet")).json()["coins"] == 100_000 - total
        await away.close()
        assert await asyncio.to_thread(server.stop) == 0
    assert storage.open_books(server.database).audit().ok


async def test_a_draining_server_takes_nobody_new() -> None:
    async with live(drain_ms=400) as server:
        client = await server.connect("ann")
        draining = asyncio.create_task(server.node.drain())
        await client.hear("notice")
        with pytest.raises(websockets.InvalidStatus) as refused:
            await server.connect("bob")
        assert refused.value.response.status_code == 503
        ready = await server.http.get("/readyz")
        assert ready.status_code == 503 and "draining" in ready.json()["reasons"][0]
        await draining


def test_a_second_server_on_the_same_books_is_refused(tmp_path: Path) -> None:
    with server_process(tmp_path) as first:
        second = ServerProcess(tmp_path)
        with pytest.raises(RuntimeError, match="in use by another process"):
            second.start()
        assert second.process is not None and second.process.returncode == 1
        assert "Traceback" not in second.log.read_text()
        assert httpx.get(f"{first.url}/readyz").status_code == 200


# --- the disk ------------------------------------------------------------------------------------


async def test_a_full_disk_refuses_gifts_and_still_tells(tmp_path: Path) -> None:
    """SQLite says "database or disk is full" at its page limit exactly as it does at ENOSPC."""
    async with live(f"sqlite:///{tmp_path}/books.db") as server:
        await server.room()
        await server.grant("ann", 1_000_000)
        ann = await server.join("ann")
        await ann.gift("before")
        writer = server.node.store._writer
        pages = (await (await writer.execute("PRAGMA page_count")).fetchone())[0]
        await writer.execute(f"PRAGMA max_page_count = {pages + 2}")
        refused: list[str] = []
        accepted = 1
        for number in range(400):
            answer = await ann.gift(f"k{number}", message="m" * 200)
            if answer["type"] == "accepted":
                accepted += 1
                continue
            refused.append(f"k{number}")
            assert (answer["code"], answer["retry"]) == ("unavailable", "same")
            assert answer["retry_after_ms"] > 0
            if len(refused) == 3:
                break
        assert len(refused) == 3
        books = (await server.http.get("/v1/rooms/r")).json()
        assert books["seq"] == books["total_coins"] == accepted
        body = {"user": "ann", "coins": 5, "reason": "r" * 200}
        grants = [await server.http.post("/v1/grants", json=body) for _ in range(40)]
        assert 503 in {grant.status_code for grant in grants}
        bad = next(grant for grant in grants if grant.status_code == 503)
        assert bad.json()["error"]["code"] == "unavailable"
        assert bad.json()["error"]["retry"] == "same" and int(bad.headers["Retry-After"]) > 0
        assert (await server.join("late")).heard[-1]["total_coins"] == accepted
        await writer.execute("PRAGMA max_page_count = 1000000")
        answer = await ann.gift(refused[0], message="m" * 200)
        assert answer["type"] == "accepted" and not answer["replayed"]
        await server.close()
    assert storage.open_books(f"sqlite:///{tmp_path}/books.db").audit().ok


async def test_a_disk_that_fails_stops_the_server_and_nobody_is_told_yes(tmp_path: Path) -> None:
    """A file-size limit fails the writes with EFBIG, which SQLite reports as an I/O error."""
    async with (
        in_process(tmp_path, **FAST) as server,
        asking(server.url, BACKEND) as http,
    ):
        away = Live(server.url, http)
        await away.room()
        await away.grant("ann", 100_000)
        ann = await away.join("ann")
        first = await ann.gift("k-first")
        assert server.process is not None
        files = await asyncio.to_thread(lambda: [p.stat() for p in tmp_path.glob("books.db*")])
        limit = max(file.st_size for file in files) + 64 * 1024
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (limit, limit))
        accepted, code = [first], None
        with contextlib.suppress(websockets.ConnectionClosed, TimeoutError):
            for number in range(2_000):
                await ann.say(
                    type="gift", room="r", gift="spark", key=f"k{number}", message="m" * 200
                )
                accepted.append(await ann.hear("accepted"))
        code = ann.socket.close_code
        assert len(accepted) < 2_000 and code == 4003
        assert await asyncio.to_thread(server.process.wait, 20) == 1
        server.start()
        again = await away.join("ann")
        assert again.heard[-1]["seq"] in (len(accepted), len(accepted) + 1)
        for answer in accepted[-20:]:
            text = {} if answer["key"] == "k-first" else {"message": "m" * 200}
            assert (await again.gift(answer["key"], **text))["replayed"]
        await away.close()
        await asyncio.to_thread(server.stop)
    assert storage.open_books(server.database).audit().ok
