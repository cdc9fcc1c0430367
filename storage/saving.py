"""What a batch leaves behind, as rows of tables, for every dialect.

History is added, sums are set to what they are now or added to: `tables.Table` says which. A
dialect forgets the erased (`Book.erased`) first, then writes these rows, in one transaction.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from rules.book import Book
from rules.journal import GENESIS, seal
from storage.tables import (
    ACCOUNT,
    BATCH,
    COMMAND,
    CREATOR_DAY,
    EARNING,
    EVENT,
    MARK,
    MEMBER,
    POLICY,
    RARE,
    ROOM,
    TRANSFER,
    USER,
    BatchRow,
    Packed,
    Table,
)


class Newest(NamedTuple):
    """The newest batch of the books: the next one follows it in number, in time and by its seal."""

    batch: int
    at_ms: int
    hash: str


NO_BATCH = Newest(0, 0, GENESIS)

CLOCK_BEHIND_MAX_MS = 60_000
"""Nodes' clocks differ by milliseconds, and a node may wait for the head for seconds after it has
looked at its own. A clock that is behind by more was wrong, now or before, and is not waited for:
books that were once written in the year 2100 must not stay there."""


def moment(newest: Newest, now_ms: int) -> int:
    """The time of the next batch: now, but not before the newest one, whose node may have a clock
    that is a little ahead. To be asked once no other node can settle."""
    ahead_ms = newest.at_ms - now_ms
    return newest.at_ms if 0 < ahead_ms <= CLOCK_BEHIND_MAX_MS else now_ms


def written(book: Book, newest: Newest, at_ms: int) -> Iterator[tuple[Table[Any], Packed]]:
    """The rows of each table that the batch adds or changes, as columns in the table's order."""
    for table, rows in _rows(book, newest, at_ms):
        if rows:
            yield table, table.pack(rows)


def _rows(book: Book, newest: Newest, at_ms: int) -> Iterator[tuple[Table[Any], Sequence[Any]]]:
    journal, batch = book.journal, newest.batch + 1
    first_transfer = book.next_transfer - len(book.transfers)
    sealed = seal(newest.hash, batch, at_ms, journal)
    yield BATCH, [BatchRow(batch, at_ms, journal[0].id, journal[-1].id, first_transfer, sealed)]
    yield COMMAND, [(*row, batch) for row in journal]
    yield POLICY, book.new_policies
    yield TRANSFER, book.transfers
    yield EVENT, book.events
    yield MARK, book.new_marks
    yield ACCOUNT, [*book.changed_accounts.values()]
    yield ROOM, [*book.changed_rooms.values()]
    yield MEMBER, [*book.changed_members.values()]
    yield USER, [*book.changed_users.values()]
    yield CREATOR_DAY, [*book.creator_days.values()]
    yield EARNING, [*book.earnings.values()]
    for name, table in RARE.items():
        yield table, [row for (kind, _), row in book.changed_rows.items() if kind == name]
