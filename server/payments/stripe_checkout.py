"""Stripe, by its hosted checkout: cards, PayPal and whatever else the account has switched on.

A purchase is one Checkout Session. Which payment methods it offers is left to the account's
dashboard; the local currencies that Stripe may offer beside ours are not, because the books are
kept in one. Idempotency is Stripe's: the purchase's id or the refund's is the key, which Stripe
remembers for at least a day. A refund may be tried again later than that, so each carries its id in
its metadata and the payment's refunds are looked through first.

stripe's client is used without its retries: whoever calls knows better when to try again. Its
answers are read as JSON by `stripe_shapes`, because the client's objects check nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

import httpx
import stripe

from server.payments.contract import (
    BadNotification,
    Checkout,
    Declined,
    Notification,
    Paid,
    ProviderDown,
    ProviderRefused,
    Wish,
)
from server.payments.signing import header_of, verify
from server.payments.stripe_shapes import (
    PURCHASE_KEY,
    Refund,
    Refunds,
    Session,
    Unreadable,
    outcome_of,
    read_as,
    read_event,
)

if TYPE_CHECKING:
    from stripe.params.checkout import SessionCreateParams

REQUEST_TIMEOUT_S = 20.0
"""Stripe answers within a second or two; a payer does not wait for longer than this."""
SIGNATURE_HEADER = "Stripe-Signature"
REFUNDS_PAGE = 100
"""Stripe's maximum, and more partial refunds than one payment will see."""
SENTENCE_CHARACTERS_MAX = 300
REFUND_KEY = "refund"
COUNTED_DIFFERENTLY = frozenset({"MGA", "UGX"})
"""Currencies where Stripe's minor unit is not ours: it would take a hundred times too much, or too
little (docs.stripe.com/currencies, special cases)."""

_Shape = TypeVar("_Shape")


class _Http(stripe.HTTPClient):
    """How stripe's client reaches the network.

    Its own `HTTPXClient` hands httpx the form in a way that httpx has deprecated, and waits with
    one limit for each step instead of one for them all.
    """

    name = "httpx"

    def __init__(self, timeout_s: float) -> None:
        super().__init__()
        self._timeout_s = timeout_s
        self._client = httpx.AsyncClient(timeout=timeout_s)

    async def request_async(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        post_data: str | None = None,
    ) -> tuple[bytes, int, Mapping[str, str]]:
        try:
            async with asyncio.timeout(self._timeout_s):
                response = await self._client.request(
                    method, url, headers=dict(headers), content=post_data
                )
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise stripe.APIConnectionError(str(error)) from error  # type: ignore[no-untyped-call]
        return response.content, response.status_code, response.headers

    async def close_async(self) -> None:
        await self._client.aclose()


