"""Fixtures that more than one folder uses."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from kit.servers import children
from kit.servers.serving import ServerProcess, server_process

# How much Hypothesis draws. `make test-deep` gives `--hypothesis-profile=deep`; no test has a
# number of its own. No deadline: a busy machine is no bug.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", PATIENT, max_examples=20)
settings.register_profile("deep", PATIENT, max_examples=300)
settings.load_profile("quick")

pytest.register_assert_rewrite("kit.disks", "kit.tables", "kit.servers.http_asking")


@pytest.fixture
def live_server(tmp_path: Path) -> Iterator[ServerProcess]:
    """`largesse serve` in a process of its own."""
    flags = {"gift-rate": 10_000, "gift-burst": 10_000, "max-connections-per-user": 5_000}
    with server_process(tmp_path, **flags) as server:
        yield server


def pytest_unconfigure() -> None:
    """What a clean-up that was itself interrupted has left."""
    children.end_all()
