"""The states of the books are the same words in the schema, the HTTP API and the command line."""

import ast
import re
import sqlite3
from enum import StrEnum
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from rules.commands import ProposeCorrection
from rules.lifecycles import (
    CorrectionStatus,
    PayoutStatus,
    PurchaseStatus,
    RefundStatus,
    RoomStatus,
)
from storage.sqlite.migrations import migrate

ROOT = Path(__file__).parents[2]
TABLES: dict[str, type[StrEnum]] = {
    "room": RoomStatus,
    "purchase": PurchaseStatus,
    "refund": RefundStatus,
    "payout": PayoutStatus,
    "correction": CorrectionStatus,
}


@pytest.mark.parametrize("table", TABLES)
def test_the_schema_knows_the_same_states(table: str) -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    [sql] = connection.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    connection.close()
    [states] = re.findall(r"\bstatus\s+TEXT NOT NULL CHECK \(status IN \(([^)]+)\)\)", sql)
    assert re.findall("'([a-z_]+)'", states) == [state.value for state in TABLES[table]]


LISTING = sorted((ROOT / "server").rglob("*.py"))


def listed(file: Path) -> list[list[str]]:
    """The words of every `Literal` and of every tuple of words in a file."""
    found = []
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Tuple):
            words = [part.value for part in node.elts if isinstance(part, ast.Constant)]
            if len(words) == len(node.elts):
                found.append([word for word in words if isinstance(word, str)])
    return found


def test_who_lists_two_states_of_a_thing_lists_all_of_them_in_their_order() -> None:
    """And who lists two accounts that can be corrected."""
    whole = [[state.value for state in states] for states in TABLES.values()]
    whole.append([*get_args(get_type_hints(ProposeCorrection)["account"])])
    seen = []
    for file in LISTING:
        for words in listed(file):
            if any(len({*words} & {*states}) > 1 for states in whole):
                assert words in whole, (file, words)
                seen.append(words)
    for states in (PurchaseStatus, PayoutStatus, CorrectionStatus):
        assert list(states) in seen, f"nobody lists {states.__name__}"
