"""Earning: what a creator gets for a gift, when it becomes available, and what is taken back.

Diamonds are pending by the UTC day on which they were earned, become available by a command once
they have been pending for `hold_days`, and only then can be paid out.
"""

from rules.book import Book
from rules.commands import ReleaseDiamonds, SetRate
from rules.days import DAY_MS
from rules.ledger import SYSTEM, AccountCode, Reason
from rules.outcomes import DiamondsReleased, RateSet, TakenBack
from rules.policy import Policy
from rules.refusals import RefusalCode
from rules.results import Result, refuse
from rules.rows import Creator, GiftRecord, PendingDay, Rate

RATE_MAX = 1_000
RATES_MAX = 50
"""Rates of a creator that are remembered: each gift looks for the one that holds."""


def rate_of(creator: Creator | None, policy: Policy, now_ms: int) -> int:
    """Millidiamonds per coin: the creator's own rate of the moment, or the operator's."""
    if creator is None or not creator.rates:
        return policy.rate_permille
    for rate in reversed(creator.rates):
        if rate.from_ms <= now_ms and (rate.until_ms is None or now_ms < rate.until_ms):
            return rate.permille
    return policy.rate_permille


def set_rate(book: Book, command: SetRate, now_ms: int) -> Result:
    """A rate from now or from later on: what was earned stays as it was earned."""
    from_ms = now_ms if command.from_ms is None else command.from_ms
    if not 0 <= command.rate_permille <= RATE_MAX:
        sentence = f"`rate_permille` must be a whole number from 0 to {RATE_MAX}."
        return refuse(RefusalCode.INVALID, sentence, field="rate_permille")
    if from_ms < now_ms:
        sentence = "`from_ms` is in the past; a rate is never retroactive."
        return refuse(RefusalCode.INVALID, sentence, field="from_ms")
    if command.until_ms is not None and command.until_ms <= from_ms:
        return refuse(RefusalCode.INVALID, "`until_ms` must be after `from_ms`.", field="until_ms")
    known = book.creators.get(command.creator)
    rate = Rate(from_ms, command.until_ms, command.rate_permille)
    rates = [*(known.rates if known else ()), rate]
    if from_ms == now_ms and command.until_ms is None:
        rates = rates[-1:]  # it holds from now on: what was set before never will again
    if len(rates) > RATES_MAX:
        sentence = f"{RATES_MAX} rates are set; set one without `until_ms` from now on first."
        return refuse(RefusalCode.WRONG_STATE, sentence)
    book.creator(command.creator).rates = rates
    outcome = RateSet(
        creator=command.creator,
        rate_permille=command.rate_permille,
        from_ms=from_ms,
        until_ms=command.until_ms,
    )
    return Result(outcome)


def earn(book: Book, creator: str, millidiamonds: int, now_ms: int) -> None:
    """Issue a gift's diamonds to its creator, pending."""
    if not millidiamonds:
        return
    issued = book.account(SYSTEM, AccountCode.DIAMONDS_ISSUED)
    earned = book.account(creator, AccountCode.DIAMONDS_PENDING)
    book.move(book.next_command, Reason.GIFT_EARNED, issued, earned, millidiamonds)
    pending, day = book.creator(creator).pending, now_ms // DAY_MS
    if pending and pending[-1].day >= day:
        pending[-1].millidiamonds += millidiamonds
    else:
        pending.append(PendingDay(day, millidiamonds))


def take_back(
    book: Book, gift: GiftRecord, millidiamonds: int, reason: Reason, clawback: str
) -> TakenBack:
    """Take diamonds back from who earned them: from what is pending (of the gift's own day first),
    then from what is available; what is paid out already becomes a debt or the platform's loss."""
    name = gift.recipient
    pending = min(millidiamonds, book.balance(name, AccountCode.DIAMONDS_PENDING))
    available = min(millidiamonds - pending, book.balance(name, AccountCode.DIAMONDS_AVAILABLE))
    rest = millidiamonds - pending - available
    debt = rest if clawback == "full" else 0
    for code, amount in (
        (AccountCode.DIAMONDS_PENDING, pending),
        (AccountCode.DIAMONDS_AVAILABLE, available),
        (AccountCode.DIAMOND_DEBT, debt),
    ):
        book.pay(reason, (name, code), (SYSTEM, AccountCode.DIAMONDS_ISSUED), amount)
    if pending:
        _take_pending(book.creator(name), gift.at_ms // DAY_MS, pending)
    return TakenBack(
        creator=name, pending=pending, available=available, debt=debt, borne=rest - debt
    )


def _take_pending(creator: Creator, day: int, millidiamonds: int) -> None:
    own_day_first = sorted(creator.pending, key=lambda row: (row.day != day, row.day))
    for row in own_day_first:
        part = min(millidiamonds, row.millidiamonds)
        row.millidiamonds -= part
        millidiamonds -= part
    creator.pending = [row for row in creator.pending if row.millidiamonds]


def add_up(taken: list[TakenBack]) -> tuple[TakenBack, ...]:
    """One line per creator."""
    sums: dict[str, TakenBack] = {}
    for one in taken:
        so_far = sums.get(one.creator, TakenBack(creator=one.creator))
        sums[one.creator] = TakenBack(
            creator=one.creator,
            pending=so_far.pending + one.pending,
            available=so_far.available + one.available,
            debt=so_far.debt + one.debt,
            borne=so_far.borne + one.borne,
        )
    return tuple(sums.values())


def due_day(hold_days: int, now_ms: int) -> int:
    """Diamonds of this UTC day and before may be released. The hold begins when the day is over;
    without one they are released at once."""
    return now_ms // DAY_MS - (hold_days + 1 if hold_days else 0)


def release(book: Book, command: ReleaseDiamonds, now_ms: int) -> Result:
    """Make available what has been pending long enough; a debt is paid from it first."""
    policy, creator = book.policy, book.creators.get(command.creator)
    last = due_day(policy.hold_days, now_ms) if policy else -1
    due = sum(row.millidiamonds for row in creator.pending if row.day <= last) if creator else 0
    name = command.creator
    if not due or not book.can_take(name, AccountCode.DIAMONDS_AVAILABLE, due):
        return refuse(RefusalCode.NOTHING_DUE, f"No pending diamonds of {name} are due.")
    creator = book.creator(name)
    creator.pending = [row for row in creator.pending if row.day > last]
    available = (name, AccountCode.DIAMONDS_AVAILABLE)
    book.pay(Reason.RELEASE, (name, AccountCode.DIAMONDS_PENDING), available, due)
    debt = pay_diamond_debt(book, name, due)
    return Result(
        DiamondsReleased(
            creator=name, millidiamonds=due, debt_paid_millidiamonds=debt, through_day=last
        )
    )


def pay_diamond_debt(book: Book, name: str, millidiamonds: int) -> int:
    """Pay what the creator owes from diamonds that just became available; how much that was."""
    debt = min(millidiamonds, -book.balance(name, AccountCode.DIAMOND_DEBT))
    available = (name, AccountCode.DIAMONDS_AVAILABLE)
    book.pay(Reason.DIAMOND_DEBT_PAID, available, (name, AccountCode.DIAMOND_DEBT), debt)
    return debt
