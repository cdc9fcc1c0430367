"""The operator's settings that money depends on. They live in the books: a replay needs no file."""

import msgspec
from msgspec import UNSET, UnsetType

from rules.catalogue import Catalogue
from rules.shop import Shop

CLAWBACKS = ("none", "unpaid", "full")
"""Who bears what a creator earned from coins that were charged back: the platform all of it; the
creator what was not paid out yet; or the creator all of it, the rest as a debt."""


class SpendingLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Coins; 0 means no limit. The defaults count coins that were bought, a user's own limits count
    all coins. `*_max` is the highest limit that a user may choose."""

    daily_coins: int = 5_000
    weekly_coins: int = 15_000
    monthly_coins: int = 40_000
    first_day_coins: int = 1_000
    """In the first 24 hours of an account."""
    daily_max_coins: int = 50_000
    weekly_max_coins: int = 200_000
    monthly_max_coins: int = 500_000


class PayoutRules(msgspec.Struct, frozen=True, kw_only=True):
    minimum_millidiamonds: int = 5_000_000
    automatic_millidiamonds: int = 0
    """Payouts of at most so much are approved at once when nothing speaks against it."""
    review_first: bool = True
    """A creator's first payout is reviewed by a person, whatever its size."""
    millidiamonds_per_minor: int = 1_000
    """How much one minor unit of money is: a diamond is a cent."""


class ReviewRules(msgspec.Struct, frozen=True, kw_only=True):
    """When a payout needs a person to look at it."""

    top_sender_percent: int = 60
    """More than this came from one giver,"""
    top_sender_coins_min: int = 1_000
    """if they gave at least so much: a small creator's one fan is nothing to look at."""
    new_senders_percent: int = 50
    """More than this came from accounts of that week."""
    anonymous_percent: int = 50
    """More than this is on no board."""
    look_back_days: int = 8
    """Before the hold: a week of the money that is paid out now, and not of what came since."""


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """How many of a thing there may be, because each is a row for ever; 0 means no bound."""

    pending_purchases_max: int = 50
    """Purchases of one user that wait for a payment. Each is also a call to the provider."""
    endpoints_max: int = 50
    """Webhook endpoints. Each costs an entry for every event that it wants."""


UNBOUNDED = Bounds(pending_purchases_max=0, endpoints_max=0)


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    catalogue: Catalogue
    rate_permille: int = 500
    """Millidiamonds that a creator earns per coin."""
    combo_window_ms: int = 3_000
    require_adult: bool = True
    hold_days: int = 7
    clawback: str = "unpaid"
    limits: SpendingLimits = SpendingLimits()
    payouts: PayoutRules = PayoutRules()
    shop: Shop = Shop()
    # Left out of policies that are older than these: their journals replay as they were written.
    bounds: Bounds | UnsetType = UNSET
    """Without them nothing was bounded."""
    review: ReviewRules | UnsetType = UNSET
    """Without them the server found the flags of a payout by itself, and the command has them."""


def bounds_of(policy: Policy | None) -> Bounds:
    """The bounds that hold."""
    if policy is None or policy.bounds is UNSET:
        return UNBOUNDED
    return policy.bounds
