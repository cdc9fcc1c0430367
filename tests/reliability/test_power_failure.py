"""Pull the plug anywhere: whatever was acknowledged is there, and nothing is there by half.

`settle_batch`, the durable path of every gift, runs over a disk that records. Each test then cuts
the power at hundreds of moments, starts from what is left, and audits it. The same harness must
find losses when durability is broken on purpose: without that, passing would mean nothing.
"""

import random
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import pytest

from kit.building.builders import close_room, gift, grant, hide, open_room, retract, set_policy
from kit.building.ledgers import NOW_MS, new_ledger
from kit.disks.recording_disk import Crash, Op, RecordingDisk, crashes
from rules.commands import AnyCommand, write
from rules.outcomes import Refused
from rules.refusals import stays
from rules.results import Result
from storage.sqlite import store as sqlite
from storage.sqlite.audit.checks import audit_connection
from storage.sqlite.settle import settle_batch

BATCHES = 48
CHECKPOINT_BATCHES = 7
IMAGES = 60
IMAGES_DEEP = 5_000
FULL_AUDIT_EVERY = 8
LEDGER = "largesse.db"
MEMORY_DISK = Path("/dev/shm")


class Acknowledged(NamedTuple):
    moment: int
    answers: dict[tuple[str, str], str]
    """The outcome by (actor, key), of every command that the books must hold."""


class Recording(NamedTuple):
    before: dict[str, bytes]
    log: list[Op]
    acknowledged: list[Acknowledged]


class Recorded:
    """The recorded connection; it notes the moment just before each COMMIT."""

    def __init__(self, connection: apsw.Connection, disk: RecordingDisk) -> None:
        self._connection = connection
        self._disk = disk
        self.before_commit = 0

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Any:
        if sql == "COMMIT":
            self.before_commit = len(self._disk.log)
        return self._connection.execute(sql, parameters)


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory where that is possible: the crashes are made by us, and not by this disk."""
    place = MEMORY_DISK if MEMORY_DISK.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="largesse-power-", dir=place) as made:
        yield Path(made)


def show(rng: random.Random) -> Iterator[list[AnyCommand]]:
    """Batches of a busy evening; some commands are refused, some are retries of older ones."""
    yield [set_policy(), open_room("r1"), open_room("r2", "dora")]
    yield [grant(user, 2_000) for user in ("ada", "bob", "eve")]
    sent: list[AnyCommand] = []
    for number in range(BATCHES - 2):
        batch: list[AnyCommand] = []
        for _ in range(rng.randrange(1, 10)):
            user, room = rng.choice(("ada", "bob", "eve")), rng.choice(("r1", "r2"))
            batch.append(gift(user, rng.choice(("rose", "cake", "lion")), room=room))
            if rng.random() < 0.2:
                batch.append(rng.choice((retract, hide))(f"{room}:{rng.randrange(1, 40)}"))
            if sent and rng.random() < 0.2:
                batch.append(rng.choice(sent))
        sent += batch
        if number == BATCHES - 8:
            batch.append(close_room("r2"))
        yield batch


def record(folder: Path, *, synchronous: str = "FULL", answer_early: bool = False) -> Recording:
    """Settle a show on a recording disk, with checkpoints in between as the store makes them."""
    path = folder / LEDGER
    new_ledger(path).close()
    before = {LEDGER: path.read_bytes()}
    disk = RecordingDisk(f"recording-{synchronous}-{answer_early}")
    rng, acknowledged = random.Random(1), []
    with closing(apsw.Connection(str(path), vfs=disk.vfs_name)) as raw:
        for pragma in sqlite.PRAGMAS:
            list(raw.execute(pragma.replace("= FULL", f"= {synchronous}")))
        connection = Recorded(raw, disk)
        for number, batch in enumerate(show(rng)):
            results = settle_batch(connection, batch, NOW_MS + 700 * number)
            moment = connection.before_commit if answer_early else len(disk.log)
            acknowledged.append(Acknowledged(moment, answers(batch, results)))
            if number % CHECKPOINT_BATCHES == CHECKPOINT_BATCHES - 1:
                list(raw.execute("PRAGMA wal_checkpoint(PASSIVE)"))
        log = list(disk.log)
    disk.unregister()
    return Recording(before, log, acknowledged)


def answers(batch: list[AnyCommand], results: list[Result]) -> dict[tuple[str, str], str]:
    found = {}
    for command, result in zip(batch, results, strict=True):
        outcome = result.outcome
        if not isinstance(outcome, Refused) or stays(outcome.code):
            found[command.actor, command.key] = write(outcome).decode()
    return found


def cut_power(recording: Recording, images: int, seed: int = 7) -> Iterator[Crash]:
    rng = random.Random(seed)
    moments = [rng.randrange(len(recording.log) + 1) for _ in range(images)]
    return crashes(recording.before, recording.log, moments, rng)


def lost(folder: Path, recording: Recording, crash: Crash, *, audit: bool, replay: bool) -> int:
    """Start from what the crash left: how many acknowledged answers are not there or other ones."""
    for stale in folder.iterdir():
        stale.unlink()
    for name, content in crash.files.items():
        (folder / name).write_bytes(content)
    promised: dict[tuple[str, str], str] = {}
    for moment, given in recording.acknowledged:
        if moment <= crash.moment:
            promised |= given
    with closing(sqlite.connect_writer(str(folder / LEDGER))) as connection:
        connection.execute("BEGIN")
        if audit:
            found = audit_connection(connection, replay=replay)
            assert found.ok, (crash.moment, [check for check in found.checks if not check.ok])
        rows = connection.execute("SELECT actor, key, outcome FROM command").fetchall()
    there = {(actor, key): outcome for actor, key, outcome in rows}
    return sum(there.get(name) != answer for name, answer in promised.items())


def survive(folder: Path, images: int) -> None:
    recording = record(folder)
    syncs = {op.file for op in recording.log if op.kind == "sync"}
    assert syncs >= {LEDGER, f"{LEDGER}-wal"}, "no checkpoint was recorded"
    for number, crash in enumerate(cut_power(recording, images)):
        replay = number % FULL_AUDIT_EVERY == 0
        assert lost(folder, recording, crash, audit=True, replay=replay) == 0, crash.moment


def test_a_power_failure_loses_nothing_that_was_acknowledged(folder: Path) -> None:
    survive(folder, IMAGES)


@pytest.mark.deep
@pytest.mark.timeout(900)
def test_thousands_of_power_failures_lose_nothing_that_was_acknowledged(folder: Path) -> None:
    survive(folder, IMAGES_DEEP)


@pytest.mark.parametrize(
    "broken",
    [{"synchronous": "NORMAL"}, {"synchronous": "OFF"}, {"answer_early": True}],
    ids=["synchronous-normal", "synchronous-off", "answer-before-commit"],
)
def test_the_harness_finds_what_is_lost_when_durability_is_broken(
    folder: Path, broken: dict[str, Any]
) -> None:
    recording = record(folder, **broken)
    images = 100
    losing = 0
    for crash in cut_power(recording, images):
        try:
            losing += lost(folder, recording, crash, audit=False, replay=False) > 0
        except Exception:  # a file that cannot be read any more has lost everything
            losing += 1
    assert losing > images // 4, f"only {losing} of {images} crashes lost an acknowledged answer"
