"""What accounts and amounts are called in plain-text accounting, and that beancount accepts it."""

import csv
import io
import re
import sqlite3
from contextlib import closing
from typing import Any

import pytest
from beancount.core.data import Balance, Transaction
from beancount.loader import load_string
from hypothesis import given
from hypothesis import strategies as st

from kit.building.builders import (
    charge_back,
    grant,
    see_refund,
    set_policy,
    settle_purchase,
    start_purchase,
)
from kit.building.ledgers import NOW_MS, book, codes, new_ledger
from rules.ledger import CURRENCY, SYSTEM_ACCOUNTS, AccountCode, Currency
from storage.export.beancount import ROOTS, account_name
from storage.sqlite.export import export, trial_balance

ODD = ("-a", "a-", "--", "a_b", "a.b", "a:b", "A_-b", "7", ".", "a-u", "-ub", "Coins", "x" * 64)


def post(connection: sqlite3.Connection, at_ms: int, *moves: tuple[Any, ...], **body: Any) -> None:
    """One batch of one command with transfers (from, to, amount) written as rows: accounts are an
    owner and a code each, and need no command that moves such money."""
    command = connection.execute("SELECT coalesce(max(id), 0) + 1 FROM command").fetchone()[0]
    connection.execute(
        "INSERT INTO batch (id, at_ms, first_command, last_command, next_transfer, hash)"
        " SELECT coalesce(max(id), 0) + 1, ?, ?, ?, 0, '' FROM batch",
        (at_ms, command, command),
    )
    text = str(body).replace("'", '"')
    connection.execute(
        "INSERT INTO command (id, batch, actor, key, kind, fingerprint, body, outcome)"
        " SELECT ?, max(id), 'provider:sandbox', ?, 'settle_purchase', '', ?, '{}' FROM batch",
        (command, f"k{command}", text),
    )
    connection.execute("PRAGMA ignore_check_constraints = ON")
    for debit, credit, amount in moves:
        sides = [_account(connection, *side) for side in (debit, credit)]
        connection.execute(
            "UPDATE account SET debits = debits + ? WHERE id = ?", (amount, sides[0])
        )
        connection.execute(
            "UPDATE account SET credits = credits + ? WHERE id = ?", (amount, sides[1])
        )
        connection.execute(
            "INSERT INTO transfer (id, command, reason, debit, credit, amount, debit_after,"
            " credit_after) SELECT coalesce(max(id), 0) + 1, ?, 1, ?, ?, ?, 0, 0 FROM transfer",
            (command, *sides, amount),
        )


def _account(connection: sqlite3.Connection, owner: str, code: AccountCode) -> int:
    number = SYSTEM_ACCOUNTS[code] if owner == "" else None
    connection.execute(
        "INSERT OR IGNORE INTO account (id, owner, code, debits, credits)"
        " SELECT coalesce(?, max(id, 99) + 1), ?, ?, 0, 0 FROM"
        " (SELECT max(id) AS id FROM account)",
        (number, owner, code.value),
    )
    sql = "SELECT id FROM account WHERE owner = ? AND code = ?"
    found: int = connection.execute(sql, (owner, code.value)).fetchone()[0]
    return found


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


def currencies(connection: sqlite3.Connection) -> list[str]:
    """The column of the table."""
    out = io.StringIO()
    export(connection, "csv", out)
    return [row["currency"] for row in csv.DictReader(io.StringIO(out.getvalue()))]


# --- money ---

SALE = ("", AccountCode.MONEY_CLEARING), ("", AccountCode.MONEY_SALES)
COST = ("", AccountCode.MONEY_PAYOUTS), ("", AccountCode.MONEY_CLEARING)


def in_currency(connection: sqlite3.Connection, currency: str) -> None:
    """The newest policy, as if the shop sold in this currency."""
    connection.execute(
        "INSERT INTO policy (command, body) SELECT 9, json_set(body, '$.shop',"
        " json_object('currency', ?)) FROM policy",
        (currency,),
    )


@pytest.mark.parametrize(
    ("currency", "clearing", "sales", "payouts"),
    [
        ("USD", "11.95 USD", "-12.00 USD", "0.05 USD"),
        ("JPY", "1195 JPY", "-1200 JPY", "5 JPY"),
        ("KWD", "1.195 KWD", "-1.200 KWD", "0.005 KWD"),
    ],
)
def test_money_has_the_decimals_of_its_currency_and_the_sign_of_a_bookkeeper(
    currency: str, clearing: str, sales: str, payouts: str
) -> None:
    with closing(new_ledger()) as connection:
        book(connection, set_policy())
        in_currency(connection, currency)
        buy = ("", AccountCode.COINS_SOLD), ("ada", AccountCode.COINS), 1_200
        post(connection, NOW_MS, (*SALE, 1_200), buy, purchase="p-1")
        post(connection, NOW_MS, (*COST, 5))
        text = as_beancount(connection)
    entries = loaded(text)
    asserted = {e.account: str(e.amount) for e in entries if isinstance(e, Balance)}
    assert asserted["Assets:Money:Clearing"] == clearing
    assert asserted["Income:Money:Sales"] == sales
    assert asserted["Expenses:Money:Payouts"] == payouts
    assert asserted["Equity:Coins:Sold"] == "1200 COIN"
    bought = next(e for e in entries if isinstance(e, Transaction))
    assert bought.meta["purchase"] == "p-1"


