"""Killed at a chosen call, and calls that fail: strace stands between the server and the kernel.

A random kill nearly always lands in the commit's fsync. Here the server dies on entering the Nth
`pwrite64` or `fdatasync` of the ledger's thread, or the Nth `write` to a socket, so that the narrow
places are met too: half a transaction in the WAL, durable and not yet told, told to some. A failed
fsync has to stop the server (it may never be tried again), a full disk has to refuse.
"""

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from kit.servers.serving import ServerProcess, server_process
from kit.servers.tools import strace
from kit.waiting import PATIENCE_S, until
from reliability import tracing
from reliability.books import check_after_kill, check_at_the_end, read_log
from reliability.load import Load, Say, wait_for

pytestmark = pytest.mark.deep

FLAGS = {"gift-rate": 100_000, "gift-burst": 100_000, "message-rate": 10_000}
KILLED = -9

KILL_POINTS = [
    *(("fdatasync", n) for n in range(1, 22)),
    *(("pwrite64", n) for n in range(1, 88, 4)),
    *(("write", n) for n in range(1, 65, 3)),
]


class Prepared(NamedTuple):
    """Books with a room and full wallets, and the calls made before the load begins."""

    folder: Path
    baseline: Counter[str]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("prepared")
    with server_process(folder, **FLAGS) as server:
        asyncio.run(small_load().prepare(server.url))
        assert server.stop() == 0
    return Prepared(folder, asyncio.run(measure(folder, tmp_path_factory.mktemp("measured"))))


async def measure(books: Path, folder: Path) -> Counter[str]:
    """Count what a start and everybody's joining take; no gift is sent."""
    copy_books(books, folder)
    log = folder / "calls"
    calls = ",".join(tracing.CALLS)
    server = ServerProcess(folder, strace("-e", f"trace={calls}", log=str(log)), **FLAGS)
    load = small_load()
    load.ending = True  # everybody joins, and gifters have nothing to say
    try:
        server.start()
        living = asyncio.ensure_future(load.live(server.url))
        await until(load.everybody_is_in)
        counted = tracing.count_calls(log)
    finally:
        server.kill()
    await wait_for(living, PATIENCE_S)
    return counted


def small_load() -> Load:
    return Load(seed=3, users=3, sockets=8, viewers=3, in_flight=2)


def copy_books(source: Path, target: Path) -> None:
    for file in source.glob("books.db*"):
        shutil.copy(file, target)


class Tally:
    """What all points of a run came to, told at its end."""

    def __init__(self) -> None:
        self.points: Counter[str] = Counter()
        self.acks = 0
        self.orphans = 0


@pytest.fixture(scope="module")
def tally(say: Say) -> Iterator[Tally]:
    tally = Tally()
    yield tally
    points = ", ".join(f"{many} × {point}" for point, many in tally.points.items())
    say(f"{points}: {tally.acks:,} gifts, {tally.orphans} booked without an answer")


class Scene:
    """One server under strace with one fault, and what must hold after it."""

    def __init__(self, folder: Path, prepared: Prepared, tally: Tally) -> None:
        self.folder = folder
        self.prepared = prepared
        self.tally = tally
        self.load = small_load()
        self.traced: ServerProcess | None = None

    async def meet(self, call: str, fault: str, number: int, *, last: int = 0) -> int | None:
        """Load until the fault has ended the server; its exit code. With `last`, the fault may end
        by itself; None when somebody was refused and the server lives on a second later."""
        self.tally.points[f"{call}:{fault}"] += 1
        at = self.prepared.baseline[call]
        when = f"{at + number}..{at + last}" if last else f"{at + number}"
        wrapper = strace("-e", f"trace={call}", "-e", f"inject={call}:{fault}:when={when}")
        copy_books(self.prepared.folder, self.folder)
        self.traced = ServerProcess(self.folder, wrapper, **FLAGS)
        await asyncio.to_thread(self.traced.start)
        assert self.traced.process is not None
        living = asyncio.ensure_future(self.load.live(self.traced.url))
        if last:
            await until(lambda: living.done() or bool(self.load.refusals))
        if not await wait_for(living, 1.0 if last else PATIENCE_S):
            self.traced.kill()
            assert await wait_for(living, PATIENCE_S)
            return None
        return await asyncio.to_thread(self.traced.process.wait, PATIENCE_S)

    async def check(self) -> None:
        """Start on what is left, without strace: compare, send again, compare all of it."""
        server = ServerProcess(self.folder, **FLAGS)
        try:
            await asyncio.to_thread(server.start)
            log = await asyncio.to_thread(read_log, server.url)
            self.tally.orphans += check_after_kill(self.load, log, server.url, server.database)
            await self.load.finish(server.url)
            check_at_the_end(self.load, server.url, server.database)
        finally:
            server.kill()
        self.tally.acks += len(self.load.acks)


@pytest.fixture
async def scene(tmp_path: Path, prepared: Prepared, tally: Tally) -> AsyncIterator[Scene]:
    scene = Scene(tmp_path, prepared, tally)
    try:
        yield scene
    finally:
        if scene.traced is not None:
            scene.traced.kill()


@pytest.mark.parametrize(("call", "number"), KILL_POINTS)
async def test_a_kill_at_any_call_loses_no_promise(scene: Scene, call: str, number: int) -> None:
    code = await scene.meet(call, "signal=KILL", number)
    assert code == KILLED, f"{call} number {number} was not reached, or something else ended it"
    await scene.check()


# Number 2 syncs the folder of the new WAL, once per file; SQLite passes over its failure.
@pytest.mark.parametrize("number", [1, *range(3, 11)])
async def test_any_failed_fsync_stops_the_server(scene: Scene, number: int) -> None:
    """After a failed fsync the kernel may have dropped the pages: nobody can say what is stored."""
    assert await scene.meet("fdatasync", "error=EIO", number) == 1
    await scene.check()


@pytest.mark.parametrize("number", range(1, 60, 6))
async def test_a_full_disk_at_any_write_is_a_refusal_and_no_promise(
    scene: Scene, number: int
) -> None:
    """`unavailable` and later on again, or an orderly stop; never a promise that is not kept."""
    code = await scene.meet("pwrite64", "error=ENOSPC", number, last=number + 5)
    refused = {refusal.code for refusal in scene.load.refusals}
    assert code == 1 or (code is None and refused == {"unavailable"}), (code, refused)
    await scene.check()
