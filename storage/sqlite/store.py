"""The ledger in one SQLite file: the default store, and the contract's reference.

One connection writes and checkpoints; everything else that is open is read-only. SQLite before
3.51.3 can lose commits when two connections checkpoint at once (sqlite.org/wal.html#walresetbug);
with one that cannot happen, and the lock file keeps a second process out. WAL with
`synchronous=FULL` makes a commit durable; NORMAL would lose acknowledged gifts at a power failure.
aiosqlite owns the threads; a batch is one call into the writer's, never a statement per await.
"""

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

import aiosqlite
import structlog

from rules.commands import AnyCommand
from rules.events import Event
from rules.policy import Policy
from rules.results import Result
from rules.rows import Room
from storage.leases import Lease
from storage.money import BoardLine
from storage.sqlite import reads
from storage.sqlite.deliveries import SqliteDeliveries
from storage.sqlite.leases import SqliteLeases, end_all_terms, fenced
from storage.sqlite.migrations import require_current, set_up_if_new, version_of
from storage.sqlite.money_reads import SqliteMoney
from storage.sqlite.settle import checkpoint, dry_run, settle_or_bisect, transact
from storage.store import (
    Balances,
    Head,
    RoomState,
    Rulings,
    StatementRow,
    StoreBroken,
    StoreError,
    StoreUnavailable,
    Wallet,
)

log = structlog.get_logger()

T = TypeVar("T")

MEMORY = ":memory:"

CHECKPOINT_COMMANDS = 5_000
"""The WAL is copied back after so many commands (some 10 MB), between batches: SQLite's own
checkpoint would run inside the commit that happens to pass its threshold."""

BESIDE_COMMANDS = 50
"""What a transaction beside the books counts for: with many rows it is some 100 kB."""

PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA busy_timeout = 5000",
    "PRAGMA wal_autocheckpoint = 0",
    "PRAGMA journal_size_limit = 67108864",
    "PRAGMA cache_size = -65536",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA secure_delete = FAST",  # who is forgotten should not be left in the gaps of a page
)


class FileLock:
    """Keeps a second process off the database. The kernel lets go of it when the process dies."""

    def __init__(self, database: str) -> None:
        self.path = f"{database}.lock"
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"Cannot write beside {database}: {error.strerror}.") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._file)
            raise StoreError(
                f"{database} is in use by another process; one server owns a database file."
            ) from error

    def release(self) -> None:
        os.close(self._file)


