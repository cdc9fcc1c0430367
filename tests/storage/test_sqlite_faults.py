"""What the SQLite store does when the file, the disk or a command is not as it should be."""

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from builders import gift, grant, hide, open_room, retract, set_policy
from ledgers import NOW_MS, book, dump, new_ledger, rows

import storage
from rules.commands import GiftAccepted, Refused
from rules.results import Result
from storage import Store, StoreBroken, StoreError, StoreUnavailable, open_store
from storage.migrations import APPLICATION_ID, newest
from storage.sqlite import SqliteStore
from storage.sqlite_settle import settle_or_bisect

WORKER = Path(__file__).with_name("gift_worker.py")


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


def codes(results: list[Result]) -> list[str]:
    return [getattr(result.outcome, "code", "booked") for result in results]


async def execute(store: SqliteStore, sql: str) -> None:
    """Run a statement on the store's own writing connection."""
    await store._writer.execute(sql)


# Opening


async def test_a_second_process_on_the_same_file_is_refused(show: Store, path: Path) -> None:
    code = (
        "import asyncio, sys\n"
        "from storage import StoreError, open_store\n"
        "try:\n    asyncio.run(open_store(sys.argv[1]))\n"
        "except StoreError as error:\n    print(error)\n"
    )
    second = subprocess.run(
        [sys.executable, "-c", code, address(path)], capture_output=True, text=True, timeout=30
    )
    assert "in use by another process" in second.stdout, second.stderr
    assert codes(await show.settle([gift()], NOW_MS)) == ["booked"]


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
        storage.migrate(address(path))


