"""What can be asked of the SQLite ledger about people and their money: one function a question.

Pages go by a cursor that is the last row's id or place; every answer is of one moment.
"""

import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import orjson

from rules.days import DAY_MS
from rules.review import NEW_SENDER_DAYS, PayoutFacts
from rules.rows import (
    Correction,
    Creator,
    Endpoint,
    Payout,
    Purchase,
    Refund,
    Suspense,
    User,
)
from storage.money import Asked, BoardLine, EarningLine, GiftLine, Personal
from storage.sqlite.moment import one_moment
from storage.sqlite.rows import rows_of
from storage.tables import (
    CORRECTION,
    CREATOR,
    ENDPOINT,
    PAYOUT,
    PURCHASE,
    REFUND,
    SUSPENSE,
    USER,
    Row,
    Table,
)


def rows_where(
    connection: sqlite3.Connection, table: Table[Row], where: str, arguments: tuple[Any, ...] = ()
) -> list[Row]:
    return rows_of(connection, table, f"{table.name} WHERE {where}", arguments)


FIRST = (-(2**63), "")
"""The place before all rows."""


def page_before(
    place: str, before: tuple[int, str] | None, limit: int, **wanted: str | None
) -> tuple[str, tuple[Any, ...]]:
    """The conditions and arguments of a page, newest first, of rows with these values; None asks
    for nothing. Only what is asked for is in the text, because SQLite takes no index for
    `? IS NULL OR …`. The first value asked for chooses the index: the `+` keeps the others out.
    """
    values = {column: value for column, value in wanted.items() if value is not None}
    tests = [f"{'+' if number else ''}{column} = ?" for number, column in enumerate(values)]
    if before:
        tests.append(f"({place}, id) < (?, ?)")
    where = f"{' AND '.join(tests) or '1'} ORDER BY {place} DESC, id DESC LIMIT ?"
    return where, (*values.values(), *(before or ()), limit)


def read_user(connection: sqlite3.Connection, id: str) -> User | None:
    found = rows_where(connection, USER, "id = ?", (id,))
    return found[0] if found else None


def _users(
    connection: sqlite3.Connection, search: str, frozen: bool | None, after: str, limit: int
) -> list[User]:
    pattern = "%" + search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    return rows_where(
        connection,
        USER,
        "id > ?1 AND (id LIKE ?2 ESCAPE '\\' OR name LIKE ?2 ESCAPE '\\')"
        " AND (?3 IS NULL OR frozen = ?3) ORDER BY id LIMIT ?4",
        (after, pattern, frozen, limit),
    )


def _creator(connection: sqlite3.Connection, id: str) -> Creator | None:
    found = rows_where(connection, CREATOR, "id = ?", (id,))
    return found[0] if found else None


def _due_creators(connection: sqlite3.Connection, last_day: int, limit: int) -> list[str]:
    sql = "SELECT id FROM creator WHERE pending <> '[]' AND pending ->> '$[0][0]' <= ? LIMIT ?"
    return [row[0] for row in connection.execute(sql, (last_day, limit))]


def _purchase(connection: sqlite3.Connection, id: str) -> Purchase | None:
    found = rows_where(connection, PURCHASE, "id = ?", (id,))
    return found[0] if found else None


def _purchase_of_payment(connection: sqlite3.Connection, payment: str) -> Purchase | None:
    found = rows_where(connection, PURCHASE, "payment = ? AND payment <> ''", (payment,))
    return found[0] if found else None


def _purchases(
    connection: sqlite3.Connection,
    user: str | None,
    status: str | None,
    before: tuple[int, str] | None,
    limit: int,
) -> list[Purchase]:
    where, arguments = page_before("started_ms", before, limit, user=user, status=status)
    return rows_where(connection, PURCHASE, where, arguments)


def _open_checkouts(
    connection: sqlite3.Connection, from_ms: int, to_ms: int, limit: int
) -> list[Purchase]:
    return rows_where(
        connection,
        PURCHASE,
        "status = 'pending' AND checkout <> '' AND started_ms BETWEEN ? AND ?"
        " ORDER BY started_ms, id LIMIT ?",
        (from_ms, to_ms, limit),
    )


UNSTARTED = (
    "provider = ? AND status = 'pending' AND checkout = ''"
    " AND (started_ms, id) > (?, ?) ORDER BY started_ms, id LIMIT ?"
)
"""The condition of the partial index `purchase_unstarted`, word by word: else it is not used."""


def _unstarted(
    connection: sqlite3.Connection,
    provider: str,
    from_ms: int,
    after: tuple[int, str] | None,
    limit: int,
) -> list[Purchase]:
    place = max(after or FIRST, (from_ms, ""))
    return rows_where(connection, PURCHASE, UNSTARTED, (provider, *place, limit))


