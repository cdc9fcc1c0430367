"""What can be asked of the SQLite ledger without changing it: one function a question."""

import sqlite3
from collections.abc import Collection
from datetime import date
from typing import Any

import orjson

from rules.events import Event
from rules.ledger import CURRENCY, AccountCode, Reason
from rules.policy import Policy
from rules.rows import Room
from storage.loading import read_policy
from storage.money import BoardLine
from storage.sqlite.money_reads import read_user, rows_where
from storage.store import RoomState, Wallet
from storage.tables import EVENT, ROOM

_EPOCH = date(1970, 1, 1).toordinal()


def policy(connection: sqlite3.Connection) -> Policy | None:
    row = connection.execute("SELECT body FROM policy ORDER BY command DESC LIMIT 1").fetchone()
    return read_policy(row[0]) if row else None


def rooms(connection: sqlite3.Connection, after: str, limit: int) -> list[Room]:
    return rows_where(connection, ROOM, "id > ? ORDER BY id LIMIT ?", (after, limit))


def find_room(connection: sqlite3.Connection, id: str) -> Room | None:
    found = rows_where(connection, ROOM, "id = ?", (id,))
    return found[0] if found else None


def room(connection: sqlite3.Connection, id: str, recent: int) -> RoomState | None:
    """Everything in one read transaction, so that the parts belong together."""
    connection.execute("BEGIN")
    try:
        found = find_room(connection, id)
        if found is None:
            return None
        standings = connection.execute(
            "SELECT user, name, coins, reached_seq FROM member WHERE room = ? AND coins > 0", (id,)
        ).fetchall()
        return RoomState(found, standings, events(connection, id, found.seq - recent, recent))
    finally:
        connection.execute("COMMIT")


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


def balances(connection: sqlite3.Connection, users: Collection[str]) -> dict[str, int]:
    found = connection.execute(
        "SELECT a.owner, a.credits - a.debits FROM json_each(?) AS k"
        " CROSS JOIN account AS a ON a.owner = k.value AND a.code = 'coins'",
        (orjson.dumps(list(users)).decode(),),
    ).fetchall()
    return dict.fromkeys(users, 0) | dict(found)


def wallet(connection: sqlite3.Connection, user: str) -> Wallet:
    connection.execute("BEGIN")
    try:
        sql = "SELECT code, credits - debits FROM account WHERE owner = ?"
        have: dict[str, int] = dict(connection.execute(sql, (user,)).fetchall())
        found = read_user(connection, user)
    finally:
        connection.execute("COMMIT")
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
        "SELECT id, ?2, -amount, debit_after, reason, command FROM transfer"
        " WHERE debit = ?1 AND debit >= 100 AND id < ?3 ORDER BY id DESC LIMIT ?4"
    ),
    (
        "SELECT id, ?2, amount, credit_after, reason, command FROM transfer"
        " WHERE credit = ?1 AND credit >= 100 AND id < ?3 ORDER BY id DESC LIMIT ?4"
    ),
)
"""An account's newest transfers, out of it and into it, each by its index."""


def statement(
    connection: sqlite3.Connection, user: str, before: int | None, limit: int
) -> tuple[list[dict[str, Any]], bool]:
    """One line per transfer and side: `amount` is what it did to the account, with its sign. Both
    sides of a transfer between two accounts of the user are on one page."""
    before = 2**62 if before is None else before
    rows: list[tuple[Any, ...]] = []
    accounts = connection.execute("SELECT id, code FROM account WHERE owner = ?", (user,))
    for id, code in accounts.fetchall():
        for side in _SIDES:
            rows += connection.execute(side, (id, code, before, limit + 1)).fetchall()
    rows.sort(key=lambda row: (-row[0], -row[2]))
    rows = rows[: limit + 1]
    more = len(rows) > limit
    if more and rows[limit][0] != rows[limit - 1][0]:
        rows = rows[:limit]
    elif more and limit > 1:
        rows = rows[: limit - 1]
    return [_line(connection, *row) for row in rows], more


def _line(
    connection: sqlite3.Connection,
    id: int,
    code: str,
    amount: int,
    balance: int,
    reason: int,
    command: int,
) -> dict[str, Any]:
    at_ms, body, outcome = connection.execute(
        "SELECT b.at_ms, c.body, c.outcome FROM command AS c JOIN batch AS b ON b.id = c.batch"
        " WHERE c.id = ?",
        (command,),
    ).fetchone()
    line = {
        "id": id,
        "at_ms": at_ms,
        "account": code,
        "currency": CURRENCY[AccountCode(code)].value,
        "amount": amount,
        "balance_after": balance,
        "reason": Reason(reason).name.lower(),
    }
    return line | _origin(orjson.loads(body), orjson.loads(outcome))


def _origin(command: dict[str, Any], outcome: dict[str, Any]) -> dict[str, Any]:
    """What the transfer was for, in the words of the command that made it."""
    match command["kind"]:
        case "gift":
            gift_id = f"{outcome['room']}:{outcome['seq']}"
            return {"gift_id": gift_id, "gift": command["gift"], "quantity": outcome["quantity"]}
        case "retract_gift":
            return {"gift_id": command["gift_id"], "note": command["reason"]}
        case "release_diamonds":
            return {"through": date.fromordinal(outcome["through_day"] + _EPOCH).isoformat()}
        case "request_payout":
            return {"payout": outcome["payout"], "note": ""}
    names = ("purchase", "refund", "payout", "correction")
    named = {name: command[name] for name in names if name in command}
    return named | {"note": command.get("reason", "")}
