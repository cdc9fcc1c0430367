"""A hundred viewers whose lines break at random under load still see every gift once.

The load comes from `loadtest` in a process of its own, with its own verdict; the viewers here keep
their own logs, are cut off without a word, and resume from what they have seen. In the end each log
has no gap and no repeat and equals the books; after a kill −9 too, under the same epoch.
"""

import asyncio
import json
import random
import sys
from pathlib import Path
from typing import Any

import pytest

from kit.servers import children
from kit.servers.serving import API_KEY, SECRET, ServerProcess
from kit.waiting import PATIENCE_S
from reliability.books import check_audit, check_watchers, read_log
from reliability.load import ROOM, Load, Say, Watcher, wait_for

ROOT = Path(__file__).parents[2]
VIEWERS = 100
RATE = 500
DURATION_S = 6
LINE_S = 1.5
"""How long a line lasts on average; a viewer is back within a fifth of a second."""
FLAGS = {"gift-rate": 10_000, "gift-burst": 10_000}


async def load_test(url: str) -> dict[str, Any]:
    """~500 gifts a second of 50 gifters; the report, all of whose checks have to be right."""
    words = f"{url} --json --room {ROOM} --viewers 5 --gifters 50 --others --reconnects 10"
    words += f" --rate {RATE} --duration {DURATION_S}"
    command = [sys.executable, "-m", "loadtest", *words.split()]
    command += ["--token-secret", SECRET, "--api-key", API_KEY]
    done = await asyncio.to_thread(children.run, command, cwd=ROOT)
    report: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == 0, [check for check in report["checks"] if not check["ok"]]
    return report


async def come_and_go(watcher: Watcher, url: str, dice: random.Random) -> None:
    """Lines that break: each is aborted, as in a tunnel, and taken up again a moment later."""
    while True:
        line = asyncio.ensure_future(watcher.live(url))
        try:
            if not await wait_for(line, dice.expovariate(1 / LINE_S)) and watcher.socket:
                watcher.socket.transport.abort()
            await line
        finally:
            line.cancel()
        await asyncio.sleep(dice.uniform(0, 0.2))


async def follow_until(done: "asyncio.Future[Any]", load: Load, url: str) -> None:
    """Everybody comes and goes until the load is done."""
    restless = [
        asyncio.ensure_future(come_and_go(watcher, url, random.Random(number)))
        for number, watcher in enumerate(load.watchers)
    ]
    try:
        await done
    finally:
        for one in restless:
            one.cancel()
        ended = await asyncio.gather(*restless, return_exceptions=True)
    assert [one for one in ended if not isinstance(one, asyncio.CancelledError)] == []


@pytest.mark.deep
async def test_viewers_that_come_and_go_miss_nothing(tmp_path: Path, say: Say) -> None:
    server = ServerProcess(tmp_path, **FLAGS)
    load = Load(seed=4, users=2, sockets=4, viewers=VIEWERS)
    try:
        await asyncio.to_thread(server.start)
        await load.prepare(server.url)
        run = asyncio.ensure_future(load_test(server.url))
        await follow_until(run, load, server.url)
        await see_it_all(load, server)
        resumed = sum(watcher.resumed for watcher in load.watchers)
        epochs = {watcher.ledger.epoch for watcher in load.watchers}

        server.kill()
        await asyncio.to_thread(server.start)
        await follow_more(load, server, seconds=1.5)
        await see_it_all(load, server)
        assert {watcher.ledger.epoch for watcher in load.watchers} == epochs and len(epochs) == 1
    finally:
        server.kill()
    check_audit(server.database)
    say(
        f"{VIEWERS} viewers resumed {resumed:,} times under {run.result()['gifts']['accepted']:,} "
        f"gifts, and all of them after the restart"
    )
    assert resumed > VIEWERS


async def follow_more(load: Load, server: ServerProcess, seconds: float) -> None:
    """A new life of the server: everybody resumes, and there are new gifts to see."""
    living = asyncio.ensure_future(load.live(server.url))
    assert not await wait_for(living, seconds)
    server.kill()
    assert await wait_for(living, PATIENCE_S)
    await asyncio.to_thread(server.start)


async def see_it_all(load: Load, server: ServerProcess) -> None:
    """Let every viewer reach the head, and compare each log with the books."""
    await load.finish(server.url)
    load.ending = False
    log = await asyncio.to_thread(read_log, server.url)
    load.until = 2**53
    assert {watcher.ledger.seq for watcher in load.watchers} == {len(log)}
    check_watchers(load, log)
