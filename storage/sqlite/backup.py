"""Copies of the books: making one beside a running server, and putting one in their place.

A copy is one file in the rollback journal mode, so that it can be read from anywhere. Nothing is
ever half there: a copy is made under another name, checked, synced and then renamed. A restored
ledger gets new epochs before it takes its place, so no viewer can resume into a history that the
restore took away.
"""

import contextlib
import os
import secrets
import sqlite3
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from rules.commands import RenewEpochs
from storage.audit import Wrong
from storage.sqlite import migrations
from storage.sqlite.audit.checks import check_integrity
from storage.sqlite.audit.replay import check_journal
from storage.sqlite.settle import settle_batch
from storage.sqlite.store import MEMORY, FileLock, connect_reader, connect_writer
from storage.store import StoreError


def backup_file(path: str, target: Path) -> None:
    """Copy the books, as they are at one moment, into a new file. Raises StoreError.

    A running server is not held up, but its WAL cannot be reused before the copy is made.
    """
    _require_file(path)
    with _sentences(f"The copy to {target} failed"):
        if os.path.lexists(target):
            raise StoreError(
                f"{target} exists already; a backup never overwrites, name a new file."
            )
        with _beside(target) as copy:
            _copy(path, copy)
            os.link(copy, target)  # unlike a rename, this never overwrites
        _sync(target.parent)


def restore_file(path: str, source: Path) -> None:
    """Put a backup in the place of the books. Raises StoreError; then the books are as they were.

    What was there is kept beside, under a name with the time of the restore.
    """
    _require_file(path)
    database = Path(path)
    lock = FileLock(path)
    try:
        with _sentences(f"{source} was not restored"):
            if database.exists() and source.exists() and database.samefile(source):
                raise StoreError(f"{source} is the database itself; name a backup of it.")
            with _beside(database) as copy:
                _copy(str(source), copy)
                _renew(copy)
                _sync(copy)
                if database.exists():
                    _keep(database)
                for stale in (f"{path}-wal", f"{path}-shm"):
                    Path(stale).unlink(missing_ok=True)
                os.replace(copy, database)
            _sync(database.parent)
    finally:
        lock.release()


def migrate_file(path: str) -> tuple[int, int]:
    """Bring the books to this program's schema; from and to which version. Raises StoreError."""
    _require_file(path)
    if not Path(path).exists():
        raise StoreError(f"There is no database at {path}.")
    lock = FileLock(path)
    try:
        with contextlib.closing(connect_writer(path)) as connection:
            return migrations.migrate(connection)
    finally:
        lock.release()


def _require_file(path: str) -> None:
    if path == MEMORY:
        raise StoreError("Books in memory have no file; name one with sqlite:///FILE.")


@contextlib.contextmanager
def _sentences(what: str) -> Iterator[None]:
    """Turns what a disk can do to us into a sentence."""
    try:
        yield
    except Wrong as wrong:
        raise StoreError(f"{what}: {wrong}.") from wrong
    except OSError as error:
        raise StoreError(f"{what}: {error.strerror or error}.") from error
    except sqlite3.Error as error:
        raise StoreError(f"{what}: {error}.") from error


@contextlib.contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """The name of a new, empty file in the same folder, for the owner's eyes only."""
    copy = target.with_name(f"{target.name}.partial-{secrets.token_hex(4)}")
    os.close(os.open(copy, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    try:
        yield copy
    finally:
        for suffix in ("", "-journal", "-wal", "-shm"):
            copy.with_name(copy.name + suffix).unlink(missing_ok=True)


def _copy(path: str, copy: Path) -> None:
    """Copy the books of one moment, sync the copy, and check it against the original."""
    with contextlib.closing(connect_reader(path)) as source:
        # Counting begins the read transaction that the copy is then made in.
        source.execute("BEGIN")
        _require_books(source, path)
        expected = _figures(source)
        with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as target:
            source.backup(target)
            target.execute("PRAGMA journal_mode = DELETE").fetchall()
    _sync(copy)
    with contextlib.closing(connect_reader(str(copy))) as made:
        made.execute("BEGIN")
        check_integrity(made)
        check_journal(made)
        if _figures(made) != expected:
            raise Wrong("the copy does not hold what the original holds")


def _require_books(connection: sqlite3.Connection, path: str) -> None:
    version = migrations.version_of(connection)
    if version == 0:
        raise StoreError(f"{path} is empty: there are no books in it.")
    if version > migrations.newest():
        migrations.require_current(connection)


def _figures(connection: sqlite3.Connection) -> list[object]:
    """How many rows there are in each table, and the hash that seals the newest batch. The tables
    are those of the file: books are copied before they are brought up to this schema."""
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    counts = [
        (name, connection.execute(f"SELECT count(*) FROM {name}").fetchone())
        for (name,) in tables.fetchall()
    ]
    newest = "SELECT id, hash FROM batch ORDER BY id DESC LIMIT 1"
    return [*counts, connection.execute(newest).fetchone()]


def _renew(copy: Path) -> None:
    """Bring a copy to this schema and give its rooms new epochs, in the way of every command."""
    salt = secrets.token_hex(16)
    command = RenewEpochs(actor="operator", key=f"restore-{salt}", salt=salt)
    # The one clock outside of the server: a restore happens while there is no server.
    now_ms = time.time_ns() // 1_000_000
    with contextlib.closing(connect_writer(str(copy))) as connection:
        migrations.migrate(connection)
        settle_batch(connection, [command], now_ms)
        # Back into one file; a WAL would be left behind by the rename.
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()


def _keep(database: Path) -> None:
    """Give the books that are replaced a second name, under which they stay.

    Their WAL is folded in first: beside a restored file it would be taken for that file's own.
    Books too broken for that keep it beside them, under the same new name.
    """
    with contextlib.suppress(StoreError, sqlite3.Error):
        with contextlib.closing(connect_writer(str(database))) as old:
            old.execute("PRAGMA journal_mode = DELETE").fetchall()
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    kept = database.with_name(f"{database.name}.before-restore-{stamp}")
    os.link(database, kept)
    wal = database.with_name(f"{database.name}-wal")
    if wal.exists():
        os.replace(wal, f"{kept}-wal")
    _sync(database.parent)


def _sync(path: Path) -> None:
    """fsync a file or a folder."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
