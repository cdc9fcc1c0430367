"""Double entry: accounts, and transfers between two accounts of one currency.

An account counts everything that ever left it (`debits`) and came to it (`credits`); its balance is
the difference, so a balance is never edited. User accounts may not go below zero, and their debts
not above it. The system accounts below may go either way, and that is what they are for: what they
are short of is what users hold.
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
    MONEY = "money"
    """The minor unit of the one currency that the books are kept in."""


class AccountCode(StrEnum):
    """What an account is for."""

    COINS = "coins"
    COIN_DEBT = "coin_debt"
    """Coins that were spent and then charged back: never above zero."""
    DIAMONDS_PENDING = "diamonds_pending"
    DIAMONDS_AVAILABLE = "diamonds_available"
    DIAMONDS_RESERVED = "diamonds_reserved"
    DIAMOND_DEBT = "diamond_debt"
    """Diamonds that were paid out and then taken back: never above zero."""
    COINS_GRANTED = "coins_granted"
    COINS_SPENT = "coins_spent"
    DIAMONDS_ISSUED = "diamonds_issued"
    COINS_SOLD = "coins_sold"
    DIAMONDS_PAID = "diamonds_paid"
    MONEY_CLEARING = "money_clearing"
    """What payment providers and the bank hold for us: below zero, for it is an asset."""
    MONEY_SALES = "money_sales"
    MONEY_PAYOUTS = "money_payouts"
    COINS_CORRECTED = "coins_corrected"
    DIAMONDS_CORRECTED = "diamonds_corrected"


CURRENCY: dict[str, Currency] = {
    AccountCode.COINS: Currency.COIN,
    AccountCode.COIN_DEBT: Currency.COIN,
    AccountCode.COINS_GRANTED: Currency.COIN,
    AccountCode.COINS_SPENT: Currency.COIN,
    AccountCode.COINS_SOLD: Currency.COIN,
    AccountCode.COINS_CORRECTED: Currency.COIN,
    AccountCode.DIAMONDS_PENDING: Currency.DIAMOND,
    AccountCode.DIAMONDS_AVAILABLE: Currency.DIAMOND,
    AccountCode.DIAMONDS_RESERVED: Currency.DIAMOND,
    AccountCode.DIAMOND_DEBT: Currency.DIAMOND,
    AccountCode.DIAMONDS_ISSUED: Currency.DIAMOND,
    AccountCode.DIAMONDS_PAID: Currency.DIAMOND,
    AccountCode.DIAMONDS_CORRECTED: Currency.DIAMOND,
    AccountCode.MONEY_CLEARING: Currency.MONEY,
    AccountCode.MONEY_SALES: Currency.MONEY,
    AccountCode.MONEY_PAYOUTS: Currency.MONEY,
}

DEBTS: frozenset[str] = frozenset({AccountCode.COIN_DEBT.value, AccountCode.DIAMOND_DEBT.value})
"""What users owe: these accounts may go below zero and not above it."""

SYSTEM = ""
"""The owner of the system accounts; no user id is empty."""

SYSTEM_ACCOUNTS: dict[AccountCode, int] = {
    AccountCode.COINS_GRANTED: 1,
    AccountCode.COINS_SPENT: 2,
    AccountCode.DIAMONDS_ISSUED: 3,
    AccountCode.COINS_SOLD: 4,
    AccountCode.DIAMONDS_PAID: 5,
    AccountCode.MONEY_CLEARING: 6,
    AccountCode.MONEY_SALES: 7,
    AccountCode.MONEY_PAYOUTS: 8,
    AccountCode.COINS_CORRECTED: 9,
    AccountCode.DIAMONDS_CORRECTED: 10,
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
    PURCHASE = 6
    PURCHASE_MONEY = 7
    DEBT_PAID = 8
    REFUND = 9
    REFUND_MONEY = 10
    CHARGEBACK = 11
    CHARGEBACK_MONEY = 12
    CLAWBACK = 13
    RELEASE = 14
    DIAMOND_DEBT_PAID = 15
    PAYOUT_RESERVED = 16
    PAYOUT_PAID = 17
    PAYOUT_MONEY = 18
    PAYOUT_RETURNED = 19
    CORRECTION = 20


_EARNED = (AccountCode.DIAMONDS_PENDING, AccountCode.DIAMONDS_AVAILABLE, AccountCode.DIAMOND_DEBT)
_CORRECTABLE = (
    AccountCode.COINS,
    AccountCode.COIN_DEBT,
    AccountCode.DIAMONDS_AVAILABLE,
    AccountCode.DIAMOND_DEBT,
    AccountCode.COINS_CORRECTED,
    AccountCode.DIAMONDS_CORRECTED,
)

SIDES: dict[Reason, tuple[tuple[AccountCode, ...], tuple[AccountCode, ...]]] = {
    Reason.GRANT: ((AccountCode.COINS_GRANTED,), (AccountCode.COINS,)),
    Reason.GIFT_SPENT: ((AccountCode.COINS,), (AccountCode.COINS_SPENT,)),
    Reason.GIFT_EARNED: ((AccountCode.DIAMONDS_ISSUED,), (AccountCode.DIAMONDS_PENDING,)),
    Reason.RETRACT_SPENT: ((AccountCode.COINS_SPENT,), (AccountCode.COINS,)),
    Reason.RETRACT_EARNED: (_EARNED, (AccountCode.DIAMONDS_ISSUED,)),
    Reason.PURCHASE: ((AccountCode.COINS_SOLD,), (AccountCode.COINS,)),
    Reason.PURCHASE_MONEY: ((AccountCode.MONEY_CLEARING,), (AccountCode.MONEY_SALES,)),
    Reason.DEBT_PAID: ((AccountCode.COINS,), (AccountCode.COIN_DEBT,)),
    Reason.REFUND: ((AccountCode.COINS, AccountCode.COIN_DEBT), (AccountCode.COINS_SOLD,)),
    Reason.REFUND_MONEY: ((AccountCode.MONEY_SALES,), (AccountCode.MONEY_CLEARING,)),
    Reason.CHARGEBACK: ((AccountCode.COINS, AccountCode.COIN_DEBT), (AccountCode.COINS_SOLD,)),
    Reason.CHARGEBACK_MONEY: ((AccountCode.MONEY_SALES,), (AccountCode.MONEY_CLEARING,)),
    Reason.CLAWBACK: (_EARNED, (AccountCode.DIAMONDS_ISSUED,)),
    Reason.RELEASE: ((AccountCode.DIAMONDS_PENDING,), (AccountCode.DIAMONDS_AVAILABLE,)),
    Reason.DIAMOND_DEBT_PAID: ((AccountCode.DIAMONDS_AVAILABLE,), (AccountCode.DIAMOND_DEBT,)),
    Reason.PAYOUT_RESERVED: ((AccountCode.DIAMONDS_AVAILABLE,), (AccountCode.DIAMONDS_RESERVED,)),
    Reason.PAYOUT_PAID: ((AccountCode.DIAMONDS_RESERVED,), (AccountCode.DIAMONDS_PAID,)),
    Reason.PAYOUT_MONEY: ((AccountCode.MONEY_PAYOUTS,), (AccountCode.MONEY_CLEARING,)),
    Reason.PAYOUT_RETURNED: ((AccountCode.DIAMONDS_RESERVED,), (AccountCode.DIAMONDS_AVAILABLE,)),
    Reason.CORRECTION: (_CORRECTABLE, _CORRECTABLE),
}
"""From which accounts to which a transfer of each reason goes."""


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
    if account.code in DEBTS:
        return account.debits - account.credits >= amount
    ceiling = MONEY_MAX if account.owner != SYSTEM else SYSTEM_TOTAL_MAX
    return account.credits + amount <= ceiling


def can_give(account: Account, amount: int) -> bool:
    """Whether `amount` may be taken from the account: what it holds, or what its owner may owe."""
    if account.owner == SYSTEM:
        return account.debits + amount <= SYSTEM_TOTAL_MAX
    if account.code in DEBTS:
        return account.debits + amount <= MONEY_MAX
    return account.credits - account.debits >= amount


def move(
    id: int, command: int, reason: Reason, source: Account, target: Account, amount: int
) -> Transfer:
    """Move `amount` from one account to another and say so.

    Raises LedgerFault for what the rules must have refused before: an amount that is not positive,
    two currencies, an account with itself, a balance below zero or a debt above it, a counter out
    of range.
    """
    if type(amount) is not int or not 0 < amount <= MONEY_MAX:
        raise LedgerFault(f"amount {amount!r} is out of range")
    if source is target or CURRENCY[source.code] is not CURRENCY[target.code]:
        raise LedgerFault(f"no transfer from {source.code} to {target.code}")
    if not can_give(source, amount):
        raise LedgerFault(f"account {source.id} has less than {amount}")
    if not has_room(target, amount):
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
