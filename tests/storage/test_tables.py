"""The tables as they are described and as SQLite has them, and rows on their way through them."""

import asyncio
import inspect
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from kit.building import builders
from kit.building.ledgers import NOW_MS, book, dump
from kit.building.whole_history import whole_history
from kit.disks.shelf import Shelf, tables_of
from rules.book import Book
from storage.loading import AtFirst, Loading, PaidBy, Parties, Question, Rare, Rooms, Whole, loading
from storage.sqlite.rows import _as_json, insert
from storage.tables import TABLES, Table

BESIDE = {"endpoint_cursor", "delivery", "attempt", "lease"}
"""What is kept beside the books and is not part of them."""


@pytest.fixture(scope="module")
def full() -> Iterator[sqlite3.Connection]:
    """A ledger in which everything happened; nobody changes it."""
    with closing(whole_history()) as connection:
        yield connection


def test_the_description_has_the_tables_and_columns_that_the_schema_has(
    ledger: sqlite3.Connection,
) -> None:
    made = ledger.execute(
        "SELECT t.name, c.name FROM sqlite_master AS t, pragma_table_info(t.name) AS c"
        " WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%'"
    ).fetchall()
    described = {(table.name, column.name) for table in TABLES for column in table.columns}
    assert {(table, column) for table, column in made if table not in BESIDE} == described


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_the_key_is_the_one_that_the_schema_has(
    ledger: sqlite3.Connection, table: Table[Any]
) -> None:
    columns = ledger.execute("SELECT name, pk FROM pragma_table_info(?)", (table.name,))
    keys = sorted((place, name) for name, place in columns if place)
    assert tuple(name for _, name in keys) == table.key


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_row_that_is_read_and_written_again_is_the_same(
    ledger: sqlite3.Connection, full: sqlite3.Connection, table: Table[Any]
) -> None:
    names = ", ".join(table.names)
    kept = full.execute(f"SELECT {names} FROM {table.name}").fetchall()
    rows = [table.unpack(fields) for fields in kept]
    assert kept and [tuple(fields) for fields in table.pack(rows)] == kept
    for number, fields in enumerate(kept):
        if table.name != "account" or rows[number].id >= 100:
            insert(ledger, table, table.pack([table.unpack(fields)]))
    again = ledger.execute(f"SELECT {names} FROM {table.name}").fetchall()
    assert table.name == "account" or again == kept


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_many_rows_in_one_text_are_the_same_rows(
    full: sqlite3.Connection, table: Table[Any]
) -> None:
    [text] = full.execute(
        f"SELECT json_group_array({_as_json(table, 't')}) FROM {table.name} AS t"
    ).fetchone()
    one_by_one = full.execute(f"SELECT {', '.join(table.names)} FROM {table.name}")
    rows = [table.unpack(fields) for fields in one_by_one]
    assert rows and table.read(text) == rows
    for row in table.read(text):
        for column in table.columns:
            assert column.holds != "switch" or type(getattr(row, column.name)) is bool


async def test_an_adapter_that_waits_for_its_answers_loads_the_same_book() -> None:
    shelf, batch = Shelf(), [builders.gift("ada"), builders.retract("r1:1")]
    shelf.settle([builders.set_policy(), builders.open_room(), builders.grant("ada")], NOW_MS)
    shelf.settle([builders.gift("ada", "cake")], NOW_MS)

    async def answer(question: Question) -> Any:
        await asyncio.sleep(0)
        return shelf.answer(question)

    async def awaited(asking: Loading) -> Book:
        sent: Any = None
        while inspect.getgeneratorstate(asking) != inspect.GEN_CLOSED:
            try:
                question = asking.send(sent)
            except StopIteration as end:
                return end.value
            sent = await answer(question)
        raise AssertionError("it ended without a book")

    assert tables_of(await awaited(loading(batch))) == tables_of(shelf._load(batch))


def test_everything_that_is_known_to_be_needed_is_named_at_first() -> None:
    """An adapter may fetch ahead: what is asked for later is named at first, or was found."""
    asking = loading([builders.gift("ada"), builders.grant("bob")])
    question = next(asking)
    assert isinstance(question, AtFirst)
    assert question.touched.users == {"ada", "bob"} and question.touched.rooms == {"r1"}
    assert not question.every_room


def test_a_gift_asks_twice_and_rare_commands_for_what_is_behind_them() -> None:
    def asked(*commands: Any) -> list[type]:
        kinds: list[type] = []
        shelf = Shelf()
        asking = loading(commands)
        question = next(asking)
        try:
            while True:
                kinds.append(type(question))
                question = asking.send(shelf.answer(question))
        except StopIteration:
            return kinds

    assert asked(builders.gift("ada"), builders.gift("bob")) == [AtFirst, Parties]
    assert asked(builders.settle_purchase()) == [AtFirst, Rare, Parties]
    assert asked(builders.charge_back()) == [AtFirst, PaidBy, Rooms, Rare, Parties]
    assert asked(builders.set_endpoint()) == [AtFirst, Whole, Parties]


def test_a_batch_names_the_columns_of_all_that_it_inserts(ledger: sqlite3.Connection) -> None:
    said: list[str] = []
    ledger.set_trace_callback(said.append)
    book(ledger, builders.set_policy(), builders.open_room(), builders.grant("ada"))
    book(ledger, builders.gift("ada"))
    inserts = [sql for sql in said if sql.startswith("INSERT INTO")]
    assert inserts and all(" (" in sql.split(" VALUES ")[0] for sql in inserts)
    assert len(dump(ledger)["event"]) == 1
