"""What is read of Stripe's objects, and what they mean to us: bytes in, a notification out.

Only the fields named here are read, and every one is checked: a field that is missing or of another
type is an unreadable object, never a guess. The shapes are the same in all versions of Stripe's API
since 2019, because a webhook endpoint may be set to another version than our requests are.

An account may serve other shops as well. Their checkouts are told from ours by the metadata, which
only the holder of the secret key can write; `client_reference_id` alone proves nothing, because a
payer may set it on the account's payment links.

What becomes of a checkout: `completed` and paid at once, or `completed` and unpaid while a slow
payment method works, then `async_payment_succeeded` or `async_payment_failed`; or `expired`. A
dispute may begin as an inquiry (`warning_...`), which takes no money; when it becomes a chargeback
Stripe says `funds_withdrawn`. For any other dispute `created` says it too, and both are the same.
"""

from collections.abc import Callable
from typing import Annotated, TypeVar

import msgspec

from server.payments.contract import (
    ChargebackWon,
    ChargedBack,
    Declined,
    Id,
    Minor,
    Notification,
    Paid,
    RefundSeen,
)

PURCHASE_KEY = "purchase"
"""The key in the metadata of what is ours."""

_Lower = Annotated[str, msgspec.Meta(pattern=r"\A[a-z]{3}\Z")]
_Metadata = dict[str, str]
_T = TypeVar("_T")


class Unreadable(Exception):
    """Not of the shape that Stripe documents; what is wrong, without the values."""


class Intent(msgspec.Struct, frozen=True):
    """A payment, where Stripe was asked to put it inside the session."""

    id: Id
    status: str


class Session(msgspec.Struct, frozen=True):
    """A checkout."""

    id: Id
    mode: str
    status: str | None
    payment_status: str
    client_reference_id: str | None
    metadata: _Metadata | None
    payment_intent: Id | Intent | None
    amount_total: Minor | None
    currency: _Lower | None
    url: str | None = None

    @property
    def purchase(self) -> str | None:
        """None when the session is not one of ours."""
        purchase = (self.metadata or {}).get(PURCHASE_KEY)
        if self.mode != "payment" or purchase != self.client_reference_id:
            return None
        return purchase


class Refund(msgspec.Struct, frozen=True):
    id: Id
    status: str | None
    metadata: _Metadata | None


class Refunds(msgspec.Struct, frozen=True):
    data: list[Refund]


class _Charge(msgspec.Struct, frozen=True):
    payment_intent: Id | None
    amount_refunded: Minor
    currency: _Lower
    metadata: _Metadata | None


class _Dispute(msgspec.Struct, frozen=True):
    payment_intent: Id | None
    amount: Minor
    currency: _Lower
    reason: str
    status: str


class _Envelope(msgspec.Struct, frozen=True):
    type: str


class _Carried(msgspec.Struct, frozen=True):
    object: msgspec.Raw


class _Event(msgspec.Struct, frozen=True):
    data: _Carried


def read_as(shape: type[_T], body: bytes | str | msgspec.Raw) -> _T:
    """The object in some JSON. Raises Unreadable."""
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(str(error)) from error


def read_event(body: bytes) -> Notification | None:
    """What a verified event means to us; None for nothing. Raises Unreadable."""
    means = _MEANINGS.get(read_as(_Envelope, body).type)
    return means(read_as(_Event, body).data.object) if means else None


def outcome_of(session: Session) -> Paid | Declined | None:
    """What became of a checkout that was asked for with its payment inside. Raises Unreadable."""
    if session.purchase is None:
        return None
    match session.status, session.payment_status, session.payment_intent:
        case "expired", _, _:
            return Declined(purchase=session.purchase, reason="the checkout expired")
        # Completed, then waiting for a slow payment method, which has failed meanwhile.
        case "complete", "unpaid", Intent(status="requires_payment_method" | "canceled"):
            return Declined(purchase=session.purchase, reason="the payment failed")
        case "complete", "paid", _:
            return _paid(session, session.purchase)
    return None


def _paid(session: Session, purchase: str) -> Paid:
    payment = session.payment_intent
    if payment is None or session.amount_total is None or session.currency is None:
        raise Unreadable("a paid session without a payment, an amount or a currency")
    return Paid(
        purchase=purchase,
        payment=payment.id if isinstance(payment, Intent) else payment,
        amount_minor=session.amount_total,
        currency=session.currency.upper(),
    )


def _settled(body: msgspec.Raw) -> Notification | None:
    session = read_as(Session, body)
    if session.purchase is None or session.payment_status != "paid":
        return None
    return _paid(session, session.purchase)


def _failed(reason: str) -> Callable[[msgspec.Raw], Notification | None]:
    def read(body: msgspec.Raw) -> Notification | None:
        purchase = read_as(Session, body).purchase
        return None if purchase is None else Declined(purchase=purchase, reason=reason)

    return read


def _refunded(body: msgspec.Raw) -> Notification | None:
    charge = read_as(_Charge, body)
    if charge.payment_intent is None:
        return None  # all payments of ours are made by payment intents
    return RefundSeen(
        # Stripe copies the payment's metadata to its charge, but not to a dispute.
        purchase=(charge.metadata or {}).get(PURCHASE_KEY),
        payment=charge.payment_intent,
        refunded_minor=charge.amount_refunded,
        currency=charge.currency.upper(),
    )


def _disputed(body: msgspec.Raw) -> Notification | None:
    dispute = read_as(_Dispute, body)
    return None if dispute.status.startswith("warning_") else _charged_back(dispute)


def _withdrawn(body: msgspec.Raw) -> Notification | None:
    return _charged_back(read_as(_Dispute, body))


def _charged_back(dispute: _Dispute) -> Notification | None:
    if dispute.payment_intent is None:
        return None
    return ChargedBack(
        purchase=None,
        payment=dispute.payment_intent,
        amount_minor=dispute.amount,
        currency=dispute.currency.upper(),
        reason=dispute.reason,
    )


def _closed(body: msgspec.Raw) -> Notification | None:
    dispute = read_as(_Dispute, body)
    if dispute.payment_intent is None or dispute.status != "won":
        return None
    return ChargebackWon(purchase=None, payment=dispute.payment_intent)


_MEANINGS: dict[str, Callable[[msgspec.Raw], Notification | None]] = {
    "checkout.session.completed": _settled,
    "checkout.session.async_payment_succeeded": _settled,
    "checkout.session.async_payment_failed": _failed("the payment failed"),
    "checkout.session.expired": _failed("the checkout expired"),
    "charge.refunded": _refunded,
    "charge.dispute.created": _disputed,
    "charge.dispute.funds_withdrawn": _withdrawn,
    "charge.dispute.closed": _closed,
}

EVENT_TYPES = tuple(_MEANINGS)
"""What a webhook endpoint at Stripe should be subscribed to."""
