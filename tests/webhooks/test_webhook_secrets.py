"""The secrets of endpoints: derived and not stored, and after a rotation two of them for a day."""

import contextlib

import pytest
from standardwebhooks import Webhook

from kit.building.ledgers import NOW_MS
from rules.rows import Endpoint
from server.webhooks import secret_of, signing


def test_a_secret_is_derived_from_the_root_the_endpoint_and_the_version() -> None:
    one = secret_of("root", "e1", 1)
    assert one == secret_of("root", "e1", 1)
    assert len({one, secret_of("other", "e1", 1), secret_of("root", "e2", 1)}) == 3
    assert one.startswith("whsec_")
    with contextlib.suppress(ValueError):
        assert len(Webhook(one)._whsecret) == 32


@pytest.mark.parametrize(("version", "age_ms", "count"), [(1, 0, 1), (2, 0, 2), (2, 86_400_000, 1)])
def test_the_secret_before_signs_for_a_day(version: int, age_ms: int, count: int) -> None:
    endpoint = Endpoint("e1", "https://x", [], True, "", version, NOW_MS - age_ms, 1)
    secrets = signing.secrets_of("root", endpoint, NOW_MS)
    assert len(secrets) == count
    assert secrets[0] == secret_of("root", "e1", version)
