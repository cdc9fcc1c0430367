"""Exports say what the books say: other programs add them up and come to the same sums."""

import csv
import io
import re
import sqlite3
import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from beancount.core.data import Balance, Open, Transaction
from beancount.loader import load_string
from hypothesis import given
from hypothesis import strategies as st

from kit.building.builders import gift, grant, hide, open_room, retract, set_policy
from kit.building.ledgers import NOW_MS, book, new_ledger
from rules.ledger import CURRENCY, AccountCode, Reason
from storage import StoreError
from storage.balance import Line
from storage.export import FORMATS, plain_cell
from storage.export.beancount import ROOTS, account_name
from storage.export.files import appearing
from storage.sqlite.export import export, trial_balance

DAY_MS = 86_400_000
ODD = ("-a", "a-", "--", "a_b", "a.b", "a:b", "A_-b", "7", ".", "a-u", "-ub", "Coins", "x" * 64)


@pytest.fixture
def books() -> Iterator[sqlite3.Connection]:
    """Many kinds of commands over several days, by users with odd ids, and refusals."""
    with closing(new_ledger()) as connection:
        book(connection, set_policy(), open_room("r1"), open_room("r2", "-_.:"))
        book(connection, *(grant(user, 5_000) for user in ODD), grant("ada", key="=1+1"))
        for number, user in enumerate(ODD):
            at_ms = NOW_MS + number * DAY_MS // 3
            sent = gift(user, "cake", quantity=3), gift(user, room="r2"), gift(user, "lion")
            book(connection, *sent, gift("nobody"), now_ms=at_ms)
        later = NOW_MS + 9 * DAY_MS
        book(connection, set_policy(rate_permille=0), gift("ada"), hide("r1:1"), now_ms=later)
        book(connection, retract("r1:2"), retract("r2:3"), now_ms=later + 1)
        yield connection


def as_csv(connection: sqlite3.Connection) -> list[dict[str, str]]:
    out = io.StringIO()
    count = export(connection, "csv", out)
    rows = list(csv.DictReader(io.StringIO(out.getvalue())))
    assert len(rows) == count
    return rows


def as_beancount(connection: sqlite3.Connection) -> str:
    out = io.StringIO()
    export(connection, "beancount", out)
    return out.getvalue()


def loaded(text: str) -> list[Any]:
    """The directives, after beancount has found nothing wrong with them."""
    entries, errors, _ = load_string(text)
    assert errors == [], [error.message for error in errors[:5]]
    return list(entries)


def complaints(text: str) -> str:
    return " ".join(error.message for error in load_string(text)[1])


def accounts(connection: sqlite3.Connection) -> dict[tuple[str, str], int]:
    rows = connection.execute("SELECT owner, code, credits - debits FROM account").fetchall()
    return {(owner, code): balance for owner, code, balance in rows}


# --- the trial balance ---


def test_both_sides_of_the_trial_balance_are_equal_in_every_currency(
    books: sqlite3.Connection,
) -> None:
    lines = trial_balance(books)
    totals = [line for line in lines if line.code == "total"]
    used = {CURRENCY[code] for (code,) in books.execute("SELECT DISTINCT code FROM account")}
    assert {line.currency for line in totals} == used >= {"coin", "diamond"}
    assert all(line.debits == line.credits and line.balance == 0 for line in totals)
    assert all(line.debits > 0 for line in totals if line.currency in ("coin", "diamond"))


def test_the_trial_balance_has_each_system_account_and_the_users_summed_by_code(
    books: sqlite3.Connection,
) -> None:
    balances: Counter[tuple[str, str]] = Counter()
    for (owner, code), balance in accounts(books).items():
        balances["users" if owner else "system", code] += balance
    lines = [line for line in trial_balance(books) if line.code != "total"]
    assert {(line.holder, line.code): line.balance for line in lines} == balances
    assert sum(line.accounts for line in lines) == len(accounts(books))
    coins = next(line for line in lines if (line.holder, line.code) == ("users", "coins"))
    assert coins.accounts == len(ODD) + 1
    assert coins.debits > 0 < coins.credits


