"""What a user may spend, and which of their coins a gift takes.

Limits are checked inside the transaction that debits, on windows that roll: coins spent are counted
by the hour for the 24-hour limit and by the UTC day for 7 and 30 days. A bucket counts until all of
it is out of the window, so a limit is never exceeded in any window of its length; what was spent
frees at most an hour (a day) late.

A user's own limit counts every coin. Where they set none, the operator's default counts the coins
that were bought: it protects money, and granted coins cost none.
"""

from collections.abc import Iterator
from typing import NamedTuple

from rules.days import DAY_MS, HOUR_MS
from rules.outcomes import Lots
from rules.policy import Policy, SpendingLimits
from rules.refusals import RefusalCode
from rules.results import Reminder, Result, refuse
from rules.rows import Bucket, Lot, User

WINDOWS = {"daily": "24 hours", "weekly": "7 days", "monthly": "30 days"}
_CODES = {
    "daily": RefusalCode.LIMIT_DAILY,
    "weekly": RefusalCode.LIMIT_WEEKLY,
    "monthly": RefusalCode.LIMIT_MONTHLY,
}
REMIND_PERCENT = (50, 80, 100)


class Window(NamedTuple):
    """One limit as it stands: what it allows, and what of that is used up."""

    name: str
    """`daily`, `weekly` or `monthly`."""
    source: str
    """`own`, `default` or `first_day`."""
    limit_coins: int
    spent_coins: int
    buckets: list[tuple[int, int]]
    """(when it frees, coins), oldest first."""

    @property
    def left_coins(self) -> int:
        return max(0, self.limit_coins - self.spent_coins)

    def frees_ms(self, coins: int) -> int | None:
        """When `coins` more will fit; None when they fit now, or never will."""
        over = self.spent_coins + coins - self.limit_coins
        if over <= 0 or coins > self.limit_coins:
            return None
        for frees_ms, freed in self.buckets:
            over -= freed
            if over <= 0:
                return frees_ms
        return None


def own_limit(user: User, name: str, now_ms: int) -> int | None:
    """The limit that the user chose, with a raise that has come due."""
    waiting = user.raises.get(name)
    if waiting is not None and now_ms >= waiting.at_ms:
        return waiting.coins
    return user.limits.get(name)


def default_limit(limits: SpendingLimits, name: str) -> int:
    """The operator's; 0 is none."""
    found: int = getattr(limits, f"{name}_coins")
    return found


def windows(user: User, limits: SpendingLimits, now_ms: int) -> Iterator[Window]:
    """Every limit that applies now."""
    for name in WINDOWS:
        own = own_limit(user, name, now_ms)
        if own is not None:
            yield _window(user, name, "own", own, now_ms)
        elif default := default_limit(limits, name):
            yield _window(user, name, "default", default, now_ms)
    if limits.first_day_coins and (user.since_ms < 0 or now_ms - user.since_ms < DAY_MS):
        yield _window(user, "daily", "first_day", limits.first_day_coins, now_ms)


def _window(user: User, name: str, source: str, limit_coins: int, now_ms: int) -> Window:
    if name == "daily":
        rows, unit_ms, units = user.hours, HOUR_MS, 24
    else:
        rows, unit_ms, units = user.days, DAY_MS, 7 if name == "weekly" else 30
    first, every_coin = now_ms // unit_ms - units, source == "own"
    buckets = [
        ((row.unit + units + 1) * unit_ms, coins)
        for row in rows
        if row.unit >= first and (coins := row.coins if every_coin else row.bought_coins)
    ]
    return Window(name, source, limit_coins, sum(coins for _, coins in buckets), buckets)


def unlimited(user: User, bought: int) -> bool:
    """Whether no limit can apply to a gift that takes so many bought coins: the usual case of
    granted coins, and it should cost nothing."""
    return not (bought or user.limits or user.raises)


def limits_forbid(
    user: User, policy: Policy, coins: int, bought: int, now_ms: int
) -> Result | None:
    """The refusal when a gift of so many coins, so many of them bought, would pass a limit."""
    if unlimited(user, bought):
        return None
    per_gift = own_limit(user, "per_gift", now_ms)
    if per_gift is not None and coins > per_gift:
        sentence = f"Your limit for one gift is {per_gift} coins and this costs {coins}."
        return refuse(
            RefusalCode.LIMIT_PER_GIFT,
            sentence,
            limit="per_gift",
            limit_coins=per_gift,
            left_coins=per_gift,
        )
    for window in windows(user, policy.limits, now_ms):
        wanted = coins if window.source == "own" else bought
        if wanted and window.spent_coins + wanted > window.limit_coins:
            return _over(window, wanted)
    return None


