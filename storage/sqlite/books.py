"""The books in a SQLite file, as their keeper sees them: see books.Books for the contract."""

import contextlib
import sqlite3
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TextIO

from storage.audit import Audit
from storage.balance import Line
from storage.sqlite.audit.checks import audit_connection
from storage.sqlite.backup import backup_file, migrate_file, restore_file
from storage.sqlite.export import export, trial_balance
from storage.sqlite.migrations import require_current
from storage.sqlite.store import MEMORY, connect_reader
from storage.store import StoreError


class SqliteBooks:
    """`path` is that of the file; books in memory are seen by their own process only."""

    def __init__(self, path: str) -> None:
        self._path = path

    def audit(self) -> Audit:
        with self._reading() as connection:
            connection.execute("PRAGMA cache_size = -65536")
            return audit_connection(connection)

    def trial_balance(self) -> list[Line]:
        try:
            with self._reading() as connection:
                return trial_balance(connection)
        except sqlite3.Error:
            return []

    def export(self, format: str, out: TextIO) -> int:
        try:
            with self._reading() as connection:
                return export(connection, format, out)
        except sqlite3.Error as error:
            raise StoreError(f"The database cannot be read: {error}.") from error

    def files(self) -> Collection[Path]:
        names = ("", "-wal", "-shm", ".lock")
        return [path for name in names if (path := Path(self._path + name)).exists()]

    def backup(self, target: Path) -> None:
        backup_file(self._path, target)

    def restore(self, source: Path) -> None:
        restore_file(self._path, source)

    def migrate(self) -> tuple[int, int]:
        return migrate_file(self._path)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """The books of one moment."""
        if self._path == MEMORY:
            raise StoreError("Books in memory are seen by their own process only; name a file.")
        with contextlib.closing(connect_reader(self._path)) as connection:
            connection.execute("BEGIN")
            require_current(connection)
            yield connection
