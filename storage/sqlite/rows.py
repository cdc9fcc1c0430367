"""A batch's rows, from SQLite into a `Book` and back.

Loading is one statement, and saving one statement for many rows. That is not only for SQLite's
sake: Python's sqlite3 gives up the interpreter lock at every step of a statement, and with a busy
event loop beside it each hand-over can cost milliseconds. Row by row, a batch of 256 gifts took
a hundred times longer here beside a busy thread than alone.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from types import GenericAlias
from typing import Any, Protocol, get_origin

import msgspec
import orjson

from rules.book import Book, RareRow
from rules.combos import Combo
from rules.commands import FORGOTTEN, AnyCommand, RenewEpochs, write
from rules.journal import GENESIS, seal
from rules.ledger import FIRST_USER_ACCOUNT, Account
from rules.outcomes import read_outcome
from rules.policy import Policy
from rules.rows import (
    Correction,
    Creator,
    Endpoint,
    GiftRecord,
    Mark,
    Member,
    Payout,
    Purchase,
    Refund,
    Room,
    Spent,
    Suspense,
    User,
)
from rules.touches import Touched, touches_at_first, touches_at_last, touches_then


class Connection(Protocol):
    """The part of sqlite3.Connection and apsw.Connection that settling needs."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Any: ...


_GIFT = """json_object(
    'room', e.room, 'seq', e.seq, 'sender', c.body -> 'sender',
    'recipient', e.body -> '$.to.id', 'recipient_name', e.body -> '$.to.name',
    'gift', e.body -> 'gift', 'quantity', e.body -> 'quantity', 'coins', e.body -> 'coins',
    'millidiamonds', c.outcome -> 'millidiamonds',
    'anonymous', json(iif(e.body -> '$.from.anonymous' IS NULL, 'false', 'true')),
    'at_ms', e.body -> 'at_ms', 'lots', coalesce(c.outcome -> 'lots', json('[]')))"""
"""A GiftRecord, which SQLite takes out of the JSON without the interpreter's lock."""

_MARK = "json_array(m.room, m.gift_seq, m.kind, m.seq)"
_ROOM = """json_array(r.id, r.title, r.creator, r.creator_name, r.status, r.epoch, r.seq,
                      r.total_coins, r.opened_ms)"""

_LOAD_FIRST = f"""
SELECT
  (SELECT coalesce(max(id), 0) + 1 FROM command),
  (SELECT coalesce(max(id), 0) + 1 FROM transfer),
  (SELECT max(max(id) + 1, ?1) FROM account),
  (SELECT body FROM policy ORDER BY command DESC LIMIT 1),
  (SELECT json_group_array(json_array(c.actor, c.key, c.fingerprint, c.outcome))
     FROM json_each(?2) AS k CROSS JOIN command AS c
       ON c.actor = k.value ->> 0 AND c.key = k.value ->> 1),
  (SELECT json_group_array({_ROOM})
     FROM json_each(?3) AS k CROSS JOIN room AS r ON r.id = k.value),
  (SELECT json_group_array({_GIFT})
     FROM json_each(?4) AS k CROSS JOIN event AS e
       ON e.room = k.value ->> 0 AND e.seq = k.value ->> 1 AND e.kind = 'gift'
     JOIN command AS c ON c.id = e.command),
  (SELECT json_group_array({_MARK})
     FROM json_each(?4) AS k CROSS JOIN mark AS m
       ON m.room = k.value ->> 0 AND m.gift_seq = k.value ->> 1)
"""

_LOAD_PARTIES = """
SELECT
  (SELECT json_group_array(json_array(
            u.id, u.name, u.gifted_coins, u.since_ms, u.frozen, u.paused_until_ms, u.level_hidden,
            json(u.limits), json(u.raises), json(u.hours), json(u.days), json(u.lots)))
     FROM json_each(?1) AS k CROSS JOIN user AS u ON u.id = k.value),
  (SELECT json_group_array(json_array(a.id, a.owner, a.code, a.debits, a.credits))
     FROM json_each(?2) AS k CROSS JOIN account AS a
       ON a.owner = k.value ->> 0 AND a.code = k.value ->> 1),
  (SELECT json_group_array(json_array(a.id, a.owner, a.code, a.debits, a.credits))
     FROM account AS a WHERE a.id < ?3),
  (SELECT json_group_array(json_array(m.room, m.user, m.name, m.coins, m.reached_seq, m.combo,
                                      m.anonymous_combo))
     FROM json_each(?4) AS k CROSS JOIN member AS m
       ON m.room = k.value ->> 0 AND m.user = k.value ->> 1),
  (SELECT json_group_array(json_array(c.id, json(c.pending), json(c.rates), c.payout,
                                      c.payouts_paid))
     FROM json_each(?5) AS k CROSS JOIN creator AS c ON c.id = k.value)
"""

