"""The audit agrees with books that are right, whatever happened in them, and cannot be avoided."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import get_args

import pytest

import storage
from kit.building.builders import gift, grant, open_room, set_policy
from kit.building.ledgers import NOW_MS, new_ledger
from kit.building.whole_history import whole_history
from kit.disks.tampering import failed, tamper
from rules.commands import AnyCommand
from rules.journal import GENESIS, seal
from rules.ledger import Reason
from storage import StoreError, open_store
from storage.sqlite.audit.checks import audit_connection
from storage.sqlite.audit.question import Question
from storage.sqlite.audit.questions import QUESTIONS
from storage.sqlite.audit.replay import history


def test_books_that_are_right_pass_every_check_with_figures() -> None:
    with closing(whole_history()) as connection:
        found = audit_connection(connection)
    assert found.ok, failed(found)
    names = [check.name for check in found.checks]
    assert len(set(names)) == len(names)
    assert all(any(letter.isdigit() for letter in check.detail) for check in found.checks)


def test_every_kind_of_command_is_in_the_whole_history() -> None:
    tags = {str(command.__struct_config__.tag) for command in get_args(AnyCommand)}
    with closing(whole_history()) as connection:
        kinds = {kind for (kind,) in connection.execute("SELECT kind FROM command")}
        reasons = {reason for (reason,) in connection.execute("SELECT reason FROM transfer")}
    assert kinds == tags
    assert reasons == set(Reason), "money went in fewer ways than there are"


def test_new_books_pass() -> None:
    with closing(new_ledger()) as connection:
        assert audit_connection(connection).ok


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: str(question.name))
def test_no_question_compares_every_row_with_every_other(question: Question) -> None:
    with closing(new_ledger()) as connection:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {question.wrong}")]
    joins = [step for step in plan if step.endswith("LEFT-JOIN") and step.startswith("SCAN")]
    assert joins in ([], ["SCAN kind LEFT-JOIN"]), "a join without an index: hours for a big ledger"


def test_a_forger_who_also_mends_the_hashes_is_found_by_the_replay() -> None:
    with closing(whole_history()) as connection:
        forged = "UPDATE command SET body = replace(body, '1000', '9999') WHERE kind = 'grant'"
        tamper(connection, forged)
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
    with closing(whole_history()) as connection:
        connection.execute(statement)
        assert list(failed(audit_connection(connection))) == ["schema"]


def test_a_key_that_was_used_twice_is_found() -> None:
    with closing(whole_history()) as connection:
        connection.execute("DROP INDEX command_by_key")
        tamper(
            connection,
            "INSERT INTO command SELECT id + 1, batch, actor, key, kind, fingerprint, body,"
            " outcome, said FROM command ORDER BY id DESC LIMIT 1",
        )
        assert "2 commands" in failed(audit_connection(connection))["keys"]


def test_a_damaged_page_is_found(tmp_path: Path) -> None:
    path = tmp_path / "largesse.db"
    with closing(whole_history(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        page = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'transfer'"
        ).fetchone()[0]
    content = bytearray(path.read_bytes())
    content[(page - 1) * 4096 : page * 4096] = b"\xff" * 4096
    path.write_bytes(content)
    assert "integrity" in failed(storage.open_books(f"sqlite:///{path}").audit())


async def test_the_books_of_a_running_server_are_audited_at_one_moment(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/largesse.db"
    store = await open_store(address)
    await store.settle([set_policy(), open_room(), grant()], NOW_MS)
    for _ in range(20):
        await store.settle([gift(), gift()], NOW_MS)
        assert storage.open_books(address).audit().ok
    await store.close()
    assert storage.open_books(address).audit().ok


@pytest.mark.parametrize("name", ["missing.db", ":memory:"])
def test_books_that_are_not_there_are_a_sentence(tmp_path: Path, name: str) -> None:
    path = name if name == ":memory:" else tmp_path / name
    with pytest.raises(StoreError):
        storage.open_books(f"sqlite:///{path}").audit()
    assert list(tmp_path.iterdir()) == []


def test_somebody_elses_database_is_not_audited(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "x.db")) as other:
        other.execute("CREATE TABLE notes (text)")
    with pytest.raises(StoreError, match="not one of largesse"):
        storage.open_books(f"sqlite:///{tmp_path}/x.db").audit()
