"""What payment providers tell us, as commands for the books.

The life of a payment: the provider has the money and says so, as often as it likes and in any
order; each thing that it says becomes one command, whose key is made of what it said. So saying it
a hundred times changes nothing, and what does not fit any purchase ends in the suspense list.
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
    RefundPurchase,
    SettlePurchase,
    Suspend,
)
from rules.outcomes import Refused, Suspended
from rules.results import Result
from rules.rows import Purchase
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


UNKNOWN_CHARGEBACK = "charged_back_unknown"


class NotYet(Exception):
    """It belongs to a payment that we have not heard of: the provider should say it again later."""


async def take(
    notification: Notification, provider: str, store: Store, settlement: Settlement
) -> None:
    """Book what a provider said. Raises NotYet, StoreError."""
    command = await _command(notification, provider, store)
    if command is None:
        return
    result = await settlement.ask(command)
    _tell(notification, result)
    outcome = result.outcome
    if isinstance(command, Suspend) and command.why == UNKNOWN_CHARGEBACK:
        # It is on the list. But its payment may still be on the way to us, and then it must be
        # said again, to take the coins that the payment brings.
        if await store.money.purchases(None, "pending", None, 1):
            raise NotYet("This payment is not known yet; send this again later.")
    if not isinstance(outcome, Refused):
        return
    overtaken = isinstance(command, RefundPurchase) and outcome.code == "key_reused"
    if overtaken or outcome.code in ("busy", "unavailable"):
        raise NotYet(outcome.message)


def _tell(notification: Notification, result: Result) -> None:
    what = type(notification).__name__
    if isinstance(result.outcome, Refused):
        log.warning("payments.refused", what=what, code=result.outcome.code)
    elif isinstance(result.outcome, Suspended):
        entry, why = result.outcome.entry, result.outcome.why
        log.error("payments.suspended", what=what, entry=entry, why=why)
    else:
        log.info("payments.booked", what=what, replayed=result.replayed)


async def _command(notification: Notification, provider: str, store: Store) -> AnyCommand | None:
    actor = f"provider:{provider}"
    digest = hashlib.sha256(msgspec.json.encode(notification)).hexdigest()
    key = f"{type(notification).__name__}-{digest[:32]}"
    match notification:
        case Paid():
            return SettlePurchase(
                actor=actor,
                key=key,
                purchase=notification.purchase,
                payment=notification.payment,
                amount_minor=notification.amount_minor,
                currency=notification.currency,
            )
        case Declined():
            return FailPurchase(
                actor=actor, key=key, purchase=notification.purchase, reason=notification.reason
            )
        case RefundSeen():
            return await _refund(notification, actor, key, store)
        case ChargedBack():
            bought = await _find(notification.purchase, notification.payment, store)
            named = bought.id if bought else notification.purchase
            another = _of_another(bought, notification.payment)
            if named is not None and not another:
                return ChargeBack(
                    actor=actor,
                    key=key,
                    purchase=named,
                    reason=notification.reason,
                    amount_minor=notification.amount_minor,
                    currency=notification.currency,
                )
            note = f"{notification.amount_minor} {notification.currency} {notification.reason}"
            subject = f"payment {notification.payment}"
            why = "charged_back_second" if another else UNKNOWN_CHARGEBACK
            key = f"{key}-unknown"
            return Suspend(actor=actor, key=key, subject=subject, why=why, note=note)
        case ChargebackWon():
            bought = await _find(notification.purchase, notification.payment, store)
            subject = f"purchase {bought.id}" if bought else f"payment {notification.payment}"
            note = "the bank gave the money back; correct by hand what should be undone"
            return Suspend(actor=actor, key=key, subject=subject, why="chargeback_won", note=note)
        case _:
            assert_never(notification)


async def _find(purchase: str | None, payment: str, store: Store) -> Purchase | None:
    if purchase is not None:
        return await store.money.purchase(purchase)
    return await store.money.purchase_of_payment(payment)


def _of_another(bought: Purchase | None, payment: str) -> bool:
    """Whether this is a second payment of a purchase: its coins belong to the first."""
    return bought is not None and bought.payment not in ("", payment)


async def _refund(seen: RefundSeen, actor: str, key: str, store: Store) -> AnyCommand | None:
    """A refund that was made at the provider. Its echo of our own says nothing new.

    The provider says the sum so far, so what is new depends on what is booked. The key names that:
    of two refunds which were reckoned from the same sum one is booked, and the other said again.
    """
    bought = await _find(seen.purchase, seen.payment, store)
    if bought is None:
        log.warning("payments.refund_of_nothing", payment=seen.payment)
        return None
    if not bought.payment:
        raise NotYet(f"The purchase {bought.id} is {bought.status}; send this again later.")
    new_minor = seen.refunded_minor - bought.refunded_minor
    another = _of_another(bought, seen.payment)
    if not another and (new_minor <= 0 or bought.status != "paid"):
        return None
    coins = new_minor * bought.coins // bought.price_minor
    uneven = coins * bought.price_minor != new_minor * bought.coins
    too_much = seen.refunded_minor > bought.price_minor
    if another or uneven or too_much or seen.currency != bought.currency:
        sums = f"{seen.refunded_minor} {seen.currency} of payment {seen.payment}"
        note = f"{sums} were refunded at the provider in all"
        subject = f"purchase {bought.id}"
        return Suspend(actor=actor, key=key, subject=subject, why="refund_differs", note=note)
    return RefundPurchase(
        actor=actor,
        key=f"refund-{bought.id}-{bought.refunded_minor}",
        refund=f"ref_{secrets.token_hex(12)}",
        purchase=bought.id,
        coins=coins,
        reason="refunded at the payment provider",
        sent=True,
    )
