"""How SQLite keeps deliveries: in short transactions, of which a failed one leaves nothing."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kit.building.builders import gift, grant, open_room, set_policy
from kit.building.ledgers import NOW_MS
from storage.deliveries import Attempted, Entered
from storage.sqlite import deliveries
from storage.sqlite.store import SqliteStore
from storage.store import StoreUnavailable


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """An endpoint, and ten gifts for it: commands 4 to 13."""
    opened = await SqliteStore.open(str(tmp_path / "books.db"))
    show = [set_policy(), open_room("r1"), grant("ada", 10_000)]
    await opened.settle([*show, *[gift() for _ in range(10)]], NOW_MS)
    assert await opened.deliveries.follow("e1", 4)
    given = [Entered("e1", command, "gift.accepted", "a") for command in range(4, 14)]
    await opened.deliveries.enter(given, {"e1": (3, 13)}, NOW_MS)
    yield opened
    await opened.close()


async def test_large_forgetting_goes_in_steps(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "CLEAR_ROWS", 4)
    assert [await store.deliveries.forget("e1") for _ in range(3)] == [False, False, True]
    assert await store.deliveries.cursors() == {}


async def test_attempts_of_what_is_pruned_are_deleted(store: SqliteStore) -> None:
    delivered = Attempted(("e1", "a"), 4, NOW_MS, 200, None, 3, "delivered", NOW_MS)
    await store.deliveries.record([delivered])
    assert not await store.deliveries.prune(NOW_MS + 1, 0)
    async with store._writer.execute("SELECT count(*) FROM attempt") as rows:
        assert await rows.fetchone() == (0,)


async def test_a_transaction_that_fails_leaves_nothing_and_the_store_goes_on(
    store: SqliteStore,
) -> None:
    def fails(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM endpoint_cursor")
        connection.execute("INSERT INTO endpoint_cursor VALUES ('x', 5, 1)")

    with pytest.raises(StoreUnavailable):
        await store._transact(fails)
    assert "e1" in await store.deliveries.cursors()
    await store.settle([gift()], NOW_MS)
