"""What payment providers tell us, as commands for the books.

The life of a payment: the provider has the money and says so, as often as it likes and in any
order; each thing that it says becomes one command, whose key is made of what it said. So saying it
a hundred times changes nothing. What it means for a purchase is decided by the books
(rules/purchases.py), and what does not fit any purchase ends in their suspense list.
"""

import hashlib
import secrets
from typing import assert_never

import msgspec
import structlog

from rules.commands import (
    AnyCommand,
    ChargeBack,
    FailPurchase,
    SeeRefund,
    SettlePurchase,
    Suspend,
    WinChargeback,
)
from rules.outcomes import Refused, Suspended
from rules.refusals import RefusalCode
from rules.results import Result
from server.payments.contract import (
    ChargebackWon,
    ChargedBack,
    Declined,
    Notification,
    Paid,
    RefundSeen,
)
from server.settlement import Settlement
from storage import Store

log = structlog.get_logger()


class NotYet(Exception):
    """It belongs to a payment that we have not heard of: the provider should say it again later."""


async def take(
    notification: Notification, provider: str, store: Store, settlement: Settlement
) -> None:
    """Book what a provider said. Raises NotYet, StoreError."""
    command = command_of(notification, provider)
    code = await _book(command, settlement)
    if isinstance(command, ChargeBack) and code is RefusalCode.UNKNOWN_PURCHASE:
        # Somebody has to look at it. But its payment may still be on the way to us, and then it
        # must be said again, to take the coins that the payment brings. Asked in this order,
        # nothing falls between: if nothing waits for a payment now, the books have heard of it.
        await _book(_unknown(command), settlement)
        if await store.money.purchases(None, "pending", None, 1):
            raise NotYet("This payment is not known yet; send this again later.")
        await _book(command, settlement)
    if isinstance(command, SeeRefund) and code is RefusalCode.WRONG_STATE:
        raise NotYet("This purchase has not been paid yet; send this again later.")


async def _book(command: AnyCommand, settlement: Settlement) -> RefusalCode | None:
    """Why the books refused it, if they did. Raises NotYet when they were not asked."""
    result = await settlement.ask(command)
    _tell(type(command).__name__, result)
    if not isinstance(result.outcome, Refused):
        return None
    if result.outcome.code in (RefusalCode.BUSY, RefusalCode.UNAVAILABLE):
        raise NotYet(result.outcome.message)
    return result.outcome.code


def _tell(what: str, result: Result) -> None:
    match result.outcome:
        case Refused(code=RefusalCode.NOTHING_TO_REFUND):
            log.info("payments.nothing_new", what=what)
        case Refused(code=code):
            log.warning("payments.refused", what=what, code=code)
        case Suspended(entry=entry, why=why):
            log.error("payments.suspended", what=what, entry=entry, why=why)
        case _:
            log.info("payments.booked", what=what, replayed=result.replayed)


def command_of(notification: Notification, provider: str) -> AnyCommand:
    """What a notification asks of the books."""
    digest = hashlib.sha256(msgspec.json.encode(notification)).hexdigest()
    name = {
        "actor": f"provider:{provider}",
        "key": f"{type(notification).__name__}-{digest[:32]}",
    }
    match notification:
        case Paid():
            return SettlePurchase(
                **name,
                purchase=notification.purchase,
                payment=notification.payment,
                amount_minor=notification.amount_minor,
                currency=notification.currency,
            )
        case Declined():
            return FailPurchase(**name, purchase=notification.purchase, reason=notification.reason)
        case RefundSeen():
            return SeeRefund(
                **name,
                refund=f"ref_{secrets.token_hex(12)}",
                purchase=notification.purchase,
                payment=notification.payment,
                refunded_minor=notification.refunded_minor,
                currency=notification.currency,
                reason="refunded at the payment provider",
            )
        case ChargedBack():
            return ChargeBack(
                **name,
                purchase=notification.purchase,
                payment=notification.payment,
                reason=notification.reason,
                amount_minor=notification.amount_minor,
                currency=notification.currency,
            )
        case ChargebackWon():
            return WinChargeback(
                **name, purchase=notification.purchase, payment=notification.payment
            )
        case _:
            assert_never(notification)


def _unknown(command: ChargeBack) -> Suspend:
    """A chargeback of a payment that we never heard of, for a person to look at. It has a key of
    its own: when the payment comes, the chargeback itself is still to be booked."""
    return Suspend(
        actor=command.actor,
        key=f"{command.key}-unknown",
        subject=f"payment {command.payment}",
        why="charged_back_unknown",
        note=f"{command.amount_minor} {command.currency} {command.reason}",
    )
