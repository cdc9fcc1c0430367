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
        elapsed_ms = now_ms - self.at_ms
        if elapsed_ms > 0:
            self.millitokens = min(self.burst * 1000, self.millitokens + elapsed_ms * self.rate)
        self.at_ms = now_ms
        if self.millitokens >= 1000:
            self.millitokens -= 1000
            return 0
        return -(-(1000 - self.millitokens) // self.rate)


def full_bucket(rate: int, burst: int, now_ms: int) -> TokenBucket:
    """A bucket that has not been used yet. `rate` is in tokens a second and above 0."""
    return TokenBucket(rate, burst, burst * 1000, now_ms)
