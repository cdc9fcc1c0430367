"""Stripe's webhooks: events as Stripe writes and signs them, and what they mean to us."""

import hashlib
import hmac
import json
from copy import deepcopy
from typing import Any

import pytest

from server.payments import (
    BadNotification,
    ChargebackWon,
    ChargedBack,
    Declined,
    Paid,
    RefundSeen,
)
from server.payments.stripe_checkout import StripeCheckout
from server.payments.stripe_shapes import EVENT_TYPES

SECRET = "whsec_of_the_tests"

SESSION: dict[str, Any] = {
    "id": "cs_test_1",
    "object": "checkout.session",
    "amount_subtotal": 499,
    "amount_total": 499,
    "client_reference_id": "p-1",
    "currency": "usd",
    "customer_details": {"email": "vera@example.com", "name": "Vera", "tax_ids": []},
    "livemode": False,
    "metadata": {"purchase": "p-1", "user": "vera", "coins": "500"},
    "mode": "payment",
    "payment_intent": "pi_1",
    "payment_method_types": ["card", "paypal"],
    "payment_status": "paid",
    "status": "complete",
    "url": None,
}
CHARGE: dict[str, Any] = {
    "id": "ch_1",
    "object": "charge",
    "amount": 499,
    "amount_captured": 499,
    "amount_refunded": 200,
    "currency": "usd",
    "metadata": {"purchase": "p-1", "user": "vera", "coins": "500"},
    "payment_intent": "pi_1",
    "refunded": False,
}
DISPUTE: dict[str, Any] = {
    "id": "du_1",
    "object": "dispute",
    "amount": 499,
    "balance_transactions": [{"id": "txn_1", "amount": -499}],
    "charge": "ch_1",
    "currency": "usd",
    "metadata": {},
    "payment_intent": "pi_1",
    "reason": "fraudulent",
    "status": "needs_response",
}

PAID = Paid(purchase="p-1", payment="pi_1", amount_minor=499, currency="USD")
CHARGED_BACK = ChargedBack(
    purchase=None, payment="pi_1", amount_minor=499, currency="USD", reason="fraudulent"
)
REFUNDED = RefundSeen(purchase="p-1", payment="pi_1", refunded_minor=200, currency="USD")


@pytest.fixture(scope="module")
def stripe() -> StripeCheckout:
    return StripeCheckout("sk_test_right", SECRET, api_base="http://127.0.0.1:1")


def event(type: str, object: Any) -> bytes:
    """As Stripe writes it: indented, with much that we do not read."""
    whole = {
        "id": "evt_1",
        "object": "event",
        "api_version": "2020-08-27",
        "created": 1_800_000_000,
        "data": {"object": object, "previous_attributes": {}},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": type,
    }
    return json.dumps(whole, indent=2).encode()


