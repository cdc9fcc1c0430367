"""A backup is whole or it is not there; a restore brings it back, under new epochs."""

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import storage
from kit.building.builders import gift, grant, open_room, set_policy
from kit.building.ledgers import NOW_MS, book, dump, new_ledger
from rules.commands import RenewEpochs, read_command
from storage import StoreError, open_store
from storage.sqlite.migrations import newest
from storage.sqlite.store import FileLock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Books with one gift."""
    made = tmp_path / "largesse.db"
    with closing(new_ledger(made)) as connection:
        book(connection, set_policy(), open_room(), grant(coins=100_000), gift())
    return made


@pytest.fixture
def address(path: Path) -> str:
    return f"sqlite:///{path}"


@pytest.fixture
def copy(tmp_path: Path, address: str) -> Path:
    made = tmp_path / "copy.db"
    storage.open_books(address).backup(made)
    return made


def read(path: Path) -> dict[str, list[tuple[object, ...]]]:
    with closing(sqlite3.connect(path)) as connection:
        return dump(connection)


def gift_more(path: Path, gifts: int) -> None:
    with closing(new_ledger(path)) as connection:
        for _ in range(gifts):
            book(connection, gift())


def test_a_backup_holds_every_row_and_passes_the_audit(path: Path, copy: Path) -> None:
    assert read(copy) == read(path)
    assert storage.open_books(f"sqlite:///{copy}").audit().ok


def test_a_backup_is_one_file_for_its_owner_and_leaves_nothing_else(
    path: Path, copy: Path, tmp_path: Path
) -> None:
    names = {entry.name for entry in tmp_path.iterdir()}
    assert {name for name in names if "copy" in name or "partial" in name} == {"copy.db"}
    assert copy.stat().st_mode & 0o777 == 0o600


async def test_a_backup_of_a_running_server_is_one_moment_and_holds_nobody_up(
    address: str, tmp_path: Path
) -> None:
    store = await open_store(address)
    for number in range(5):
        await store.settle([gift(), gift()], NOW_MS)
        storage.open_books(address).backup(tmp_path / f"{number}.db")
        await store.settle([gift()], NOW_MS)
    await store.close()
    for number in range(5):
        assert storage.open_books(f"sqlite:///{tmp_path}/{number}.db").audit().ok
        assert len(read(tmp_path / f"{number}.db")["event"]) == 1 + number * 3 + 2


async def test_a_backup_is_right_while_gifts_are_booked_all_the_time(
    address: str, tmp_path: Path
) -> None:
    store = await open_store(address)
    copying = asyncio.create_task(asyncio.to_thread(_back_up, address, tmp_path, 12))
    booked = 1
    while not copying.done():
        await store.settle([gift(), gift()], NOW_MS)
        booked += 2
    await copying
    await store.close()
    sizes = [len(read(tmp_path / f"{number}.db")["event"]) for number in range(12)]
    assert sizes == sorted(sizes) and 1 <= sizes[0] < sizes[-1] <= booked
    assert storage.open_books(f"sqlite:///{tmp_path}/11.db").audit().ok


def _back_up(address: str, folder: Path, copies: int) -> None:
    for number in range(copies):
        storage.open_books(address).backup(folder / f"{number}.db")


def test_a_backup_never_overwrites(address: str, copy: Path, path: Path) -> None:
    before = copy.read_bytes()
    with pytest.raises(StoreError, match="exists already"):
        storage.open_books(address).backup(copy)
    with pytest.raises(StoreError, match="exists already"):
        storage.open_books(address).backup(path)
    assert copy.read_bytes() == before


def test_a_backup_of_nothing_or_to_nowhere_is_a_sentence(address: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no database"):
        storage.open_books(f"sqlite:///{tmp_path}/missing.db").backup(tmp_path / "copy.db")
    with pytest.raises(StoreError, match="No such file"):
        storage.open_books(address).backup(tmp_path / "nowhere" / "copy.db")
    (tmp_path / "empty.db").touch()
    with pytest.raises(StoreError, match="empty"):
        storage.open_books(f"sqlite:///{tmp_path}/empty.db").backup(tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()


def test_a_backup_of_damaged_books_is_refused_and_not_left_behind(
    path: Path, address: str, tmp_path: Path
) -> None:
    forge(path)
    with pytest.raises(StoreError, match="hash"):
        storage.open_books(address).backup(tmp_path / "copy.db")
    assert {entry.name for entry in tmp_path.iterdir() if "copy" in entry.name} == set()


def forge(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DROP TRIGGER command_update")
        connection.execute("UPDATE command SET body = replace(body, '100000', '9999')")


def test_a_restore_brings_the_books_of_that_day_back(path: Path, address: str, copy: Path) -> None:
    gift_more(path, 3)
    storage.open_books(address).restore(copy)
    restored, backed_up = read(path), read(copy)
    for table in ("account", "transfer", "event", "mark", "user", "member", "policy"):
        assert restored[table] == backed_up[table]
    assert storage.open_books(address).audit().ok


def test_a_restore_renews_the_epochs_by_a_command_of_the_operator(
    path: Path, address: str, copy: Path
) -> None:
    storage.open_books(address).restore(copy)
    restored, backed_up = read(path), read(copy)
    assert restored["command"][:-1] == backed_up["command"]
    last = restored["command"][-1]
    assert last[2] == "operator"
    assert isinstance(read_command(last[6]), RenewEpochs)
    epoch = 5
    assert restored["room"][0][epoch] != backed_up["room"][0][epoch]

    storage.open_books(address).restore(copy)
    assert read(path)["room"][0][epoch] != restored["room"][0][epoch], "the salt was not new"


def test_a_restore_keeps_what_was_there_with_its_newest_gifts(
    path: Path, address: str, copy: Path, tmp_path: Path
) -> None:
    gift_more(path, 3)
    before = read(path)
    storage.open_books(address).restore(copy)
    kept = list(tmp_path.glob("largesse.db.before-restore-*"))
    assert len(kept) == 1
    assert read(kept[0]) == before


def test_a_restore_takes_the_wal_of_a_crashed_server_along_with_its_file(
    path: Path, address: str, copy: Path, tmp_path: Path
) -> None:
    with closing(new_ledger(path)) as connection:
        book(connection, gift())
        for suffix in ("", "-wal"):
            shutil.copy(f"{path}{suffix}", tmp_path / f"crashed{suffix}")
        before = dump(connection)
    for suffix in ("", "-wal"):
        shutil.move(tmp_path / f"crashed{suffix}", f"{path}{suffix}")
    storage.open_books(address).restore(copy)
    assert not Path(f"{path}-wal").exists()
    kept = next(tmp_path.glob("largesse.db.before-restore-*"))
    assert read(kept) == before
    assert storage.open_books(address).audit().ok


def test_a_restore_replaces_books_that_cannot_be_read_and_keeps_them(
    path: Path, address: str, copy: Path, tmp_path: Path
) -> None:
    path.write_bytes(b"\xff" * 8192)
    Path(f"{path}-wal").write_bytes(b"what was left")
    storage.open_books(address).restore(copy)
    kept = next(
        entry for entry in tmp_path.glob("*.before-restore-*") if not entry.name.endswith("-wal")
    )
    assert kept.read_bytes() == b"\xff" * 8192
    assert Path(f"{kept}-wal").read_bytes() == b"what was left"
    assert storage.open_books(address).audit().ok


def test_a_restore_to_a_new_place_needs_no_old_books(copy: Path, tmp_path: Path) -> None:
    target = tmp_path / "new.db"
    storage.open_books(f"sqlite:///{target}").restore(copy)
    assert storage.open_books(f"sqlite:///{target}").audit().ok
    assert not list(tmp_path.glob("new.db.*before*"))


async def test_a_restored_ledger_serves(address: str, copy: Path) -> None:
    storage.open_books(address).restore(copy)
    store = await open_store(address)
    result = (await store.settle([gift()], NOW_MS))[0]
    assert [event.seq for event in result.events] == [2]
    await store.close()
    assert storage.open_books(address).audit().ok


def test_a_restore_under_a_running_server_is_refused(path: Path, address: str, copy: Path) -> None:
    lock = FileLock(str(path))
    before = path.read_bytes()
    with pytest.raises(StoreError, match="in use by another process"):
        storage.open_books(address).restore(copy)
    assert path.read_bytes() == before
    lock.release()


def test_a_restore_from_what_is_no_backup_changes_nothing(
    path: Path, address: str, copy: Path, tmp_path: Path
) -> None:
    before = read(path)
    text = tmp_path / "text"
    text.write_text("Dear diary")
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE notes (text)")
    newer = tmp_path / "newer.db"
    shutil.copy(copy, newer)
    with closing(sqlite3.connect(newer)) as connection:
        connection.execute(f"PRAGMA user_version = {newest() + 1}")
    forged = tmp_path / "forged.db"
    shutil.copy(copy, forged)
    forge(forged)
    torn = tmp_path / "torn.db"
    torn.write_bytes(copy.read_bytes()[:20_000])
    wrong = {
        tmp_path / "missing.db": "no database",
        text: "not a database",
        other: "not one of largesse",
        newer: "newer largesse",
        forged: "hash",
        torn: "malformed|SQLite finds",
        path: "the database itself",
    }
    for source, sentence in wrong.items():
        with pytest.raises(StoreError, match=sentence):
            storage.open_books(address).restore(source)
    assert read(path) == before
    assert not list(tmp_path.glob("*.before-restore-*")) and not list(tmp_path.glob("*.partial-*"))


def test_migrating_current_books_changes_nothing(path: Path, address: str) -> None:
    before = read(path)
    assert storage.open_books(address).migrate() == (newest(), newest())
    assert read(path) == before


def test_migrating_takes_the_lock_and_needs_a_database(
    path: Path, address: str, tmp_path: Path
) -> None:
    with pytest.raises(StoreError, match="no database"):
        storage.open_books(f"sqlite:///{tmp_path}/missing.db").migrate()
    lock = FileLock(str(path))
    with pytest.raises(StoreError, match="in use"):
        storage.open_books(address).migrate()
    lock.release()


def test_migrating_an_empty_file_makes_a_ledger(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    address = f"sqlite:///{tmp_path}/empty.db"
    assert storage.open_books(address).migrate() == (0, newest())
    assert storage.open_books(address).audit().ok


def test_books_in_memory_have_no_backup(tmp_path: Path) -> None:
    books = storage.open_books("sqlite:///:memory:")
    for work in (books.backup, books.restore):
        with pytest.raises(StoreError, match="no file"):
            work(tmp_path / "copy.db")
