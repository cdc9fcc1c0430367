"""Payouts: available diamonds become money, once.

Asking reserves the diamonds. Then a person approves or rejects; the bank pays, or does not. Every
payout ends `paid` or `rejected` and stays so: an answer of the bank that contradicts this moves
nothing and is listed for a person.
"""

from msgspec import UNSET

from rules.book import Book
from rules.commands import (
    ApprovePayout,
    PayPayout,
    RecordPayoutResult,
    RejectPayout,
    RequestPayout,
)
from rules.creators import pay_diamond_debt
from rules.ledger import SYSTEM, AccountCode, Reason
from rules.lifecycles import PAYOUT, PayoutStatus, PayoutStep
from rules.outcomes import PayoutChanged
from rules.policy import PayoutRules, Policy
from rules.refusals import RefusalCode
from rules.results import Result, refuse
from rules.review import FIRST, payout_flags
from rules.rows import Creator, Payout
from rules.suspense import suspend


def request(book: Book, command: RequestPayout, now_ms: int) -> Result:
    """Reserve available diamonds for a payout."""
    refusal = _not_now(book, command)
    if refusal is not None:
        return refusal
    policy, creator = book.policy, book.creator(command.creator)
    rules = policy.payouts if policy else PayoutRules()
    flags = _flags(policy, command, creator, now_ms)
    automatic = command.millidiamonds <= rules.automatic_millidiamonds and not flags
    row = Payout(
        f"payout-{book.next_command}",
        creator.id,
        PayoutStatus.APPROVED if automatic else PayoutStatus.REQUESTED,
        command.millidiamonds,
        command.millidiamonds // rules.millidiamonds_per_minor,
        policy.shop.currency if policy else "",
        now_ms,
        flags=flags,
    )
    available, reserved = AccountCode.DIAMONDS_AVAILABLE, AccountCode.DIAMONDS_RESERVED
    book.pay(
        Reason.PAYOUT_RESERVED, (creator.id, available), (creator.id, reserved), row.millidiamonds
    )
    creator.payout = row.id
    book.payouts[row.id] = row
    book.keep(row)
    return Result(_outcome(row))


def _flags(
    policy: Policy | None, command: RequestPayout, creator: Creator, now_ms: int
) -> list[str]:
    """Why a person should look at it."""
    flags = command.flags
    if policy is not None and policy.review is not UNSET:
        flags = payout_flags(command.facts, policy, policy.review, now_ms)
    rules = policy.payouts if policy else PayoutRules()
    first = rules.review_first and not creator.payouts_paid
    return [FIRST, *flags] if first else list(flags)


def _not_now(book: Book, command: RequestPayout) -> Result | None:
    rules = book.policy.payouts if book.policy else PayoutRules()
    unit, least = rules.millidiamonds_per_minor, max(1, rules.minimum_millidiamonds)
    if command.millidiamonds < least or command.millidiamonds % unit:
        sentence = f"`millidiamonds` must be at least {least} and a multiple of {unit}."
        return refuse(
            RefusalCode.INVALID, sentence, field="millidiamonds", least=least, multiple_of=unit
        )
    user, creator = book.users.get(command.creator), book.creators.get(command.creator)
    if user is not None and user.frozen:
        return refuse(
            RefusalCode.ACCOUNT_FROZEN, "This account is frozen; ask the platform's support."
        )
    if creator is not None and creator.payout:
        sentence = "A payout is open; wait until it is done."
        return refuse(RefusalCode.PAYOUT_OPEN, sentence, payout=creator.payout)
    available = book.balance(command.creator, AccountCode.DIAMONDS_AVAILABLE)
    available = max(0, available + book.balance(command.creator, AccountCode.DIAMOND_DEBT))
    if command.millidiamonds > available:
        sentence = f"Only {available} millidiamonds are available, less what is owed."
        return refuse(
            RefusalCode.INSUFFICIENT_DIAMONDS, sentence, millidiamonds_available=available
        )
    return None