WAITING_REFUNDS = (
    f"SELECT {', '.join(f'r.{column}' for column in REFUND.names)},"
    f" {', '.join(f'p.{column}' for column in PURCHASE.names)}"
    " FROM refund AS r CROSS JOIN purchase AS p ON p.id = r.purchase"
    " WHERE r.status = 'requested' AND p.provider = ? AND (r.at_ms, r.id) > (?, ?)"
    " ORDER BY r.at_ms, r.id LIMIT ?"
)


def _waiting_refunds(
    connection: sqlite3.Connection, provider: str, after: tuple[int, str] | None, limit: int
) -> list[tuple[Refund, Purchase]]:
    found = connection.execute(WAITING_REFUNDS, (provider, *(after or FIRST), limit))
    size = len(REFUND.columns)
    return [(REFUND.unpack(fields[:size]), PURCHASE.unpack(fields[size:])) for fields in found]


def _payout(connection: sqlite3.Connection, id: str) -> Payout | None:
    found = rows_where(connection, PAYOUT, "id = ?", (id,))
    return found[0] if found else None


def _payouts(
    connection: sqlite3.Connection,
    creator: str | None,
    status: str | None,
    before: tuple[int, str] | None,
    limit: int,
) -> list[Payout]:
    where, arguments = page_before("requested_ms", before, limit, creator=creator, status=status)
    return rows_where(connection, PAYOUT, where, arguments)


def _payable(
    connection: sqlite3.Connection, before: tuple[int, str] | None, limit: int
) -> list[Payout]:
    where, arguments = page_before("requested_ms", before, limit, status="approved")
    thawed = "NOT EXISTS (SELECT 1 FROM user AS u WHERE u.id = payout.creator AND u.frozen = 1)"
    return rows_where(connection, PAYOUT, f"{thawed} AND {where}", arguments)


def _suspense(
    connection: sqlite3.Connection, settled: bool | None, before: int | None, limit: int
) -> list[Suspense]:
    return rows_where(
        connection,
        SUSPENSE,
        "(?1 IS NULL OR (settled_by <> '') = ?1) AND (?2 IS NULL OR id < ?2)"
        " ORDER BY id DESC LIMIT ?3",
        (settled, before, limit),
    )


def _corrections(
    connection: sqlite3.Connection, status: str | None, before: int | None, limit: int
) -> list[Correction]:
    return rows_where(
        connection,
        CORRECTION,
        "(?1 IS NULL OR status = ?1) AND (?2 IS NULL OR id < ?2) ORDER BY id DESC LIMIT ?3",
        (status, before, limit),
    )


def _endpoints(connection: sqlite3.Connection) -> list[Endpoint]:
    return rows_where(connection, ENDPOINT, "1 ORDER BY id")


def _creator_board(
    connection: sqlite3.Connection, creator: str, from_day: int, limit: int
) -> tuple[int, list[BoardLine]]:
    """The newest command that the board is as of, and its lines. Ties go to who was there first.

    With one max(), SQLite takes what is not aggregated from the row that has it: the newest name.
    """
    with one_moment(connection):
        rows = connection.execute(
            "SELECT user, name, sum(coins) AS total, max(reached) AS reached FROM creator_day"
            " WHERE creator = ? AND day >= ? GROUP BY user HAVING total > 0"
            " ORDER BY total DESC, reached LIMIT ?",
            (creator, from_day, limit),
        ).fetchall()
        newest = connection.execute("SELECT coalesce(max(id), 0) FROM command").fetchone()[0]
    return newest, [BoardLine(*row[:3]) for row in rows]


def _earnings(
    connection: sqlite3.Connection, creator: str, from_day: int, to_day: int
) -> list[EarningLine]:
    sql = (
        "SELECT day, gift, gifts, coins, millidiamonds FROM earning"
        " WHERE creator = ? AND day BETWEEN ? AND ? AND gifts > 0 ORDER BY day, gift"
    )
    return [EarningLine(*row) for row in connection.execute(sql, (creator, from_day, to_day))]


