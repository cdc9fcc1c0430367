"""Logs of faults that a test makes on purpose stay out of its output."""

from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
from structlog.testing import capture_logs


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[MutableMapping[str, Any]]]:
    """What was logged. Without it, structlog prints every local of a traceback."""
    with capture_logs() as entries:
        yield entries
