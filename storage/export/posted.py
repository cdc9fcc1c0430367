"""The journal as rows: each transfer with the command that made it and the accounts it went
between.

What the exports share, and what they ask of the books (`Journal`). A transfer that belongs to
nothing is an error and never left out.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol

from rules.ledger import CURRENCY, Currency, Reason
from storage.store import StoreError


class Posted(NamedTuple):
    """A transfer, with the command that made it and the accounts it went between."""

    transfer: int
    at_ms: int
    command: int
    kind: str
    actor: str
    key: str
    body: str
    outcome: str
    reason: str
    debit_owner: str
    debit_code: str
    credit_owner: str
    credit_code: str
    amount: int
    debit_after: int
    credit_after: int


class Journal(Protocol):
    """The books as the exports ask them. All answers are of one moment, and rows come as they are
    asked for, so memory does not grow with the history."""

    def posted(self) -> Iterator[Posted]:
        """Every transfer in order. Raises StoreError for one that belongs to nothing."""

    def currency(self) -> str:
        """Of money, as the policy in force says; nothing when it does not."""

    def period(self) -> tuple[int, int] | None:
        """The earliest and the latest time of a batch; None in books without one."""

    def opened(self) -> Iterator[tuple[str, str, int | None]]:
        """(owner, code, when it was first used, if it was) of every account, in order."""

    def owed(self) -> Iterator[tuple[str, str, int]]:
        """(owner, code, debits less credits) of every account, in order."""


_REASON = Posted._fields.index("reason")
_REASONS = {reason.value: reason.name.lower() for reason in Reason}


def posted(row: Sequence[Any]) -> Posted:
    """The transfer in a row of Posted's columns, with the number of its reason and None for what
    was not found. Raises StoreError."""
    fields = list(row)
    fields[_REASON] = _REASONS.get(row[_REASON])
    if None in fields:
        raise StoreError(
            f"Transfer {row[0]} belongs to a command, an account or a reason that does not "
            "exist; run `largesse audit`."
        )
    return Posted(*fields)


_EPOCH = datetime(1970, 1, 1)


def moment(at_ms: int) -> datetime:
    """In UTC."""
    try:
        return _EPOCH + timedelta(milliseconds=at_ms)
    except OverflowError as error:
        raise StoreError(f"No calendar has the time {at_ms} of the books.") from error


def iso(at_ms: int) -> str:
    return f"{moment(at_ms).isoformat(timespec='milliseconds')}Z"


def currency_of(code: str) -> Currency:
    try:
        return CURRENCY[code]
    except KeyError:
        raise StoreError(f"There is no account code {code}; run `largesse audit`.") from None
