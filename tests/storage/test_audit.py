"""The audit agrees with books that are right and finds every row that was tampered with."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import storage
from builders import (
    close_room,
    gift,
    grant,
    hide,
    open_room,
    renew_epochs,
    retract,
    set_policy,
)
from ledgers import NOW_MS, book, new_ledger
from rules.journal import GENESIS, seal
from storage import StoreError, open_store
from storage.audit import Audit, audit_connection
from storage.audit_replay import TABLES, history
from storage.audit_sql import QUESTIONS, Question


def show_ledger(path: Path | str = ":memory:") -> sqlite3.Connection:
    """Every kind of command, over several batches."""
    connection = new_ledger(path)
    book(connection, set_policy(), open_room("r1"), open_room("r2", "dora"))
    book(connection, grant("ada"), grant("bob"), grant("eve", 30))
    book(connection, gift("ada"), gift("ada"), gift("bob", "cake", visibility="anonymous"))
    book(connection, gift("bob", "lion", room="r2"), gift("eve", "lion"), gift("eve", "cake"))
    book(connection, set_policy(rate_permille=300), gift("ada", "cake", quantity=2))
    book(connection, retract("r1:2"), hide("r1:1"), retract("r1:3"))
    book(connection, close_room("r2"), gift("ada", room="r2"), renew_epochs(), gift("ada"))
    return connection


def failed(found: Audit) -> dict[str, str]:
    return {check.name: check.detail for check in found.checks if not check.ok}


def tamper(connection: sqlite3.Connection, script: str) -> None:
    """Change what the schema protects, as somebody with the file can, and cover the tracks."""
    sql = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
    triggers = connection.execute(sql).fetchall()
    for name, _ in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute("PRAGMA ignore_check_constraints = ON")
    connection.executescript(script)
    connection.execute("PRAGMA ignore_check_constraints = OFF")
    for _, trigger in triggers:
        connection.execute(trigger)


def test_books_that_are_right_pass_every_check_with_figures() -> None:
    with closing(show_ledger()) as connection:
        found = audit_connection(connection)
    assert found.ok, failed(found)
    names = [check.name for check in found.checks]
    assert len(set(names)) == len(names)
    assert all(any(letter.isdigit() for letter in check.detail) for check in found.checks)


def test_new_books_pass() -> None:
    with closing(new_ledger()) as connection:
        assert audit_connection(connection).ok


TAMPERING = [
    # (what, statement, checks that must fail, among others)
    ("batch at_ms", "UPDATE batch SET at_ms = at_ms + 1 WHERE id = 3", "journal replay"),
    ("batch hash", "UPDATE batch SET hash = 'x' WHERE id = 7", "journal replay"),
    ("batch next_transfer", "UPDATE batch SET next_transfer = 1 WHERE id = 7", "replay"),
    ("batch last", "UPDATE batch SET last_command = 99 WHERE id = 7", "journal replay"),
    ("batch deleted", "DELETE FROM batch WHERE id = 4", "journal replay"),
    ("last batch deleted", "DELETE FROM batch WHERE id = 7", "journal replay"),
    ("batch added", "INSERT INTO batch VALUES (8, 1, 99, 99, 99, 'x')", "journal replay"),
    (
        "command body",
        "UPDATE command SET body = replace(body, '1000', '1001') WHERE kind = 'grant'",
        "journal replay",
    ),
    (
        "command outcome",
        "UPDATE command SET outcome = json_set(outcome, '$.coins', 2) WHERE id = 7",
        "journal legs gifts replay",
    ),
    ("command key", "UPDATE command SET key = 'other' WHERE id = 8", "journal keys replay"),
    ("command actor", "UPDATE command SET actor = 'eve' WHERE id = 8", "journal keys replay"),
    ("command kind", "UPDATE command SET kind = 'grant' WHERE id = 1", "journal keys replay"),
    ("fingerprint", "UPDATE command SET fingerprint = 'x' WHERE id = 8", "journal replay"),
    ("command batch", "UPDATE command SET batch = 4 WHERE id = 9", "journal replay"),
    ("command deleted", "DELETE FROM command WHERE id = 8", "journal legs replay"),
    ("last command deleted", "DELETE FROM command WHERE id = 21", "journal replay"),
    (
        "command added",
        (
            "INSERT INTO command SELECT 22, batch, actor, 'new', kind, fingerprint, body, outcome"
            " FROM command WHERE id = 21"
        ),
        "journal keys replay",
    ),
    ("no JSON", "UPDATE command SET body = '{' WHERE id = 8", "journal keys replay"),
    (
        "policy body",
        "UPDATE policy SET body = json_set(body, '$.rate_permille', 900) WHERE command = 1",
        "policies gifts replay",
    ),
    ("policy deleted", "DELETE FROM policy WHERE command = 13", "policies gifts replay"),
    ("policy added", "INSERT INTO policy SELECT 12, body FROM policy LIMIT 1", "policies replay"),
    (
        "coins from nowhere",
        "UPDATE account SET credits = credits + 5 WHERE owner = 'ada' AND code = 'coins'",
        "conservation accounts replay",
    ),
    (
        "coins from nowhere on both sides",
        (
            "UPDATE account SET credits = credits + 5 WHERE owner = 'ada' AND code = 'coins';"
            "UPDATE account SET debits = debits + 5 WHERE id = 1"
        ),
        "accounts replay",
    ),
    (
        "a balance below zero",
        "UPDATE account SET debits = credits + 1 WHERE owner = 'ada' AND code = 'coins'",
        "integrity conservation accounts no debt replay",
    ),
    (
        "a wallet that changes hands",
        "UPDATE account SET owner = 'mallory' WHERE owner = 'bob' AND code = 'coins'",
        "replay",
    ),
    ("account deleted", "DELETE FROM account WHERE owner = 'eve'", "accounts transfers replay"),
    ("account added", "INSERT INTO account VALUES (900, 'x', 'coins', 0, 0)", "replay"),
    ("account code", "UPDATE account SET code = 'gold' WHERE id = 100", "conservation transfers"),
    ("amount", "UPDATE transfer SET amount = amount + 1 WHERE id = 4", "accounts legs replay"),
    ("credit", "UPDATE transfer SET credit = 101 WHERE id = 1", "accounts running balances"),
    (
        "balance after",
        "UPDATE transfer SET debit_after = 7 WHERE id = 4",
        "running balances replay",
    ),
    ("transfer's command", "UPDATE transfer SET command = 8 WHERE id = 4", "legs replay"),
    ("transfer's command is none", "UPDATE transfer SET command = 99 WHERE id = 4", "legs"),
    ("reason", "UPDATE transfer SET reason = 1 WHERE id = 4", "transfers legs replay"),
    ("one leg deleted", "DELETE FROM transfer WHERE id = 5", "transfers legs accounts replay"),
    (
        "transfer added",
        "INSERT INTO transfer VALUES (99, 7, 1, 1, 100, 5, 0, 0)",
        "transfers legs accounts running balances replay",
    ),
    ("room total", "UPDATE room SET total_coins = 9 WHERE id = 'r1'", "room logs replay"),
    ("room seq", "UPDATE room SET seq = 90 WHERE id = 'r1'", "room logs replay"),
    ("room creator", "UPDATE room SET creator = 'mallory' WHERE id = 'r1'", "replay"),
    ("room status", "UPDATE room SET status = 'open'", "replay"),
    ("room epoch", "UPDATE room SET epoch = 'x'", "replay"),
    ("room deleted", "DELETE FROM room WHERE id = 'r2'", "room logs replay"),
    ("room added", "INSERT INTO room VALUES ('x', '', '', '', 'open', '', 0, 0, 0)", "replay"),
    ("event coins", "UPDATE event SET coins = 9 WHERE seq = 1", "room logs gifts boards gifters"),
    ("event total", "UPDATE event SET total_coins = 9 WHERE seq = 1", "room logs gifts replay"),
    (
        "event body",
        "UPDATE event SET body = replace(body, 'Ada', 'Eve') WHERE room = 'r1' AND seq = 1",
        "replay",
    ),
    (
        "event says other coins",
        "UPDATE event SET body = json_set(body, '$.coins', 77) WHERE room = 'r1' AND seq = 1",
        "gifts replay",
    ),
    (
        "event number",
        "UPDATE event SET seq = 40 WHERE room = 'r1' AND seq = 4",
        "room logs gifts replay",
    ),
    ("event deleted", "DELETE FROM event WHERE room = 'r1' AND seq = 1", "room logs gifts boards"),
    (
        "last event deleted",
        "DELETE FROM event WHERE room = 'r1' AND seq = (SELECT seq FROM room WHERE id = 'r1')",
        "room logs gifts boards gifters replay",
    ),
    (
        "event added",
        (
            "INSERT INTO event SELECT room, 90, command, kind, coins, total_coins, body FROM event"
            " WHERE room = 'r1' AND seq = 1"
        ),
        "room logs gifts boards gifters replay",
    ),
    ("event of no room", "UPDATE event SET room = 'x' WHERE room = 'r2'", "room logs gifts"),
    ("mark deleted", "DELETE FROM mark WHERE kind = 'hidden'", "marks replay"),
    ("mark of another gift", "UPDATE mark SET gift_seq = 1 WHERE gift_seq = 2", "marks"),
    ("mark added", "INSERT INTO mark VALUES ('r1', 4, 'hidden', 5)", "marks replay"),
    ("mark kind", "UPDATE mark SET kind = 'retracted' WHERE kind = 'hidden'", "marks replay"),
    ("gifted", "UPDATE user SET gifted_coins = 9 WHERE id = 'ada'", "gifters replay"),
    ("user name", "UPDATE user SET name = 'Mallory' WHERE id = 'ada'", "replay"),
    ("user deleted", "DELETE FROM user WHERE id = 'ada'", "gifters replay"),
    ("user added", "INSERT INTO user VALUES ('x', 'X', 0)", "gifters replay"),
    ("standing", "UPDATE member SET coins = 9 WHERE user = 'ada'", "boards replay"),
    ("tie", "UPDATE member SET reached_seq = 1 WHERE user = 'ada'", "boards replay"),
    ("member name", "UPDATE member SET name = 'M' WHERE user = 'ada'", "replay"),
    ("combo", "UPDATE member SET combo = NULL WHERE user = 'ada'", "replay"),
    ("member deleted", "DELETE FROM member WHERE user = 'ada'", "boards replay"),
    (
        "member added",
        "INSERT INTO member VALUES ('r1', 'x', '', 0, 0, NULL, NULL)",
        "boards replay",
    ),
]


@pytest.mark.parametrize(
    ("statement", "checks"),
    [pytest.param(statement, checks, id=what) for what, statement, checks in TAMPERING],
)
def test_tampering_is_found_by_the_check_that_it_contradicts(statement: str, checks: str) -> None:
    with closing(show_ledger()) as connection:
        changes = connection.total_changes
        tamper(connection, statement)
        assert connection.total_changes > changes, "the statement changed nothing"
        found = failed(audit_connection(connection))
    for name in _names(checks):
        assert name in found, found
    assert "schema" not in found


def _names(checks: str) -> list[str]:
    """Check names out of a line of them; some have two words."""
    for double in ("running balances", "room logs", "no debt"):
        checks = checks.replace(double, double.replace(" ", "_"))
    return [name.replace("_", " ") for name in checks.split()]


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: str(question.name))
def test_no_question_compares_every_row_with_every_other(question: Question) -> None:
    with closing(new_ledger()) as connection:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {question.wrong}")]
    joins = [step for step in plan if step.endswith("LEFT-JOIN") and step.startswith("SCAN")]
    assert joins in ([], ["SCAN kind LEFT-JOIN"]), "a join without an index: hours for a big ledger"


def test_every_table_is_tampered_with() -> None:
    for table in TABLES:
        verbs = {
            statement.split()[0]
            for _, statement, _ in TAMPERING
            if f" {table} " in statement.split(" WHERE ")[0] + " "
        }
        assert verbs >= {"UPDATE", "DELETE", "INSERT"}, table


def test_a_forger_who_also_mends_the_hashes_is_found_by_the_replay() -> None:
    with closing(show_ledger()) as connection:
        tamper(connection, "UPDATE command SET body = replace(body, '1000', '9999') WHERE id = 4")
        previous, hashes = GENESIS, {}
        for batch in history(connection):
            previous = hashes[batch.id] = seal(previous, batch.id, batch.at_ms, batch.rows)
        for id, mended in hashes.items():
            tamper(connection, f"UPDATE batch SET hash = '{mended}' WHERE id = {id}")
        found = failed(audit_connection(connection))
    assert "journal" not in found
    assert "replay" in found


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TRIGGER transfer_update",
        "DROP INDEX command_by_key",
        "CREATE TABLE notes (text)",
        "CREATE TRIGGER mine AFTER INSERT ON transfer BEGIN DELETE FROM mark; END",
    ],
)
def test_a_changed_schema_is_found(statement: str) -> None:
    with closing(show_ledger()) as connection:
        connection.execute(statement)
        assert list(failed(audit_connection(connection))) == ["schema"]


def test_a_key_that_was_used_twice_is_found() -> None:
    with closing(show_ledger()) as connection:
        connection.execute("DROP INDEX command_by_key")
        tamper(
            connection,
            "INSERT INTO command SELECT 22, batch, actor, key, kind, fingerprint, body, outcome"
            " FROM command WHERE id = 21",
        )
        assert "2 commands" in failed(audit_connection(connection))["keys"]


def test_a_damaged_page_is_found(tmp_path: Path) -> None:
    path = tmp_path / "largesse.db"
    with closing(show_ledger(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        page = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'transfer'"
        ).fetchone()[0]
    content = bytearray(path.read_bytes())
    content[(page - 1) * 4096 : page * 4096] = b"\xff" * 4096
    path.write_bytes(content)
    assert "integrity" in failed(storage.audit(f"sqlite:///{path}"))


async def test_the_books_of_a_running_server_are_audited_at_one_moment(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/largesse.db"
    store = await open_store(address)
    await store.settle([set_policy(), open_room(), grant()], NOW_MS)
    for _ in range(20):
        await store.settle([gift(), gift()], NOW_MS)
        assert storage.audit(address).ok
    await store.close()
    assert storage.audit(address).ok


@pytest.mark.parametrize("name", ["missing.db", ":memory:"])
def test_books_that_are_not_there_are_a_sentence(tmp_path: Path, name: str) -> None:
    path = name if name == ":memory:" else tmp_path / name
    with pytest.raises(StoreError):
        storage.audit(f"sqlite:///{path}")
    assert list(tmp_path.iterdir()) == []


def test_somebody_elses_database_is_not_audited(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "x.db")) as other:
        other.execute("CREATE TABLE notes (text)")
    with pytest.raises(StoreError, match="not one of largesse"):
        storage.audit(f"sqlite:///{tmp_path}/x.db")
