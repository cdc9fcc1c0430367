"""UTC days and hours since 1970: what is spent and earned is counted by them."""

HOUR_MS = 3_600_000
DAY_MS = 86_400_000
