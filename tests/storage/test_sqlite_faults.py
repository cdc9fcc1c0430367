"""What the SQLite store does when the file, the disk or a command is not as it should be."""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

import storage
from kit.building.builders import gift, grant, open_room, set_policy
from kit.building.ledgers import NOW_MS, codes, new_ledger
from kit.servers import children
from kit.servers.tools import strace
from rules.outcomes import GiftAccepted
from storage import Store, StoreError, StoreUnavailable, open_store
from storage.sqlite.migrations import newest
from storage.sqlite.store import FileLock, SqliteStore

WORKER = Path(__file__).with_name("gift_worker.py")
TESTS = Path(__file__).parents[1]
ENVIRONMENT = os.environ | {"PYTHONPATH": f"{TESTS.parent}{os.pathsep}{TESTS}"}


def address(path: Path) -> str:
    return f"sqlite:///{path}"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "largesse.db"


@pytest.fixture
async def show(path: Path) -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(str(path))
    await opened.settle([set_policy(), open_room(), grant("ada"), grant("bob")], NOW_MS)
    yield opened
    await opened.close()


async def execute(store: SqliteStore, sql: str) -> None:
    """Run a statement on the store's own writing connection."""
    await store._writer.execute(sql)


# Opening


def test_a_second_process_on_the_same_file_is_refused(path: Path) -> None:
    lock = FileLock(str(path))
    code = (
        "import asyncio, sys\n"
        "from storage import StoreError, open_store\n"
        "try:\n    asyncio.run(open_store(sys.argv[1]))\n"
        "except StoreError as error:\n    print(error)\n"
    )
    second = children.run(
        [sys.executable, "-c", code, address(path)],
        text=True,
        env=ENVIRONMENT,
    )
    assert "in use by another process" in second.stdout, second.stderr
    assert not path.exists()
    lock.release()


async def test_a_second_store_in_the_same_process_is_refused(show: Store, path: Path) -> None:
    with pytest.raises(StoreError, match="in use by another process"):
        await open_store(address(path))
    assert codes(await show.settle([gift()], NOW_MS)) == ["booked"]


async def test_a_server_starts_although_nothing_can_be_written(path: Path) -> None:
    """As on a full disk, after a kill: viewers come back, and gifts wait until there is space."""
    store = await open_store(address(path))
    await store.settle([set_policy(), open_room()], NOW_MS)
    await store.leases.take(await store.leases.seen("duty"), "one")
    await store.close()
    with closing(sqlite3.connect(path)) as connection:
        no_space = "BEGIN SELECT RAISE(ABORT, 'no space'); END"
        connection.execute(f"CREATE TRIGGER full BEFORE UPDATE ON lease {no_space}")
    store = await open_store(address(path))
    assert await store.find_room("r1") is not None
    assert (await store.leases.seen("duty")).holder == "one", "the next one waits for its silence"
    await store.close()


async def test_a_file_is_free_again_when_its_store_was_closed(path: Path) -> None:
    for _ in range(2):
        store = await open_store(address(path))
        await store.close()


async def test_a_file_is_free_again_when_opening_it_failed(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE notes (text)")
    for _ in range(2):
        with pytest.raises(StoreError, match="not one of largesse"):
            await open_store(address(path))


async def test_a_newer_schema_is_refused(path: Path) -> None:
    with closing(new_ledger(path)) as connection:
        connection.execute(f"PRAGMA user_version = {newest() + 1}")
    with pytest.raises(StoreError, match="newer largesse"):
        await open_store(address(path))
    with pytest.raises(StoreError, match="newer largesse"):
        storage.open_books(address(path)).migrate()


async def test_an_older_schema_asks_for_a_migration(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(new_ledger(path)):
        pass
    monkeypatch.setattr("storage.sqlite.migrations.newest", lambda: newest_now + 1)
    newest_now = newest()
    with pytest.raises(StoreError, match="largesse migrate"):
        await open_store(address(path))


def test_somebody_elses_database_is_refused_and_left_as_it_was(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE notes (text)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="not one of largesse"):
        asyncio.run(open_store(address(path)))
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_and_left_as_it_was(path: Path) -> None:
    path.write_text("Dear diary, " * 500)
    before = path.read_bytes()
    with pytest.raises(StoreError, match="not a database"):
        asyncio.run(open_store(address(path)))
    assert path.read_bytes() == before


async def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="Cannot write beside"):
        await open_store(address(tmp_path / "nowhere" / "largesse.db"))


async def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "largesse.db").mkdir()
    with pytest.raises(StoreError, match="Cannot open"):
        await open_store(address(tmp_path / "largesse.db"))


