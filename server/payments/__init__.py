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
from server.settings.table import Settings

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


def open_provider(settings: Settings) -> Provider:
    """The provider that the settings name. Raises ValueError with a sentence for the operator."""
    match settings.payment_provider:
        case "sandbox":
            if not settings.token_secret:
                raise ValueError("The payment provider sandbox needs a secret to sign with.")
            return Sandbox(settings.token_secret)
        case "stripe":
            return _open_stripe(settings)
    known = " or ".join(PROVIDERS)
    raise ValueError(f"There is no payment provider {settings.payment_provider}: use {known}.")


def _open_stripe(settings: Settings) -> Provider:
    keys = {
        "stripe_secret_key": settings.stripe_secret_key.strip(),
        "stripe_webhook_secret": settings.stripe_webhook_secret.strip(),
    }
    if missing := [name for name, value in keys.items() if not value]:
        raise ValueError(f"The payment provider stripe needs {' and '.join(missing)}.")
    try:
        from server.payments.stripe_checkout import StripeCheckout
    except ModuleNotFoundError as error:
        raise ValueError(
            "The payment provider stripe needs a package: pip install 'largesse[stripe]'."
        ) from error
    return StripeCheckout(*keys.values(), api_base=settings.stripe_api_base)