async def test_an_older_schema_asks_for_a_migration(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(new_ledger(path)):
        pass
    monkeypatch.setattr("storage.migrations.newest", lambda: newest_now + 1)
    newest_now = newest()
    with pytest.raises(StoreError, match="largesse migrate"):
        await open_store(address(path))


async def test_somebody_elses_database_is_refused_and_left_as_it_was(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE notes (text)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="not one of largesse"):
        await open_store(address(path))
    assert path.read_bytes() == before


async def test_a_file_that_is_no_database_is_refused_and_left_as_it_was(path: Path) -> None:
    path.write_text("Dear diary, " * 500)
    before = path.read_bytes()
    with pytest.raises(StoreError, match="not a database"):
        await open_store(address(path))
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
    with pytest.raises(StoreError, match="sqlite:///FILE"):
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
    monkeypatch.setattr("storage.sqlite.CHECKPOINT_COMMANDS", 10)
    sizes = []
    for _ in range(100):
        await show.settle([gift("ada") for _ in range(5)], NOW_MS)
        sizes.append(path.with_name("largesse.db-wal").stat().st_size)
    assert max(sizes) == sizes[20], "the WAL was never used again from its beginning"


# The disk


async def fill_up(show: SqliteStore) -> None:
    async with show._writer.execute("PRAGMA page_count") as cursor:
        row = await cursor.fetchone()
    assert row is not None
    await execute(show, f"PRAGMA max_page_count = {row[0]}")


async def test_a_full_disk_stores_nothing_and_the_same_keys_succeed_once_there_is_room(
    show: SqliteStore, path: Path
) -> None:
    await show.settle([gift("ada")], NOW_MS)
    await fill_up(show)
    wishes = [gift("ada", message="x" * 200) for _ in range(200)]
    with pytest.raises(StoreUnavailable, match="full"):
        await show.settle(wishes, NOW_MS)
    assert await show.balances(["ada"]) == {"ada": 999}
    assert len(await show.events("r1", 0, 500)) == 1

    await execute(show, "PRAGMA max_page_count = 1000000")
    first = await show.settle(wishes, NOW_MS)
    again = await show.settle(wishes, NOW_MS)
    assert codes(first) == ["booked"] * 200 and not any(result.replayed for result in first)
    assert all(result.replayed for result in again)
    assert await show.balances(["ada"]) == {"ada": 799}
    assert storage.audit(address(path)).ok


async def test_a_disk_that_is_full_for_half_of_a_bisected_batch_is_told_apart(
    show: SqliteStore, path: Path
) -> None:
    """A poison command splits the batch; the first half still fits, the second does not."""
    await forbid_lions(show)
    await fill_up(show)
    await execute(show, "PRAGMA max_page_count = 60")
    small = [gift("ada") for _ in range(2)]
    poison_and_big = [gift("bob", "lion")] + [gift("ada", message="x" * 4_000) for _ in range(100)]
    results = await show.settle([*small, *poison_and_big], NOW_MS)
    booked = codes(results).count("booked")
    assert 0 < booked < len(results)
    assert set(codes(results)) == {"booked", "unavailable"}
    assert len(await show.events("r1", 0, 500)) == booked
    assert storage.audit(address(path)).checks[-1].name == "replay"


def run_worker(path: Path, *prefix: str) -> subprocess.CompletedProcess[str]:
    """A process that gifts, one at a time, and prints each acknowledgement before the next."""
    return subprocess.run(
        [*prefix, sys.executable, str(WORKER), str(path)],
        capture_output=True,
        text=True,
        timeout=60,
    )


def strace(inject: str, trace: str) -> list[str]:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    # /dev/null as the log: only what it injects is wanted.
    command = ["strace", "-f", "-o", "/dev/null", "-e", f"trace={trace}", "-e", f"inject={inject}"]
    probe = subprocess.run([*command, "true"], capture_output=True, text=True, timeout=30)
    if probe.returncode != 0:
        pytest.skip(f"strace is not permitted here: {probe.stderr.strip()[:100]}")
    return command


@pytest.mark.parametrize("call", [*range(1, 12), 15, 20, 26])
def test_a_failing_fsync_breaks_the_store_and_nothing_is_acknowledged_after_it(
    path: Path, call: int
) -> None:
    prepared = run_worker(path)
    assert prepared.returncode == 0, prepared.stderr
    ran = run_worker(path, *strace(f"fdatasync:error=EIO:when={call}", "fdatasync"))
    said = [json.loads(line) for line in ran.stdout.splitlines()]
    acknowledged = {line["key"] for line in said if "key" in line}
    assert [line for line in said if "error" in line] == [{"error": "StoreBroken"}] * 2, ran.stderr
    assert said[-1] == {"error": "StoreBroken"}, "something was acknowledged after the failure"
    found = storage.audit(address(path))
    assert found.ok, [check for check in found.checks if not check.ok]
    with closing(sqlite3.connect(path)) as connection:
        stored = {key for (key,) in connection.execute("SELECT key FROM command")}
    assert acknowledged <= stored


# Commands


async def forbid_lions(show: SqliteStore) -> None:
    """No transfer of 500 coins can be booked: a stand-in for a bug that one command meets."""
    await execute(
        show,
        "CREATE TEMP TRIGGER poison BEFORE INSERT ON main.transfer WHEN NEW.amount = 500"
        " BEGIN SELECT RAISE(ABORT, 'poison'); END",
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
    assert await show.balances(["ada", "bob"]) == {
        "ada": 1_000 - sum(command.sender == "ada" for command in asked if command.gift == "rose"),
        "bob": 1_000 - sum(command.sender == "bob" for command in asked),
    }
    await execute(show, "DROP TRIGGER poison")
    assert codes(await show.settle([asked[place]], NOW_MS)) == ["booked"], "its key was not spent"
    assert storage.audit(address(path)).ok


async def test_several_commands_that_cannot_be_booked_fail_alone(show: SqliteStore) -> None:
    await forbid_lions(show)
    asked = [gift("ada", "lion" if number in (3, 4, 17) else "rose") for number in range(24)]
    results = await show.settle(asked, NOW_MS)
    refused = [number for number, code in enumerate(codes(results)) if code == "unavailable"]
    assert refused == [3, 4, 17]
    assert await show.balances(["ada"]) == {"ada": 1_000 - 21}


async def test_text_that_cannot_be_stored_fails_alone(show: SqliteStore) -> None:
    results = await show.settle([gift(), gift(message="\ud800"), gift()], NOW_MS)
    assert codes(results) == ["booked", "unavailable", "booked"]


# COMMIT with an unknown fate


class Interrupted:
    """A connection on which one COMMIT raises, after it was done or after it was undone."""

    def __init__(self, connection: sqlite3.Connection, *, done: bool) -> None:
        self._connection = connection
        self._done = done
        self.commits = 0

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def execute(self, sql: str, parameters: object = ()) -> sqlite3.Cursor:
        if sql == "COMMIT":
            self.commits += 1
            if self.commits == 1:
                self._connection.execute("COMMIT" if self._done else "ROLLBACK")
                raise sqlite3.OperationalError("the disk did not answer")
        return self._connection.execute(sql, parameters)  # type: ignore[arg-type]


def show_ledger() -> sqlite3.Connection:
    connection = new_ledger()
    book(connection, set_policy(), open_room(), grant("ada"), grant("bob"))
    return connection


def settle_interrupted(connection: sqlite3.Connection, asked: list, *, done: bool) -> list[Result]:  # type: ignore[type-arg]
    wrapper = Interrupted(connection, done=done)
    return settle_or_bisect(wrapper, asked, NOW_MS)  # type: ignore[arg-type]


def test_a_commit_that_was_done_and_raised_is_answered_from_the_books() -> None:
    with closing(show_ledger()) as connection:
        asked = [gift("ada"), gift("bob", "cake"), gift("bob", "nothing")]
        results = settle_interrupted(connection, asked, done=True)
        assert codes(results) == ["booked", "booked", "unknown_gift"]
        assert len(rows(connection, "event")) == 2
        assert results[0].outcome == book(connection, asked[0])[0].outcome


def test_a_commit_that_was_undone_and_raised_says_so_and_left_nothing() -> None:
    with closing(show_ledger()) as connection:
        before, asked = dump(connection), [gift("ada"), gift("bob", "cake")]
        with pytest.raises(StoreUnavailable, match="nothing was stored"):
            settle_interrupted(connection, asked, done=False)
        assert dump(connection) == before
        assert not any(result.replayed for result in book(connection, *asked))


def test_an_older_key_in_a_batch_that_was_undone_does_not_pass_for_the_batch() -> None:
    """The old key is in the books, but that says nothing about the others of this batch."""
    with closing(show_ledger()) as connection:
        old = gift("ada")
        book(connection, old)
        new = gift("bob", "cake")
        results = settle_interrupted(connection, [old, new], done=False)
        assert codes(results) == ["booked", "booked"]
        assert [row[2] for row in rows(connection, "event")] == [5, 6]


def test_a_commit_that_fails_again_while_its_fate_is_looked_up_breaks_the_store() -> None:
    class AlwaysFailing(Interrupted):
        def execute(self, sql: str, parameters: object = ()) -> sqlite3.Cursor:
            self.commits = 0
            return super().execute(sql, parameters)

    with closing(show_ledger()) as connection:
        old = gift("ada")
        book(connection, old)
        wrapper = AlwaysFailing(connection, done=False)
        with pytest.raises(StoreError):
            settle_or_bisect(wrapper, [old, gift("bob")], NOW_MS)  # type: ignore[arg-type]
        assert not connection.in_transaction


# History


@pytest.mark.parametrize("table", ["batch", "command", "policy", "transfer", "event", "mark"])
def test_history_is_neither_changed_nor_deleted(table: str) -> None:
    with closing(show_ledger()) as connection:
        book(connection, gift(), gift(), retract("r1:1"), hide("r1:2"))
        column = connection.execute(f"SELECT * FROM {table}").description[-1][0]
        before = dump(connection)
        for sql in (f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}"):
            with pytest.raises(sqlite3.IntegrityError, match="history is never"):
                connection.execute(sql)
        assert dump(connection) == before


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM account",
        "UPDATE account SET owner = 'eve' WHERE owner = 'ada'",
        "UPDATE account SET credits = credits - 1 WHERE owner = 'ada'",
        "UPDATE account SET debits = debits - 1 WHERE id = 1",
        "UPDATE account SET debits = credits + 1 WHERE owner = 'ada'",
        "UPDATE account SET credits = 9007199254740992 WHERE owner = 'ada'",
        "UPDATE account SET credits = 1.5 WHERE owner = 'ada'",
        "DELETE FROM room",
        "UPDATE room SET seq = 0",
        "UPDATE room SET total_coins = -1",
        "DELETE FROM user",
        "UPDATE user SET gifted_coins = -1",
        "DELETE FROM member",
        "INSERT INTO transfer VALUES (99, 1, 1, 100, 100, 5, 0, 0)",
        "INSERT INTO transfer VALUES (99, 1, 1, 1, 100, 0, 0, 0)",
        "INSERT INTO transfer VALUES (99, 1, 1, 1, 100, -5, 0, 0)",
    ],
)
def test_the_schema_refuses_what_no_command_may_do(sql: str) -> None:
    with closing(show_ledger()) as connection:
        book(connection, gift(), gift("bob", "cake"))
        before = dump(connection)
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute(sql)
        assert dump(connection) == before


def test_a_ledger_is_marked_as_ours() -> None:
    with closing(new_ledger()) as connection:
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)


def test_a_refusal_is_not_an_error() -> None:
    with closing(show_ledger()) as connection:
        assert isinstance(book(connection, gift("eve"))[0].outcome, Refused)
