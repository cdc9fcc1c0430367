"""Talking to the payment provider about purchases and refunds that are in the books.

Each step is booked before and after the call, never during it, so the process may die anywhere:
what was not answered is asked again, and the provider knows each purchase and refund by our id.
"""

import secrets

import structlog

from rules.commands import AttachCheckout, FailPurchase, RefundSent, Suspend
from rules.rows import Purchase, Refund
from server.payments.contract import Provider, ProviderDown, ProviderRefused, Wish
from server.settlement import Settlement

log = structlog.get_logger()


async def start(
    purchase: Purchase, return_url: str, provider: Provider, settlement: Settlement
) -> str | None:
    """Where the buyer pays; None when the provider is down: then the purchase stays pending.

    Raises ProviderRefused; the purchase has failed then.
    """
    wish = Wish(
        purchase=purchase.id,
        user=purchase.user,
        coins=purchase.coins,
        amount_minor=purchase.price_minor,
        currency=purchase.currency,
        return_url=return_url,
        description=f"{purchase.coins} coins",
    )
    actor = f"provider:{provider.name}"
    try:
        checkout = await provider.start(wish)
    except ProviderDown as error:
        log.warning("payments.down", purchase=purchase.id, error=str(error))
        return None
    except ProviderRefused as error:
        log.error("payments.refused", purchase=purchase.id, error=str(error))
        key = f"refused-{purchase.id}"
        await settlement.ask(
            FailPurchase(actor=actor, key=key, purchase=purchase.id, reason=str(error)[:200])
        )
        raise
    await settlement.ask(
        AttachCheckout(
            actor=actor,
            key=f"checkout-{secrets.token_hex(16)}",
            purchase=purchase.id,
            checkout=checkout.reference,
            url=checkout.url,
        )
    )
    return checkout.url


async def pay_back(
    refund: Refund, purchase: Purchase, provider: Provider, settlement: Settlement
) -> bool:
    """Have the provider pay a refund; when it is down or refuses, False: it stays on the list. One
    that is refused is on the suspense list too, for somebody has to look at it."""
    actor = f"provider:{provider.name}"
    try:
        await provider.refund(refund.id, purchase.payment, refund.amount_minor, purchase.currency)
    except ProviderDown as error:
        log.warning("payments.refund_delayed", refund=refund.id, error=str(error))
        return False
    except ProviderRefused as error:
        log.error("payments.refund_refused", refund=refund.id, error=str(error))
        key, subject = f"refused-{refund.id}", f"refund {refund.id}"
        note = f"{refund.amount_minor} {purchase.currency} of purchase {purchase.id}"
        await settlement.ask(
            Suspend(actor=actor, key=key, subject=subject, why="refund_refused", note=note)
        )
        return False
    await settlement.ask(RefundSent(actor=actor, key=f"sent-{refund.id}", refund=refund.id))
    return True
