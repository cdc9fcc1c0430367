"""A ledger for a test; and logs of faults that it makes on purpose stay out of its output."""

import sqlite3
from collections.abc import Iterator, MutableMapping
from contextlib import closing
from typing import Any

import pytest
from structlog.testing import capture_logs

from kit.building.ledgers import new_ledger


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[MutableMapping[str, Any]]]:
    """What was logged. Without it, structlog prints every local of a traceback."""
    with capture_logs() as entries:
        yield entries


@pytest.fixture
def ledger() -> Iterator[sqlite3.Connection]:
    """Empty books in memory."""
    with closing(new_ledger()) as connection:
        yield connection
