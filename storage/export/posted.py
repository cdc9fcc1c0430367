"""The journal as rows: each transfer with the command that made it and the accounts it went
between.

What the exports share. Rows are read as they are asked for, so memory does not grow with the
history, and a transfer that belongs to nothing is an error and never left out.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from rules.ledger import CURRENCY, Currency, Reason
from storage.store import StoreError


class Posted(NamedTuple):
    """A transfer, with the command that made it and the accounts it went between."""

    transfer: int
    at_ms: int
    command: int
    kind: str
    actor: str
    key: str
    body: str
    outcome: str
    reason: str
    debit_owner: str
    debit_code: str
    credit_owner: str
    credit_code: str
    amount: int
    debit_after: int
    credit_after: int


_JOURNAL = """
SELECT t.id, b.at_ms, t.command, c.kind, c.actor, c.key, c.body, c.outcome, t.reason,
       d.owner, d.code, k.owner, k.code, t.amount, t.debit_after, t.credit_after
FROM transfer AS t
LEFT JOIN command AS c ON c.id = t.command LEFT JOIN batch AS b ON b.id = c.batch
LEFT JOIN account AS d ON d.id = t.debit LEFT JOIN account AS k ON k.id = t.credit
ORDER BY t.id
"""
_REASON = Posted._fields.index("reason")
_REASONS = {reason.value: reason.name.lower() for reason in Reason}


def journal(connection: sqlite3.Connection) -> Iterator[Posted]:
    """Every transfer in order. Raises StoreError for one that belongs to nothing."""
    for row in connection.execute(_JOURNAL):
        fields = list(row)
        fields[_REASON] = _REASONS.get(row[_REASON])
        if None in fields:
            raise StoreError(
                f"Transfer {row[0]} belongs to a command, an account or a reason that does not "
                "exist; run `largesse audit`."
            )
        yield Posted(*fields)


@contextlib.contextmanager
def one_moment(connection: sqlite3.Connection) -> Iterator[None]:
    """A read transaction from here on, unless the caller has begun one."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN")
    try:
        # The first reading fixes the moment, and not the BEGIN.
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        yield
    finally:
        connection.execute("ROLLBACK")


_EPOCH = datetime(1970, 1, 1)


def moment(at_ms: int) -> datetime:
    """In UTC."""
    try:
        return _EPOCH + timedelta(milliseconds=at_ms)
    except OverflowError as error:
        raise StoreError(f"No calendar has the time {at_ms} of the books.") from error


def iso(at_ms: int) -> str:
    return f"{moment(at_ms).isoformat(timespec='milliseconds')}Z"


def currency_of(code: str) -> Currency:
    try:
        return CURRENCY[code]
    except KeyError:
        raise StoreError(f"There is no account code {code}; run `largesse audit`.") from None
