"""The one place where the clocks are read. Everything else gets the time as an argument."""

import time
from collections.abc import Callable

Clock = Callable[[], int]


def now_ms() -> int:
    """Unix milliseconds, as in events and tokens. Steps when the host's clock does."""
    return time.time_ns() // 1_000_000


def steady_ms() -> int:
    """Milliseconds that never step back: for rates, ticks and time-outs."""
    return time.monotonic_ns() // 1_000_000


def seconds() -> float:
    """The steady clock in seconds, for measuring how long something took."""
    return time.perf_counter()
