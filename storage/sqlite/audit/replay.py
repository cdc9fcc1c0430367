"""The audit's strongest question: does the journal lead to these very rows?

The chain of hashes is recomputed, so that nobody changed what was asked and answered; then every
batch is settled again, by the code that settled it, on books that begin empty, and each table must
come out row for row. One batch is held at a time, whatever the size of the history.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from itertools import groupby, zip_longest
from operator import itemgetter
from typing import Any

from rules.commands import read_command
from rules.rows import JournalRow
from rules.settle import settle
from storage.audit import Batch, Wrong, check_chain
from storage.sqlite.migrations import migrate
from storage.sqlite.rows import load, read_newest, save
from storage.tables import TABLES, Table


def history(connection: sqlite3.Connection) -> Iterator[Batch]:
    """The batches in order, each with its commands. Raises Wrong where they do not fit."""
    heads = connection.execute(
        "SELECT id, at_ms, first_command, last_command, hash FROM batch ORDER BY id"
    )
    commands = connection.execute(
        "SELECT batch, id, actor, key, kind, fingerprint, body, outcome, said"
        " FROM command ORDER BY id"
    )
    groups = groupby(commands, key=itemgetter(0))
    for head, group in zip_longest(heads, groups):
        if head is None:
            raise Wrong(f"batch {group[0]} has commands and does not exist")
        if group is None or group[0] != head[0]:
            raise Wrong(f"batch {head[0]} does not have its commands")
        id, at_ms, first, last, hash = head
        yield Batch(id, at_ms, first, last, hash, [_journal_row(*row) for row in group[1]])


def _journal_row(
    batch: int,
    id: int,
    actor: str,
    key: str,
    kind: str,
    fingerprint: str,
    body: str,
    outcome: str,
    said: str | None,
) -> JournalRow:
    spoken = None if said is None else said.encode()
    return JournalRow(id, actor, key, kind, fingerprint, body.encode(), outcome.encode(), spoken)


def check_journal(connection: sqlite3.Connection) -> str:
    """The journal is a chain without a gap. Raises Wrong."""
    return check_chain(history(connection))


def check_replay(connection: sqlite3.Connection) -> str:
    """Settling the journal again gives the same rows in every table. Raises Wrong."""
    # "" is a database on disk that SQLite deletes when it is closed; what fits stays in the cache.
    with contextlib.closing(
        sqlite3.connect("", isolation_level=None, cached_statements=512)
    ) as replica:
        replica.execute("PRAGMA cache_size = -65536")
        replica.execute("PRAGMA journal_mode = OFF")
        migrate(replica)
        replica.execute("BEGIN")
        commands = _settle_again(connection, replica)
        rows = sum(_compare(connection, replica, table) for table in TABLES)
    return f"{commands} commands settled again gave the same {rows} rows in {len(TABLES)} tables."


def _settle_again(connection: sqlite3.Connection, replica: sqlite3.Connection) -> int:
    number = 0
    try:
        for batch in history(connection):
            number = batch.rows[0].id
            asked = [read_command(row.body, row.said) for row in batch.rows]
            book = load(replica, asked)
            settle(book, asked, batch.at_ms)
            save(replica, book, read_newest(replica), batch.at_ms)
            number = batch.rows[-1].id
    except Wrong:
        raise
    except Exception as error:
        # Whatever a changed history can raise in the rules or in the schema.
        raise Wrong(f"the batch at command {number} cannot be settled again: {error!r}") from error
    return number


def _compare(connection: sqlite3.Connection, replica: sqlite3.Connection, table: Table[Any]) -> int:
    """How many rows the table has, the same ones on both sides. Raises Wrong at the first other."""
    sql = f"SELECT * FROM {table.name} ORDER BY {', '.join(table.key)}"
    count = 0
    for kept, made in zip_longest(connection.execute(sql), replica.execute(sql)):
        if kept != made:
            raise Wrong(
                f"{table.name}: the books have {_short(kept)}, replaying gives {_short(made)}"
            )
        count += 1
    return count


def _short(row: tuple[object, ...] | None) -> str:
    """A row as a person can read it in one line."""
    if row is None:
        return "no such row"
    text = repr(row)
    return text if len(text) <= ROW_CHARACTERS_MAX else text[: ROW_CHARACTERS_MAX - 1] + "…"


ROW_CHARACTERS_MAX = 300
