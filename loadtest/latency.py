"""Latencies counted in buckets of a tenth of a millisecond, so that a million cost no memory.

Pure. Percentiles are exact to the bucket: a bucket is never interpolated, and the figure given is
one that was really measured (nearest rank).
"""

from collections.abc import Iterable

import msgspec

BUCKETS_PER_MS = 10


class Percentiles(msgspec.Struct, frozen=True, kw_only=True):
    """In milliseconds; all 0 when `count` is 0."""

    count: int
    p50: float
    p95: float
    p99: float
    max: float


class Histogram:
    """How often each latency was seen. Negative ones (clocks apart) are kept as they are."""

    __slots__ = ("buckets",)

    def __init__(self) -> None:
        self.buckets: dict[int, int] = {}

    def add_ms(self, latency_ms: float, times: int = 1) -> None:
        bucket = round(latency_ms * BUCKETS_PER_MS)
        self.buckets[bucket] = self.buckets.get(bucket, 0) + times

    def percentiles(self) -> Percentiles:
        ranked = sorted(self.buckets.items())
        count = sum(self.buckets.values())
        p50, p95, p99, worst = (_rank(ranked, count, share) for share in (50, 95, 99, 100))
        return Percentiles(count=count, p50=p50, p95=p95, p99=p99, max=worst)


def _rank(ranked: Iterable[tuple[int, int]], count: int, percent: int) -> float:
    """The smallest latency that `percent` of all are not above."""
    wanted = -(-count * percent // 100)
    reached = 0
    for bucket, times in ranked:
        reached += times
        if reached >= wanted:
            return bucket / BUCKETS_PER_MS
    return 0.0
