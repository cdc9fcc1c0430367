"""A filled database of the schema before comes to the newest one with every row, and its journal
still leads to these very rows."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import storage
from kit.building import builders as b
from kit.building.ledgers import KEYS, book, codes, dump, new_ledger
from kit.building.whole_history import whole_history
from kit.disks.tampering import failed
from rules.commands import read_command
from storage.sqlite.audit.checks import audit_connection
from storage.sqlite.audit.replay import history
from storage.sqlite.migrations import migrate, newest, scripts, version_of
from storage.sqlite.store import connect_reader, connect_writer

YOUNGER = ("issue_link", "revoke_token")
"""Kinds of commands for which older schemas have no table."""


def until_the_younger_ones(connection: sqlite3.Connection, path: Path) -> None:
    """Settle the journal again into new books, up to the first command of a younger kind."""
    with closing(new_ledger(path)) as older:
        for batch in history(connection):
            commands = [read_command(row.body, row.said) for row in batch.rows]
            if any(row.kind in YOUNGER for row in batch.rows):
                return
            book(older, *commands, now_ms=batch.at_ms)


def fill(old: Path, version: int) -> dict[str, list[tuple[object, ...]]]:
    """Make a filled database of an older schema; the rows of its books."""
    new = old.with_name("new.db")
    with closing(whole_history()) as connection:
        until_the_younger_ones(connection, new)
    with closing(connect_reader(str(new))) as connection:
        booked = dump(connection)
        assert len(booked["command"]) > 100
    with closing(connect_writer(str(old))) as connection:
        for number, script in enumerate(scripts()[:version], 1):
            connection.executescript(script)
            connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("PRAGMA application_id = 0x6C617267")
        connection.execute("ATTACH ? AS filled", (str(new),))
        there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        for table in KEYS:
            if table not in there:
                assert booked[table] == [], table
                continue
            connection.execute(f"INSERT OR REPLACE INTO main.{table} SELECT * FROM filled.{table}")
        connection.execute("DETACH filled")
    return booked


@pytest.mark.parametrize("version", range(3, newest()))
def test_a_filled_database_of_an_older_schema_is_brought_up(tmp_path: Path, version: int) -> None:
    old = tmp_path / "old.db"
    booked = fill(old, version)
    with closing(connect_writer(str(old))) as connection:
        assert migrate(connection) == (version, newest())
        assert dump(connection) == booked
        found = audit_connection(connection)
        assert found.ok, failed(found)


@pytest.mark.parametrize("version", range(3, newest()))
def test_books_of_an_older_schema_are_copied_before_they_are_brought_up(
    tmp_path: Path, version: int
) -> None:
    old, copy = tmp_path / "old.db", tmp_path / "copy.db"
    booked = fill(old, version)
    storage.open_books(f"sqlite:///{old}").backup(copy)
    with closing(connect_reader(str(copy))) as connection:
        assert version_of(connection) == version
    restored = storage.open_books(f"sqlite:///{tmp_path / 'restored.db'}")
    restored.restore(copy)
    found = restored.audit()
    assert found.ok, failed(found)
    with closing(connect_reader(str(tmp_path / "restored.db"))) as connection:
        assert dump(connection)["command"][:-1] == booked["command"], "one renews the epochs"


def test_orders_beyond_the_bound_that_are_older_than_it_stay_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    with closing(new_ledger(path)) as connection:
        book(connection, b.set_policy())
        many = [b.start_purchase("ada", purchase=f"p{number}") for number in range(60)]
        assert set(codes(book(connection, *many))) == {"booked"}
        book(connection, b.set_policy(bounds={"pending_purchases_max": 50}))
        [late] = codes(book(connection, b.start_purchase("ada", purchase="late")))
        assert late == "wrong_state"
    with closing(connect_reader(str(path))) as connection:
        found = audit_connection(connection)
    assert found.ok, failed(found)