def _create_private(database: str) -> None:
    """Make the file for our eyes only: it holds names and balances. SQLite's WAL follows it."""
    try:
        os.close(os.open(database, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreError(f"Cannot open the database {database}: {error.strerror}.") from error


def connect_writer(database: str) -> sqlite3.Connection:
    """Open the one connection that may write. Raises StoreError."""
    try:
        connection = sqlite3.connect(
            database, isolation_level=None, check_same_thread=False, cached_statements=512
        )
        version_of(connection)  # before `journal_mode` writes into what may be somebody else's file
        for pragma in PRAGMAS:
            connection.execute(pragma)
    except sqlite3.Error as error:
        raise StoreError(f"Cannot open the database {database}: {error}.") from error
    return connection


def connect_reader(database: str) -> sqlite3.Connection:
    """Open a connection that cannot write. Raises StoreError."""
    if database != MEMORY and not Path(database).exists():
        raise StoreError(f"There is no database at {database}.")
    try:
        connection = sqlite3.connect(
            f"{Path(database).absolute().as_uri()}?mode=ro",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA busy_timeout = 5000")
    except sqlite3.Error as error:
        raise StoreError(f"Cannot read the database {database}: {error}.") from error
    return connection


def _end_all_terms(connection: sqlite3.Connection) -> None:
    """So that a server that is started again need not wait; it can, when the disk is full."""
    try:
        end_all_terms(connection)
    except sqlite3.Error as error:
        log.warning("leases.not_ended", error=str(error))


class SqliteStore:
    """See store.Store for the contract. Made by `open`."""

    def __init__(
        self,
        database: str,
        lock: FileLock | None,
        writer: aiosqlite.Connection,
        reader: aiosqlite.Connection,
        browser: aiosqlite.Connection,
    ) -> None:
        self._database = database
        self._lock = lock
        self._writer = writer
        self._reader = reader
        self._browser = browser
        """Answers what people look up, so that a long answer does not hold up those who join."""
        self._since_checkpoint = 0
        self._broken = False
        self.deliveries = SqliteDeliveries(self._transact, self._browse)
        self.leases = SqliteLeases(self._transact, self._browse)
        self.money = SqliteMoney(self._browse)

    @classmethod
    async def open(cls, database: str) -> Self:
        """Open or create a database file, or one that lives in memory.

        Raises StoreError: in use, not writable, not ours, of another schema version.
        """
        lock = FileLock(database) if database != MEMORY else None
        try:
            if database != MEMORY:
                _create_private(database)
            connection = connect_writer(database)
            set_up_if_new(connection)
            require_current(connection)
            _end_all_terms(connection)
            # Both before the first thread: one that is not closed keeps the process from ending.
            if database == MEMORY:
                writer = await aiosqlite.Connection(lambda: connection, iter_chunk_size=64)
                return cls(database, lock, writer, writer, writer)
            reading, browsing = connect_reader(database), connect_reader(database)
            writer = await aiosqlite.Connection(lambda: connection, iter_chunk_size=64)
            reader = await aiosqlite.Connection(lambda: reading, iter_chunk_size=64)
            browser = await aiosqlite.Connection(lambda: browsing, iter_chunk_size=64)
        except BaseException:
            if lock:
                lock.release()
            raise
        return cls(database, lock, writer, reader, browser)

    async def settle(self, commands: Sequence[AnyCommand], now_ms: int) -> list[Result]:
        if self._broken:
            raise StoreBroken("The database failed before; restart the server.")
        try:
            return await _call(self._writer, self._settle, commands, now_ms)
        except StoreBroken:
            self._broken = True
            raise

    async def dry_run(self, commands: Sequence[AnyCommand], now_ms: int) -> list[Result]:
        if self._database == MEMORY:
            return await self._browse(dry_run, commands, now_ms)
        # By a connection of its own: it may take seconds, and people look things up meanwhile.
        reading = connect_reader(self._database)
        connection = await aiosqlite.Connection(lambda: reading, iter_chunk_size=64)
        try:
            return await _ask(connection, dry_run, commands, now_ms)
        finally:
            await connection.close()

    def _settle(
        self, connection: sqlite3.Connection, commands: Sequence[AnyCommand], now_ms: int
    ) -> list[Result]:
        self._checkpoint_when_due(connection, len(commands))
        return settle_or_bisect(connection, commands, now_ms)

    def deliveries_under(self, lease: Lease) -> SqliteDeliveries:
        return SqliteDeliveries(partial(self._transact, fenced, lease), self._browse)

    async def _transact(self, work: Callable[..., T], *arguments: Any) -> T:
        """Change rows beside the books in a transaction of their own."""
        if self._broken:
            raise StoreBroken("The database failed before; restart the server.")
        try:
            return await _call(self._writer, self._beside, work, *arguments)
        except StoreBroken:
            self._broken = True
            raise

    def _beside(self, connection: sqlite3.Connection, work: Callable[..., T], *arguments: Any) -> T:
        self._checkpoint_when_due(connection, BESIDE_COMMANDS)
        return transact(connection, work, *arguments)

    def _checkpoint_when_due(self, connection: sqlite3.Connection, commands: int) -> None:
        if self._since_checkpoint >= CHECKPOINT_COMMANDS:
            self._since_checkpoint = 0
            checkpoint(connection, "PASSIVE")
        self._since_checkpoint += commands

    async def policy(self) -> Policy | None:
        return await self._read(reads.policy)

    async def rulings(self, after: int, now_ms: int, limit: int) -> Rulings:
        return await self._read(reads.rulings, after, now_ms, limit)

    async def rooms(self, after: str, limit: int) -> list[Room]:
        return await self._browse(reads.rooms, after, limit)

    async def find_room(self, id: str) -> Room | None:
        return await self._browse(reads.find_room, id)

    async def room(self, id: str, recent: int) -> RoomState | None:
        return await self._read(reads.room, id, recent)

    async def events(self, room: str, after: int, limit: int) -> list[Event]:
        return await self._read(reads.events, room, after, limit)

    async def board(self, room: str, as_of: int, limit: int) -> list[BoardLine]:
        return await self._browse(reads.board, room, as_of, limit)

    async def current_board(self, room: str, limit: int) -> tuple[int, list[BoardLine]]:
        return await self._browse(reads.current_board, room, limit)

    async def heads(self, rooms: Collection[str]) -> dict[str, Head]:
        return await self._read(reads.heads, rooms)

    async def balances(self, users: Collection[str]) -> Balances:
        return await self._read(reads.balances, users)

    async def wallet(self, user: str) -> Wallet:
        return await self._browse(reads.wallet, user)

    async def statement(
        self, user: str, before: int | None, limit: int
    ) -> tuple[list[StatementRow], bool]:
        return await self._browse(reads.statement, user, before, limit)

    async def _read(self, question: Callable[..., T], *arguments: Any) -> T:
        return await _ask(self._reader, question, *arguments)

    async def _browse(self, question: Callable[..., T], *arguments: Any) -> T:
        return await _ask(self._browser, question, *arguments)

    async def close(self) -> None:
        try:
            if self._broken:
                # While a reader is open, closing the writer does not copy the WAL back: after an
                # I/O error nobody should touch the file before the next start looks at it.
                await self._writer.close()
            elif self._lock is not None:
                with contextlib.suppress(StoreError):  # it is logged, and the WAL stays as it is
                    await _call(self._writer, checkpoint, "TRUNCATE")
        finally:
            await self._browser.close()
            await self._reader.close()
            await self._writer.close()
            if self._lock is not None:
                self._lock.release()


async def _ask(connection: aiosqlite.Connection, question: Callable[..., T], *arguments: Any) -> T:
    try:
        return await _call(connection, question, *arguments)
    except sqlite3.Error as error:
        raise StoreUnavailable(f"The database cannot be read: {error}.") from error


async def _call(
    connection: aiosqlite.Connection,
    work: Callable[..., T],
    *arguments: Any,
) -> T:
    """Run one function with the connection in its thread.

    `_execute` is aiosqlite's own way to do this; its public methods hop threads once a statement.
    """
    execute: Callable[..., Awaitable[T]] = connection._execute
    result = await execute(work, connection._conn, *arguments)
    return result
