"""One batch in one SQLite transaction, and what to do when it goes wrong.

begin, load, `rules.settle`, save, commit: this is the whole durable path of a gift, and it runs as
one call in the writer's thread. It needs nothing but a connection, so that the power-failure tests
can run it on a virtual file system that forgets what was not synced.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

import structlog

from rules.commands import AnyCommand
from rules.refusals import RefusalCode
from rules.results import Result, refuse
from rules.settle import settle
from storage.saving import moment
from storage.sqlite.moment import one_moment
from storage.sqlite.rows import Connection, load, read_newest, save
from storage.store import StoreBroken, StoreUnavailable

log = structlog.get_logger()

T = TypeVar("T")

_BROKEN = {
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
}
"""After these nobody can say what the file holds: after a failed fsync the kernel may have dropped
the pages and a second fsync would succeed, so trying again is not an answer (fsyncgate)."""


class CommitFailed(Exception):
    """COMMIT itself raised: whether the batch is durable is not known yet."""


def settle_batch(
    connection: Connection, commands: Sequence[AnyCommand], now_ms: int
) -> list[Result]:
    """Settle in one transaction; durable when it returns.

    Raises CommitFailed, or whatever went wrong before COMMIT; then the transaction is still open.
    """
    connection.execute("BEGIN IMMEDIATE")
    newest = read_newest(connection)
    book = load(connection, commands)
    at_ms = moment(newest, now_ms)
    results = settle(book, commands, at_ms)
    if not book.journal:
        connection.execute("ROLLBACK")
        return results
    save(connection, book, newest, at_ms)
    try:
        connection.execute("COMMIT")
    except Exception as error:
        raise CommitFailed from error
    return results


def dry_run(
    connection: sqlite3.Connection, commands: Sequence[AnyCommand], now_ms: int
) -> list[Result]:
    """What settling would answer now; the book is thrown away. A connection that reads will do."""
    with one_moment(connection):
        at_ms = moment(read_newest(connection), now_ms)
        return settle(load(connection, commands), commands, at_ms)


def settle_or_bisect(
    connection: sqlite3.Connection, commands: Sequence[AnyCommand], now_ms: int
) -> list[Result]:
    """Settle; when a batch cannot be booked, find the command that is to blame and book the rest.

    Raises StoreUnavailable when nothing was stored, StoreBroken when that is not known.
    """
    try:
        return settle_batch(connection, commands, now_ms)
    except CommitFailed as failed:
        return _resolve_commit(connection, commands, now_ms, failed)
    except Exception as error:
        _roll_back(connection, error)
        if len(commands) == 1:
            log.error("settle.command_failed", kind=type(commands[0]).__name__, exc_info=error)
            return [_internal()]
        middle = len(commands) // 2
        log.warning("settle.bisecting", commands=len(commands), error=repr(error))
        results = settle_or_bisect(connection, commands[:middle], now_ms)
        try:
            return results + settle_or_bisect(connection, commands[middle:], now_ms)
        except StoreUnavailable:
            return results + [_internal() for _ in commands[middle:]]


def transact(connection: sqlite3.Connection, work: Callable[..., T], *arguments: Any) -> T:
    """Change rows that are not part of the books, in one transaction; durable when it returns.

    Raises StoreUnavailable when it may be tried again (a COMMIT that raised may have been made),
    StoreBroken when the database failed.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        result = work(connection, *arguments)
        connection.execute("COMMIT")
    except Exception as error:
        _roll_back(connection, error)
        if isinstance(error, sqlite3.Error):
            raise StoreUnavailable(f"The database could not store this: {error}.") from error
        raise
    return result


def _internal() -> Result:
    return refuse(RefusalCode.UNAVAILABLE, "The server could not book this; nothing was charged.")


def _roll_back(connection: sqlite3.Connection, error: Exception) -> None:
    """Undo what is open. Raises when it is the store that failed, and not a command."""
    primary = getattr(error, "sqlite_errorcode", 0) & 0xFF
    try:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    except sqlite3.Error as second:
        raise StoreBroken(f"The database could not roll back: {second}.") from error
    if primary in _BROKEN:
        raise StoreBroken(f"The database failed: {error}.") from error
    if primary == sqlite3.SQLITE_FULL:
        raise StoreUnavailable("The disk is full; nothing was stored.") from error
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM):
        raise StoreUnavailable(f"The database is not available: {error}.") from error


def _resolve_commit(
    connection: sqlite3.Connection,
    commands: Sequence[AnyCommand],
    now_ms: int,
    failed: CommitFailed,
) -> list[Result]:
    """Find out by key whether a batch whose COMMIT raised is in the books, and answer with that."""
    error = failed.__cause__
    assert isinstance(error, Exception)
    log.error("settle.commit_failed", error=repr(error))
    _roll_back(connection, error)
    try:
        keys = [(command.actor, command.key) for command in commands]
        stored = [
            connection.execute("SELECT 1 FROM command WHERE actor = ? AND key = ?", key).fetchone()
            for key in keys
        ]
    except sqlite3.Error as second:
        raise StoreBroken(f"What was stored cannot be looked up: {second}.") from error
    if not any(stored):
        raise StoreUnavailable("The database could not commit; nothing was stored.") from error
    try:
        # A key may be older than this batch, so this settles what is not in the books yet.
        return settle_batch(connection, commands, now_ms)
    except Exception as second:
        with contextlib.suppress(StoreUnavailable):
            _roll_back(connection, second)
        raise StoreBroken(f"The database could not commit twice: {second!r}.") from error


def checkpoint(connection: sqlite3.Connection, mode: Literal["PASSIVE", "TRUNCATE"]) -> None:
    """Copy the WAL back into the database file; what is committed stays committed if it fails.

    Raises StoreUnavailable when the disk is full or the file busy, StoreBroken on an I/O error.
    """
    try:
        connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()
    except sqlite3.Error as error:
        log.error("checkpoint.failed", error=repr(error))
        _roll_back(connection, error)
        raise StoreUnavailable(f"The database could not tidy up: {error}.") from error
