"""How often a user may wish for a change over HTTP. Each change may become a row for ever, so they
are not for the asking without end."""

from collections.abc import Callable

from rules.limits import TokenBucket, full_bucket
from server.clock import steady_ms

ASKERS_KEPT = 100_000


class Rates:
    """A bucket per user, as long as it matters.

    A user's requests may come to any node, so each of them counts on all: `tell` tells the others
    of one, and `asked_elsewhere` is told of theirs.
    """

    def __init__(self, rate: int, burst: int, tell: Callable[[str], None]) -> None:
        self._rate = rate
        self._burst = burst
        self._tell = tell
        self._buckets: dict[str, TokenBucket] = {}
        """By user, the one that asked longest ago first."""

    def too_fast(self, user: str) -> bool:
        """Count a wish of a user: whether it is one too many for now."""
        now_ms = steady_ms()
        if self._bucket(user, now_ms).take(now_ms):
            return True
        self._tell(user)
        return False

    def asked_elsewhere(self, user: str) -> None:
        """A wish of this user was counted by another node."""
        now_ms = steady_ms()
        self._bucket(user, now_ms).taken_elsewhere(now_ms)

    def _bucket(self, user: str, now_ms: int) -> TokenBucket:
        bucket = self._buckets.pop(user, None)
        if bucket is None:
            bucket = full_bucket(self._rate, self._burst, now_ms)
            if len(self._buckets) >= ASKERS_KEPT:
                del self._buckets[next(iter(self._buckets))]
        self._buckets[user] = bucket
        return bucket
