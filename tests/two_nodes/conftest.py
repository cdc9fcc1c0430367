"""A ledger in memory, and servers on it."""

from collections.abc import AsyncIterator, Iterator, MutableMapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from kit.servers.two import Nodes
from storage import Store, open_store


@pytest.fixture
def logs() -> Iterator[list[MutableMapping[str, Any]]]:
    with capture_logs() as entries:
        yield entries


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    opened = await open_store("sqlite:///:memory:")
    yield opened
    await opened.close()


@pytest.fixture
async def nodes(store: Store) -> AsyncIterator[Nodes]:
    made = Nodes(store)
    yield made
    await made.stop_all()
