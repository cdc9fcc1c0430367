"""The journal as plain-text accounting, so that a program that is not ours checks the sums.

The file is for beancount (https://beancount.github.io), whose signs are those of every bookkeeper:
a debit is positive, a credit negative. That is our balance turned around, so what users hold (our
liability) is negative there and what is held for us (an asset) is positive. The file ends with the
balance of every account as our own counters have it; beancount sums the postings itself and reports
any difference.
"""

from collections.abc import Iterator
from datetime import date
from itertools import groupby
from operator import attrgetter
from typing import Any, TextIO

import orjson

from rules.days import DAY_MS
from rules.ledger import SYSTEM, AccountCode, Currency
from rules.shop import Shop
from storage.export.posted import Journal, Posted, currency_of, iso, moment
from storage.store import StoreError

ROOTS: dict[str, str] = {
    AccountCode.COINS: "Liabilities:Coins",
    AccountCode.COIN_DEBT: "Assets:Debt:Coins",
    AccountCode.DIAMONDS_PENDING: "Liabilities:Diamonds:Pending",
    AccountCode.DIAMONDS_AVAILABLE: "Liabilities:Diamonds:Available",
    AccountCode.DIAMONDS_RESERVED: "Liabilities:Diamonds:Reserved",
    AccountCode.DIAMOND_DEBT: "Assets:Debt:Diamonds",
    AccountCode.COINS_GRANTED: "Expenses:Coins:Granted",
    AccountCode.COINS_SPENT: "Income:Coins:Spent",
    AccountCode.COINS_SOLD: "Equity:Coins:Sold",
    AccountCode.COINS_CORRECTED: "Equity:Coins:Corrected",
    AccountCode.DIAMONDS_ISSUED: "Expenses:Diamonds:Issued",
    AccountCode.DIAMONDS_PAID: "Equity:Diamonds:Paid",
    AccountCode.DIAMONDS_CORRECTED: "Equity:Diamonds:Corrected",
    AccountCode.MONEY_CLEARING: "Assets:Money:Clearing",
    AccountCode.MONEY_SALES: "Income:Money:Sales",
    AccountCode.MONEY_PAYOUTS: "Expenses:Money:Payouts",
}
"""A system account is its root; a user's account is the user below the root, so that a sum over
all users is the balance of a root."""

_LETTERS = {"-": "--", "_": "-u", ".": "-d", ":": "-c"}

_HEAD = """\
;; The journal of largesse as double entry for beancount. A debit is positive, a credit negative:
;; what users hold is a liability and negative.
;; COIN is a coin, MILLIDIAMOND a thousandth of a diamond, {currency} is money.
;; A user is U- and the id, in which -- stands for -, -u for _, -d for a dot and -c for a colon.

option "title" "largesse"
option "operating_currency" "{currency}"

"""

_REFERENCES = ("gift_id", "purchase", "payment", "refund", "payout", "correction")
"""What a command may name: the things that a person looks for in the books."""


def account_name(owner: str, code: str) -> str:
    """What the account is called in plain-text accounting. Different accounts have other names.

    A component there has only letters, digits and hyphens and begins with a capital or a digit.
    So a user is `U-` and the id, with `--` for a hyphen, `-u` for `_`, `-d` for `.`, `-c` for `:`,
    and `-x7e-` for any other character by its code point, which no user id has today.
    """
    currency_of(code)  # a sentence for a code that is none
    if owner == SYSTEM:
        return ROOTS[code]
    return f"{ROOTS[code]}:U-{''.join(map(_letter, owner))}"


def _letter(letter: str) -> str:
    if letter.isascii() and letter.isalnum():
        return letter
    return _LETTERS.get(letter) or f"-x{ord(letter):x}-"


