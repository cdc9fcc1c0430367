"""A COMMIT whose fate is unknown, and a history that nobody can edit: the SQLite store's promises
below the store, on a connection."""

import sqlite3
from contextlib import closing

import pytest

from kit.building.builders import gift, grant, hide, open_room, retract, set_policy
from kit.building.ledgers import NOW_MS, book, codes, dump, new_ledger, rows
from rules.commands import AnyCommand
from rules.outcomes import Refused
from rules.results import Result
from storage import StoreBroken, StoreUnavailable
from storage.sqlite.migrations import APPLICATION_ID
from storage.sqlite.settle import settle_or_bisect

# COMMIT with an unknown fate


class Interrupted:
    """A connection on which one COMMIT raises, after it was done or after it was undone."""

    def __init__(self, connection: sqlite3.Connection, *, done: bool) -> None:
        self._connection = connection
        self._done = done
        self.commits = 0

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def execute(self, sql: str, parameters: object = ()) -> sqlite3.Cursor:
        if sql == "COMMIT":
            self.commits += 1
            if self.commits == 1:
                self._connection.execute("COMMIT" if self._done else "ROLLBACK")
                raise sqlite3.OperationalError("the disk did not answer")
        return self._connection.execute(sql, parameters)  # type: ignore[arg-type]


def show_ledger() -> sqlite3.Connection:
    connection = new_ledger()
    book(connection, set_policy(), open_room(), grant("ada"), grant("bob"))
    return connection


def settle_interrupted(
    connection: sqlite3.Connection, asked: list[AnyCommand], *, done: bool
) -> list[Result]:
    wrapper = Interrupted(connection, done=done)
    return settle_or_bisect(wrapper, asked, NOW_MS)  # type: ignore[arg-type]


def test_a_commit_that_was_done_and_raised_is_answered_from_the_books() -> None:
    with closing(show_ledger()) as connection:
        asked = [gift("ada"), gift("bob", "cake"), gift("bob", "nothing")]
        results = settle_interrupted(connection, asked, done=True)
        assert codes(results) == ["booked", "booked", "unknown_gift"]
        assert len(rows(connection, "event")) == 2
        assert results[0].outcome == book(connection, asked[0])[0].outcome


def test_a_commit_that_was_undone_and_raised_says_so_and_left_nothing() -> None:
    with closing(show_ledger()) as connection:
        before, asked = dump(connection), [gift("ada"), gift("bob", "cake")]
        with pytest.raises(StoreUnavailable, match="nothing was stored"):
            settle_interrupted(connection, asked, done=False)
        assert dump(connection) == before
        assert not any(result.replayed for result in book(connection, *asked))


def test_an_older_key_in_a_batch_that_was_undone_does_not_pass_for_the_batch() -> None:
    """The old key is in the books, but that says nothing about the others of this batch."""
    with closing(show_ledger()) as connection:
        old = gift("ada")
        book(connection, old)
        new = gift("bob", "cake")
        results = settle_interrupted(connection, [old, new], done=False)
        assert codes(results) == ["booked", "booked"]
        assert [row[2] for row in rows(connection, "event")] == [5, 6]


def test_a_commit_that_fails_again_while_its_fate_is_looked_up_breaks_the_store() -> None:
    class AlwaysFailing(Interrupted):
        def execute(self, sql: str, parameters: object = ()) -> sqlite3.Cursor:
            self.commits = 0
            return super().execute(sql, parameters)

    with closing(show_ledger()) as connection:
        old = gift("ada")
        book(connection, old)
        wrapper = AlwaysFailing(connection, done=False)
        with pytest.raises(StoreBroken):
            settle_or_bisect(wrapper, [old, gift("bob")], NOW_MS)  # type: ignore[arg-type]
        assert not connection.in_transaction


# History


@pytest.mark.parametrize("table", ["batch", "command", "policy", "transfer", "event", "mark"])
def test_history_is_neither_changed_nor_deleted(table: str) -> None:
    with closing(show_ledger()) as connection:
        book(connection, gift(), gift(), retract("r1:1"), hide("r1:2"))
        column = connection.execute(f"SELECT * FROM {table}").description[-1][0]
        before = dump(connection)
        for sql in (f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}"):
            with pytest.raises(sqlite3.IntegrityError, match="history is never"):
                connection.execute(sql)
        assert dump(connection) == before


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM account",
        "UPDATE account SET owner = 'eve' WHERE owner = 'ada'",
        "UPDATE account SET credits = credits - 1 WHERE owner = 'ada'",
        "UPDATE account SET debits = debits - 1 WHERE id = 1",
        "UPDATE account SET debits = credits + 1 WHERE owner = 'ada'",
        "UPDATE account SET credits = 9007199254740992 WHERE owner = 'ada'",
        "UPDATE account SET credits = 1.5 WHERE owner = 'ada'",
        "DELETE FROM room",
        "UPDATE room SET seq = 0",
        "UPDATE room SET total_coins = -1",
        "DELETE FROM user",
        "UPDATE user SET gifted_coins = -1",
        "DELETE FROM member",
        "INSERT INTO transfer VALUES (99, 1, 1, 100, 100, 5, 0, 0)",
        "INSERT INTO transfer VALUES (99, 1, 1, 1, 100, 0, 0, 0)",
        "INSERT INTO transfer VALUES (99, 1, 1, 1, 100, -5, 0, 0)",
    ],
)
def test_the_schema_refuses_what_no_command_may_do(sql: str) -> None:
    with closing(show_ledger()) as connection:
        book(connection, gift(), gift("bob", "cake"))
        before = dump(connection)
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute(sql)
        assert dump(connection) == before


def test_a_batch_seals_the_ones_before_it() -> None:
    """The same second batch after another first one is another history, and its hash says so."""
    with closing(new_ledger()) as one, closing(new_ledger()) as other:
        book(one, grant("ada", 1, key="first"))
        book(other, grant("ada", 2, key="first"))
        for connection in (one, other):
            book(connection, set_policy(key="second"))
        (*first, _), (*second, _) = rows(one, "batch")[-1], rows(other, "batch")[-1]
        assert first == second
        assert rows(one, "batch")[-1] != rows(other, "batch")[-1]


def test_a_ledger_is_marked_as_ours() -> None:
    with closing(new_ledger()) as connection:
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)


def test_a_refusal_is_not_an_error() -> None:
    with closing(show_ledger()) as connection:
        assert isinstance(book(connection, gift("eve"))[0].outcome, Refused)
