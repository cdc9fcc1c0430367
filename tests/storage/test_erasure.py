"""Forgetting a person: the name and the words go, the books stay and still prove themselves."""

from pathlib import Path

import pytest

from kit.building import builders
from kit.building.ledgers import book, codes, dump, new_ledger
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