def write_beancount(journal: Journal, out: TextIO) -> int:
    """A beancount file: a transaction for each command, two postings for each transfer, and the
    balance of every account on the day after the newest batch; how many transfers.

    A transaction has the UTC day of its batch; within a day, the order of the file is the order of
    the books. Text in metadata has � in the place of control characters. Raises StoreError.
    """
    currency = journal.currency()
    shop = Shop(currency=currency) if currency else Shop()
    out.write(_HEAD.format(currency=shop.currency))
    period = journal.period()
    if period is None:
        return 0
    out.writelines(_openings(journal, shop, period[0]))
    count = 0
    for _, group in groupby(journal.posted(), key=attrgetter("command")):
        posted = list(group)
        out.writelines(_transaction(posted, shop))
        count += len(posted)
    out.writelines(_balances(journal, shop, _day_after(period[1])))
    return count


def _openings(journal: Journal, shop: Shop, first_ms: int) -> Iterator[str]:
    """Commodities, and accounts on the day of their first transfer (or of the books), which is not
    that of their lowest one when the clock was set back."""
    for currency in Currency:
        yield f"{_day(first_ms)} commodity {_commodity(currency, shop)}\n"
    yield "\n"
    for owner, code, used_ms in journal.opened():
        at_ms = first_ms if used_ms is None else used_ms
        name, commodity = account_name(owner, code), _commodity(currency_of(code), shop)
        yield f"{_day(at_ms)} open {name} {commodity}\n"


def _transaction(posted: list[Posted], shop: Shop) -> Iterator[str]:
    first = posted[0]
    yield f"\n{_day(first.at_ms)} * {_quoted(first.kind.replace('_', ' '))}\n"
    yield f"  command: {first.command}\n"
    named = {"at": iso(first.at_ms), "kind": first.kind, "actor": first.actor, "key": first.key}
    named |= _references(first)
    for name, value in named.items():
        yield f"  {name}: {_quoted(value)}\n"
    for each in posted:
        commodity = _commodity(currency_of(each.debit_code), shop)
        amount = _decimal(each.amount, commodity, shop)
        yield f"  {account_name(each.debit_owner, each.debit_code)}  {amount} {commodity}\n"
        yield f"    transfer: {each.transfer}\n    reason: {_quoted(each.reason)}\n"
        yield f"  {account_name(each.credit_owner, each.credit_code)}  -{amount} {commodity}\n"


def _references(posted: Posted) -> dict[str, str]:
    try:
        command: dict[str, Any] = orjson.loads(posted.body)
        outcome: dict[str, Any] = orjson.loads(posted.outcome)
    except orjson.JSONDecodeError as error:
        raise StoreError(f"Command {posted.command} is no JSON; run `largesse audit`.") from error
    # A provider may name only the payment; then the outcome says which purchase it was.
    said = outcome | {name: value for name, value in command.items() if value is not None}
    found = {name: str(said[name]) for name in _REFERENCES if said.get(name) is not None}
    if outcome.get("kind") == "gift_accepted":
        found["gift_id"] = f"{outcome['room']}:{outcome['seq']}"
    return found


def _balances(journal: Journal, shop: Shop, day: date) -> Iterator[str]:
    """The counters of the accounts, exactly: left alone, beancount lets the last digit be off."""
    yield "\n"
    for owner, code, owed in journal.owed():
        commodity = _commodity(currency_of(code), shop)
        amount = _decimal(owed, commodity, shop)
        yield f"{day} balance {account_name(owner, code)}  {amount} ~ 0 {commodity}\n"


def _commodity(currency: Currency, shop: Shop) -> str:
    match currency:
        case Currency.COIN:
            return "COIN"
        case Currency.DIAMOND:
            return "MILLIDIAMOND"
        case Currency.MONEY:
            return shop.currency


def _decimal(units: int, commodity: str, shop: Shop) -> str:
    """Whole units, and minor units of money as decimals of it."""
    if commodity != shop.currency or not shop.minor_digits:
        return str(units)
    whole, part = divmod(abs(units), 10**shop.minor_digits)
    return f"{'-' if units < 0 else ''}{whole}.{part:0{shop.minor_digits}d}"


def _quoted(text: str) -> str:
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return '"' + shown.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _day(at_ms: int) -> date:
    return moment(at_ms).date()


def _day_after(at_ms: int) -> date:
    return _day(at_ms + DAY_MS)
