"""Long lists are read by an index, page by page, and long histories in few rows."""

import itertools
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from kit.building import builders
from kit.building.ledgers import NOW_MS, book, new_ledger
from rules.rows import Payout, Purchase
from storage.loading import PaidBy, Rooms
from storage.sqlite.audit.checks import audit_connection
from storage.sqlite.money_reads import UNSTARTED, WAITING_REFUNDS, page_before
from storage.sqlite.rows import _FORGET_LINES, answer

BEFORE = (NOW_MS, "x")


def steps(ledger: sqlite3.Connection, sql: str, arguments: Any) -> list[str]:
    return [row[3] for row in ledger.execute(f"EXPLAIN QUERY PLAN {sql}", arguments)]


@pytest.mark.parametrize("before", [None, BEFORE], ids=["first", "next"])
@pytest.mark.parametrize(
    ("row_type", "place", "wanted"),
    [
        (row_type, place, {owner: user, "status": status})
        for row_type, owner, place in (
            (Purchase, "user", "started_ms"),
            (Payout, "creator", "requested_ms"),
        )
        for user, status in itertools.product((None, "ada"), (None, "paid"))
    ],
)
def test_a_page_of_purchases_or_payouts_is_read_by_an_index(
    ledger: sqlite3.Connection,
    row_type: type,
    place: str,
    wanted: dict[str, str | None],
    before: tuple[int, str] | None,
) -> None:
    where, arguments = page_before(place, before, 50, **wanted)
    sql = f"SELECT * FROM {row_type.__name__.lower()} WHERE {where}"
    [step] = steps(ledger, sql, arguments)
    assert "USING INDEX" in step
    # What asks for nothing begins at one end of an index and stops after a page.
    assert step.startswith("SEARCH") or (before is None and not any(wanted.values())), step


def test_what_the_chores_ask_is_read_by_an_index(ledger: sqlite3.Connection) -> None:
    [step] = steps(ledger, f"SELECT * FROM purchase WHERE {UNSTARTED}", ("p", 0, "", 9))
    assert "INDEX purchase_unstarted (provider=? AND (started_ms,id)>(?,?))" in step
    refund, purchase = steps(ledger, WAITING_REFUNDS, ("p", 0, "", 9))
    assert "INDEX refund_waiting" in refund and purchase.startswith("SEARCH p USING PRIMARY KEY")


def test_forgetting_looks_each_line_up(ledger: sqlite3.Connection) -> None:
    plan = steps(ledger, _FORGET_LINES, ("user:ada",))
    assert "SEARCH event USING PRIMARY KEY (room=? AND seq=?)" in plan
    assert "SCAN event" not in plan


class Counted:
    """A connection that counts the rows it hands over: each costs a turn of the interpreter."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.statements = self.rows = 0

    def execute(self, sql: str, parameters: Any = (), /) -> Any:
        self.statements += 1
        rows = self.connection.execute(sql, parameters).fetchall()
        self.rows += len(rows)
        return _Rows(rows)


class _Rows:
    def __init__(self, rows: list[Any]) -> None:
        self.rows = rows

    def fetchall(self) -> list[Any]:
        return self.rows

    def fetchone(self) -> Any:
        return self.rows[0]


def spend_a_lot(ledger: sqlite3.Connection, gifts: int) -> None:
    book(ledger, builders.set_policy(limits=builders.NO_LIMITS), builders.open_room())
    book(ledger, builders.start_purchase(coins=gifts), builders.attach_checkout())
    [price] = ledger.execute("SELECT price_minor FROM purchase").fetchone()
    book(ledger, builders.settle_purchase(amount_minor=price))
    kinds = ("public", "anonymous")
    words = 'x "\U0001f381" \\u0041'
    said = {"name": "Ada \U0001f3a9", "message": words}
    for number in range(gifts):
        book(ledger, builders.gift(visibility=kinds[number % 2], **said))
    book(ledger, builders.retract("r1:2"))


def test_a_lot_comes_in_few_rows_however_many_gifts_it_paid_for(
    ledger: sqlite3.Connection,
) -> None:
    spend_a_lot(ledger, 60)
    counted = Counted(ledger)
    found = answer(counted, PaidBy({"p1"}))
    assert len(found.gifts) == 60 and len(found.marks) == 1
    assert [room.id for room in answer(counted, Rooms({"r1", "r2"}))] == ["r1"]
    assert (counted.statements, counted.rows) == (2, 2)
    gifts = {gift.seq: gift for gift in found.gifts}
    assert (gifts[2].sender, gifts[2].recipient, gifts[2].anonymous) == ("ada", "cleo", True)
    assert gifts[2].lots == (("p1", 1),) and gifts[1].anonymous is False


def test_forgetting_takes_as_many_statements_for_many_gifts_as_for_one() -> None:
    counts = []
    for gifts in (4, 40):
        with closing(new_ledger()) as ledger:
            spend_a_lot(ledger, gifts)
            counted = Counted(ledger)
            book(counted, builders.erase("ada"))
            counts.append((counted.statements, counted.rows))
            [left] = ledger.execute(
                "SELECT count(*) FROM event WHERE body GLOB '*Ada*' OR body GLOB '*u0041*'"
            ).fetchone()
            assert left == 0
            assert [check for check in audit_connection(ledger).checks if not check.ok] == []
    assert counts[0] == counts[1]