def test_what_a_provider_says_of_a_payment_names_the_purchase_that_was_found() -> None:
    with closing(new_ledger()) as connection:
        book(connection, set_policy(), start_purchase(), settle_purchase())
        told = see_refund(None, payment="payment-p1"), charge_back(None, payment="payment-p1")
        assert codes(book(connection, *told)) == ["booked", "booked"]
        entries = loaded(as_beancount(connection))
    named = [(e.meta["kind"], e.meta["purchase"]) for e in entries if isinstance(e, Transaction)]
    kinds = ("settle_purchase", "see_refund", "charge_back")
    assert named == [(kind, "p1") for kind in kinds]


def test_beancount_finds_a_single_cent() -> None:
    with closing(new_ledger()) as connection:
        book(connection, set_policy())
        post(connection, NOW_MS, (*SALE, 1_200))
        text = as_beancount(connection)
    assert complaints(text.replace(" 12.00 USD", " 12.01 USD", 1))
    assert complaints(text.replace(" -12.00 ~", " -12.01 ~", 1))


def test_every_code_and_currency_of_the_ledger_can_be_exported() -> None:
    assert set(AccountCode) <= set(ROOTS)
    with closing(new_ledger()) as connection:
        book(connection, set_policy())
        for code in AccountCode:
            owner = "" if code in SYSTEM_ACCOUNTS else "ada"
            currency = CURRENCY[code]
            other = next(c for c in SYSTEM_ACCOUNTS if CURRENCY[c] == currency and c != code)
            post(connection, NOW_MS, ((owner, code), ("", other), 7))
        entries = loaded(as_beancount(connection))
        assert set(currencies(connection)) == set(Currency)
        assert {line.code for line in trial_balance(connection)} >= set(AccountCode)
    debts = [e for e in entries if isinstance(e, Balance) and ":Debt:" in e.account]
    assert len(debts) == 2 and all(debt.amount.number == 7 for debt in debts)


# --- names of accounts ---

IDS = st.from_regex(r"[A-Za-z0-9_.:-]{1,64}", fullmatch=True) | st.sampled_from(ODD)
OWNERS = IDS | st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=9)
_MARKS = {"--": "-", "-u": "_", "-d": ".", "-c": ":"}


def user_of(name: str) -> str:
    """What the documentation says about reading a name, said once more."""
    encoded = name.partition(":U-")[2]
    return re.sub(
        r"-x([0-9a-f]+)-|-[-udc]",
        lambda mark: chr(int(mark[1], 16)) if mark[1] else _MARKS[mark[0]],
        encoded,
    )


@given(OWNERS, st.sampled_from(sorted(ROOTS)))
def test_the_name_of_an_account_can_be_read_back(owner: str, code: str) -> None:
    name = account_name(owner, code)
    assert user_of(name) == owner
    assert re.fullmatch(r"[A-Z][A-Za-z0-9-]*(:[A-Z0-9][A-Za-z0-9-]*)+", name)


@given(st.lists(st.tuples(OWNERS, st.sampled_from(sorted(ROOTS))), unique=True))
def test_different_accounts_have_different_names(keys: list[tuple[str, str]]) -> None:
    assert len({account_name(*key) for key in keys}) == len(keys)


def test_no_account_of_a_user_is_below_that_of_somebody_else() -> None:
    """beancount adds accounts below another one to its balance."""
    names = [account_name(*key) for code in AccountCode for key in (("", code), ("Coins", code))]
    below = {(a, b) for a in names for b in names if b.startswith(f"{a}:")}
    assert below == {(account_name("", code), account_name("Coins", code)) for code in AccountCode}
    assert len(set(ROOTS.values())) == len(ROOTS)


@given(st.lists(OWNERS, min_size=1, max_size=20, unique=True))
def test_beancount_accepts_every_user_id(owners: list[str]) -> None:
    with closing(new_ledger()) as connection:
        book(connection, *(grant(owner, coins) for coins, owner in enumerate(owners, 1)))
        found = [e for e in loaded(as_beancount(connection)) if isinstance(e, Balance)]
    held = {user_of(e.account): -int(e.amount.number) for e in found if ":U-" in e.account}
    assert held == {owner: coins for coins, owner in enumerate(owners, 1)}
