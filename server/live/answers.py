"""What a user is told of what became of a command: outcome in, message out, and nothing else."""

import msgspec

from protocol import encode, encode_refusal
from protocol.messages import Accepted, Balance, Combo, Me, Notice
from rules.commands import SendGift
from rules.outcomes import GiftAccepted, Refused
from rules.refusals import RefusalCode
from rules.results import Reminder, Result

RETRY_UNAVAILABLE_MS = 100


def gift_answer(command: SendGift, result: Result, place: Me) -> bytes:
    """The answer to who sent a gift; `place` is where they stand in the room by now."""
    outcome = result.outcome
    if isinstance(outcome, Refused):
        return encode_refusal(
            outcome.code,
            outcome.message,
            key=command.key,
            retry_after_ms=RETRY_UNAVAILABLE_MS
            if outcome.code is RefusalCode.UNAVAILABLE
            else None,
            details=outcome.details,
        )
    assert isinstance(outcome, GiftAccepted)
    shown = outcome.combo
    combo = Combo(**msgspec.structs.asdict(shown)) if shown else None
    return encode(
        Accepted(
            key=command.key,
            room=outcome.room,
            seq=outcome.seq,
            gift=outcome.gift,
            quantity=outcome.quantity,
            coins=outcome.coins,
            balance_coins=outcome.balance_coins,
            total_coins=outcome.total_coins,
            me=place,
            combo=combo,
            at_ms=outcome.at_ms,
            replayed=result.replayed,
        )
    )


def balance_notice(coins: int, reason: str) -> bytes:
    """For a user's other connections: their wallet has changed."""
    return encode(Balance(balance_coins=coins, reason=reason))


def reminder_notice(reminder: Reminder) -> bytes:
    """How much of their limit a user has used up."""
    spent, limit = reminder.spent_coins, reminder.limit_coins
    sentence = f"You have spent {spent} of {limit} coins in 24 hours ({reminder.percent} %)."
    details = {"percent": reminder.percent, "limit_coins": limit, "spent_coins": spent}
    return encode(Notice(code="limit_reminder", message=sentence, details=dict(details)))
