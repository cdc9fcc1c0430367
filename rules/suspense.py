"""What the books could not place, and what two people agree to correct.

Money that came from outside and fits nothing is never dropped and never guessed at: it is listed
here until a person has looked. A correction moves coins or diamonds by hand; nobody can make one
alone.
"""

from rules.book import Book
from rules.commands import DecideCorrection, ProposeCorrection, SettleSuspense, Suspend
from rules.ledger import (
    CURRENCY,
    MONEY_MAX,
    SYSTEM,
    AccountCode,
    Currency,
    Reason,
    can_give,
    has_room,
)
from rules.lifecycles import CorrectionStatus
from rules.outcomes import CorrectionDecided, CorrectionProposed, Suspended, SuspenseSettled
from rules.refusals import RefusalCode
from rules.results import Balance, Result, refuse
from rules.rows import Correction, Suspense
from rules.spending import take


def suspend(book: Book, subject: str, why: str, note: str, now_ms: int) -> Result:
    """List something for a person to look at."""
    row = Suspense(book.next_command, subject, why, note, now_ms)
    book.suspense[row.id] = row
    book.keep(row)
    return Result(Suspended(entry=row.id, subject=subject, why=why))


def list_it(book: Book, command: Suspend, now_ms: int) -> Result:
    return suspend(book, command.subject, command.why, command.note, now_ms)


def settle_entry(book: Book, command: SettleSuspense, now_ms: int) -> Result:
    """Somebody has looked, and says what came of it."""
    row = book.suspense.get(command.entry)
    if row is None:
        return refuse(RefusalCode.UNKNOWN_ENTRY, f"There is no entry {command.entry}.")
    if row.settled_by:
        return refuse(RefusalCode.WRONG_STATE, f"{row.settled_by} settled this entry before.")
    row.settled_by, row.settled_note = command.actor, command.note
    book.keep(row)
    return Result(SuspenseSettled(entry=row.id))


_OTHER_SIDE = {
    Currency.COIN: AccountCode.COINS_CORRECTED,
    Currency.DIAMOND: AccountCode.DIAMONDS_CORRECTED,
}


def propose(book: Book, command: ProposeCorrection, now_ms: int) -> Result:
    """Propose to change a balance. Nothing moves until somebody else approves."""
    if not 0 < abs(command.amount) <= MONEY_MAX:
        sentence = f"`amount` must be a whole number other than 0, at most {MONEY_MAX}."
        return refuse(RefusalCode.INVALID, sentence, field="amount")
    row = Correction(
        book.next_command,
        command.user,
        command.account,
        command.amount,
        command.reason,
        CorrectionStatus.PROPOSED,
        command.actor,
        now_ms,
    )
    book.corrections[row.id] = row
    book.keep(row)
    return Result(CorrectionProposed(correction=row.id))


def decide(book: Book, command: DecideCorrection, now_ms: int) -> Result:
    """Approve or reject what somebody else proposed."""
    row = book.corrections.get(command.correction)
    if row is None:
        return refuse(
            RefusalCode.UNKNOWN_CORRECTION, f"There is no correction {command.correction}."
        )
    if row.status is not CorrectionStatus.PROPOSED:
        return refuse(RefusalCode.WRONG_STATE, f"This correction was {row.status} before.")
    if command.approve and command.actor == row.proposed_by:
        return refuse(RefusalCode.FORBIDDEN, "Who proposed a correction cannot approve it.")
    balance = None
    if command.approve:
        refusal = _correct(book, row, now_ms)
        if refusal is not None:
            return refusal
        if row.account == AccountCode.COINS:
            balance = Balance(
                row.user, book.balance(row.user, AccountCode.COINS), book.next_command
            )
    row.status = CorrectionStatus.APPROVED if command.approve else CorrectionStatus.REJECTED
    row.decided_by = command.actor
    book.keep(row)
    outcome = CorrectionDecided(
        correction=row.id,
        status=row.status,
        user=row.user,
        account=row.account,
        amount=row.amount,
    )
    return Result(outcome, balance=balance)


def _correct(book: Book, row: Correction, now_ms: int) -> Result | None:
    code, amount = AccountCode(row.account), abs(row.amount)
    other = (SYSTEM, _OTHER_SIDE[CURRENCY[code]])
    own = book.accounts.get((row.user, code))
    if row.amount > 0:
        allowed = book.can_take(row.user, code, amount) if own or "debt" not in code else False
    else:
        allowed = can_give(own, amount) if own else "debt" in code
    fits = can_give if row.amount > 0 else has_room
    if not allowed or not fits(book.account(*other), amount):
        balance = book.balance(row.user, code)
        sentence = f"The account has {balance}; that cannot be changed by {row.amount}."
        return refuse(RefusalCode.INVALID, sentence, field="amount", balance=balance)
    if row.amount > 0:
        if code == AccountCode.COINS:
            book.credited(row.user, now_ms)
        book.pay(Reason.CORRECTION, other, (row.user, code), amount)
        return None
    if code == AccountCode.COINS:
        take(book.user(row.user), book.balance(row.user, code), amount)
    book.pay(Reason.CORRECTION, (row.user, code), other, amount)
    return None
