"""Who may connect: how many in all, from one address, how fast, and from which pages."""

import pytest

from kit.servers.serving import settings
from server.live.admission import Admission, origin_allowed


def test_so_many_in_all() -> None:
    admission = Admission(settings(max_connections=2), 0)
    assert admission.enter("a", 0) == 0 and admission.enter("b", 0) == 0
    assert admission.enter("c", 0) > 0
    admission.leave("a")
    assert admission.enter("c", 0) == 0


def test_so_many_from_one_address() -> None:
    admission = Admission(settings(max_connections_per_address=2), 0)
    assert [admission.enter("a", 0) for _ in range(2)] == [0, 0]
    assert admission.enter("a", 0) > 0 and admission.enter("b", 0) == 0
    admission.leave("a")
    assert admission.enter("a", 0) == 0


def test_who_was_turned_away_does_not_count() -> None:
    admission = Admission(settings(max_connections=1, max_connections_per_address=1), 0)
    admission.enter("a", 0)
    for _ in range(5):
        assert admission.enter("a", 0) > 0
    admission.leave("a")
    assert admission.enter("a", 0) == 0


def test_addresses_are_forgotten() -> None:
    admission = Admission(settings(max_connections_per_address=5), 0)
    for number in range(100):
        admission.enter(f"a{number}", 0)
        admission.leave(f"a{number}")
    assert not admission._addresses


def test_so_many_a_second() -> None:
    admission = Admission(settings(handshake_rate=10), 0)
    assert [admission.enter("a", 0) for _ in range(12)] == [0] * 10 + [1] * 2
    assert admission.enter("a", 100) == 0, "one more after a tenth of a second"
    assert admission.enter("a", 100) == 1


def test_nobody_while_draining() -> None:
    admission = Admission(settings(), 0)
    admission.draining = True
    assert admission.enter("a", 0) > 0


@pytest.mark.parametrize(
    ("origin", "host", "allowed", "yes"),
    [
        (None, "show.example", (), True),
        (None, "show.example", ("https://a.example",), True),
        ("https://show.example", "show.example", (), True),
        ("https://SHOW.example", "show.example", (), True),
        ("http://show.example:8080", "show.example:8080", (), True),
        ("http://show.example:8081", "show.example:8080", (), False),
        ("http://show.example", "show.example:8080", (), False),
        ("https://evil.example", "show.example", (), False),
        ("https://show.example.evil.example", "show.example", (), False),
        ("https://show.example@evil.example", "show.example", (), False),
        ("null", "show.example", (), False),
        ("", "", (), False),
        ("", "show.example", (), False),
        ("https://a.example", "show.example", ("https://a.example",), True),
        ("https://show.example", "show.example", ("https://a.example",), False),
        ("https://a.example.evil", "show.example", ("https://a.example",), False),
        ("https://anything", "show.example", ("*",), True),
    ],
)
def test_pages_of_other_hosts_stay_out(
    origin: str | None, host: str, allowed: tuple[str, ...], yes: bool
) -> None:
    assert origin_allowed(origin, host, allowed) is yes
