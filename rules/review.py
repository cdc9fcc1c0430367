"""What a person should look at before a payout leaves the house.

Who gave what a payout is made of is a matter of many days and givers: too much to load into the
transaction that reserves the diamonds. So it is gathered just before, and is a part of the command
with the number of the command that it is as of. What follows from it is decided here, within the
transaction, by the policy in force; so are the things that the transaction's own rows say: whether
the account is frozen, what is available less what is owed, whether it is the first payout, and
whether the right days were looked at.
"""

import msgspec
from msgspec import UNSET

from rules.days import DAY_MS
from rules.policy import Policy, ReviewRules

FIRST = "first_payout"
UNKNOWN = "unknown_senders"
"""Nobody gathered who gave in these days, or in other days than those that are paid out."""

NEW_SENDER_DAYS = 7
"""A giver is new while the account is younger: stolen cards are spent within days."""


class PayoutFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Of what a creator earned from one UTC day on, as the books had it after one command."""

    as_of: int
    """The number of that command."""
    from_day: int
    """The first of the days, since 1970."""
    earned_coins: int = 0
    """Given in all, anonymously too."""
    coins: int = 0
    """Given publicly."""
    top_coins: int = 0
    """By the one who gave most."""
    new_sender_coins: int = 0
    """By accounts that were younger than NEW_SENDER_DAYS then."""
    gave_back: bool = False
    """The creator gave to one of their own top givers."""
    charged_back: bool = False
    """A giver has had a purchase charged back."""


def first_day(policy: Policy, now_ms: int) -> int:
    """The UTC day from which on it is looked at who gave what is paid out now."""
    rules = ReviewRules() if policy.review is UNSET else policy.review
    return now_ms // DAY_MS - policy.hold_days - rules.look_back_days


def payout_flags(
    facts: PayoutFacts | None, policy: Policy, rules: ReviewRules, now_ms: int
) -> tuple[str, ...]:
    """What a reviewer should look at; nothing when a payout needs nobody to look at it."""
    wanted = first_day(policy, now_ms)
    # The day may have changed since they were gathered.
    if facts is None or facts.from_day not in (wanted - 1, wanted):
        return (UNKNOWN,)
    anonymous_coins = facts.earned_coins - facts.coins
    top = _over(facts.top_coins, rules.top_sender_percent, facts.coins)
    found = {
        "one_sender": top and facts.top_coins >= rules.top_sender_coins_min,
        "new_senders": _over(facts.new_sender_coins, rules.new_senders_percent, facts.coins),
        "anonymous_senders": _over(anonymous_coins, rules.anonymous_percent, facts.earned_coins),
        "gives_back": facts.gave_back,
        "charged_back_senders": facts.charged_back,
    }
    return tuple(flag for flag, holds in found.items() if holds)


def _over(part: int, percent: int, whole: int) -> bool:
    return part * 100 > whole * percent
