"""kill −9 in the middle of load, again and again on the same books.

A dead process loses what it had in memory, not what it gave to the kernel: this shows that nobody
is answered, and nothing shown, before it is in the file; that a key is booked once over any number
of lives; and that viewers go on where they were. It cannot show that the file survives a power
failure (`synchronous = OFF` passes here): test_power_failure.py does.
"""

import asyncio
import random
import statistics
from pathlib import Path

import pytest

from kit.servers.serving import ServerProcess
from kit.waiting import PATIENCE_S, until
from reliability.books import check_after_kill, check_at_the_end, read_log, replays
from reliability.load import Load, Say, wait_for

FLAGS = {"gift-rate": 100_000, "gift-burst": 100_000, "message-rate": 10_000}


async def one_life(load: Load, server: ServerProcess, before_kill_s: float) -> None:
    """Load until the kill, then read what the kernel still holds for every socket."""
    living = asyncio.ensure_future(load.live(server.url))
    if load.life == 0:  # later kills may come while they are joining
        await until(lambda: living.done() or load.everybody_is_in())
    await wait_for(living, before_kill_s)
    assert not living.done(), "the load ended by itself"
    server.kill()
    assert await wait_for(living, PATIENCE_S), "a socket of a dead server stayed open"
    living.result()


async def campaign(folder: Path, kills: int, life_s: float, seed: int, say: Say) -> None:
    """Kill within the first `life_s` of load of each life, and compare everything each time."""
    dice = random.Random(seed)
    load = Load(seed=seed)
    server = ServerProcess(folder, **FLAGS)
    restarts_s: list[float] = []
    orphans = 0
    try:
        server.start()
        await load.prepare(server.url)
        log = read_log(server.url)
        for _ in range(kills):
            await one_life(load, server, dice.uniform(0.1, life_s))
            restarts_s.append(await asyncio.to_thread(server.start))
            log += await asyncio.to_thread(read_log, server.url, len(log))
            orphans += check_after_kill(load, log, server.url, server.database)
        await load.finish(server.url)
        assert check_at_the_end(load, server.url, server.database) == log + read_log(
            server.url, len(log)
        )
    finally:
        server.kill()
    # Every join after a viewer's first has to recover (`check_watcher`); a kill may come before it.
    resumed = sum(watcher.resumed for watcher in load.watchers)
    assert resumed >= kills
    say(
        f"{kills} kills, {len(load.acks):,} gifts, {replays(load.acks)} replayed, "
        f"{orphans} booked without an answer, {resumed} resumes; "
        f"restart p50 {statistics.median(restarts_s):.2f} s, "
        f"max {max(restarts_s):.2f} s"
    )


async def test_nothing_promised_is_lost_in_a_kill(tmp_path: Path, say: Say) -> None:
    await campaign(tmp_path, kills=1, life_s=1.5, seed=1, say=say)


@pytest.mark.deep
@pytest.mark.timeout(900)
async def test_nothing_promised_is_lost_over_thirty_kills(tmp_path: Path, say: Say) -> None:
    await campaign(tmp_path, kills=30, life_s=0.8, seed=2, say=say)
