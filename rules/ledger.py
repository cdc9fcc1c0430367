"""Double entry: accounts, and transfers between two accounts of one currency.

An account counts everything that ever left it (`debits`) and came to it (`credits`); its balance is
the difference, so a balance is never edited. User accounts may not go below zero. The three system
accounts below may, and that is what they are for: what they are short of is what users hold.
"""

from enum import IntEnum, StrEnum
from typing import NamedTuple

import msgspec

MONEY_MAX = 2**53 - 1
"""The largest amount or user balance: exact in JSON and in browsers."""

SYSTEM_TOTAL_MAX = 2**62
"""System accounts sum what all users do; they are never sent to a browser."""


class Currency(StrEnum):
    COIN = "coin"
    DIAMOND = "diamond"
    """Counted in millidiamonds: any per-mille rate splits a coin without a remainder."""


class Code(StrEnum):
    """What an account is for."""

    COINS = "coins"
    DIAMONDS_PENDING = "diamonds_pending"
    DIAMONDS_AVAILABLE = "diamonds_available"
    DIAMONDS_RESERVED = "diamonds_reserved"
    COINS_GRANTED = "coins_granted"
    COINS_SPENT = "coins_spent"
    DIAMONDS_ISSUED = "diamonds_issued"


CURRENCY: dict[str, Currency] = {
    Code.COINS: Currency.COIN,
    Code.COINS_GRANTED: Currency.COIN,
    Code.COINS_SPENT: Currency.COIN,
    Code.DIAMONDS_PENDING: Currency.DIAMOND,
    Code.DIAMONDS_AVAILABLE: Currency.DIAMOND,
    Code.DIAMONDS_RESERVED: Currency.DIAMOND,
    Code.DIAMONDS_ISSUED: Currency.DIAMOND,
}

SYSTEM = ""
"""The owner of the system accounts; no user id is empty."""

SYSTEM_ACCOUNTS: dict[Code, int] = {
    Code.COINS_GRANTED: 1,
    Code.COINS_SPENT: 2,
    Code.DIAMONDS_ISSUED: 3,
}
FIRST_USER_ACCOUNT = 100
"""Ids below are the system's. The schema's partial indexes use this bound: nobody asks for the
statement of an account that half of all transfers touch."""


class Reason(IntEnum):
    """Why a transfer was made."""

    GRANT = 1
    GIFT_SPENT = 2
    GIFT_EARNED = 3
    RETRACT_SPENT = 4
    RETRACT_EARNED = 5


class Account(msgspec.Struct, gc=False):
    """A row that a batch works on."""

    id: int
    owner: str
    code: str
    debits: int
    credits: int

    @property
    def balance(self) -> int:
        return self.credits - self.debits


class Transfer(NamedTuple):
    """Immutable. `debit_after` and `credit_after` are the two balances after it."""

    id: int
    command: int
    reason: int
    debit: int
    credit: int
    amount: int
    debit_after: int
    credit_after: int


class LedgerFault(Exception):
    """A transfer that no command should have led to: a bug, and the whole batch is off."""


def has_room(account: Account, amount: int) -> bool:
    """Whether the account can take `amount` more without leaving the numbers that are exact."""
    ceiling = MONEY_MAX if account.owner != SYSTEM else SYSTEM_TOTAL_MAX
    return account.credits + amount <= ceiling


def move(
    id: int, command: int, reason: Reason, source: Account, target: Account, amount: int
) -> Transfer:
    """Move `amount` from one account to another and say so.

    Raises LedgerFault for what the rules must have refused before: an amount that is not positive,
    two currencies, an account with itself, a user's balance below zero, a counter out of range.
    """
    if type(amount) is not int or not 0 < amount <= MONEY_MAX:
        raise LedgerFault(f"amount {amount!r} is out of range")
    if source is target or CURRENCY[source.code] is not CURRENCY[target.code]:
        raise LedgerFault(f"no transfer from {source.code} to {target.code}")
    if source.owner != SYSTEM and source.credits - source.debits < amount:
        raise LedgerFault(f"account {source.id} has less than {amount}")
    if not has_room(target, amount) or source.debits + amount > SYSTEM_TOTAL_MAX:
        raise LedgerFault(f"account {target.id} cannot count {amount} more")
    source.debits += amount
    target.credits += amount
    return Transfer(
        id,
        command,
        reason,
        source.id,
        target.id,
        amount,
        source.credits - source.debits,
        target.credits - target.debits,
    )