def _gifts_of(
    connection: sqlite3.Connection, user: str, from_ms: int, to_ms: int, limit: int
) -> list[GiftLine]:
    """Gifts of that time that were not taken back, in the order in which they were given."""
    rows = connection.execute(
        """
        SELECT c.outcome ->> 'room', c.outcome ->> 'seq', c.outcome ->> 'creator',
               c.outcome ->> 'coins', c.outcome ->> 'millidiamonds', c.outcome ->> 'at_ms'
        FROM account AS a
        CROSS JOIN transfer AS t ON t.debit = a.id AND t.debit >= 100
          AND t.id >= (SELECT coalesce(min(next_transfer), 9223372036854775807)
                       FROM batch WHERE at_ms >= ?2)
        CROSS JOIN command AS c ON c.id = t.command AND c.kind = 'gift'
        LEFT JOIN mark AS m ON m.room = c.outcome ->> 'room'
          AND m.gift_seq = c.outcome ->> 'seq' AND m.kind = 'retracted'
        WHERE a.owner = ?1 AND a.code = 'coins' AND m.seq IS NULL
          AND c.outcome ->> 'at_ms' >= ?2 AND c.outcome ->> 'at_ms' < ?3
        ORDER BY t.id LIMIT ?4
        """,
        (user, from_ms, to_ms, limit),
    ).fetchall()
    return [GiftLine(*row) for row in rows]


_GIVERS = f"""
SELECT user, coins, sum(coins) OVER (), sum(new_coins) OVER ()
FROM (SELECT d.user, sum(d.coins) AS coins,
             sum(d.coins * (d.day * {DAY_MS} - u.since_ms < {NEW_SENDER_DAYS * DAY_MS}))
               AS new_coins
      FROM creator_day AS d JOIN user AS u ON u.id = d.user WHERE d.creator = ? AND d.day >= ?
      GROUP BY d.user HAVING sum(d.coins) > 0)
ORDER BY coins DESC, user LIMIT 1000
"""
"""The thousand that gave most, to be looked through for chargebacks; each with the sums of all."""
RING = 20
"""Top givers whose own rooms are looked at for gifts back."""


def payout_facts(connection: sqlite3.Connection, creator: str, from_day: int) -> PayoutFacts:
    """What a reviewer should know of the days from this one on, as of one moment."""
    with one_moment(connection):
        return _gather(connection, creator, from_day)


def _gather(connection: sqlite3.Connection, creator: str, from_day: int) -> PayoutFacts:
    givers = connection.execute(_GIVERS, (creator, from_day)).fetchall()
    as_of, earned, back, charged_back = connection.execute(
        """
        SELECT (SELECT coalesce(max(id), 0) FROM command),
               (SELECT coalesce(sum(coins), 0) FROM earning WHERE creator = ?1 AND day >= ?2),
               EXISTS (SELECT 1 FROM creator_day WHERE user = ?1 AND day >= ?2 AND coins > 0
                       AND creator IN (SELECT value FROM json_each(?3))),
               EXISTS (SELECT 1 FROM purchase WHERE status = 'charged_back'
                       AND user IN (SELECT value FROM json_each(?4)))
        """,
        (
            creator,
            from_day,
            orjson.dumps([giver[0] for giver in givers[:RING]]).decode(),
            orjson.dumps([giver[0] for giver in givers]).decode(),
        ),
    ).fetchone()
    _, top_coins, coins, new_coins = givers[0] if givers else ("", 0, 0, 0)
    return PayoutFacts(
        as_of=as_of,
        from_day=from_day,
        earned_coins=earned,
        coins=coins,
        top_coins=top_coins,
        new_sender_coins=new_coins,
        gave_back=bool(back),
        charged_back=bool(charged_back),
    )


def _personal(connection: sqlite3.Connection, user: str) -> Personal:
    with one_moment(connection):
        return Personal(
            read_user(connection, user),
            rows_where(connection, PURCHASE, "user = ? ORDER BY started_ms, id", (user,)),
            rows_where(connection, REFUND, "user = ? ORDER BY at_ms, id", (user,)),
            rows_where(connection, PAYOUT, "creator = ? ORDER BY requested_ms, id", (user,)),
            rows_where(connection, CORRECTION, "user = ? ORDER BY id", (user,)),
        )


def _commands_of(connection: sqlite3.Connection, user: str) -> list[int]:
    """All numbers at once: by user, commands have an index in order of their keys only."""
    sql = "SELECT json_group_array(id) FROM (SELECT id FROM command WHERE actor = ? ORDER BY id)"
    found: list[int] = orjson.loads(connection.execute(sql, (f"user:{user}",)).fetchone()[0])
    return found


def _commands(connection: sqlite3.Connection, numbers: list[int]) -> list[Asked]:
    """In one row: each row would wait for the interpreter's lock beside the event loop."""
    row = connection.execute(
        "SELECT json_group_array(json_array(b.at_ms, iif(c.said IS NULL, c.body,"
        " json_patch(c.body, json_object('name', c.said ->> 0, 'message', c.said ->> 1,"
        " 'message_digest', NULL))) || '', c.outcome))"
        " FROM json_each(?) AS k CROSS JOIN command AS c ON c.id = k.value"
        " JOIN batch AS b ON b.id = c.batch",
        (orjson.dumps(numbers).decode(),),
    ).fetchone()
    return _read_asked(row[0])