async def test_a_read_only_folder_is_refused() -> None:
    with pytest.raises(StoreError, match="Cannot write beside"):
        await open_store("sqlite:////proc/largesse.db")


@pytest.mark.parametrize("database", ["largesse.db", "postgres://x", "sqlite:///", "sqlite://"])
async def test_an_address_that_names_no_file_is_refused(database: str) -> None:
    with pytest.raises(StoreError, match="sqlite:///"):
        await open_store(database)


async def test_the_writer_is_durable_and_never_checkpoints_by_itself(show: SqliteStore) -> None:
    async def setting(name: str) -> object:
        async with show._writer.execute(f"PRAGMA {name}") as cursor:
            row = await cursor.fetchone()
            return row[0] if row else None

    assert await setting("journal_mode") == "wal"
    assert await setting("synchronous") == 2
    assert await setting("wal_autocheckpoint") == 0


async def test_the_wal_is_folded_back_while_the_store_runs(
    show: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.sqlite.store.CHECKPOINT_COMMANDS", 10)
    sizes = []
    for _ in range(100):
        await show.settle([gift("ada") for _ in range(5)], NOW_MS)
        sizes.append(path.with_name("largesse.db-wal").stat().st_size)
    assert max(sizes) == sizes[20], "the WAL was never used again from its beginning"


# The disk


async def fill_up(show: SqliteStore, pages: int = 0) -> None:
    """Leave room for so many pages more."""
    async with show._writer.execute("PRAGMA page_count") as cursor:
        row = await cursor.fetchone()
    assert row is not None
    await execute(show, f"PRAGMA max_page_count = {row[0] + pages}")


async def test_a_full_disk_stores_nothing_and_the_same_keys_succeed_once_there_is_room(
    show: SqliteStore, path: Path
) -> None:
    await show.settle([gift("ada")], NOW_MS)
    await fill_up(show)
    wishes = [gift("ada", message="x" * 200) for _ in range(200)]
    with pytest.raises(StoreUnavailable, match="full"):
        await show.settle(wishes, NOW_MS)
    assert (await show.balances(["ada"])).coins == {"ada": 999}
    assert len(await show.events("r1", 0, 500)) == 1

    await execute(show, "PRAGMA max_page_count = 1000000")
    first = await show.settle(wishes, NOW_MS)
    again = await show.settle(wishes, NOW_MS)
    assert codes(first) == ["booked"] * 200 and not any(result.replayed for result in first)
    assert all(result.replayed for result in again)
    assert (await show.balances(["ada"])).coins == {"ada": 799}
    assert storage.open_books(address(path)).audit().ok


async def test_a_disk_that_is_full_for_half_of_a_bisected_batch_is_told_apart(
    show: SqliteStore, path: Path
) -> None:
    """A command that cannot be booked splits the batch; then only its first half fits."""
    await fill_up(show, pages=8)
    small = [gift("ada"), gift("ada", message="\ud800"), gift("bob"), gift("ada")]
    big = [gift("bob", message="x" * 100_000) for _ in range(4)]
    results = await show.settle(small + big, NOW_MS)
    assert codes(results) == ["booked", "unavailable", "booked", "booked"] + ["unavailable"] * 4
    assert len(await show.events("r1", 0, 10)) == 3
    assert (await show.balances(["ada", "bob"])).coins == {"ada": 998, "bob": 999}
    assert storage.open_books(address(path)).audit().ok


def run_worker(path: Path, *prefix: str) -> subprocess.CompletedProcess[str]:
    """A process that gifts, one at a time, and prints each acknowledgement before the next."""
    command = [*prefix, sys.executable, str(WORKER), str(path)]
    return children.run(command, text=True, env=ENVIRONMENT)


# Call 2 is missing: it syncs the folder of the new WAL, and SQLite passes over its failure.
@pytest.mark.parametrize(
    "call",
    [1, 3, 6, 7, 8, 9]
    + [pytest.param(call, marks=pytest.mark.deep) for call in (4, 5, *range(10, 30))],
)
def test_a_failing_fsync_breaks_the_store_and_nothing_is_acknowledged_after_it(
    path: Path, call: int
) -> None:
    prepared = run_worker(path)
    assert prepared.returncode == 0, prepared.stderr
    fault = f"inject=fdatasync:error=EIO:when={call}"
    ran = run_worker(path, *strace("-e", "trace=fdatasync", "-e", fault))
    said = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]
    acknowledged = {line["key"] for line in said if "key" in line}
    assert [line for line in said if "error" in line] == [{"error": "StoreBroken"}] * 2, ran.stderr
    assert said[-1] == {"error": "StoreBroken"}, "something was acknowledged after the failure"
    found = storage.open_books(address(path)).audit()
    assert found.ok, [check for check in found.checks if not check.ok]
    with closing(sqlite3.connect(path)) as connection:
        stored = {key for (key,) in connection.execute("SELECT key FROM command")}
    assert acknowledged <= stored