_PAGE = 5_000
"""Gifts of a lot in one row: a longer one would keep the interpreter too long from the event loop
while it is read, and one row each would hand the lock over too often."""

_LOAD_LOTS = f"""
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

_LOAD_ROOMS = f"""
SELECT json_group_array({_ROOM}) FROM json_each(?) AS k CROSS JOIN room AS r ON r.id = k.value
"""

_RARE: dict[str, type[RareRow]] = {
    "purchase": Purchase,
    "refund": Refund,
    "payout": Payout,
    "suspense": Suspense,
    "correction": Correction,
    "endpoint": Endpoint,
}


def load(connection: Connection, commands: Sequence[AnyCommand]) -> Book:
    """The book that these commands need, as the transaction sees it."""
    first = touches_at_first(commands)
    all_rooms = any(isinstance(command, RenewEpochs) for command in commands)
    row = connection.execute(
        _LOAD_FIRST,
        (
            FIRST_USER_ACCOUNT,
            _json(first.keys),
            _all_rooms(connection) if all_rooms else _json(first.rooms),
            _json(first.gifts),
        ),
    ).fetchone()
    policy = read_policy(row[3]) if row[3] is not None else None
    book = Book(policy=policy, next_command=row[0], next_transfer=row[1], next_account=row[2])
    for actor, key, fingerprint, outcome in orjson.loads(row[4]):
        book.spent[actor, key] = Spent(fingerprint, read_outcome(outcome))
    book.rooms = {fields[0]: Room(*fields) for fields in orjson.loads(row[5])}
    _take_gifts(book, row[6], row[7])
    if first.lots:
        _load_lots(connection, book, first.lots)
    if first.buyers:
        _load_rows(connection, book, "purchase", _WAITING, (_json(first.buyers),))
    for table in first.whole:
        _load_rows(connection, book, table, table, ())
    for table in _RARE:
        _load_rare(connection, book, table, {id for name, id in first.rare if name == table})
    _load_parties(connection, book, first, touches_then(book))
    _load_rare(connection, book, "purchase", touches_at_last(book, commands))
    return book


def _take_gifts(book: Book, gifts: str, marks: str) -> None:
    book.gifts |= {(gift.room, gift.seq): gift for gift in _read_gifts(gifts)}
    for fields in orjson.loads(marks):
        mark = Mark(*fields)
        book.marks[mark.room, mark.gift_seq, mark.kind] = mark


def _load_lots(connection: Connection, book: Book, purchases: set[str]) -> None:
    pages = connection.execute(_LOAD_LOTS, (_json(purchases),)).fetchall()
    for gifts, marks in pages:
        _take_gifts(book, gifts, marks)
    rooms = {room for room, _ in book.gifts} - book.rooms.keys()
    [found] = connection.execute(_LOAD_ROOMS, (_json(rooms),)).fetchone()
    book.rooms |= {fields[0]: Room(*fields) for fields in orjson.loads(found)}


def _load_rare(connection: Connection, book: Book, table: str, ids: Iterable[str | int]) -> None:
    ids = set(ids) - getattr(book, _PLACE[table]).keys()
    if not ids:
        return
    source = f"{table} WHERE id IN (SELECT value FROM json_each(?))"
    _load_rows(connection, book, table, source, (_json(ids),))


_WAITING = """purchase INDEXED BY purchase_waiting
WHERE user IN (SELECT value FROM json_each(?)) AND status = 'pending'"""
"""By itself SQLite would go through everybody's purchases that wait."""


def _load_rows(
    connection: Connection, book: Book, table: str, source: str, arguments: Sequence[Any]
) -> None:
    row_type, rows = _RARE[table], getattr(book, _PLACE[table])
    sql = f"SELECT {', '.join(row_type.__struct_fields__)} FROM {source}"
    for fields in connection.execute(sql, arguments).fetchall():
        row = row_type(*map(unpacked, row_type.__struct_fields__, fields))
        rows[row.id] = row


