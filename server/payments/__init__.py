"""Who takes the money for coins, behind a narrow contract.

The only place that names an adapter. A provider moves money and reports; what that means for
anybody's coins is decided in `rules`.
"""

from server.payments.contract import (
    BadNotification,
    ChargebackWon,
    ChargedBack,
    Checkout,
    Declined,
    Notification,
    Paid,
    Provider,
    ProviderDown,
    ProviderError,
    ProviderRefused,
    RefundSeen,
    Wish,
)
from server.payments.sandbox import Sandbox

__all__ = [
    "PROVIDERS",
    "BadNotification",
    "ChargebackWon",
    "ChargedBack",
    "Checkout",
    "Declined",
    "Notification",
    "Paid",
    "Provider",
    "ProviderDown",
    "ProviderError",
    "ProviderRefused",
    "RefundSeen",
    "Sandbox",
    "Wish",
    "open_provider",
]

PROVIDERS = ("sandbox", "stripe")


def open_provider(
    name: str,
    *,
    secret: str,
    stripe_secret_key: str = "",
    stripe_webhook_secret: str = "",
    stripe_api_base: str = "",
) -> Provider:
    """The provider that a setting names. Raises ValueError with a sentence for the operator.

    `secret` is the server's own, for the sandbox to derive a key from; `stripe_api_base` is the
    address of something that speaks like Stripe, or empty for Stripe.
    """
    match name:
        case "sandbox":
            if not secret:
                raise ValueError("The payment provider sandbox needs a secret to sign with.")
            return Sandbox(secret)
        case "stripe":
            return _open_stripe(stripe_secret_key, stripe_webhook_secret, stripe_api_base)
    raise ValueError(f"There is no payment provider {name}: use {' or '.join(PROVIDERS)}.")


def _open_stripe(secret_key: str, webhook_secret: str, api_base: str) -> Provider:
    given = {"stripe_secret_key": secret_key, "stripe_webhook_secret": webhook_secret}
    if missing := [name for name, value in given.items() if not value.strip()]:
        raise ValueError(f"The payment provider stripe needs {' and '.join(missing)}.")
    try:
        from server.payments.stripe_checkout import StripeCheckout
    except ModuleNotFoundError as error:
        raise ValueError(
            "The payment provider stripe needs a package: pip install 'largesse[stripe]'."
        ) from error
    return StripeCheckout(secret_key.strip(), webhook_secret.strip(), api_base=api_base)