# Commands


async def forbid_lions(show: SqliteStore) -> None:
    """Nobody can pay 500 coins: a stand-in for a bug that one command meets."""
    await execute(
        show,
        "CREATE TEMP TRIGGER poison BEFORE INSERT ON main.transfer"
        " WHEN NEW.amount = 500 AND NEW.reason = 2 BEGIN SELECT RAISE(ABORT, 'poison'); END",
    )


@pytest.mark.parametrize("place", [0, 1, 20, 38, 39])
async def test_a_command_that_cannot_be_booked_fails_alone(
    show: SqliteStore, path: Path, place: int
) -> None:
    await forbid_lions(show)
    asked = [gift("ada" if number % 2 else "bob") for number in range(39)]
    asked.insert(place, gift("ada", "lion"))
    results = await show.settle(asked, NOW_MS)
    expected = ["booked"] * 39
    expected.insert(place, "unavailable")
    assert codes(results) == expected
    seqs = [result.outcome.seq for result in results if isinstance(result.outcome, GiftAccepted)]
    assert seqs == list(range(1, 40))
    assert (await show.balances(["ada", "bob"])).coins == {
        "ada": 1_000 - sum(command.sender == "ada" for command in asked if command.gift == "rose"),
        "bob": 1_000 - sum(command.sender == "bob" for command in asked),
    }
    await execute(show, "DROP TRIGGER poison")
    assert codes(await show.settle([asked[place]], NOW_MS)) == ["booked"], "its key was not spent"
    assert storage.open_books(address(path)).audit().ok


async def test_several_commands_that_cannot_be_booked_fail_alone(show: SqliteStore) -> None:
    await forbid_lions(show)
    asked = [gift("ada", "lion" if number in (3, 4, 17) else "rose") for number in range(24)]
    results = await show.settle(asked, NOW_MS)
    refused = [number for number, code in enumerate(codes(results)) if code == "unavailable"]
    assert refused == [3, 4, 17]
    assert (await show.balances(["ada"])).coins == {"ada": 1_000 - 21}


async def test_text_that_cannot_be_stored_fails_alone(show: SqliteStore) -> None:
    results = await show.settle([gift(), gift(message="\ud800"), gift()], NOW_MS)
    assert codes(results) == ["booked", "unavailable", "booked"]
