"""What can be asked of the SQLite ledger without changing it: one function a question."""

import sqlite3
from collections.abc import Collection
from typing import Any

import orjson

from rules.events import Event
from rules.ledger import AccountCode
from rules.policy import Policy
from rules.rows import FOREVER, Room
from storage.loading import read_policy
from storage.money import BoardLine
from storage.sqlite.moment import one_moment
from storage.sqlite.money_reads import read_user, rows_where
from storage.store import Balances, Head, RoomState, Rulings, StatementRow, Wallet
from storage.tables import EVENT, POLICY, REVOCATION, ROOM


def policy(connection: sqlite3.Connection) -> Policy | None:
    row = connection.execute("SELECT body FROM policy ORDER BY command DESC LIMIT 1").fetchone()
    return read_policy(row[0]) if row else None


def rulings(connection: sqlite3.Connection, after: int, now_ms: int, limit: int) -> Rulings:
    still = "command > ? AND (expires_ms = ? OR expires_ms > ?) ORDER BY command LIMIT ?"
    newest = "command > ? AND command <= ? ORDER BY command DESC LIMIT 1"
    with one_moment(connection):  # what is passed over is never asked for again
        revoked = rows_where(connection, REVOCATION, still, (after, FOREVER, now_ms, limit))
        more = len(revoked) == limit
        until = revoked[-1].command if more else 2**62
        policies = rows_where(connection, POLICY, newest, (after, until))
    commands = [row.command for row in revoked[-1:]] + [row.command for row in policies]
    policy = policies[0].body if policies else None
    return Rulings(max(commands, default=after), policy, revoked, more)


def rooms(connection: sqlite3.Connection, after: str, limit: int) -> list[Room]:
    return rows_where(connection, ROOM, "id > ? ORDER BY id LIMIT ?", (after, limit))


def find_room(connection: sqlite3.Connection, id: str) -> Room | None:
    found = rows_where(connection, ROOM, "id = ?", (id,))
    return found[0] if found else None


def room(connection: sqlite3.Connection, id: str, recent: int) -> RoomState | None:
    with one_moment(connection):
        found = find_room(connection, id)
        if found is None:
            return None
        standings = connection.execute(
            "SELECT user, name, coins, reached_seq FROM member WHERE room = ? AND coins > 0", (id,)
        ).fetchall()
        return RoomState(found, standings, events(connection, id, found.seq - recent, recent))


def events(connection: sqlite3.Connection, room: str, after: int, limit: int) -> list[Event]:
    where = "room = ? AND seq > ? ORDER BY seq LIMIT ?"
    return rows_where(connection, EVENT, where, (room, after, limit))


def board(connection: sqlite3.Connection, room: str, as_of: int, limit: int) -> list[BoardLine]:
    """Folded from the log in SQL: `max(seq)` picks the line with the giver's newest sum."""
    rows = connection.execute(
        """
        SELECT user, name, coins FROM (
          SELECT json_extract(body, '$.from.id') AS user, json_extract(body, '$.from.name') AS name,
                 json_extract(body, '$.from_total') AS coins, max(seq) AS reached_seq
          FROM event
          WHERE room = ? AND seq <= ? AND json_extract(body, '$.from_total') IS NOT NULL
          GROUP BY user)
        WHERE coins > 0 ORDER BY coins DESC, reached_seq LIMIT ?
        """,
        (room, as_of, limit),
    )
    return [BoardLine(*row) for row in rows]


def current_board(
    connection: sqlite3.Connection, room: str, limit: int
) -> tuple[int, list[BoardLine]]:
    rows = connection.execute(
        """
        SELECT r.seq, m.user, m.name, m.coins FROM room AS r
        LEFT JOIN member AS m ON m.room = r.id AND m.coins > 0
        WHERE r.id = ? ORDER BY m.coins DESC, m.reached_seq LIMIT ?
        """,
        (room, limit),
    ).fetchall()
    as_of = rows[0][0] if rows else 0
    return as_of, [BoardLine(*row[1:]) for row in rows if row[1] is not None]


