"""The journal as a table for spreadsheets, for people who do not have to trust us.

Names and amounts come from the ledger's own tables (rules/ledger.py). Whether the books are right
is not asked here but by the audit.
"""

import csv
from typing import TextIO

from storage.export.posted import Journal, Posted, currency_of, iso

COLUMNS = (
    "transfer",
    "at",
    "at_ms",
    "command",
    "kind",
    "actor",
    "key",
    "reason",
    "debit_owner",
    "debit_account",
    "credit_owner",
    "credit_account",
    "currency",
    "amount",
    "debit_balance_after",
    "credit_balance_after",
)
"""`amount` left the debit account and came to the credit account, in whole coins, millidiamonds or
minor units of money. An owner that is empty is the system."""

_FORMULA = tuple("=+-@\t\r\n\0＝＋－＠'")
"""What a spreadsheet may take for the beginning of a formula (OWASP, CSV injection), full-width
forms included; and the apostrophe itself, so that taking one away always gives the text back."""


def plain_cell(text: str) -> str:
    """The text as a spreadsheet shows and never computes it: behind an apostrophe where needed."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def write_csv(journal: Journal, out: TextIO) -> int:
    """One line for each transfer, under a line of column names; how many transfers.

    UTF-8, commas, RFC 4180 quotes, lines that end with a line feed. Raises StoreError for a
    transfer that belongs to nothing.
    """
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    count = 0
    for posted in journal.posted():
        writer.writerow(_cells(posted))
        count += 1
    return count


def _cells(posted: Posted) -> tuple[str | int, ...]:
    return (
        posted.transfer,
        iso(posted.at_ms),
        posted.at_ms,
        posted.command,
        posted.kind,
        plain_cell(posted.actor),
        plain_cell(posted.key),
        posted.reason,
        plain_cell(posted.debit_owner),
        posted.debit_code,
        plain_cell(posted.credit_owner),
        posted.credit_code,
        currency_of(posted.debit_code).value,
        posted.amount,
        posted.debit_after,
        posted.credit_after,
    )
