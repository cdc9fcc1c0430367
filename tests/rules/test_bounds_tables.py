"""How many of a thing there may be, as tables: it is counted where it is decided.

How they are read is told in tests/kit/tables/ledger_tables.py.
"""

import msgspec
import pytest

from kit.building import builders
from kit.tables.ledger_tables import check_table
from rules.commands import read_command, write

TABLES = {
    "a user has so many purchases waiting, whatever ends the waiting": """
        policy bounds.pending_purchases_max=2
        start ada p1 key=a              | ok
        start ada p2                    | ok
        start ada p3                    | -wrong_state most=2
        start ada p9 key=a              | replay purchase=p1
        start bob p4                    | ok
        start ada p5 coins=1            | -invalid least=50
        fail p1                         | ok
        fail p1                         | replay
        start ada p5                    | ok
        start ada p6                    | -wrong_state
        paid p2 amount_minor=1          | ok why=wrong_amount
        start ada p6                    | -wrong_state
        paid p2                         | ok
        paid p2                         | replay
        start ada p6                    | ok
        chargeback p5                   | ok | p5.status=pending p5.parked=fraudulent
        start ada p7                    | -wrong_state
        paid p5                         | ok | p5.status=charged_back
        paid p1                         | ok | p1.status=paid
        start ada p7                    | ok
        start ada p8                    | -wrong_state
        refund p2                       | ok | p2.status=refunded
        chargeback p1                   | ok | p1.status=charged_back
        start ada p8                    | -wrong_state
    """.replace("policy ", "policy shop.minimum_coins=50 "),
    "the backend orders as many as it likes, and they count": """
        policy bounds.pending_purchases_max=1
        start ada p1 actor=backend      | ok
        start ada p2 actor=backend      | ok
        start ada p3                    | -wrong_state
        fail p1                         | ok
        start ada p3                    | -wrong_state
        fail p2                         | ok
        start ada p3                    | ok
    """,
    "a bound holds from the policy on that has it": """
        policy
        start ada p1                    | ok
        start ada p2                    | ok
        policy bounds.pending_purchases_max=1
        start ada p3                    | -wrong_state most=1
        policy bounds.pending_purchases_max=0
        start ada p3                    | ok
        policy bounds.pending_purchases_max=3
        start ada p4                    | -wrong_state most=3
        policy
        start ada p4                    | ok
    """,
    "there are so many endpoints, those that are disabled too": """
        policy bounds.endpoints_max=2
        endpoint shop a key=e           | ok
        endpoint mail                   | ok
        endpoint chat                   | -invalid field=endpoint most=2
        endpoint shop a key=e           | replay endpoint=shop
        endpoint shop b                 | ok | shop.kinds=b
        disable mail                    | ok
        endpoint chat                   | -invalid field=endpoint
        endpoint mail                   | ok | mail.enabled=true
        policy bounds.endpoints_max=0
        endpoint chat                   | ok
        policy bounds.endpoints_max=3
        endpoint news                   | -invalid most=3
        policy
        endpoint news                   | ok
    """,
}


@pytest.mark.parametrize("name", TABLES)
def test_the_books_follow_the_table(name: str) -> None:
    check_table(TABLES[name])


def test_a_policy_that_is_older_than_the_bounds_is_written_as_it_was() -> None:
    """Its journal is replayed bit for bit."""
    written = msgspec.json.decode(write(builders.set_policy()))
    assert "bounds" not in written["policy"]
    assert write(read_command(msgspec.json.encode(written))) == msgspec.json.encode(written)