_read_asked = msgspec.json.Decoder(list[Asked]).decode


class SqliteMoney:
    """See money.MoneyReads for the contract."""

    def __init__(self, ask: Callable[..., Awaitable[Any]]) -> None:
        self._ask = ask

    async def user(self, id: str) -> User | None:
        found: User | None = await self._ask(read_user, id)
        return found

    async def users(self, search: str, frozen: bool | None, after: str, limit: int) -> list[User]:
        found: list[User] = await self._ask(_users, search, frozen, after, limit)
        return found

    async def creator(self, id: str) -> Creator | None:
        found: Creator | None = await self._ask(_creator, id)
        return found

    async def due_creators(self, last_day: int, limit: int) -> list[str]:
        found: list[str] = await self._ask(_due_creators, last_day, limit)
        return found

    async def purchase(self, id: str) -> Purchase | None:
        found: Purchase | None = await self._ask(_purchase, id)
        return found

    async def purchase_of_payment(self, payment: str) -> Purchase | None:
        found: Purchase | None = await self._ask(_purchase_of_payment, payment)
        return found

    async def purchases(
        self, user: str | None, status: str | None, before: tuple[int, str] | None, limit: int
    ) -> list[Purchase]:
        found: list[Purchase] = await self._ask(_purchases, user, status, before, limit)
        return found

    async def open_checkouts(self, from_ms: int, to_ms: int, limit: int) -> list[Purchase]:
        found: list[Purchase] = await self._ask(_open_checkouts, from_ms, to_ms, limit)
        return found

    async def unstarted(
        self, provider: str, from_ms: int, after: tuple[int, str] | None, limit: int
    ) -> list[Purchase]:
        found: list[Purchase] = await self._ask(_unstarted, provider, from_ms, after, limit)
        return found

    async def waiting_refunds(
        self, provider: str, after: tuple[int, str] | None, limit: int
    ) -> list[tuple[Refund, Purchase]]:
        found: list[tuple[Refund, Purchase]] = await self._ask(
            _waiting_refunds, provider, after, limit
        )
        return found

    async def payout(self, id: str) -> Payout | None:
        found: Payout | None = await self._ask(_payout, id)
        return found

    async def payouts(
        self, creator: str | None, status: str | None, before: tuple[int, str] | None, limit: int
    ) -> list[Payout]:
        found: list[Payout] = await self._ask(_payouts, creator, status, before, limit)
        return found

    async def payable(self, before: tuple[int, str] | None, limit: int) -> list[Payout]:
        found: list[Payout] = await self._ask(_payable, before, limit)
        return found

    async def suspense(
        self, settled: bool | None, before: int | None, limit: int
    ) -> list[Suspense]:
        found: list[Suspense] = await self._ask(_suspense, settled, before, limit)
        return found

    async def corrections(
        self, status: str | None, before: int | None, limit: int
    ) -> list[Correction]:
        found: list[Correction] = await self._ask(_corrections, status, before, limit)
        return found

    async def endpoints(self) -> list[Endpoint]:
        found: list[Endpoint] = await self._ask(_endpoints)
        return found

    async def creator_board(
        self, creator: str, from_day: int, limit: int
    ) -> tuple[int, list[BoardLine]]:
        found: tuple[int, list[BoardLine]] = await self._ask(
            _creator_board, creator, from_day, limit
        )
        return found

    async def earnings(self, creator: str, from_day: int, to_day: int) -> list[EarningLine]:
        found: list[EarningLine] = await self._ask(_earnings, creator, from_day, to_day)
        return found

    async def gifts_of(self, user: str, from_ms: int, to_ms: int, limit: int) -> list[GiftLine]:
        found: list[GiftLine] = await self._ask(_gifts_of, user, from_ms, to_ms, limit)
        return found

    async def payout_facts(self, creator: str, from_day: int) -> PayoutFacts:
        found: PayoutFacts = await self._ask(payout_facts, creator, from_day)
        return found

    async def personal(self, user: str) -> Personal:
        found: Personal = await self._ask(_personal, user)
        return found

    async def commands_of(self, user: str) -> list[int]:
        found: list[int] = await self._ask(_commands_of, user)
        return found

    async def commands(self, numbers: list[int]) -> list[Asked]:
        found: list[Asked] = await self._ask(_commands, numbers)
        return found
