"""Fixtures that more than one folder uses."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.servers.serving import ServerProcess

pytest.register_assert_rewrite("kit.disks", "kit.tables", "kit.servers.http_asking")


@pytest.fixture
def live_server(tmp_path: Path) -> Iterator[ServerProcess]:
    """`largesse serve` in a process of its own."""
    server = ServerProcess(
        tmp_path, **{"gift-rate": 10_000, "gift-burst": 10_000, "max-connections-per-user": 5_000}
    )
    server.start()
    yield server
    server.stop()