def signed(body: bytes, now_ms: int, secret: str = SECRET) -> dict[str, str]:
    """By hand: Stripe's own signer takes only text. `test_payment_signing` compares with it."""
    seconds = b"%d" % (now_ms // 1_000)
    digest = hmac.new(secret.encode(), seconds + b"." + body, hashlib.sha256).hexdigest()
    return {"stripe-signature": f"t={seconds.decode()},v1={digest}"}


def read(stripe: StripeCheckout, body: bytes, now_ms: int) -> Any:
    return stripe.read(signed(body, now_ms), body, now_ms)


# What events mean

CASES = [
    ("checkout.session.completed", SESSION, PAID),
    ("checkout.session.completed", SESSION | {"payment_status": "unpaid"}, None),
    ("checkout.session.completed", SESSION | {"payment_status": "no_payment_required"}, None),
    ("checkout.session.async_payment_succeeded", SESSION, PAID),
    (
        "checkout.session.async_payment_failed",
        SESSION | {"payment_status": "unpaid"},
        Declined(purchase="p-1", reason="the payment failed"),
    ),
    (
        "checkout.session.expired",
        SESSION | {"payment_status": "unpaid", "status": "expired", "payment_intent": None},
        Declined(purchase="p-1", reason="the checkout expired"),
    ),
    ("charge.refunded", CHARGE, REFUNDED),
    (
        "charge.refunded",
        CHARGE | {"amount_refunded": 499, "refunded": True, "metadata": {}},
        RefundSeen(purchase=None, payment="pi_1", refunded_minor=499, currency="USD"),
    ),
    ("charge.dispute.created", DISPUTE, CHARGED_BACK),
    ("charge.dispute.created", DISPUTE | {"status": "warning_needs_response"}, None),
    ("charge.dispute.funds_withdrawn", DISPUTE, CHARGED_BACK),
    (
        "charge.dispute.closed",
        DISPUTE | {"status": "won"},
        ChargebackWon(purchase=None, payment="pi_1"),
    ),
    ("charge.dispute.closed", DISPUTE | {"status": "lost"}, None),
    ("charge.dispute.closed", DISPUTE | {"status": "warning_closed"}, None),
    # What belongs to another shop of the same account.
    ("checkout.session.completed", SESSION | {"metadata": {}}, None),
    ("checkout.session.completed", SESSION | {"metadata": None}, None),
    ("checkout.session.completed", SESSION | {"client_reference_id": "p-2"}, None),
    ("checkout.session.completed", SESSION | {"client_reference_id": None}, None),
    ("checkout.session.completed", SESSION | {"mode": "subscription"}, None),
    ("checkout.session.expired", SESSION | {"metadata": {}}, None),
    ("checkout.session.async_payment_failed", SESSION | {"metadata": {}}, None),
    ("charge.refunded", CHARGE | {"payment_intent": None}, None),
    ("charge.dispute.created", DISPUTE | {"payment_intent": None}, None),
    ("charge.dispute.closed", DISPUTE | {"status": "won", "payment_intent": None}, None),
]


@pytest.mark.parametrize(("type", "object", "means"), CASES)
def test_what_an_event_means(stripe, now_ms, type, object, means) -> None:
    assert read(stripe, event(type, object), now_ms) == means


def test_every_event_that_we_subscribe_to_is_tested() -> None:
    assert {type for type, _, means in CASES if means is not None} == set(EVENT_TYPES)


def test_yen_are_counted_as_they_are(stripe, now_ms) -> None:
    body = event("checkout.session.completed", SESSION | {"currency": "jpy", "amount_total": 750})
    assert read(stripe, body, now_ms) == Paid(
        purchase="p-1", payment="pi_1", amount_minor=750, currency="JPY"
    )


@pytest.mark.parametrize(
    "body",
    [
        event("payment_intent.succeeded", {"id": "pi_1"}),
        event("customer.created", {}),
        event("charge.dispute.updated", DISPUTE),
        event("something.new", None),
        b'{"id": "evt_1", "object": "v2.core.event", "type": "v1.billing.meter.no_meter_found"}',
    ],
)
def test_other_events_do_not_concern_us(stripe, now_ms, body) -> None:
    assert read(stripe, body, now_ms) is None


# What is refused

SHAPES = {
    "checkout.session.completed": (
        SESSION,
        [
            "id",
            "mode",
            "status",
            "payment_status",
            "client_reference_id",
            "metadata",
            "payment_intent",
            "amount_total",
            "currency",
        ],
    ),
    "charge.refunded": (CHARGE, ["payment_intent", "amount_refunded", "currency", "metadata"]),
    "charge.dispute.created": (
        DISPUTE,
        ["payment_intent", "amount", "currency", "reason", "status"],
    ),
}
FIELDS = [(type, field) for type, (_, fields) in SHAPES.items() for field in fields]


@pytest.mark.parametrize(("type", "field"), FIELDS)
def test_a_missing_field_is_refused(stripe, now_ms, type, field) -> None:
    object = deepcopy(SHAPES[type][0])
    del object[field]
    with pytest.raises(BadNotification, match=field):
        read(stripe, event(type, object), now_ms)


@pytest.mark.parametrize("wrong", [True, 4.5, [], ["pi_1"], {"id": 5}], ids=repr)
@pytest.mark.parametrize(("type", "field"), FIELDS)
def test_a_field_of_another_type_is_refused(stripe, now_ms, type, field, wrong) -> None:
    body = event(type, SHAPES[type][0] | {field: wrong})
    with pytest.raises(BadNotification, match=field):
        read(stripe, body, now_ms)


@pytest.mark.parametrize(
    "changed",
    [
        {"amount_total": -499},
        {"amount_total": "499"},
        {"amount_total": 2**53},
        {"amount_total": None},
        {"currency": "USD"},
        {"currency": "dollars"},
        {"currency": None},
        {"payment_intent": ""},
        {"payment_intent": None},
        {"payment_intent": "x" * 256},
        {"metadata": {"purchase": 1}},
    ],
    ids=str,
)
def test_a_payment_with_impossible_values_is_refused(stripe, now_ms, changed) -> None:
    with pytest.raises(BadNotification, match="cannot be read"):
        read(stripe, event("checkout.session.completed", SESSION | changed), now_ms)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not JSON",
        b"null",
        b"[]",
        b"5",
        b"{}",
        b'{"type": 5}',
        b'{"type": "charge.refunded"}',
        b'{"type": "charge.refunded", "data": null}',
        b'{"type": "charge.refunded", "data": {}}',
        b'{"type": "charge.refunded", "data": {"object": null}}',
        b'{"type": "charge.refunded", "data": {"object": []}}',
        b'{"type": "\xff"}',
        b'{"type": "charge.refunded", "data": {"object": {"currency": "\xff"}}}',
        b"[" * 100_000,
        b'{"type": "charge.refunded", "data": {"object": ' + b"[" * 100_000,
    ],
    ids=lambda body: body[:70].decode("latin-1") or "empty",
)
def test_what_cannot_be_read_is_refused_even_when_it_is_signed(stripe, now_ms, body) -> None:
    with pytest.raises(BadNotification, match="cannot be read"):
        read(stripe, body, now_ms)


