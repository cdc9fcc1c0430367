"""A batch's rows, from SQLite into a `Book` and back.

What is asked, in which order, and what is written is said in storage/loading.py and
storage/saving.py; here is the SQL for it. Every question is one statement that gives one row, and
every INSERT has many rows. That is not only for SQLite's sake: Python's sqlite3 gives up the
interpreter lock at every step of a statement, and with a busy event loop beside it each hand-over
can cost milliseconds. Row by row, a batch of 256 gifts took a hundred times longer here beside a
busy thread than alone.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, Protocol, assert_never

import msgspec
import orjson

from rules.book import Book
from rules.commands import FORGOTTEN, AnyCommand
from rules.ledger import FIRST_USER_ACCOUNT
from rules.outcomes import read_outcome
from rules.rows import GiftRecord, Mark, Spent
from storage.loading import (
    AtFirst,
    Beginning,
    Gifts,
    OfPayments,
    PaidBy,
    Parties,
    People,
    Question,
    Rare,
    Rooms,
    Waiting,
    Whole,
    answered,
    loading,
    read_policy,
)
from storage.saving import NO_BATCH, Newest, written
from storage.tables import ACCOUNT, CREATOR, MARK, MEMBER, PURCHASE, ROOM, USER, Packed, Row, Table


class Connection(Protocol):
    """The part of sqlite3.Connection and apsw.Connection that settling needs."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Any: ...


def _as_json(table: Table[Any], alias: str) -> str:
    """A row as `Table.read` takes it."""
    columns = (
        f"json({alias}.{column.name})" if column.holds == "json" else f"{alias}.{column.name}"
        for column in table.columns
    )
    return f"json_array({', '.join(columns)})"


_GIFT = """json_object(
    'room', e.room, 'seq', e.seq, 'sender', c.body -> 'sender',
    'recipient', e.body -> '$.to.id', 'recipient_name', e.body -> '$.to.name',
    'gift', e.body -> 'gift', 'quantity', e.body -> 'quantity', 'coins', e.body -> 'coins',
    'millidiamonds', c.outcome -> 'millidiamonds',
    'anonymous', json(iif(e.body -> '$.from.anonymous' IS NULL, 'false', 'true')),
    'at_ms', e.body -> 'at_ms', 'lots', coalesce(c.outcome -> 'lots', json('[]')))"""
"""A GiftRecord, which SQLite takes out of the JSON without the interpreter's lock."""

_MARK = _as_json(MARK, "m")

_AT_FIRST = f"""
SELECT
  (SELECT coalesce(max(id), 0) + 1 FROM command),
  (SELECT coalesce(max(id), 0) + 1 FROM transfer),
  (SELECT max(max(id) + 1, ?1) FROM account),
  (SELECT body FROM policy ORDER BY command DESC LIMIT 1),
  (SELECT json_group_array(json_array(c.actor, c.key, c.fingerprint, c.outcome))
     FROM json_each(?2) AS k CROSS JOIN command AS c
       ON c.actor = k.value ->> 0 AND c.key = k.value ->> 1),
  (SELECT json_group_array({_as_json(ROOM, "r")})
     FROM json_each(?3) AS k CROSS JOIN room AS r ON r.id = k.value),
  (SELECT json_group_array({_GIFT})
     FROM json_each(?4) AS k CROSS JOIN event AS e
       ON e.room = k.value ->> 0 AND e.seq = k.value ->> 1 AND e.kind = 'gift'
     JOIN command AS c ON c.id = e.command),
  (SELECT json_group_array({_MARK})
     FROM json_each(?4) AS k CROSS JOIN mark AS m
       ON m.room = k.value ->> 0 AND m.gift_seq = k.value ->> 1)
"""

_EVERY_ROOM = "SELECT json_group_array(id) FROM room"

_PARTIES = f"""
SELECT
  (SELECT json_group_array({_as_json(USER, "u")})
     FROM json_each(?1) AS k CROSS JOIN user AS u ON u.id = k.value),
  (SELECT json_group_array({_as_json(ACCOUNT, "a")})
     FROM json_each(?2) AS k CROSS JOIN account AS a
       ON a.owner = k.value ->> 0 AND a.code = k.value ->> 1),
  (SELECT json_group_array({_as_json(ACCOUNT, "a")})
     FROM account AS a WHERE a.id < ?3),
  (SELECT json_group_array({_as_json(MEMBER, "m")})
     FROM json_each(?4) AS k CROSS JOIN member AS m
       ON m.room = k.value ->> 0 AND m.user = k.value ->> 1),
  (SELECT json_group_array({_as_json(CREATOR, "c")})
     FROM json_each(?5) AS k CROSS JOIN creator AS c ON c.id = k.value)
"""

