"""Forgetting a person: the name and the words go, the books stay and still prove themselves."""

import json
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from kit.building import builders
from kit.building.ledgers import book, codes, dump, new_ledger
from kit.building.whole_history import whole_history
from rules.events import forget
from storage.sqlite.audit.checks import audit_connection
from storage.sqlite.settle import checkpoint

NAME, WORDS = 'Ada Lovelace \U0001f3a9 "x"', "secret \U0001f381 <b> \\u0041"


def said(**fields: object) -> dict[str, object]:
    return {"name": NAME, "message": WORDS} | fields


def test_name_and_messages_are_gone_and_the_audit_is_clean(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    ledger = new_ledger(path)
    book(ledger, builders.set_policy(), builders.open_room(), builders.grant("ada", 10_000))
    book(ledger, builders.gift("ada", "cake", **said()))
    book(ledger, builders.gift("ada", "cake", **said(visibility="anonymous")))
    book(ledger, builders.gift("ada", "lion", **said(quantity=999)))  # refused, and kept
    book(ledger, builders.gift("ada", "rose", **said(key="k")), builders.retract("r1:1"))
    book(ledger, builders.grant("bob", 5), builders.gift("bob", "rose", message="mine"))
    before = dump(ledger)
    assert NAME in repr(before["user"]) and WORDS[:6] in repr(before["event"])

    book(ledger, builders.erase("ada"))
    book(ledger, builders.erase("bob-who-never-was"))

    after = dump(ledger)
    assert "Lovelace" not in repr(after) and "secret" not in repr(after)
    assert "Bob" in repr(after) and "mine" in repr(after)
    assert before["transfer"] == after["transfer"] and before["account"] == after["account"]
    assert [check for check in audit_connection(ledger).checks if not check.ok] == []


def test_the_file_itself_has_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "books.db"
    ledger = new_ledger(path)
    book(ledger, builders.set_policy(), builders.open_room(), builders.grant("ada", 10_000))
    for _ in range(20):
        book(ledger, builders.gift("ada", "rose", name="Lovelace", message="unforgettable"))
    book(ledger, builders.erase("ada"))
    checkpoint(ledger, "TRUNCATE")
    ledger.close()
    content = path.read_bytes()
    assert b"Lovelace" not in content and b"unforgettable" not in content


def test_in_one_batch_the_words_before_are_forgotten_and_those_after_are_not() -> None:
    ledger = new_ledger()
    book(ledger, builders.set_policy(), builders.open_room(), builders.grant("ada", 10_000))
    book(
        ledger,
        builders.gift("ada", "cake", **said()),
        builders.gift("ada", "cake", **said(visibility="anonymous")),
        builders.retract("r1:1"),
        builders.erase("ada"),
        builders.gift("ada", "rose", name="Ada again", message="back"),
    )
    text = repr(dump(ledger))
    assert "Lovelace" not in text and "secret" not in text
    assert "Ada again" in text and "back" in text
    assert [check for check in audit_connection(ledger).checks if not check.ok] == []


def test_a_retry_of_a_forgotten_gift_is_still_known_by_its_key() -> None:
    ledger = new_ledger()
    book(ledger, builders.set_policy(), builders.open_room(), builders.grant("ada", 10_000))
    wish = builders.gift("ada", "rose", **said(key="k"))
    book(ledger, wish)
    book(ledger, builders.erase("ada"))
    [again] = book(ledger, wish)
    assert again.replayed
    assert codes(book(ledger, builders.again(wish, message="other"))) == ["key_reused"]
    assert codes(book(ledger, builders.again(wish, message=None))) == ["key_reused"]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE event SET body = '{}'",
        "UPDATE event SET body = json_set(body, '$.from.name', 'Eve')",
        "UPDATE event SET body = json_set(body, '$.coins', 1, '$.from.name', '')",
        "UPDATE event SET coins = 1",
        "UPDATE command SET said = '[\"Eve\",null]' WHERE said IS NOT NULL",
        "UPDATE command SET said = '[\"\",null]' WHERE said IS NULL",
        "UPDATE command SET body = '{}', said = '[\"\",null]' WHERE said IS NOT NULL",
    ],
)
def test_forgetting_is_the_only_thing_that_can_happen_to_history(change: str) -> None:
    ledger = new_ledger()
    book(ledger, builders.set_policy(), builders.open_room(), builders.grant("ada", 10_000))
    book(ledger, builders.gift("ada", "cake", **said()))
    with pytest.raises(Exception, match="history is never changed"):
        ledger.execute(change)


LINES = {"gift", "gift_retracted", "gift_hidden", "room_closed"}


def test_what_is_forgotten_is_what_the_rules_forget_in_every_kind_of_line() -> None:
    """The SQL that goes through a person's lines at once, beside `rules.events.forget`."""
    with closing(whole_history()) as ledger:
        kinds = {kind for (kind,) in ledger.execute("SELECT DISTINCT kind FROM event")}
        assert kinds == LINES
        givers = "SELECT DISTINCT body ->> 'sender' FROM command WHERE kind = 'gift'"
        forgotten: Counter[str] = Counter()
        for (user,) in ledger.execute(givers).fetchall():
            theirs = lines_of(ledger, user)
            before = {(row[0], row[1]): row for row in dump(ledger)["event"]}
            book(ledger, builders.erase(user))
            for row in dump(ledger)["event"]:
                old = before[row[0], row[1]]
                expected = forget(old[6]) if (row[0], row[1]) in theirs else old[6].encode()
                assert json.dumps(json.loads(row[6])) == json.dumps(json.loads(expected)), row
                assert row[:6] == old[:6]
                forgotten[row[3]] += row[6] != old[6]
        assert forgotten["gift"] > 3 and forgotten["gift_retracted"] > 0
        assert forgotten.keys() == LINES and not forgotten["room_closed"] + forgotten["gift_hidden"]
        assert [check for check in audit_connection(ledger).checks if not check.ok] == []


def lines_of(ledger: sqlite3.Connection, user: str) -> set[tuple[str, int]]:
    """The lines that a person's gifts added, and those that took them back."""
    given = {
        (room, seq)
        for room, seq in ledger.execute(
            "SELECT e.room, e.seq FROM event AS e JOIN command AS c ON c.id = e.command"
            " WHERE e.kind = 'gift' AND c.body ->> 'sender' = ? AND c.actor = 'user:' || ?",
            (user, user),
        )
    }
    taken = {
        (room, seq)
        for room, gift_seq, kind, seq in ledger.execute("SELECT * FROM mark")
        if kind == "retracted" and (room, gift_seq) in given
    }
    return given | taken