BODY = event("checkout.session.completed", SESSION)


@pytest.mark.parametrize("headers", [{}, {"Stripe-Signature": ""}, {"Sandbox-Signature": "t=1"}])
def test_a_notification_without_a_signature_is_refused(stripe, now_ms, headers) -> None:
    with pytest.raises(BadNotification, match="no signature"):
        stripe.read(headers, BODY, now_ms)


def test_the_header_may_be_written_in_any_case(stripe, now_ms) -> None:
    headers = {"STRIPE-SIGNATURE": signed(BODY, now_ms)["stripe-signature"]}
    assert stripe.read(headers, BODY, now_ms) == PAID


def test_another_secret_is_refused(stripe, now_ms) -> None:
    with pytest.raises(BadNotification, match="does not fit"):
        stripe.read(signed(BODY, now_ms, "whsec_other"), BODY, now_ms)


def test_an_altered_event_is_refused(stripe, now_ms) -> None:
    headers = signed(BODY, now_ms)
    altered = BODY.replace(b'"p-1"', b'"p-2"')
    assert altered != BODY
    with pytest.raises(BadNotification, match="does not fit"):
        stripe.read(headers, altered, now_ms)


def test_the_signature_is_over_the_bytes_and_not_over_their_meaning(stripe, now_ms) -> None:
    compact = json.dumps(json.loads(BODY)).encode()
    with pytest.raises(BadNotification, match="does not fit"):
        stripe.read(signed(BODY, now_ms), compact, now_ms)


@pytest.mark.parametrize("away_ms", [-301_000, 301_000])
def test_a_notification_of_another_time_is_refused(stripe, now_ms, away_ms) -> None:
    with pytest.raises(BadNotification, match="five minutes"):
        stripe.read(signed(BODY, now_ms + away_ms), BODY, now_ms)


def test_no_refusal_tells_the_secret_or_what_a_good_signature_were(stripe, now_ms) -> None:
    good = signed(BODY, now_ms)["stripe-signature"].partition("v1=")[2]
    with pytest.raises(BadNotification) as raised:
        stripe.read(signed(BODY, now_ms, "whsec_other"), BODY, now_ms)
    assert SECRET not in str(raised.value)
    assert good not in str(raised.value)