_PAGE = 5_000
"""Gifts of a lot in one row: a longer one would keep the interpreter too long from the event loop
while it is read, and one row each would hand the lock over too often."""

_PAID_BY = f"""
SELECT '[' || group_concat(gift) || ']', '[' || coalesce(group_concat(marks), '') || ']'
FROM (SELECT (row_number() OVER () - 1) / {_PAGE} AS page, {_GIFT} AS gift,
             (SELECT group_concat({_MARK}) FROM mark AS m
              WHERE m.room = e.room AND m.gift_seq = e.seq) AS marks
      FROM json_each(?) AS k
      CROSS JOIN purchase AS p ON p.id = k.value
      CROSS JOIN account AS a ON a.owner = p.user AND a.code = 'coins'
      CROSS JOIN transfer AS t ON t.debit = a.id AND t.debit >= 100 AND t.id > p.first_transfer
      CROSS JOIN command AS c ON c.id = t.command AND c.kind = 'gift'
      CROSS JOIN event AS e ON e.room = c.outcome ->> 'room' AND e.seq = c.outcome ->> 'seq'
      WHERE p.first_transfer > 0
        AND EXISTS (SELECT 1 FROM json_each(c.outcome, '$.lots') AS l WHERE l.value ->> 0 = p.id))
GROUP BY page
"""
"""The gifts that a purchase paid for, found among what its buyer gave since; and their marks."""

_ROOMS = f"""
SELECT json_group_array({_as_json(ROOM, "r")})
FROM json_each(?) AS k CROSS JOIN room AS r ON r.id = k.value
"""


def load(connection: Connection, commands: Sequence[AnyCommand]) -> Book:
    """The book that these commands need, as the transaction sees it."""
    return answered(loading(commands), lambda question: answer(connection, question))


def answer(connection: Connection, question: Question) -> Any:
    """See storage/loading.py for the questions and what each is answered with."""
    match question:
        case AtFirst():
            return _beginning(connection, question)
        case Parties():
            return _people(connection, question)
        case Rare(table, ids):
            return rows_of(connection, table, _BY_ID.format(table=table.name), (_json(ids),))
        case OfPayments(payments):
            return rows_of(connection, PURCHASE, _OF_PAYMENTS, (_json(payments),))
        case Waiting(users, most):
            return rows_of(connection, PURCHASE, _WAITING, (_json(users), most))
        case Whole(table):
            return rows_of(connection, table, table.name)
        case PaidBy(purchases):
            return _paid_by(connection, purchases)
        case Rooms(ids):
            return ROOM.read(connection.execute(_ROOMS, (_json(ids),)).fetchone()[0])
        case _:
            assert_never(question)


def _beginning(connection: Connection, question: AtFirst) -> Beginning:
    touched = question.touched
    rooms = _json(touched.rooms)
    if question.every_room:
        rooms = connection.execute(_EVERY_ROOM).fetchone()[0]
    row = connection.execute(
        _AT_FIRST, (FIRST_USER_ACCOUNT, _json(touched.keys), rooms, _json(touched.gifts))
    ).fetchone()
    spent = orjson.loads(row[4])
    return Beginning(
        next_command=row[0],
        next_transfer=row[1],
        next_account=row[2],
        policy=read_policy(row[3]) if row[3] is not None else None,
        spent={(actor, key): Spent(print, read_outcome(said)) for actor, key, print, said in spent},
        rooms=ROOM.read(row[5]),
        gifts=_read_gifts(row[6]),
        marks=MARK.read(row[7]),
    )


def _people(connection: Connection, question: Parties) -> People:
    users, accounts, system, members, creators = connection.execute(
        _PARTIES,
        (
            _json(question.users),
            _json(question.accounts),
            FIRST_USER_ACCOUNT,
            _json(question.members),
            _json(question.creators),
        ),
    ).fetchone()
    return People(
        USER.read(users),
        ACCOUNT.read(accounts) + ACCOUNT.read(system),
        MEMBER.read(members),
        CREATOR.read(creators),
    )


_BY_ID = "{table} WHERE id IN (SELECT value FROM json_each(?))"
_OF_PAYMENTS = """purchase INDEXED BY purchase_by_payment
WHERE payment IN (SELECT value FROM json_each(?)) AND payment <> ''"""
_WAITING = """purchase WHERE id IN (
  SELECT w.value FROM json_each(?1) AS k CROSS JOIN json_each((
    SELECT json_group_array(id) FROM (
      SELECT id FROM purchase INDEXED BY purchase_waiting
      WHERE user = k.value AND status = 'pending' LIMIT ?2))) AS w)"""