_PLACE = {table: table if table == "suspense" else f"{table}s" for table in _RARE}
"""The book's dictionary of each table."""
_FIELDS = [
    field
    for row_type in (User, Creator, *_RARE.values())
    for field in msgspec.structs.fields(row_type)
]
_READ_JSON = {
    field.name: msgspec.json.Decoder(field.type).decode
    for field in _FIELDS
    if get_origin(field.type) in (list, dict)
}
"""The columns that hold a list or a dictionary as JSON; a name means the same in all tables."""
_SWITCHES = frozenset(field.name for field in _FIELDS if field.type is bool)


def unpacked(column: str, value: Any) -> Any:
    """The value of a row's field from what its column holds."""
    if read := _READ_JSON.get(column):
        return read(value)
    return bool(value) if column in _SWITCHES else value


def _packed(column: str, value: Any) -> Any:
    return write(value).decode() if column in _READ_JSON else value


def _reader(row_type: Any) -> Callable[[str], list[tuple[Any, ...]]]:
    """Reads the rows of a table as the statements below give them: arrays of columns in the order
    of the fields, with 0 and 1 for switches."""
    columns = (field.type for field in msgspec.structs.fields(row_type))
    line: Any = GenericAlias(tuple, tuple(int if kind is bool else kind for kind in columns))
    return msgspec.json.Decoder(list[line]).decode


_read_users = _reader(User)
_read_creators = _reader(Creator)


def _load_parties(connection: Connection, book: Book, first: Touched, then: Touched) -> None:
    creators = {id for table, id in first.rare | then.rare if table == "creator"}
    row = connection.execute(
        _LOAD_PARTIES,
        (
            _json(first.users | then.users),
            _json(first.accounts | then.accounts),
            FIRST_USER_ACCOUNT,
            _json(first.members | then.members),
            _json(creators),
        ),
    ).fetchone()
    for fields in _read_users(row[0]):
        user = book.users[fields[0]] = User(*fields)
        user.frozen, user.level_hidden = bool(user.frozen), bool(user.level_hidden)
    for fields in orjson.loads(row[1]) + orjson.loads(row[2]):
        account = Account(*fields)
        book.accounts[account.owner, account.code] = account
    for *fields, combo, anonymous_combo in orjson.loads(row[3]):
        member = Member(*fields)
        member.combo = combo and _read_combo(combo)
        member.anonymous_combo = anonymous_combo and _read_combo(anonymous_combo)
        book.members[member.room, member.user] = member
    book.creators = {fields[0]: Creator(*fields) for fields in _read_creators(row[4])}


def _all_rooms(connection: Connection) -> str:
    return str(connection.execute("SELECT json_group_array(id) FROM room").fetchone()[0])


def _json(values: Iterable[Any]) -> str:
    return orjson.dumps(list(values)).decode()


@lru_cache(maxsize=4)
def read_policy(body: str) -> Policy:
    return msgspec.json.decode(body, type=Policy)


_read_gifts = msgspec.json.Decoder(list[GiftRecord]).decode
_read_combo = msgspec.json.Decoder(Combo).decode


def _combo(combo: Combo | None) -> str | None:
    return write(combo).decode() if combo else None


# Back


_CHUNKS = (1_024, 64, 16, 4, 1)
"""Rows per INSERT. Few sizes, so that every statement stays prepared."""


def _insert(
    connection: Connection, table: str, rows: Sequence[Sequence[Any]], upsert: str = ""
) -> None:
    if not rows:
        return
    one = "(" + ",".join("?" * len(rows[0])) + ")"
    start, left = 0, len(rows)
    while left:
        size = next(chunk for chunk in _CHUNKS if chunk <= left)
        values = [value for row in rows[start : start + size] for value in row]
        sql = f"INSERT INTO {table} VALUES {','.join([one] * size)} {upsert}"
        connection.execute(sql, values)
        start, left = start + size, left - size


