"""The adapters that every test of this folder is run with. A new adapter is one line in ADAPTERS.

Which method of a contract which tests call is printed by `PYTHONPATH=tests python -m
kit.contract_calls`.
"""

from collections.abc import AsyncIterator, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from kit.building.builders import grant, open_room, set_policy
from kit.building.ledgers import NOW_MS
from storage import Store, open_store

ADAPTERS: dict[str, str] = {
    "sqlite-file": "sqlite:///{folder}/largesse.db",
    "sqlite-memory": "sqlite:///:memory:",
}
"""The address of empty books of each."""


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[MutableMapping[str, Any]]]:
    """What was logged. Without it, structlog prints every local of a traceback."""
    with capture_logs() as entries:
        yield entries


@pytest.fixture(params=ADAPTERS)
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return ADAPTERS[request.param].format(folder=tmp_path)


@pytest.fixture
async def store(address: str) -> AsyncIterator[Store]:
    """Empty books."""
    opened = await open_store(address)
    yield opened
    await opened.close()


@pytest.fixture
async def show(store: Store) -> Store:
    """A policy, a room of Cleo's, and 1,000 coins each for Ada and Bob."""
    await store.settle([set_policy(), open_room(), grant("ada"), grant("bob")], NOW_MS)
    return store