"""By itself SQLite would go through everybody's purchases that wait."""


def rows_of(
    connection: Connection, table: Table[Row], source: str, arguments: Sequence[Any] = ()
) -> list[Row]:
    """The rows of a table, from it alone and under conditions: what a FROM may go on with."""
    found = connection.execute(f"SELECT {', '.join(table.names)} FROM {source}", arguments)
    return [table.unpack(fields) for fields in found.fetchall()]


def _paid_by(connection: Connection, purchases: Iterable[str]) -> Gifts:
    gifts: list[GiftRecord] = []
    marks: list[Mark] = []
    for page, marked in connection.execute(_PAID_BY, (_json(purchases),)).fetchall():
        gifts += _read_gifts(page)
        marks += MARK.read(marked)
    return Gifts(gifts, marks)


def _json(values: Iterable[Any]) -> str:
    return orjson.dumps(list(values)).decode()


_read_gifts = msgspec.json.Decoder(list[GiftRecord]).decode


# Back


_CHUNKS = (1_024, 64, 16, 4, 1)
"""Rows per INSERT. Few sizes, so that every statement stays prepared."""


def insert(connection: Connection, table: Table[Any], rows: Packed) -> None:
    """Write rows; what becomes of one that is there already, the table says."""
    start, left = 0, len(rows)
    while left:
        size = next(chunk for chunk in _CHUNKS if chunk <= left)
        values = [value for row in rows[start : start + size] for value in row]
        connection.execute(_insertion(table, size), values)
        start, left = start + size, left - size


@cache
def _insertion(table: Table[Any], rows: int) -> str:
    one = f"({','.join('?' * len(table.columns))})"
    changes = [f"{name} = excluded.{name}" for name in table.sets]
    changes += [f"{name} = {name} + excluded.{name}" for name in table.adds]
    conflict = f" ON CONFLICT ({', '.join(table.key)}) DO UPDATE SET {', '.join(changes)}"
    return (
        f"INSERT INTO {table.name} ({', '.join(table.names)}) VALUES {','.join([one] * rows)}"
        f"{conflict if changes else ''}"
    )


def read_newest(connection: Connection) -> Newest:
    sql = "SELECT id, at_ms, hash FROM batch ORDER BY id DESC LIMIT 1"
    row = connection.execute(sql).fetchone()
    return Newest(*row) if row else NO_BATCH


def save(connection: Connection, book: Book, newest: Newest, at_ms: int) -> None:
    """Write what the batch did: history is added, sums are set to what they are now."""
    for user in book.erased:
        _forget(connection, user)
    for table, rows in written(book, newest, at_ms):
        insert(connection, table, rows)


_FORGET_LINES = """
UPDATE event
SET body = json_remove(
      CASE WHEN body -> '$.from.name' IS NULL THEN body
           ELSE json_set(body, '$.from.name', '') END, '$.message')
FROM (
  SELECT c.outcome ->> 'room' AS room, c.outcome ->> 'seq' AS seq FROM command AS c
  WHERE c.actor = ?1 AND c.kind = 'gift' AND c.outcome ->> 'kind' = 'gift_accepted'
  UNION ALL
  SELECT m.room, m.seq FROM command AS c
  CROSS JOIN mark AS m ON m.room = c.outcome ->> 'room' AND m.kind = 'retracted'
    AND m.gift_seq = c.outcome ->> 'seq'
  WHERE c.actor = ?1 AND c.kind = 'gift' AND c.outcome ->> 'kind' = 'gift_accepted'
) AS k
WHERE event.room = k.room AND event.seq = k.seq
"""
"""What `rules.events.forget` does, in the words of the trigger `event_update`, which lets nothing
else pass. Line by line in Python, each line waited for the interpreter's lock."""


def _forget(connection: Connection, user: str) -> None:
    """Take a user's name and messages out of everything that was booked before this batch."""
    connection.execute("UPDATE member SET name = '' WHERE user = ?", (user,))
    connection.execute("UPDATE creator_day SET name = '' WHERE user = ?", (user,))
    connection.execute(_FORGET_LINES, (f"user:{user}",))
    connection.execute(
        "UPDATE command SET said = ? WHERE actor = ? AND said IS NOT NULL",
        (FORGOTTEN.decode(), f"user:{user}"),
    )
