"""Who may connect: limits in all, per address, and on the rate of handshakes.

A server that takes one connection too many is slow for everybody in it; one that says 503 with
`Retry-After` is slow for nobody. uvicorn's own limits do not cover WebSocket upgrades.
"""

from collections import Counter
from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit

from rules.limits import full_bucket
from server.settings.table import Settings


class Admission:
    """Counts what is open. Addresses are taken by `enter` and given back by `leave`."""

    def __init__(self, settings: Settings, steady_ms: int) -> None:
        self.draining = False
        self._settings = settings
        self._open = 0
        self._addresses: Counter[str] = Counter()
        self._handshakes = full_bucket(settings.handshake_rate, settings.handshake_rate, steady_ms)

    def enter(self, address: str, steady_ms: int) -> int:
        """0 and one more connection is counted, or the seconds after which to try again."""
        settings = self._settings
        per_address = settings.max_connections_per_address
        if self.draining:
            return 5
        if self._open >= settings.max_connections:
            return 10
        if per_address and self._addresses[address] >= per_address:
            return 10
        if self._handshakes.take(steady_ms):
            return 1
        self._open += 1
        if per_address:
            self._addresses[address] += 1
        return 0

    def leave(self, address: str) -> None:
        self._open -= 1
        if address in self._addresses:
            self._addresses[address] -= 1
            if self._addresses[address] <= 0:
                del self._addresses[address]


def origin_allowed(origin: str | None, host: str, allowed: tuple[str, ...]) -> bool:
    """Whether a page of this origin may connect. Programs send no Origin and are not pages.

    A list replaces the default of "same host": whoever uses our own pages beside it names both.
    """
    if origin is None or "*" in allowed:
        return True
    if allowed:
        return origin in allowed
    return bool(host) and urlsplit(origin).netloc.lower() == host.lower()


def address_of(peer: Any, headers: Any, trusted_proxies: Collection[str]) -> str:
    """The peer's address; what a trusted proxy says it is, when one of ours does."""
    address = str(peer[0]) if isinstance(peer, tuple) else ""
    if address in trusted_proxies:
        forwarded: str = ",".join(headers.get_all("X-Forwarded-For"))
        return forwarded.rpartition(",")[2].strip() or address
    return address
