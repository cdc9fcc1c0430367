"""How SQLite keeps the deliveries (storage/deliveries.py): what goes where, and what became of it.

The functions need nothing but a connection; `SqliteDeliveries` runs them where they may be run.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

import orjson

from storage.deliveries import (
    ENTERED_MAX,
    Attempt,
    Attempted,
    Cursor,
    Delivery,
    DeliveryState,
    Due,
    Entered,
    JournalEntry,
    Lane,
    Run,
)
from storage.sqlite.rows import Connection

T = TypeVar("T")

CLEAR_ROWS = 2_000
"""Rows deleted in one transaction: gifts wait for the writer meanwhile."""

# What is asked of the journal: one row of JSON each, because every step of a statement hands the
# interpreter lock over (storage/sqlite/rows.py).

_ENTRY = """
SELECT c.id, c.kind, iif(c.said IS NULL, c.body, json_patch(c.body, json_object(
         'name', c.said ->> 0, 'message', c.said ->> 1))) AS body,
       c.outcome, b.at_ms, b.hash, e.body AS line, o.body AS origin
FROM command AS c JOIN batch AS b ON b.id = c.batch
LEFT JOIN event AS e ON e.room = c.outcome ->> 'room' AND e.seq = c.outcome ->> 'seq'
  AND e.command = c.id
