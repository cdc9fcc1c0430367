"""The journal for people who do not have to trust us: a trial balance, a table for spreadsheets,
and a file that another accounting program checks (storage/export/beancount.py).

Everything is read from one moment of the books, also while a server writes to them, and written
while it is read. Names and amounts come from the ledger's own tables (rules/ledger.py). Whether the
books are right is not asked here but by the audit.
"""

import contextlib
import csv
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TextIO

from rules.ledger import CURRENCY, Currency
from storage.export.beancount import export_beancount
from storage.export.posted import Posted, currency_of, iso, journal, one_moment
from storage.sqlite.migrations import require_current
from storage.sqlite.store import MEMORY, connect_reader
from storage.store import StoreError

# --- the trial balance --------------------------------------------------------------------------


class Line(NamedTuple):
    """What went out of and came into all accounts of one kind."""

    currency: str
    holder: str
    """`system`, `users`, or nothing for the total of the currency."""
    code: str
    accounts: int
    debits: int
    credits: int

    @property
    def balance(self) -> int:
        return self.credits - self.debits


TOTAL = "total"


def trial_balance(connection: sqlite3.Connection) -> list[Line]:
    """Each currency's system accounts, the users' accounts summed by code, and the total, whose two
    sides are equal in books that are right."""
    rows = connection.execute(
        "SELECT iif(owner = '', 'system', 'users') AS holder, code, count(*), sum(debits),"
        " sum(credits) FROM account GROUP BY holder, code ORDER BY holder, min(id)"
    )
    # An account that the rules do not know is shown too: it is what an auditor looks for.
    found = [Line(CURRENCY.get(code, "unknown"), holder, code, *n) for holder, code, *n in rows]
    lines: list[Line] = []
    for currency in (*Currency, "unknown"):
        some = [line for line in found if line.currency == currency]
        lines += [*some, _total(currency, some)] if some else []
    return lines


def _total(currency: str, lines: list[Line]) -> Line:
    accounts, debits, credits = (sum(column) for column in list(zip(*lines, strict=True))[3:])
    return Line(currency, "", TOTAL, accounts, debits, credits)


# --- a table for spreadsheets -------------------------------------------------------------------

COLUMNS = (
    "transfer",
    "at",
    "at_ms",
    "command",
    "kind",
    "actor",
    "key",
    "reason",
    "debit_owner",
    "debit_account",
    "credit_owner",
    "credit_account",
    "currency",
    "amount",
    "debit_balance_after",
    "credit_balance_after",
)
"""`amount` left the debit account and came to the credit account, in whole coins, millidiamonds or
minor units of money. An owner that is empty is the system."""

_FORMULA = tuple("=+-@\t\r\n\0＝＋－＠'")
"""What a spreadsheet may take for the beginning of a formula (OWASP, CSV injection), full-width
forms included; and the apostrophe itself, so that taking one away always gives the text back."""


def plain_cell(text: str) -> str:
    """The text as a spreadsheet shows and never computes it: behind an apostrophe where needed."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def export_csv(connection: sqlite3.Connection, out: TextIO) -> int:
    """One line for each transfer, under a line of column names; how many transfers.

    UTF-8, commas, RFC 4180 quotes, lines that end with a line feed. Raises StoreError for a
    transfer that belongs to nothing.
    """
    writer = csv.writer(out, lineterminator="\n")
    count = 0
    with one_moment(connection):
        writer.writerow(COLUMNS)
        for posted in journal(connection):
            writer.writerow(_cells(posted))
            count += 1
    return count


def _cells(posted: Posted) -> tuple[str | int, ...]:
    return (
        posted.transfer,
        iso(posted.at_ms),
        posted.at_ms,
        posted.command,
        posted.kind,
        plain_cell(posted.actor),
        plain_cell(posted.key),
        posted.reason,
        plain_cell(posted.debit_owner),
        posted.debit_code,
        plain_cell(posted.credit_owner),
        posted.credit_code,
        currency_of(posted.debit_code).value,
        posted.amount,
        posted.debit_after,
        posted.credit_after,
    )


# --- files --------------------------------------------------------------------------------------

FORMATS: dict[str, Callable[[sqlite3.Connection, TextIO], int]] = {
    "csv": export_csv,
    "beancount": export_beancount,
}


def trial_balance_file(path: str) -> list[Line]:
    """The trial balance of a file; nothing when it is too damaged to be read, which the audit says.
    Raises StoreError."""
    try:
        with _reading(path) as connection:
            return trial_balance(connection)
    except sqlite3.Error:
        return []


def export_text(path: str, format: str, out: TextIO) -> int:
    """Write the journal of a file in one of FORMATS; how many transfers. Raises StoreError."""
    try:
        with _reading(path) as connection:
            return FORMATS[format](connection, out)
    except sqlite3.Error as error:
        raise StoreError(f"The database cannot be read: {error}.") from error


def export_file(path: str, format: str, target: Path, *, replace: bool = False) -> int:
    """Write the journal into a file for its owner's eyes only; how many transfers.

    It is under its name once it is complete, and takes the place of another file only when asked
    to. Raises StoreError, OSError.
    """
    _require_replaceable(path, target, replace)
    with appearing(target, replace=replace) as out:
        return export_text(path, format, out)


@contextlib.contextmanager
def _reading(path: str) -> Iterator[sqlite3.Connection]:
    """The books of one moment."""
    if path == MEMORY:
        raise StoreError("Books in memory are seen by their own process only; name a file.")
    with contextlib.closing(connect_reader(path)) as connection:
        connection.execute("BEGIN")
        require_current(connection)
        yield connection


def _require_replaceable(path: str, target: Path, replace: bool) -> None:
    if not os.path.lexists(target):
        return
    if not replace:
        raise StoreError(f"{target} exists already; name a new file, or replace it with --force.")
    if not target.is_file():
        raise StoreError(f"{target} is no file that could be replaced.")
    if any(target.samefile(own) for own in _files_of(path)):
        raise StoreError(f"{target} belongs to the database itself; name another file.")


def _files_of(path: str) -> Iterable[Path]:
    names = (path, f"{path}-wal", f"{path}-shm", f"{path}.lock")
    return filter(Path.exists, map(Path, names))


@contextlib.contextmanager
def appearing(target: Path, *, replace: bool) -> Iterator[TextIO]:
    """A new file under another name, which gets its own when nothing went wrong. Raises OSError."""
    partial = target.with_name(f"{target.name}.partial-{secrets.token_hex(4)}")
    number = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        with open(number, "w", encoding="utf-8", newline="") as out:
            yield out
            out.flush()
            os.fsync(number)
        if replace:
            os.replace(partial, target)
        else:
            os.link(partial, target)  # unlike a rename, this never overwrites
    finally:
        partial.unlink(missing_ok=True)
