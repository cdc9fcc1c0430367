"""How much of everything a run does: the full one takes some four minutes, the quick one less than
one. The quick one finds out whether something broke, not how fast it is."""

from typing import NamedTuple


class Scale(NamedTuple):
    repeats: int
    viewers: int
    """Silent viewers of figures 1, 2, 4 and 7."""
    rounds: int
    """Frames that every viewer is sent in one run of figure 1; a fifth of that in figure 2."""
    batches: tuple[int, ...]
    settle_s: float
    pump_s: float
    crowd: int
    """Connections of figures 5 and 6."""
    latency_s: float


FULL = Scale(3, 1_000, 100, (1, 8, 64, 256, 512), 0.5, 2.5, 10_000, 10.0)
QUICK = Scale(2, 300, 40, (8, 256), 0.3, 1.0, 1_000, 2.0)