def approve(book: Book, command: ApprovePayout, now_ms: int) -> Result:
    """A person has looked at it; the bank may pay."""
    row = _find(book, command.payout, PayoutStep.APPROVE)
    if isinstance(row, Result):
        return row
    user = book.users.get(row.creator)
    if user is not None and user.frozen:
        return refuse(RefusalCode.ACCOUNT_FROZEN, f"The account of {row.creator} is frozen.")
    return _changed(book, row, PayoutStep.APPROVE)


def pay(book: Book, command: PayPayout, now_ms: int) -> Result:
    """The bank has paid."""
    row = _find(book, command.payout, PayoutStep.PAY)
    if isinstance(row, Result):
        return row
    return _pay(book, row, command.reference, now_ms)


def _pay(book: Book, row: Payout, reference: str, now_ms: int) -> Result:
    reserved = (row.creator, AccountCode.DIAMONDS_RESERVED)
    book.pay(Reason.PAYOUT_PAID, reserved, (SYSTEM, AccountCode.DIAMONDS_PAID), row.millidiamonds)
    clearing, payouts = (SYSTEM, AccountCode.MONEY_CLEARING), (SYSTEM, AccountCode.MONEY_PAYOUTS)
    book.pay(Reason.PAYOUT_MONEY, payouts, clearing, row.amount_minor)
    creator = book.creator(row.creator)
    creator.payout = ""
    creator.payouts_paid += 1
    row.decided_ms, row.reference = now_ms, reference
    return _changed(book, row, PayoutStep.PAY)


def reject(book: Book, command: RejectPayout, now_ms: int) -> Result:
    """It will not be paid: everything goes back, and a debt is paid from it first."""
    row = _find(book, command.payout, PayoutStep.REJECT)
    if isinstance(row, Result):
        return row
    return _reject(book, row, command.reason, now_ms)


def _reject(book: Book, row: Payout, reason: str, now_ms: int) -> Result:
    reserved = (row.creator, AccountCode.DIAMONDS_RESERVED)
    available = (row.creator, AccountCode.DIAMONDS_AVAILABLE)
    book.pay(Reason.PAYOUT_RETURNED, reserved, available, row.millidiamonds)
    pay_diamond_debt(book, row.creator, row.millidiamonds)
    book.creator(row.creator).payout = ""
    row.decided_ms, row.reference = now_ms, reason
    return _changed(book, row, PayoutStep.REJECT)


def record(book: Book, command: RecordPayoutResult, now_ms: int) -> Result:
    """Take a line of the bank's answer. The same answer again changes nothing; one that fits no
    approved payout is listed for a person: money may have moved that the books do not know of."""
    row = book.payouts.get(command.payout)
    said = PayoutStatus.PAID if command.paid else PayoutStatus.REJECTED
    if row is not None and PayoutStep.PAY in PAYOUT[row.status]:
        if command.paid:
            return _pay(book, row, command.reference, now_ms)
        return _reject(book, row, command.reference or "the bank did not pay it", now_ms)
    same = row is not None and row.status == said
    other = row and command.reference and row.reference and command.reference != row.reference
    if row is not None and same and not (command.paid and other):
        return Result(_outcome(row), replayed=True)
    why = "unknown_payout" if row is None else "paid_twice" if same else f"is_{row.status}"
    note = f"the bank says {said}: {command.reference}"
    return suspend(book, f"payout {command.payout}", why, note, now_ms)


def _find(book: Book, id: str, step: PayoutStep) -> Payout | Result:
    """The payout, if it can take this step now; else the refusal."""
    row = book.payouts.get(id)
    if row is None:
        return refuse(RefusalCode.UNKNOWN_PAYOUT, f"There is no payout {id}.")
    if step not in PAYOUT[row.status]:
        sentence = f"The payout is {row.status}; that cannot be done with it now."
        return refuse(RefusalCode.WRONG_STATE, sentence, status=row.status)
    return row


def _changed(book: Book, row: Payout, step: PayoutStep) -> Result:
    row.status = PAYOUT[row.status][step]
    book.keep(row)
    return Result(_outcome(row))


def _outcome(row: Payout) -> PayoutChanged:
    return PayoutChanged(
        payout=row.id,
        creator=row.creator,
        status=row.status,
        millidiamonds=row.millidiamonds,
        amount_minor=row.amount_minor,
        currency=row.currency,
        flags=tuple(row.flags),
    )