def _over(window: Window, wanted: int) -> Result:
    whose = "Your limit" if window.source == "own" else "The limit"
    if window.source == "first_day":
        whose = "In the first 24 hours of an account the limit"
    frees_ms = window.frees_ms(wanted)
    sentence = (
        f"{whose} is {window.limit_coins} coins in {WINDOWS[window.name]}, "
        f"{window.left_coins} of them are left, and this takes {wanted}; nothing was charged."
    )
    return refuse(
        _CODES[window.name],
        sentence,
        limit=window.name,
        source=window.source,
        limit_coins=window.limit_coins,
        spent_coins=window.spent_coins,
        left_coins=window.left_coins,
        frees_ms=frees_ms,
    )


def count(user: User, coins: int, bought: int, now_ms: int) -> None:
    """Count what a gift spent. When the clock steps back, the newest bucket takes it."""
    for rows, unit_ms, kept in ((user.hours, HOUR_MS, 24), (user.days, DAY_MS, 30)):
        unit = now_ms // unit_ms
        if rows and (newest := rows[-1]).unit >= unit:
            newest.coins += coins
            newest.bought_coins += bought
        else:
            rows.append(Bucket(unit, coins, bought))
            while rows[0].unit < unit - kept:
                del rows[0]


def uncount(user: User, coins: int, bought: int, at_ms: int) -> None:
    """Give back what a gift of that time had used up of the limits."""
    for rows, unit_ms in ((user.hours, HOUR_MS), (user.days, DAY_MS)):
        unit = at_ms // unit_ms
        for row in rows:
            if row.unit == unit:
                row.coins = max(0, row.coins - coins)
                row.bought_coins = max(0, row.bought_coins - bought)


def reminder(user: User, policy: Policy, coins: int, bought: int, now_ms: int) -> Reminder | None:
    """Whether the gift that was just counted brought its sender past 50, 80 or 100 % of the
    24-hour limit."""
    if unlimited(user, bought):
        return None
    for window in windows(user, policy.limits, now_ms):
        step = coins if window.source == "own" else bought
        if window.name != "daily" or not step or not window.limit_coins:
            continue
        before = window.spent_coins - step
        passed = [
            percent
            for percent in REMIND_PERCENT
            if before * 100 < percent * window.limit_coins <= window.spent_coins * 100
        ]
        if passed:
            return Reminder(
                user.id, window.source, passed[-1], window.limit_coins, window.spent_coins
            )
    return None


# Lots


def bought_coins(user: User | None) -> int:
    """How many of the coins in the wallet were bought."""
    return sum(lot.coins for lot in user.lots) if user else 0


def bought_part(user: User | None, balance: int, coins: int) -> int:
    """How many bought coins a gift of so many would take: granted coins go first."""
    if user is None or not user.lots:
        return 0
    return max(0, coins - (balance - bought_coins(user)))


def take(user: User, balance: int, coins: int) -> Lots:
    """Take coins from the wallet of `balance`: granted ones first, then the oldest lot."""
    left = bought_part(user, balance, coins)
    if not left:
        return ()
    taken: list[tuple[str, int]] = []
    while left:
        lot = user.lots[0]
        part = min(left, lot.coins)
        taken.append((lot.purchase, part))
        lot.coins -= part
        left -= part
        if not lot.coins:
            del user.lots[0]
    return tuple(taken)


def left_of(user: User | None, purchase: str) -> int:
    """How many coins of a purchase are unspent."""
    return sum(lot.coins for lot in user.lots if lot.purchase == purchase) if user else 0


def take_lot(user: User, purchase: str, coins: int) -> None:
    """Take coins of one lot out of the wallet."""
    for index, lot in enumerate(user.lots):
        if lot.purchase == purchase:
            lot.coins -= coins
            if not lot.coins:
                del user.lots[index]
            return


def put_back(user: User, purchase: str, coins: int) -> None:
    """Return coins to the lot that they came from; a lot that was used up is the oldest again."""
    for lot in user.lots:
        if lot.purchase == purchase:
            lot.coins += coins
            return
    user.lots.insert(0, Lot(purchase, coins))
