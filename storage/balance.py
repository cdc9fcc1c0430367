"""The trial balance: what went out of and came into all accounts of a kind."""

from collections.abc import Iterable
from typing import NamedTuple

from rules.ledger import CURRENCY, Currency


class Line(NamedTuple):
    """What went out of and came into all accounts of one kind."""

    currency: str
    holder: str
    """`system`, `users`, or nothing for the total of the currency."""
    code: str
    accounts: int
    debits: int
    credits: int

    @property
    def balance(self) -> int:
        return self.credits - self.debits


TOTAL = "total"


def trial_balance(sums: Iterable[tuple[str, str, int, int, int]]) -> list[Line]:
    """Each currency's system accounts, the users' accounts summed by code, and the total, whose two
    sides are equal in books that are right.

    `sums` are (holder, code, accounts, debits, credits), the system's first, each in the order of
    its oldest account.
    """
    # An account that the rules do not know is shown too: it is what an auditor looks for.
    found = [Line(CURRENCY.get(code, "unknown"), holder, code, *n) for holder, code, *n in sums]
    lines: list[Line] = []
    for currency in (*Currency, "unknown"):
        some = [line for line in found if line.currency == currency]
        lines += [*some, _total(currency, some)] if some else []
    return lines


def _total(currency: str, lines: list[Line]) -> Line:
    accounts, debits, credits = (sum(column) for column in list(zip(*lines, strict=True))[3:])
    return Line(currency, "", TOTAL, accounts, debits, credits)