def test_money_from_nowhere_unbalances_the_trial_balance(books: sqlite3.Connection) -> None:
    books.execute("UPDATE account SET credits = credits + 5 WHERE id = 2")
    [total] = [t for t in trial_balance(books) if (t.currency, t.code) == ("coin", "total")]
    assert total.balance == 5


def test_an_account_that_the_rules_do_not_know_is_shown(books: sqlite3.Connection) -> None:
    books.execute("INSERT INTO account VALUES (900, 'x', 'gold', 0, 7)")
    assert trial_balance(books)[-2:] == [
        Line("unknown", "users", "gold", 1, 0, 7),
        Line("unknown", "", "total", 1, 0, 7),
    ]


# --- the table ---


def test_each_transfer_is_a_row_that_says_what_made_it(books: sqlite3.Connection) -> None:
    rows = as_csv(books)
    assert len(rows) == books.execute("SELECT count(*) FROM transfer").fetchone()[0]
    row = next(r for r in rows if r["debit_owner"] == "a_b")
    assert row | {"transfer": "", "command": "", "key": ""} == {
        "transfer": "",
        "at": "2023-11-15T22:13:20.000Z",
        "at_ms": str(NOW_MS + DAY_MS),
        "command": "",
        "kind": "gift",
        "actor": "user:a_b",
        "key": "",
        "reason": "gift_spent",
        "debit_owner": "a_b",
        "debit_account": "coins",
        "credit_owner": "",
        "credit_account": "coins_spent",
        "currency": "coin",
        "amount": "75",
        "debit_balance_after": "4925",
        "credit_balance_after": row["credit_balance_after"],
    }
    assert {row["reason"] for row in rows} <= {reason.name.lower() for reason in Reason}


def test_the_rows_add_up_to_the_accounts(books: sqlite3.Connection) -> None:
    sums: Counter[tuple[str, str]] = Counter()
    last: dict[tuple[str, str], int] = {}
    for row in as_csv(books):
        for side, sign in (("debit", -1), ("credit", 1)):
            account = row[f"{side}_owner"].removeprefix("'"), row[f"{side}_account"]
            sums[account] += sign * int(row["amount"])
            last[account] = int(row[f"{side}_balance_after"])
    assert sums == last == {key: value for key, value in accounts(books).items() if key in sums}
    assert not any(value for key, value in accounts(books).items() if key not in sums)


def test_no_cell_is_a_formula_to_a_spreadsheet(books: sqlite3.Connection) -> None:
    book(books, grant("ada", key="\t=HYPERLINK()"), grant("bea", actor="@SUM(A1)"))
    cells = [(name, cell) for row in as_csv(books) for name, cell in row.items()]
    begun = {cell[0] for name, cell in cells if cell and "balance" not in name}
    assert begun and not begun & set("=+-@\t\r\n")
    texts = {cell for _, cell in cells}
    assert texts >= {"'=1+1", "'-a", "'--", "'\t=HYPERLINK()", "'@SUM(A1)"}


@given(st.text(max_size=8))
def test_a_guarded_cell_gives_its_text_back(text: str) -> None:
    assert plain_cell(text).removeprefix("'") == text
    assert not plain_cell(text).startswith(tuple("=+-@\t\r\n\0"))


# --- plain-text accounting ---


def test_beancount_accepts_the_books_and_comes_to_the_same_balances(
    books: sqlite3.Connection,
) -> None:
    entries = loaded(as_beancount(books))
    asserted = {e.account: int(e.amount.number) for e in entries if isinstance(e, Balance)}
    expected = {account_name(*key): -value for key, value in accounts(books).items()}
    assert asserted == expected
    assert {e.account for e in entries if isinstance(e, Open)} == set(expected)


