"""What exports and the trial balance ask of the books, asked of SQLite."""

import sqlite3
from collections.abc import Iterator
from typing import TextIO

from storage.balance import Line
from storage.balance import trial_balance as lines_of
from storage.export import FORMATS
from storage.export.posted import Posted, posted
from storage.sqlite.moment import one_moment

_POSTED = """
SELECT t.id, b.at_ms, t.command, c.kind, c.actor, c.key, c.body, c.outcome, t.reason,
       d.owner, d.code, k.owner, k.code, t.amount, t.debit_after, t.credit_after
FROM transfer AS t
LEFT JOIN command AS c ON c.id = t.command LEFT JOIN batch AS b ON b.id = c.batch
LEFT JOIN account AS d ON d.id = t.debit LEFT JOIN account AS k ON k.id = t.credit
ORDER BY t.id
"""

_OPENED = """
SELECT a.owner, a.code, u.first_ms
FROM account AS a LEFT JOIN (
  SELECT s.account, min(b.at_ms) AS first_ms
  FROM (SELECT debit AS account, command FROM transfer
        UNION ALL SELECT credit, command FROM transfer) AS s
  JOIN command AS c ON c.id = s.command JOIN batch AS b ON b.id = c.batch
  GROUP BY s.account) AS u ON u.account = a.id
ORDER BY a.id
"""


class SqliteJournal:
    """See storage/export/posted.py, Journal. Of one moment within the connection's transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def posted(self) -> Iterator[Posted]:
        return map(posted, self._connection.execute(_POSTED))

    def currency(self) -> str:
        newest = "SELECT body ->> '$.shop.currency' FROM policy ORDER BY command DESC LIMIT 1"
        row = self._connection.execute(newest).fetchone()
        return str(row[0]) if row and row[0] else ""

    def period(self) -> tuple[int, int] | None:
        row = self._connection.execute("SELECT min(at_ms), max(at_ms) FROM batch").fetchone()
        return None if row[0] is None else (row[0], row[1])

    def opened(self) -> Iterator[tuple[str, str, int | None]]:
        return iter(self._connection.execute(_OPENED))

    def owed(self) -> Iterator[tuple[str, str, int]]:
        sql = "SELECT owner, code, debits - credits FROM account ORDER BY id"
        return iter(self._connection.execute(sql))


def export(connection: sqlite3.Connection, format: str, out: TextIO) -> int:
    """Write the journal in one of FORMATS; how many transfers. Raises StoreError."""
    with one_moment(connection):
        # The first reading fixes the moment, and not the BEGIN.
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return FORMATS[format](SqliteJournal(connection), out)


def trial_balance(connection: sqlite3.Connection) -> list[Line]:
    rows = connection.execute(
        "SELECT iif(owner = '', 'system', 'users') AS holder, code, count(*), sum(debits),"
        " sum(credits) FROM account GROUP BY holder, code ORDER BY holder, min(id)"
    )
    return lines_of(rows)