def heads(connection: sqlite3.Connection, rooms: Collection[str]) -> dict[str, Head]:
    found = connection.execute(
        "SELECT r.id, r.epoch, r.seq FROM json_each(?) AS k JOIN room AS r ON r.id = k.value",
        (orjson.dumps(list(rooms)).decode(),),
    ).fetchall()
    return {room: Head(epoch, seq) for room, epoch, seq in found}


def balances(connection: sqlite3.Connection, users: Collection[str]) -> Balances:
    """In one statement, so that the number and the sums are of one moment."""
    found = connection.execute(
        "SELECT (SELECT coalesce(max(id), 0) FROM command), a.owner, a.credits - a.debits"
        " FROM (SELECT 1) LEFT JOIN (json_each(?) AS k"
        " CROSS JOIN account AS a ON a.owner = k.value AND a.code = 'coins')",
        (orjson.dumps(list(users)).decode(),),
    ).fetchall()
    coins = {owner: coins for _, owner, coins in found if owner is not None}
    return Balances(found[0][0], dict.fromkeys(users, 0) | coins)


def wallet(connection: sqlite3.Connection, user: str) -> Wallet:
    with one_moment(connection):
        sql = "SELECT code, credits - debits FROM account WHERE owner = ?"
        have: dict[str, int] = dict(connection.execute(sql, (user,)).fetchall())
        found = read_user(connection, user)
    return Wallet(
        coins=have.get(AccountCode.COINS, 0),
        millidiamonds_pending=have.get(AccountCode.DIAMONDS_PENDING, 0),
        millidiamonds_available=have.get(AccountCode.DIAMONDS_AVAILABLE, 0),
        millidiamonds_reserved=have.get(AccountCode.DIAMONDS_RESERVED, 0),
        diamond_debt=-have.get(AccountCode.DIAMOND_DEBT, 0),
        coin_debt=-have.get(AccountCode.COIN_DEBT, 0),
        user=found,
    )


_SIDES = (
    (
        "SELECT id, -amount, debit_after, reason, command FROM transfer"
        " WHERE debit = ?1 AND debit >= 100 AND id < ?2 ORDER BY id DESC LIMIT ?3"
    ),
    (
        "SELECT id, amount, credit_after, reason, command FROM transfer"
        " WHERE credit = ?1 AND credit >= 100 AND id < ?2 ORDER BY id DESC LIMIT ?3"
    ),
)
"""An account's newest transfers, out of it and into it, each by its index."""

_ASKED = """
SELECT c.id, b.at_ms, c.body, c.outcome FROM json_each(?) AS k
CROSS JOIN command AS c ON c.id = k.value JOIN batch AS b ON b.id = c.batch
"""


def statement(
    connection: sqlite3.Connection, user: str, before: int | None, limit: int
) -> tuple[list[StatementRow], bool]:
    before = 2**62 if before is None else before
    # Of places below `before`: what went out stands at 2 * id, what came in at 2 * id + 1.
    ends = ((before + 1) // 2, before // 2)
    sides: list[tuple[Any, ...]] = []
    with one_moment(connection):
        accounts = connection.execute("SELECT id, code FROM account WHERE owner = ?", (user,))
        for account, code in accounts.fetchall():
            for sql, end in zip(_SIDES, ends, strict=True):
                found = connection.execute(sql, (account, end, limit + 1)).fetchall()
                sides += [(id, code, *rest) for id, *rest in found]
        sides.sort(key=lambda side: (-side[0], -side[2]))
        commands = orjson.dumps(list({side[5] for side in sides[:limit]})).decode()
        asked = {id: rest for id, *rest in connection.execute(_ASKED, (commands,)).fetchall()}
    rows = [StatementRow(*fields, *asked[command]) for *fields, command in sides[:limit]]
    return rows, len(sides) > limit
