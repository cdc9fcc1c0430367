"""Whatever is changed in the books by hand, the audit finds it by the check that it contradicts."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from kit.building.ledgers import KEYS, rows
from kit.building.whole_history import whole_history
from kit.disks.tampering import TAMPERING, failed, tampered, without_protection
from storage.sqlite.audit.checks import audit_connection


@pytest.fixture(scope="module")
def books() -> Iterator[sqlite3.Connection]:
    """One whole history; every test changes it inside a transaction that is rolled back."""
    with closing(whole_history()) as connection:
        yield connection
        assert audit_connection(connection).ok, "a test has left its change in the books"


each_tampering = pytest.mark.parametrize(
    ("script", "checks"),
    [pytest.param(script, checks, id=what) for what, script, checks in TAMPERING],
)


def names_of(checks: str) -> list[str]:
    return [name.replace("_", " ") for name in checks.split()]


@each_tampering
def test_tampering_is_found_by_the_checks_that_it_contradicts(
    books: sqlite3.Connection, script: str, checks: str
) -> None:
    """Each of them is asked alone; of the replay, which takes longest, see the next two tests."""
    asked = [name for name in names_of(checks) if name != "replay"]
    with tampered(books, script):
        assert list(failed(audit_connection(books, only=asked))) == asked


@pytest.mark.parametrize("table", KEYS)
def test_a_change_of_any_table_is_found_by_the_replay(
    books: sqlite3.Connection, table: str
) -> None:
    found = (
        script
        for _, script, checks in TAMPERING
        if f" {table} " in script.split(" WHERE ")[0] + " " and "replay" in checks
    )
    with tampered(books, next(found)):
        assert failed(audit_connection(books, only=["replay"]))


@pytest.mark.deep
@each_tampering
def test_the_whole_audit_of_any_tampering_finds_it(
    books: sqlite3.Connection, script: str, checks: str
) -> None:
    with tampered(books, script):
        found = failed(audit_connection(books))
    assert found.keys() >= {*names_of(checks)}, found
    assert "schema" not in found


def test_every_table_is_tampered_with() -> None:
    for table in KEYS:
        verbs = {
            statement.split()[0]
            for _, statement, _ in TAMPERING
            if f" {table} " in statement.split(" WHERE ")[0] + " "
        }
        assert verbs >= {"UPDATE", "DELETE", "INSERT"}, table


# Without the replay


REPLAY_ONLY = {
    # No sum and no single command says these; the replay does.
    ("member", "combo"),
    ("member", "anonymous_combo"),
    ("room", "epoch"),
}


def changed(value: Any) -> Any:
    """Another value of the same kind."""
    if value is None:
        return '["x","y"]'
    if isinstance(value, int):
        return value + 1
    if value[:1] == "{":
        return json.dumps(json.loads(value) | {"coins": 7_777_777}, separators=(",", ":"))
    if value[:1] == "[":
        return json.dumps(json.loads(value)[:-1] or [["x", 7, 7]], separators=(",", ":"))
    return f"{value}x"


def columns(connection: sqlite3.Connection, table: str) -> list[str]:
    found = connection.execute("SELECT name FROM pragma_table_info(?)", (table,))
    return [name for (name,) in found]


def found_without_replay(connection: sqlite3.Connection, sql: str, *values: Any) -> bool:
    """Whether what the statement did was found; it is undone. False when it could not be done."""
    connection.execute("BEGIN")
    try:
        if connection.execute(sql, values).rowcount == 0:
            return False
        return not audit_connection(connection, replay=False).ok
    finally:
        connection.execute("ROLLBACK")


@pytest.mark.deep
@pytest.mark.parametrize("table", KEYS)
def test_a_change_of_any_column_is_found_without_the_replay_too(
    books: sqlite3.Connection, table: str
) -> None:
    keys = KEYS[table].split(", ")
    where = " AND ".join(f"{key} = ?" for key in keys)
    with without_protection(books):
        names = columns(books, table)
        booked = [dict(zip(names, row, strict=True)) for row in rows(books, table)]
        for column in names:
            sql = f"UPDATE OR IGNORE {table} SET {column} = ? WHERE {where}"
            assert (table, column) in REPLAY_ONLY or any(
                found_without_replay(books, sql, changed(row[column]), *map(row.get, keys))
                for row in booked
            ), column


@pytest.mark.deep
@pytest.mark.parametrize("table", KEYS)
def test_a_row_that_is_missing_is_found_without_the_replay_too(
    books: sqlite3.Connection, table: str
) -> None:
    keys = KEYS[table].split(", ")
    sql = f"DELETE FROM {table} WHERE " + " AND ".join(f"{key} = ?" for key in keys)
    with without_protection(books):
        names = columns(books, table)
        for row in rows(books, table)[:6]:
            named = dict(zip(names, row, strict=True))
            assert found_without_replay(books, sql, *map(named.get, keys)), row
