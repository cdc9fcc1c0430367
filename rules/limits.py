"""Too fast? A token bucket per sender, with the time as an argument."""

import msgspec


class TokenBucket(msgspec.Struct, gc=False):
    """Holds up to `burst` tokens and gains `rate` a second. Counted in thousandths of a token."""

    rate: int
    burst: int
    millitokens: int
    at_ms: int

    def take(self, now_ms: int) -> int:
        """Take one token: 0 when there was one, else the milliseconds until there will be.

        A clock that steps back adds nothing and takes nothing.
        """
        # As `level` does; every message comes by here twice, and a call is a tenth of its reading.
        elapsed_ms = now_ms - self.at_ms
        if elapsed_ms > 0:
            self.millitokens = min(self.burst * 1000, self.millitokens + elapsed_ms * self.rate)
        self.at_ms = now_ms
        if self.millitokens >= 1000:
            self.millitokens -= 1000
            return 0
        return -(-(1000 - self.millitokens) // self.rate)

    def taken_elsewhere(self, now_ms: int) -> None:
        """A token was taken where this bucket is kept as well. Two may take the last one at the
        same time: what is owed then is gained back first."""
        self.level(now_ms)
        self.millitokens = max(-self.burst * 1000, self.millitokens - 1000)

    def at_most(self, millitokens: int, now_ms: int) -> None:
        """Another one that counts the same things holds no more than this."""
        self.millitokens = min(self.level(now_ms), max(-self.burst * 1000, millitokens))

    def level(self, now_ms: int) -> int:
        """Thousandths of a token that it holds now."""
        elapsed_ms = now_ms - self.at_ms
        if elapsed_ms > 0:
            self.millitokens = min(self.burst * 1000, self.millitokens + elapsed_ms * self.rate)
        self.at_ms = now_ms
        return self.millitokens


def full_bucket(rate: int, burst: int, now_ms: int) -> TokenBucket:
    """A bucket that has not been used yet. `rate` is in tokens a second and above 0."""
    return TokenBucket(rate, burst, burst * 1000, now_ms)
