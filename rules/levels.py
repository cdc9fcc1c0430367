"""Gifter levels: 50 steps on the coins that a user has gifted and that were not taken back.

Half of the ladder is below 200,000 coins so that it means something to ordinary viewers. The
thresholds are largesse's own (no platform publishes its table).
"""

from bisect import bisect_right

# fmt: off
THRESHOLDS: tuple[int, ...] = (
    1, 50, 110, 230, 500, 790, 1_300, 2_000, 3_200, 5_000,
    6_600, 8_700, 11_000, 15_000, 20_000, 26_000, 33_000, 42_000, 54_000, 70_000,
    86_000, 110_000, 130_000, 160_000, 200_000, 240_000, 290_000, 350_000, 420_000, 500_000,
    590_000, 690_000, 800_000, 940_000, 1_100_000,
    1_300_000, 1_500_000, 1_800_000, 2_100_000, 2_400_000,
    2_800_000, 3_200_000, 3_700_000, 4_300_000, 5_000_000,
    5_700_000, 6_600_000, 7_600_000, 8_700_000, 10_000_000,
)
# fmt: on


def level_of(gifted_coins: int) -> int:
    """The level that so many coins give: 0 (nothing gifted yet) to 50."""
    return bisect_right(THRESHOLDS, gifted_coins)
