"""What the tests of payments share: a moment, and a wish."""

from collections.abc import Callable
from typing import Any

import pytest

from server.payments import Wish

NOW_MS = 1_800_000_000_123


@pytest.fixture(scope="session")
def now_ms() -> int:
    return NOW_MS


@pytest.fixture(scope="session")
def wish() -> Callable[..., Wish]:
    def wishing(**changed: Any) -> Wish:
        given = {
            "purchase": "p-1",
            "user": "vera",
            "coins": 500,
            "amount_minor": 499,
            "currency": "USD",
            "return_url": "https://gifts.example",
            "description": "500 coins",
        }
        return Wish(**(given | changed))

    return wishing
