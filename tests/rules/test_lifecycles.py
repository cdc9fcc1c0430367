"""The life cycles as one can draw them, held against the tables of the rules.

PENDING --FAIL--> FAILED   is a step of a line below; what has no line cannot happen.
"""

from enum import Enum
from typing import Any

import pytest

from rules.lifecycles import PAYOUT, PURCHASE, PayoutStatus, PurchaseStatus

STEPS = {
    "purchase": (
        PURCHASE,
        """
        pending  FAIL         failed
        pending  PARK         pending
        pending  PAY          paid
        pending  PAY_PARKED   charged_back
        failed   PARK         failed
        failed   PAY          paid
        failed   PAY_PARKED   charged_back
        paid     REFUND_PART  paid
        paid     REFUND_REST  refunded
        paid     CHARGE_BACK  charged_back
        """,
    ),
    "payout": (
        PAYOUT,
        """
        requested  APPROVE  approved
        requested  REJECT   rejected
        approved   PAY      paid
        approved   REJECT   rejected
        """,
    ),
}


@pytest.mark.parametrize("name", STEPS)
def test_the_steps_are_these_and_no_other(name: str) -> None:
    table, drawn = STEPS[name]
    steps = {(a.value, step.name, b.value) for a, row in table.items() for step, b in row.items()}
    assert steps == {tuple(line.split()) for line in drawn.strip().splitlines()}


@pytest.mark.parametrize(
    ("table", "beginnings"),
    [
        (PURCHASE, {PurchaseStatus.PENDING}),
        (PAYOUT, {PayoutStatus.REQUESTED, PayoutStatus.APPROVED}),
    ],
)
def test_every_status_comes_about_and_money_never_moves_twice(
    table: dict[Any, dict[Enum, Any]], beginnings: set[Any]
) -> None:
    """No way leads back to a status that was left: what was paid or given back stays so."""
    reached, ways = set(beginnings), [(status,) for status in beginnings]
    while ways:
        way = ways.pop()
        for after in {*table[way[-1]].values()} - {way[-1]}:
            assert after not in way
            reached.add(after)
            ways.append((*way, after))
    assert reached == set(table)
