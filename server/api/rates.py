"""How often a user may wish for a change over HTTP. Each change may become a row for ever, so they
are not for the asking without end."""

from rules.limits import TokenBucket, full_bucket
from server.clock import steady_ms

ASKERS_KEPT = 100_000


class Rates:
    """A bucket per user, as long as it matters."""

    def __init__(self, rate: int, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._buckets: dict[str, TokenBucket] = {}
        """By user, the one that asked longest ago first."""

    def too_fast(self, user: str) -> bool:
        """Count a wish of a user: whether it is one too many for now."""
        now_ms = steady_ms()
        bucket = self._buckets.pop(user, None)
        if bucket is None:
            bucket = full_bucket(self._rate, self._burst, now_ms)
            if len(self._buckets) >= ASKERS_KEPT:
                del self._buckets[next(iter(self._buckets))]
        self._buckets[user] = bucket
        return bucket.take(now_ms) > 0
