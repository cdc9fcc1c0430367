"""Ledgers for tests: opened, settled into, dumped and compared as rows."""

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rules.commands import AnyCommand
from rules.results import Result
from storage.sqlite.migrations import set_up_if_new
from storage.sqlite.settle import settle_batch
from storage.sqlite.store import MEMORY, connect_writer
from storage.tables import TABLES

NOW_MS = 1_700_000_000_000
KEYS = {table.name: ", ".join(table.key) for table in TABLES}
"""Every table of the books, and what puts its rows in an order."""


def new_ledger(path: Path | str = MEMORY) -> sqlite3.Connection:
    """The connection that writes, to a ledger that is made if there is none."""
    connection = connect_writer(str(path))
    set_up_if_new(connection)
    return connection


def book(connection: Any, *commands: AnyCommand, now_ms: int = NOW_MS) -> list[Result]:
    """Settle the commands as one batch."""
    return settle_batch(connection, commands, now_ms)


def settle_in_batches(
    connection: sqlite3.Connection, batches: Iterable[Sequence[AnyCommand]], now_ms: int = NOW_MS
) -> list[Result]:
    return [result for batch in batches for result in settle_batch(connection, batch, now_ms)]


def rows(connection: sqlite3.Connection, table: str) -> list[tuple[Any, ...]]:
    return connection.execute(f"SELECT * FROM {table} ORDER BY {KEYS[table]}").fetchall()


def dump(connection: sqlite3.Connection) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table."""
    return {table: rows(connection, table) for table in KEYS}


def dump_without_batches(connection: sqlite3.Connection) -> dict[str, list[tuple[Any, ...]]]:
    """Every row, but not which commands were settled together."""
    tables = dump(connection)
    del tables["batch"]
    tables["command"] = [(row[0], *row[2:]) for row in tables["command"]]
    return tables


def codes(results: list[Result]) -> list[str]:
    """What became of each: `booked`, or the code of the refusal."""
    return [getattr(result.outcome, "code", "booked") for result in results]
