"""The tables of the books, described once: which rows are kept where, under which columns, and what
of a row may change.

Whoever moves rows goes by this: loading, saving, the questions that people ask, the audit's replay,
the tests. How a column is kept follows from the type of the row's field (rules/rows.py): numbers
and texts as they are, switches as 0 and 1, everything else as JSON in a text. Here is no SQL: each
dialect makes its own of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from types import GenericAlias, NoneType
from typing import Any, Generic, Literal, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec.structs import astuple

from rules.commands import write
from rules.events import Event
from rules.ledger import Account, Transfer
from rules.policy import Policy
from rules.rows import (
    Correction,
    Creator,
    CreatorDay,
    Earning,
    Endpoint,
    Link,
    Mark,
    Member,
    Payout,
    Purchase,
    Refund,
    Revocation,
    Room,
    Suspense,
    User,
)

Row = TypeVar("Row")
Plain = str | int | None
"""What a column can hold, in every dialect."""
Packed = Sequence[Sequence[Plain]]


class BatchRow(NamedTuple):
    """Who settled what together, and the hash that seals it."""

    id: int
    at_ms: int
    first_command: int
    last_command: int
    next_transfer: int
    """The first id that its transfers could take."""
    hash: str


class CommandRow(NamedTuple):
    """A row of the journal (rules.rows.JournalRow) with the batch in which it was settled."""

    id: int
    actor: str
    key: str
    kind: str
    fingerprint: str
    body: bytes
    outcome: bytes
    said: bytes | None
    batch: int


class PolicyRow(NamedTuple):
    command: int
    body: Policy


class Column(NamedTuple):
    name: str
    type: Any
    holds: Literal["value", "switch", "text", "json"]
    """`text`: bytes of the rules, which are kept as the text that they are."""


@dataclass(frozen=True, slots=True, eq=False)
class Table(Generic[Row]):
    """A table is itself and equal to no other: what is made for it once is found by it.

    Rows are only added unless `sets` or `adds` names columns; then a row that is there already
    takes the new value of the first and the sum of the second, and keeps the rest."""

    name: str
    row: type[Row]
    key: tuple[str, ...]
    """The columns that name a row, and put the rows in an order."""
    columns: tuple[Column, ...]
    sets: tuple[str, ...]
    adds: tuple[str, ...]
    shelf: str
    """The dictionary of a book (rules/book.py) in which a batch finds the rows, if it has one."""
    pack: Callable[[Sequence[Row]], Packed]
    """The columns of rows, in their order."""
    unpack: Callable[[Sequence[Any]], Row]
    """The row of these columns."""
    read: Callable[[str], list[Row]]
    """The rows of a JSON array of arrays: columns in their order, those of JSON as what they hold.
    For a dialect that hands over many rows as one text."""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)


def _columns(row: type[Any]) -> tuple[Column, ...]:
    hints = get_type_hints(row)
    return tuple(Column(name, hint, _holds(hint)) for name, hint in hints.items())


def _holds(hint: Any) -> Literal["value", "switch", "text", "json"]:
    kinds = [kind for kind in get_args(hint) or (hint,) if kind is not NoneType]
    if kinds == [bool]:
        return "switch"
    if kinds == [bytes]:
        return "text"
    plain = all(isinstance(kind, type) and issubclass(kind, str | int) for kind in kinds)
    is_container = get_origin(hint) in (list, tuple, dict)
    return "value" if get_origin(hint) is Literal or (plain and not is_container) else "json"


def _packing(row: type[Any], columns: tuple[Column, ...]) -> Callable[[Sequence[Any]], Packed]:
    is_struct = issubclass(row, msgspec.Struct)
    texts = [place for place, column in enumerate(columns) if column.holds == "text"]
    jsons = [place for place, column in enumerate(columns) if column.holds == "json"]
    if not texts and not jsons:
        return (lambda rows: [astuple(row) for row in rows]) if is_struct else (lambda rows: rows)
    fields_of: Callable[[Any], Any] = astuple if is_struct else iter

    # Column by column: a call for each row of a batch was a fiftieth of the gift.
    def pack(rows: Sequence[Any]) -> Packed:
        packed = [list(fields_of(row)) for row in rows]
        for place in texts:
            for fields in packed:
                if (value := fields[place]) is not None:
                    fields[place] = value.decode()
        for place in jsons:
            for fields in packed:
                if (value := fields[place]) is not None:
                    fields[place] = write(value).decode()
        return packed

    return pack


def _reader(column: Column) -> Callable[[Any], Any] | None:
    """What makes the field of what the column holds, where they are not the same."""
    match column.holds:
        case "json":
            return msgspec.json.Decoder(column.type).decode
        case "switch":
            return bool
        case "text":
            return str.encode
    is_enum = isinstance(column.type, type) and issubclass(column.type, Enum)
    return column.type if is_enum else None


def _unpacking(row: type[Any], columns: tuple[Column, ...]) -> Callable[[Sequence[Any]], Any]:
    readers = [(n, read) for n, read in enumerate(map(_reader, columns)) if read is not None]

    def unpack(found: Sequence[Any]) -> Any:
        fields = list(found)
        for place, read in readers:
            if fields[place] is not None:
                fields[place] = read(fields[place])
        return row(*fields)

    return unpack


def _reading(row: type[Any], columns: tuple[Column, ...]) -> Callable[[str], list[Any]]:
    kinds = (str | None if column.holds == "text" else column.type for column in columns)
    line: Any = GenericAlias(tuple, tuple(kinds))
    # Not strict, because switches come as 0 and 1.
    decode = msgspec.json.Decoder(list[line], strict=False).decode
    texts = [place for place, column in enumerate(columns) if column.holds == "text"]
    if not texts:
        return lambda text: [row(*fields) for fields in decode(text)]

    def read(text: str) -> list[Any]:
        found = [list(fields) for fields in decode(text)]
        for place in texts:
            for fields in found:
                fields[place] = fields[place] and fields[place].encode()
        return [row(*fields) for fields in found]

    return read


def _table(
    name: str,
    row: type[Row],
    key: str,
    *,
    shelf: str = "",
    sets: tuple[str, ...] = (),
    adds: tuple[str, ...] = (),
) -> Table[Row]:
    columns, keys = _columns(row), tuple(key.split())
    assert {*keys, *sets, *adds} <= {column.name for column in columns}, name
    codec = _packing(row, columns), _unpacking(row, columns), _reading(row, columns)
    return Table(name, row, keys, columns, sets, adds, shelf, *codec)


def _whole(name: str, row: type[Row], shelf: str) -> Table[Row]:
    """Rows with an id, of which everything else may change."""
    others = tuple(column.name for column in _columns(row) if column.name != "id")
    return _table(name, row, "id", shelf=shelf, sets=others)


# History: only ever added to.

BATCH = _table("batch", BatchRow, "id")
COMMAND = _table("command", CommandRow, "id")
POLICY = _table("policy", PolicyRow, "command")
TRANSFER = _table("transfer", Transfer, "id")
EVENT = _table("event", Event, "room seq")
MARK = _table("mark", Mark, "room gift_seq kind", shelf="marks")

# How things stand now.

ACCOUNT = _table("account", Account, "id", shelf="accounts", sets=("debits", "credits"))
ROOM = _table("room", Room, "id", shelf="rooms", sets=("status", "epoch", "seq", "total_coins"))
USER = _whole("user", User, "users")
MEMBER = _table(
    "member",
    Member,
    "room user",
    shelf="members",
    sets=("name", "coins", "reached_seq", "combo", "anonymous_combo"),
)
CREATOR = _whole("creator", Creator, "creators")
PURCHASE = _whole("purchase", Purchase, "purchases")
REFUND = _whole("refund", Refund, "refunds")
PAYOUT = _whole("payout", Payout, "payouts")
SUSPENSE = _whole("suspense", Suspense, "suspense")
CORRECTION = _whole("correction", Correction, "corrections")
ENDPOINT = _whole("endpoint", Endpoint, "endpoints")
LINK = _whole("link", Link, "links")
REVOCATION = _whole("revocation", Revocation, "revocations")

# Sums, to which a batch adds.

CREATOR_DAY = _table(
    "creator_day",
    CreatorDay,
    "creator day user",
    shelf="creator_days",
    sets=("name", "reached"),
    adds=("coins",),
)
EARNING = _table(
    "earning",
    Earning,
    "creator day gift",
    shelf="earnings",
    adds=("gifts", "coins", "millidiamonds"),
)

TABLES: tuple[Table[Any], ...] = (
    *(BATCH, COMMAND, POLICY, ACCOUNT, TRANSFER, ROOM, EVENT, MARK, USER, MEMBER, CREATOR),
    *(
        PURCHASE,
        REFUND,
        PAYOUT,
        SUSPENSE,
        CORRECTION,
        ENDPOINT,
        LINK,
        REVOCATION,
        CREATOR_DAY,
        EARNING,
    ),
)
"""Every table of the books: what replaying the journal makes anew."""

RARE: dict[str, Table[Any]] = {
    table.name: table
    for table in (
        *(CREATOR, PURCHASE, REFUND, PAYOUT, SUSPENSE, CORRECTION, ENDPOINT),
        *(LINK, REVOCATION),
    )
}
"""Rows that a batch names as (table, id) and that a book notes in `changed_rows`."""
