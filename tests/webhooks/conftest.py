"""A show that is booked already, a receiver, and a worker between them."""

from collections.abc import AsyncIterator, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from kit.building.builders import grant, open_room, set_policy
from kit.servers.receiving import Receiver, Rig, receiving
from storage.sqlite.store import SqliteStore

SHOW_COMMANDS = 4
"""The commands of the show: events begin after them."""


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[MutableMapping[str, Any]]]:
    with capture_logs() as entries:
        yield entries


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as opened:
        yield opened


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """Two rooms, and Ada with 10,000 coins."""
    store = await SqliteStore.open(str(tmp_path / "books.db"))
    made = Rig(store)
    await made.settle(set_policy(), open_room("r1"), open_room("r2"), grant("ada", 10_000))
    yield made
    await made.kill()
    await store.close()