LEFT JOIN event AS g ON g.room = e.room AND g.seq = e.body ->> 'gift_seq'
LEFT JOIN command AS o ON o.id = g.command
"""
_AS_JSON = "json_group_array(json_array(id, kind, body, outcome, at_ms, hash, line, origin))"


def journal(connection: Connection, after: int, limit: int) -> list[JournalEntry]:
    """The commands after this one, in order."""
    sql = f"SELECT {_AS_JSON} FROM ({_ENTRY} WHERE c.id > ? ORDER BY c.id LIMIT ?)"
    return _entries(connection.execute(sql, (after, limit)).fetchone()[0])


def journal_of(connection: Connection, commands: Collection[int]) -> dict[int, JournalEntry]:
    sql = f"SELECT {_AS_JSON} FROM ({_ENTRY} WHERE c.id IN (SELECT value FROM json_each(?)))"
    found = _entries(connection.execute(sql, (_json(commands),)).fetchone()[0])
    return {entry.command: entry for entry in found}


def _entries(text: str) -> list[JournalEntry]:
    return [JournalEntry(*fields) for fields in orjson.loads(text)]


def _json(values: Collection[Any]) -> str:
    return orjson.dumps(list(values)).decode()


# Who gets events, and how far they were entered


def cursors(connection: Connection) -> dict[str, Cursor]:
    rows = connection.execute(
        "SELECT endpoint, since, command,"
        " (SELECT count(*) FROM (SELECT 1 FROM delivery AS d"
        "   WHERE d.endpoint = c.endpoint AND d.state = 'pending' LIMIT ?))"
        " FROM endpoint_cursor AS c",
        (ENTERED_MAX,),
    ).fetchall()
    return {endpoint: Cursor(*fields) for endpoint, *fields in rows}


def follow(connection: Connection, endpoint: str, since: int) -> bool:
    """Let an endpoint have events from a command on; what it had from before is forgotten.

    False when there is more to forget: call it again.
    """
    if _clear(connection, endpoint, since):
        return False
    connection.execute(
        "INSERT INTO endpoint_cursor (endpoint, since, command) VALUES (?1, ?2, ?2 - 1)"
        " ON CONFLICT (endpoint) DO UPDATE SET since = excluded.since,"
        " command = max(command, excluded.command)",
        (endpoint, since),
    )
    lanes = connection.execute(
        "SELECT DISTINCT lane FROM delivery WHERE endpoint = ? AND state = 'pending'", (endpoint,)
    ).fetchall()
    _seat(connection, [(endpoint, lane) for (lane,) in lanes])
    return True


def forget(connection: Connection, endpoint: str) -> bool:
    """Drop all that is known of an endpoint. False when there is more: call it again."""
    if _clear(connection, endpoint, 2**62):
        return False
    connection.execute("DELETE FROM endpoint_cursor WHERE endpoint = ?", (endpoint,))
    return True


def _clear(connection: Connection, endpoint: str, before: int) -> bool:
    """Delete some deliveries of commands before this one; whether there may be more."""
    deleted = connection.execute(
        "DELETE FROM delivery WHERE endpoint = ?1 AND command IN (SELECT command FROM delivery"
        " WHERE endpoint = ?1 AND command < ?2 ORDER BY command LIMIT ?3)",
        (endpoint, before, CLEAR_ROWS),
    )
    return bool(deleted.rowcount == CLEAR_ROWS)


def enter(
    connection: Connection,
    events: Sequence[Entered],
    moved: Mapping[str, tuple[int, int]],
    now_ms: int,
) -> None:
    """Make events pending, and move the cursors from one command to another.

    A cursor that is not where it was expected was set back by a replay meanwhile, and stays there.
    An event that was entered before, and comes again after a replay, becomes pending again.
    """
    connection.execute(
        "INSERT INTO delivery (endpoint, command, kind, lane, state, attempts, tries, next_ms,"
        " changed_ms, head) SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3,"
        " 'pending', 0, 0, ?2, ?2, 0 FROM json_each(?1) WHERE true"
        " ON CONFLICT (endpoint, command) DO UPDATE"
        " SET state = 'pending', tries = 0, next_ms = ?2, changed_ms = ?2",
        (_json([tuple(event) for event in events]), now_ms),
    )
    steps = [(endpoint, old, new) for endpoint, (old, new) in moved.items()]
    connection.execute(
        "UPDATE endpoint_cursor SET command = k.value ->> 2 FROM json_each(?) AS k"
        " WHERE endpoint = k.value ->> 0 AND command = k.value ->> 1",
        (_json(steps),),
    )
    _seat(connection, {(event.endpoint, event.lane) for event in events})


def _seat(connection: Connection, lanes: Collection[Lane]) -> None:
    """Make the earliest pending event of each of these lanes its head, and no other.

    Left to itself, SQLite would look for the minimum along the primary key: through every other
    lane. With 20,000 pending, entering 1,000 held up the writer for 430 ms that way; now 12.
    """
    keys = _json(lanes)
    connection.execute(
        "UPDATE delivery SET head = 0 FROM json_each(?) AS k WHERE delivery.head = 1"
        " AND delivery.endpoint = k.value ->> 0 AND delivery.lane = k.value ->> 1",
        (keys,),
    )
    connection.execute(
        "UPDATE delivery SET head = 1 FROM json_each(?) AS k"
        " WHERE delivery.endpoint = k.value ->> 0 AND delivery.command ="
        " (SELECT min(p.command) FROM delivery AS p INDEXED BY delivery_pending"
        "   WHERE p.state = 'pending'"
        "   AND p.endpoint = k.value ->> 0 AND p.lane = k.value ->> 1)",
        (keys,),
    )


# Handing out, and what became of it


def due(
    connection: Connection,
    wanted: Mapping[str, int],
    busy: Collection[Lane],
    now_ms: int,
    run_max: int,
) -> tuple[list[Run], int | None]:
    """So many lanes of each endpoint whose head is due, longest due first, without the busy ones.

    Also the moment at which the next head of these endpoints will be due, if one waits.
    """
    runs: list[Run] = []
    waits: list[int] = []
    for endpoint, count in wanted.items():
        taken = {lane for owner, lane in busy if owner == endpoint}
        heads = connection.execute(
            "SELECT lane, command FROM delivery INDEXED BY delivery_due"
            " WHERE endpoint = ? AND head = 1 AND next_ms <= ? ORDER BY next_ms LIMIT ?",
            (endpoint, now_ms, count + len(taken)),
        ).fetchall()
        free = [(lane, command) for lane, command in heads if lane not in taken][:count]
        runs += [_run(connection, endpoint, *head, now_ms, run_max) for head in free]
        [wait_ms] = connection.execute(
            "SELECT min(next_ms) FROM delivery INDEXED BY delivery_due"
            " WHERE endpoint = ? AND head = 1 AND next_ms > ?",
            (endpoint, now_ms),
        ).fetchone()
        waits += [wait_ms] if wait_ms is not None else []
    return runs, min(waits, default=None)


def _run(
    connection: Connection, endpoint: str, lane: str, first: int, now_ms: int, run_max: int
) -> Run:
    rows = connection.execute(
        "SELECT command, tries, next_ms FROM delivery INDEXED BY delivery_pending"
        " WHERE endpoint = ? AND lane = ?"
        " AND state = 'pending' AND command >= ? ORDER BY command LIMIT ?",
        (endpoint, lane, first, run_max),
    ).fetchall()
    waiting = next((place for place, row in enumerate(rows) if row[2] > now_ms), len(rows))
    entries = journal_of(connection, [command for command, _, _ in rows[:waiting]])
    events = [Due(entries[command], tries) for command, tries, _ in rows[:waiting]]
    return Run((endpoint, lane), events)


def record(connection: Connection, attempts: Sequence[Attempted]) -> None:
    """Enter what became of tries, at most one of each delivery. One that is gone is skipped."""
    rows = _json(
        [(*a.lane, a.command, a.at_ms, a.status, a.error, a.duration_ms, a.state, a.next_ms)
         for a in attempts]
    )  # fmt: skip
    connection.execute(
        "INSERT INTO attempt (endpoint, command, at_ms, status, error, duration_ms)"
        " SELECT d.endpoint, d.command, k.value ->> 3, k.value ->> 4, k.value ->> 5, k.value ->> 6"
        " FROM json_each(?) AS k CROSS JOIN delivery AS d"
        "   ON d.endpoint = k.value ->> 0 AND d.command = k.value ->> 2",
        (rows,),
    )
    connection.execute(
        "UPDATE delivery SET head = 0, state = k.value ->> 7, attempts = attempts + 1,"
        " tries = tries + 1, next_ms = k.value ->> 8, changed_ms = k.value ->> 3"
        " FROM json_each(?) AS k"
        " WHERE delivery.endpoint = k.value ->> 0 AND delivery.command = k.value ->> 2",
        (rows,),
    )
    _seat(connection, {attempt.lane for attempt in attempts})


def prune(connection: Connection, delivered_before_ms: int, exhausted_before_ms: int) -> bool:
    """Delete old deliveries that are over, with their attempts; whether there may be more."""
    more = False
    for state, before_ms in (
        ("delivered", delivered_before_ms),
        ("exhausted", exhausted_before_ms),
    ):
        deleted = connection.execute(
            "DELETE FROM delivery WHERE (endpoint, command) IN (SELECT endpoint, command"
            " FROM delivery WHERE state <> 'pending' AND state = ? AND changed_ms < ? LIMIT ?)",
            (state, before_ms, CLEAR_ROWS),
        )
        more = more or deleted.rowcount == CLEAR_ROWS
    return more


# What people ask, and asking for it again


def listed(
    connection: Connection,
    endpoint: str,
    state: DeliveryState | None,
    before: int | None,
    limit: int,
) -> list[Delivery]:
    one_state = "AND state = ?4" if state else ""
    rows = connection.execute(
        "SELECT endpoint, command, kind, state, attempts, iif(head, next_ms, NULL), changed_ms"
        f" FROM delivery WHERE endpoint = ?1 AND command < ?2 {one_state}"
        " ORDER BY command DESC LIMIT ?3",
        (endpoint, before if before is not None else 2**62, limit, *([state] if state else [])),
    ).fetchall()
    return [Delivery(*row) for row in rows]


def attempts(connection: Connection, endpoint: str, command: int) -> list[Attempt] | None:
    known = "SELECT 1 FROM delivery WHERE endpoint = ? AND command = ?"
    if connection.execute(known, (endpoint, command)).fetchone() is None:
        return None
    rows = connection.execute(
        "SELECT at_ms, status, error, duration_ms FROM attempt"
        " WHERE endpoint = ? AND command = ? ORDER BY id",
        (endpoint, command),
    )
    return [Attempt(*row) for row in rows.fetchall()]


def replay(connection: Connection, endpoint: str, commands: Collection[int], now_ms: int) -> int:
    rows = connection.execute(
        "UPDATE delivery SET state = 'pending', tries = 0, next_ms = ?2, changed_ms = ?2"
        " WHERE endpoint = ?1 AND command IN (SELECT value FROM json_each(?3)) RETURNING lane",
        (endpoint, now_ms, _json(commands)),
    ).fetchall()
    _seat(connection, {(endpoint, lane) for (lane,) in rows})
    return len(rows)


def replay_since(connection: Connection, endpoint: str, since_ms: int) -> int | None:
    connection.execute(
        "UPDATE endpoint_cursor SET command = max(since - 1, min(command, coalesce((SELECT"
        " first_command - 1 FROM batch WHERE at_ms >= ?2 ORDER BY at_ms, id LIMIT 1), command)))"
        " WHERE endpoint = ?1",
        (endpoint, since_ms),
    )
    row = connection.execute(
        "SELECT command + 1 FROM endpoint_cursor WHERE endpoint = ?", (endpoint,)
    ).fetchone()
    return row[0] if row else None


class SqliteDeliveries:
    """See storage/deliveries.py for the contract. `write` runs a function in a transaction of the
    connection that writes, `read` with a connection for questions that may take long."""

    def __init__(
        self, write: Callable[..., Awaitable[Any]], read: Callable[..., Awaitable[Any]]
    ) -> None:
        self._write = write
        self._read = read

    async def journal(self, after: int, limit: int) -> list[JournalEntry]:
        return await self._ask(journal, after, limit)

    async def cursors(self) -> dict[str, Cursor]:
        return await self._ask(cursors)

    async def follow(self, endpoint: str, since: int) -> bool:
        return await self._change(follow, endpoint, since)

    async def forget(self, endpoint: str) -> bool:
        return await self._change(forget, endpoint)

    async def enter(
        self, events: Sequence[Entered], moved: Mapping[str, tuple[int, int]], now_ms: int
    ) -> None:
        await self._change(enter, events, moved, now_ms)

    async def due(
        self, wanted: Mapping[str, int], busy: Collection[Lane], now_ms: int, run_max: int
    ) -> tuple[list[Run], int | None]:
        return await self._ask(due, wanted, busy, now_ms, run_max)

    async def record(self, attempts: Sequence[Attempted]) -> None:
        await self._change(record, attempts)

    async def prune(self, delivered_before_ms: int, exhausted_before_ms: int) -> bool:
        return await self._change(prune, delivered_before_ms, exhausted_before_ms)

    async def listed(
        self, endpoint: str, state: DeliveryState | None, before: int | None, limit: int
    ) -> list[Delivery]:
        return await self._ask(listed, endpoint, state, before, limit)

    async def attempts(self, endpoint: str, command: int) -> list[Attempt] | None:
        return await self._ask(attempts, endpoint, command)

    async def replay(self, endpoint: str, commands: Collection[int], now_ms: int) -> int:
        return await self._change(replay, endpoint, commands, now_ms)

    async def replay_since(self, endpoint: str, since_ms: int) -> int | None:
        return await self._change(replay_since, endpoint, since_ms)

    async def _ask(self, question: Callable[..., T], *arguments: Any) -> T:
        answer: T = await self._read(question, *arguments)
        return answer

    async def _change(self, work: Callable[..., T], *arguments: Any) -> T:
        result: T = await self._write(work, *arguments)
        return result