class StripeCheckout:
    """One account of Stripe; it holds connections until it is closed."""

    name = "stripe"

    def __init__(
        self,
        secret_key: str,
        webhook_secret: str,
        *,
        api_base: str = "",
        timeout_s: float = REQUEST_TIMEOUT_S,
    ) -> None:
        # It would write an id of this machine into the home directory and send it with each
        # request; there is no switch but this one for the whole package.
        stripe.enable_telemetry = False
        self._webhook_secret = webhook_secret.encode()
        self._http = _Http(timeout_s)
        self._stripe = stripe.StripeClient(
            secret_key,
            base_addresses={"api": api_base.rstrip("/")} if api_base else {},
            max_network_retries=0,
            http_client=self._http,
        )

    async def start(self, wish: Wish) -> Checkout:
        if wish.currency in COUNTED_DIFFERENTLY:
            raise ProviderRefused(f"Purchases in {wish.currency} cannot be made with Stripe.")
        sessions = self._stripe.v1.checkout.sessions
        session = await self._ask(
            Session,
            lambda: sessions.create_async(
                _session_params(wish), {"idempotency_key": wish.purchase}
            ),
        )
        if session.url is None:
            raise ProviderRefused("Stripe has closed this checkout: start another purchase.")
        return Checkout(reference=session.id, url=session.url)

    async def refund(self, refund: str, payment: str, amount_minor: int, currency: str) -> None:
        refunds = self._stripe.v1.refunds
        made = await self._ask(
            Refunds,
            lambda: refunds.list_async({"payment_intent": payment, "limit": REFUNDS_PAGE}),
        )
        same = [each for each in made.data if (each.metadata or {}).get(REFUND_KEY) == refund]
        if not same:
            answer = await self._ask(
                Refund,
                lambda: refunds.create_async(
                    {
                        "payment_intent": payment,
                        "amount": amount_minor,
                        "metadata": {REFUND_KEY: refund},
                    },
                    {"idempotency_key": refund},
                ),
            )
            same = [answer]
        if same[0].status in ("failed", "canceled"):
            raise ProviderRefused(f"Stripe could not pay refund {refund} back to the payer.")

    async def look_up(self, reference: str) -> Paid | Declined | None:
        sessions = self._stripe.v1.checkout.sessions
        session = await self._ask(
            Session, lambda: sessions.retrieve_async(reference, {"expand": ["payment_intent"]})
        )
        try:
            return outcome_of(session)
        except Unreadable as error:
            raise ProviderDown(f"Stripe's answer cannot be read: {error}.") from error

    def read(self, headers: Mapping[str, str], body: bytes, now_ms: int) -> Notification | None:
        verify(self._webhook_secret, header_of(headers, SIGNATURE_HEADER), body, now_ms)
        try:
            return read_event(body)
        except Unreadable as error:
            raise BadNotification(f"The event cannot be read: {error}.") from error

    async def close(self) -> None:
        await self._http.close_async()

    async def _ask(
        self, shape: type[_Shape], call: Callable[[], Awaitable[stripe.StripeObject]]
    ) -> _Shape:
        """Make one request. Raises ProviderDown, ProviderRefused."""
        try:
            response = (await call()).last_response
        except (stripe.CardError, stripe.InvalidRequestError, stripe.IdempotencyError) as error:
            raise ProviderRefused(_refusal(error)) from error
        except stripe.AuthenticationError as error:
            raise ProviderDown("Stripe does not accept the secret key.") from error
        except stripe.PermissionError as error:
            raise ProviderDown("Stripe does not let the secret key do this.") from error
        except stripe.StripeError as error:
            raise ProviderDown(_trouble(error)) from error
        # JSON of another shape than an object trips the client itself.
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ProviderDown("Stripe's answer cannot be read.") from error
        if response is None:
            raise ProviderDown("Stripe's answer is empty.")
        try:
            return read_as(shape, response.body)
        except Unreadable as error:
            raise ProviderDown(f"Stripe's answer cannot be read: {error}.") from error


def _session_params(wish: Wish) -> "SessionCreateParams":
    marks = {PURCHASE_KEY: wish.purchase, "user": wish.user, "coins": str(wish.coins)}
    return {
        "mode": "payment",
        "line_items": [
            {
                "quantity": 1,
                "price_data": {
                    "currency": wish.currency.lower(),
                    "unit_amount": wish.amount_minor,
                    "product_data": {"name": wish.description},
                },
            }
        ],
        "adaptive_pricing": {"enabled": False},
        "client_reference_id": wish.purchase,
        "metadata": marks,
        # Again for the payment: Stripe's charges get theirs from it, and refunds are told by them.
        "payment_intent_data": {"metadata": marks},
        "success_url": wish.paid_url,
        "cancel_url": wish.cancelled_url,
    }


def _refusal(error: stripe.StripeError) -> str:
    said = error.user_message or "no reason given"
    return f"Stripe refused: {said[:SENTENCE_CHARACTERS_MAX]}"


def _trouble(error: stripe.StripeError) -> str:
    """The answer itself is left out: it may be any page of whatever stands in between."""
    if isinstance(error, stripe.APIConnectionError):
        return "Stripe cannot be reached."
    return f"Stripe is in trouble: it answered with status {error.http_status}."