def save(connection: Connection, book: Book, now_ms: int) -> None:
    """Write what the batch did: history is added, sums are set to what they are now."""
    journal = book.journal
    batch, previous = connection.execute(
        "SELECT coalesce(max(id), 0) + 1, (SELECT hash FROM batch ORDER BY id DESC LIMIT 1)"
        " FROM batch"
    ).fetchone()
    for user in book.erased:
        _forget(connection, user)
    sealed = seal(previous or GENESIS, batch, now_ms, journal)
    first_transfer = book.next_transfer - len(book.transfers)
    row = (batch, now_ms, journal[0].id, journal[-1].id, first_transfer, sealed)
    _insert(connection, "batch", [row])
    commands = [
        (
            r.id,
            batch,
            r.actor,
            r.key,
            r.kind,
            r.fingerprint,
            r.body.decode(),
            r.outcome.decode(),
            r.said and r.said.decode(),
        )
        for r in journal
    ]
    _insert(connection, "command", commands)
    policies = [(command, write(policy).decode()) for command, policy in book.new_policies]
    _insert(connection, "policy", policies)
    _insert(connection, "transfer", book.transfers)
    _insert(connection, "event", [(*event[:6], event.body.decode()) for event in book.events])
    _insert(connection, "mark", book.new_marks)
    _save_sums(connection, book)
    _save_people(connection, book)


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


def _save_sums(connection: Connection, book: Book) -> None:
    _insert(
        connection,
        "account",
        [(a.id, a.owner, a.code, a.debits, a.credits) for a in book.changed_accounts.values()],
        "ON CONFLICT (id) DO UPDATE SET debits = excluded.debits, credits = excluded.credits",
    )
    _insert(
        connection,
        "room",
        [msgspec.structs.astuple(room) for room in book.changed_rooms.values()],
        "ON CONFLICT (id) DO UPDATE SET status = excluded.status, epoch = excluded.epoch,"
        " seq = excluded.seq, total_coins = excluded.total_coins",
    )
    _insert(
        connection,
        "member",
        [
            (
                m.room,
                m.user,
                m.name,
                m.coins,
                m.reached_seq,
                *map(_combo, (m.combo, m.anonymous_combo)),
            )
            for m in book.changed_members.values()
        ],
        "ON CONFLICT (room, user) DO UPDATE SET name = excluded.name, coins = excluded.coins,"
        " reached_seq = excluded.reached_seq, combo = excluded.combo,"
        " anonymous_combo = excluded.anonymous_combo",
    )


def _save_people(connection: Connection, book: Book) -> None:
    _insert(
        connection,
        "user",
        [
            (
                u.id,
                u.name,
                u.gifted_coins,
                u.since_ms,
                u.frozen,
                u.paused_until_ms,
                u.level_hidden,
                *(write(part).decode() for part in (u.limits, u.raises, u.hours, u.days, u.lots)),
            )
            for u in book.changed_users.values()
        ],
        "ON CONFLICT (id) DO UPDATE SET name = excluded.name, gifted_coins = excluded.gifted_coins,"
        " since_ms = excluded.since_ms,"
        " frozen = excluded.frozen, paused_until_ms = excluded.paused_until_ms,"
        " level_hidden = excluded.level_hidden, limits = excluded.limits,"
        " raises = excluded.raises, hours = excluded.hours, days = excluded.days,"
        " lots = excluded.lots",
    )
    _insert(
        connection,
        "creator_day",
        [msgspec.structs.astuple(row) for row in book.creator_days.values()],
        "ON CONFLICT (creator, day, user) DO UPDATE SET name = excluded.name,"
        " coins = coins + excluded.coins, reached = excluded.reached",
    )
    _insert(
        connection,
        "earning",
        [msgspec.structs.astuple(row) for row in book.earnings.values()],
        "ON CONFLICT (creator, day, gift) DO UPDATE SET gifts = gifts + excluded.gifts,"
        " coins = coins + excluded.coins, millidiamonds = millidiamonds + excluded.millidiamonds",
    )
    for table, row_type in (*_RARE.items(), ("creator", Creator)):
        rows = [row for (name, _), row in book.changed_rows.items() if name == table]
        columns = row_type.__struct_fields__
        changes = ", ".join(f"{column} = excluded.{column}" for column in columns[1:])
        _insert(
            connection,
            table,
            [tuple(map(_packed, columns, msgspec.structs.astuple(row))) for row in rows],
            f"ON CONFLICT (id) DO UPDATE SET {changes}",
        )