def test_each_command_is_a_transaction_with_two_postings_for_each_transfer(
    books: sqlite3.Connection,
) -> None:
    found = [e for e in loaded(as_beancount(books)) if isinstance(e, Transaction)]
    sql = "SELECT command, count(*) FROM transfer GROUP BY command ORDER BY command"
    made = [(int(t.meta["command"]), len(t.postings) // 2) for t in found]
    assert made == books.execute(sql).fetchall()
    sent = next(t for t in found if t.meta["actor"] == "user:a_b")
    assert (sent.date, sent.meta["at"]) == (date(2023, 11, 15), "2023-11-15T22:13:20.000Z")
    assert (sent.narration, sent.meta["kind"]) == ("gift", "gift")
    assert re.fullmatch(r"r1:\d+", sent.meta["gift_id"])
    assert [(p.account, str(p.units)) for p in sent.postings] == [
        ("Liabilities:Coins:U-a-ub", "75 COIN"),
        ("Income:Coins:Spent", "-75 COIN"),
        ("Expenses:Diamonds:Issued", "37500 MILLIDIAMOND"),
        ("Liabilities:Diamonds:Pending:U-cleo", "-37500 MILLIDIAMOND"),
    ]
    assert sent.postings[0].meta["reason"] == "gift_spent"


def test_bean_check_accepts_the_file_and_names_the_line_that_was_changed(
    books: sqlite3.Connection, tmp_path: Path
) -> None:
    path, command = tmp_path / "b.beancount", Path(sys.executable).with_name("bean-check")
    if not command.exists():
        pytest.skip("bean-check is not installed")

    def checked(text: str) -> subprocess.CompletedProcess[str]:
        path.write_text(text, "utf-8")
        return subprocess.run([command, "--no-cache", path], capture_output=True, text=True)

    text = as_beancount(books)
    done = checked(text)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    done = checked(text.replace(" 75 COIN", " 74 COIN", 1))
    assert done.returncode == 1 and "does not balance" in done.stdout + done.stderr


TAMPERED = {
    "an amount on one side": (r"  Liabilities:Coins:U-7  75 C", "  Liabilities:Coins:U-7  7 C"),
    "a posting less": (r"  Liabilities:Coins:U-7  75 COIN\n", ""),
    "the wrong account": (r"  Liabilities:Coins:U-7  75 C", "  Liabilities:Coins:U-ada  75 C"),
    "the wrong commodity": (r"(Pending:U-cleo  -\d+) MILLIDIAMOND", r"\1 COIN"),
    "a gift less": (r"\n2023-11-16 \* \"gift\"\n(  .*\n)+", "\n"),
    "a final balance": (r"(balance Liabilities:Coins:U-7  -\d+)\d ", r"\g<1>77 "),
    "an account that is not opened": (r"\d+-\d+-\d+ open Liabilities:Coins:U-7 COIN\n", ""),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_beancount_refuses_a_file_that_was_changed(books: sqlite3.Connection, what: str) -> None:
    pattern, other = TAMPERED[what]
    text = as_beancount(books)
    changed, count = re.subn(pattern, other, text, count=1)
    assert count == 1 and changed != text
    assert complaints(changed)


def test_a_sum_that_is_wrong_in_the_books_fails_in_beancount(books: sqlite3.Connection) -> None:
    books.execute("UPDATE account SET credits = credits + 1 WHERE code = 'coins' AND owner = '7'")
    assert "Balance failed for 'Liabilities:Coins:U-7'" in complaints(as_beancount(books))


def test_a_clock_that_was_set_back_is_accepted() -> None:
    with closing(new_ledger()) as connection:
        book(connection, set_policy(), open_room(), grant(), now_ms=NOW_MS)
        book(connection, gift(), now_ms=NOW_MS - 3 * DAY_MS)
        book(connection, grant("bob"), gift("bob"), now_ms=NOW_MS - 5 * DAY_MS)
        entries = loaded(as_beancount(connection))
    opened = {e.account: str(e.date) for e in entries if isinstance(e, Open)}
    assert opened["Liabilities:Coins:U-ada"] == "2023-11-11"
    assert opened["Income:Coins:Spent"] == "2023-11-09"
    assert {str(e.date) for e in entries if isinstance(e, Balance)} == {"2023-11-15"}


def test_text_that_looks_like_syntax_is_only_text(books: sqlite3.Connection) -> None:
    key = 'a"b\\c\n2023-11-14 open Assets:Stolen\t;{}#^é\0'
    book(books, grant("ada", key=key))
    entries = loaded(as_beancount(books))
    [found] = [e for e in entries if isinstance(e, Transaction) and "Stolen" in e.meta["key"]]
    assert found.meta["key"] == re.sub("[\n\t\0]", "�", key)
    assert "Assets:Stolen" not in {e.account for e in entries if isinstance(e, Open)}


def test_new_books_are_an_empty_file_that_beancount_accepts() -> None:
    with closing(new_ledger()) as connection:
        assert loaded(as_beancount(connection)) == []
        assert as_csv(connection) == []


def test_books_without_money_moved_have_only_empty_accounts() -> None:
    with closing(new_ledger()) as connection:
        book(connection, set_policy())
        entries = loaded(as_beancount(connection))
    assert {e.amount.number for e in entries if isinstance(e, Balance)} == {0}


# --- streaming, and books that are broken ---


class Counted(io.StringIO):
    """Counts what is written and keeps none of it."""

    size = 0

    def write(self, text: str) -> int:
        self.size += len(text)
        return len(text)


GIFTS = 10_000
MEMORY_MAX = 400_000


@pytest.fixture(scope="module")
def many() -> Iterator[sqlite3.Connection]:
    """Ten thousand gifts."""
    with closing(new_ledger()) as connection:
        book(connection, set_policy(), open_room(), grant("ada", 100_000))
        for batch in range(GIFTS // 500):
            book(connection, *(gift() for _ in range(500)), now_ms=NOW_MS + batch * 3_600_000)
        yield connection


@pytest.mark.parametrize("format", FORMATS)
def test_memory_does_not_grow_with_the_history(many: sqlite3.Connection, format: str) -> None:
    export(many, format, Counted())
    out = Counted()
    tracemalloc.start()
    try:
        assert export(many, format, out) == 2 * GIFTS + 1
        used = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert out.size > 5 * MEMORY_MAX
    assert used < MEMORY_MAX


def test_beancount_accepts_ten_thousand_gifts(many: sqlite3.Connection) -> None:
    entries = loaded(as_beancount(many))
    assert sum(isinstance(e, Transaction) for e in entries) == GIFTS + 1
    [spent] = [
        e for e in entries if isinstance(e, Balance) and e.account == ROOTS[AccountCode.COINS_SPENT]
    ]
    assert spent.amount.number == -GIFTS


@pytest.mark.parametrize("format", FORMATS)
def test_an_export_is_of_one_moment(tmp_path: Path, format: str) -> None:
    path = tmp_path / "b.db"
    with closing(new_ledger(path)) as connection:
        book(connection, set_policy(), open_room(), grant())
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:

            class Interrupted(io.StringIO):
                def write(self, text: str) -> int:
                    book(connection, grant("bob"), gift())
                    return super().write(text)

            out = Interrupted()
            assert export(reader, format, out) == 1
            assert not reader.in_transaction
    assert "bob" not in out.getvalue()
    if format == "beancount":
        loaded(out.getvalue())


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    "change",
    [
        "INSERT INTO transfer VALUES (999, 888, 1, 1, 100, 5, 0, 0)",
        "INSERT INTO transfer VALUES (999, 5, 1, 1, 777, 5, 0, 0)",
        "INSERT INTO transfer VALUES (999, 5, 666, 1, 100, 5, 0, 0)",
        (
            "INSERT INTO account VALUES (900, 'x', 'gold', 0, 7);"
            "INSERT INTO transfer VALUES (999, 5, 1, 900, 100, 5, 0, 0)"
        ),
    ],
    ids=["no command", "no account", "no reason", "no such code"],
)
def test_what_belongs_to_nothing_is_a_sentence_and_not_left_out(
    books: sqlite3.Connection, format: str, change: str
) -> None:
    books.executescript(change)
    with pytest.raises(StoreError, match="run `largesse audit`"):
        export(books, format, Counted())


@pytest.mark.parametrize("format", FORMATS)
def test_a_time_that_no_calendar_has_is_a_sentence(format: str) -> None:
    with closing(new_ledger()) as connection:
        book(connection, grant(), now_ms=2**62)
        with pytest.raises(StoreError, match="No calendar"):
            export(connection, format, Counted())


def test_a_file_that_came_in_between_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "j.csv"
    with pytest.raises(FileExistsError):
        with appearing(target, replace=False):
            target.write_text("somebody else's")
    assert [file.read_text() for file in tmp_path.iterdir()] == ["somebody else's"]
