"""Calls to Stripe: what is sent, and what our side makes of every kind of answer."""

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from payments.stripe_stand_in import Answer, StripeStandIn, refusal, stripe_stand_in
from server.payments import Declined, Paid, ProviderDown, ProviderRefused, open_provider
from server.payments.stripe_checkout import StripeCheckout
from server.settings.table import Settings

SESSIONS, REFUNDS = "/v1/checkout/sessions", "/v1/refunds"


@pytest_asyncio.fixture
async def stand_in() -> AsyncIterator[StripeStandIn]:
    async with stripe_stand_in() as started:
        yield started


@pytest_asyncio.fixture
async def stripe(stand_in) -> AsyncIterator[StripeCheckout]:
    provider = open_provider(
        Settings(
            payment_provider="stripe",
            stripe_secret_key="sk_test_right",
            stripe_webhook_secret="whsec_1",
            stripe_api_base=stand_in.url + "/",
        )
    )
    assert isinstance(provider, StripeCheckout)
    yield provider
    await provider.close()


# Starting a purchase


async def test_a_purchase_is_a_checkout_session_of_stripe(stripe, stand_in, wish) -> None:
    checkout = await stripe.start(wish())
    assert checkout == ("cs_test_1", "https://checkout.stripe.com/c/pay/cs_test_1")
    [asked] = stand_in.asked
    assert (asked.method, asked.path) == ("POST", SESSIONS)
    assert asked.form == {
        "mode": "payment",
        "line_items[0][quantity]": "1",
        "line_items[0][price_data][currency]": "usd",
        "line_items[0][price_data][unit_amount]": "499",
        "line_items[0][price_data][product_data][name]": "500 coins",
        "adaptive_pricing[enabled]": "false",
        "client_reference_id": "p-1",
        "metadata[purchase]": "p-1",
        "metadata[user]": "vera",
        "metadata[coins]": "500",
        "payment_intent_data[metadata][purchase]": "p-1",
        "payment_intent_data[metadata][user]": "vera",
        "payment_intent_data[metadata][coins]": "500",
        "success_url": "https://gifts.example/checkout/paid/p-1",
        "cancel_url": "https://gifts.example/checkout/cancelled/p-1",
    }


async def test_yen_have_no_smaller_unit_and_are_sent_as_they_are(stripe, stand_in, wish) -> None:
    await stripe.start(wish(currency="JPY", amount_minor=750))
    [asked] = stand_in.asked
    assert asked.form["line_items[0][price_data][currency]"] == "jpy"
    assert asked.form["line_items[0][price_data][unit_amount]"] == "750"


@pytest.mark.parametrize("currency", ["UGX", "MGA"])
async def test_money_that_stripe_counts_in_other_units_is_never_asked_for(
    stripe, stand_in, wish, currency
) -> None:
    with pytest.raises(ProviderRefused, match=currency):
        await stripe.start(wish(currency=currency))
    assert stand_in.asked == []


async def test_the_purchase_is_the_key_so_a_repeated_start_is_one_checkout(
    stripe, stand_in, wish
) -> None:
    first = await stripe.start(wish())
    assert await stripe.start(wish()) == first
    assert [asked.key for asked in stand_in.asked] == ["p-1", "p-1"]
    assert len(stand_in.sessions) == 1


async def test_the_same_purchase_with_another_amount_is_refused(stripe, wish) -> None:
    await stripe.start(wish())
    with pytest.raises(ProviderRefused, match="only be used again as before"):
        await stripe.start(wish(amount_minor=1))


async def test_a_start_whose_answer_was_lost_is_made_again(stripe, stand_in, wish) -> None:
    stand_in.lost = 1
    with pytest.raises(ProviderDown, match="cannot be reached"):
        await stripe.start(wish())
    assert (await stripe.start(wish())).reference == "cs_test_1"
    assert len(stand_in.sessions) == 1


async def test_a_checkout_that_is_closed_already_is_refused(stripe, stand_in, wish) -> None:
    await stripe.start(wish())
    stand_in.sessions["cs_test_1"]["url"] = None
    with pytest.raises(ProviderRefused, match="closed"):
        await stripe.start(wish())


async def test_nothing_about_this_machine_is_told(stripe, stand_in, wish) -> None:
    await stripe.start(wish())
    await stripe.start(wish())
    for asked in stand_in.asked:
        assert "x-stripe-client-telemetry" not in asked.headers
        assert not json.loads(asked.headers["x-stripe-client-user-agent"]).keys() & {
            "platform",
            "telemetry_id",
        }


# Trouble

DOWN = [
    Answer(500, {"error": {"type": "api_error", "message": "An error occurred"}}),
    Answer(503, b"<html>Service Unavailable</html>"),
    Answer(429, {"error": {"type": "invalid_request_error", "message": "Too many requests"}}),
    Answer(409, {"error": {"type": "idempotency_error", "code": "idempotency_key_in_use"}}),
    Answer(403, {"error": {"type": "invalid_request_error", "message": "Not permitted"}}),
    Answer(404, b"<html>a proxy's page</html>"),
    Answer(302, b""),
    Answer(200, b"<html>a proxy's page</html>"),
    Answer(200, b"\xff"),
    Answer(200, b""),
    Answer(200, []),
    Answer(200, "text"),
    Answer(200, {}),
    Answer(200, {"id": "cs_1"}),
    Answer(400, {"error": 5}),
    Answer(400, {"error": "text"}),
    Answer(400, []),
]


@pytest.mark.parametrize("answer", DOWN, ids=lambda answer: f"{answer.status} {answer.body}"[:50])
async def test_an_answer_that_decides_nothing_means_later(stripe, stand_in, wish, answer) -> None:
    stand_in.next = [answer]
    with pytest.raises(ProviderDown):
        await stripe.start(wish())
    assert len(stand_in.asked) == 1, "nobody asked for a retry"
    assert (await stripe.start(wish())).reference == "cs_test_1"


async def test_a_page_of_somebody_in_between_is_not_quoted(stripe, stand_in, wish) -> None:
    stand_in.next = [Answer(502, b"<html>" + b"x" * 10_000)]
    with pytest.raises(ProviderDown, match=r"^Stripe is in trouble: it answered with status 502.$"):
        await stripe.start(wish())


async def test_an_answer_that_says_no_is_a_refusal_in_stripes_words(stripe, stand_in, wish) -> None:
    stand_in.next = [refusal(400, "The amount must be at least 50 cents", param="line_items")]
    with pytest.raises(ProviderRefused, match="at least 50 cents"):
        await stripe.start(wish())


async def test_a_declined_card_is_a_refusal(stripe, stand_in) -> None:
    stand_in.next = [
        Answer(200, {"data": []}),
        refusal(402, "Your card was declined.", type="card_error", code="card_declined"),
    ]
    with pytest.raises(ProviderRefused, match="declined"):
        await stripe.refund("r-1", "pi_1", 100, "USD")


async def test_a_long_refusal_is_cut(stripe, stand_in, wish) -> None:
    stand_in.next = [refusal(400, "x" * 10_000)]
    with pytest.raises(ProviderRefused) as raised:
        await stripe.start(wish())
    assert len(str(raised.value)) < 400


async def test_a_key_that_stripe_does_not_take_is_the_operators_to_repair(stand_in, wish) -> None:
    stripe = StripeCheckout("sk_test_wrong", "whsec_1", api_base=stand_in.url)
    with pytest.raises(ProviderDown, match="does not accept the secret key") as raised:
        await stripe.start(wish())
    assert "sk_test" not in str(raised.value)
    await stripe.close()


async def test_nobody_there_means_later(wish) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    stripe = StripeCheckout("sk_test_right", "whsec_1", api_base=f"http://127.0.0.1:{port}")
    with pytest.raises(ProviderDown, match="cannot be reached"):
        await stripe.start(wish())
    await stripe.close()


@pytest.mark.parametrize(
    "slow",
    [Answer(200, {}, pause_s=5), Answer(200, {"id": "x" * 500}, drop_s=0.05)],
    ids=["silent", "by drops"],
)
async def test_an_answer_that_does_not_come_in_time_means_later(stand_in, wish, slow) -> None:
    stripe = StripeCheckout("sk_test_right", "whsec_1", api_base=stand_in.url, timeout_s=0.3)
    stand_in.next = [slow]
    began = time.monotonic()
    with pytest.raises(ProviderDown):
        await stripe.start(wish())
    assert time.monotonic() - began < 2
    await stripe.close()


async def test_the_event_loop_goes_on_while_stripe_thinks(stripe, stand_in, wish) -> None:
    stand_in.next = [Answer(500, {}, pause_s=0.3)]
    async with asyncio.TaskGroup() as tasks:
        starting = tasks.create_task(_quietly(stripe, wish()))
        turns = 0
        while not starting.done():
            await asyncio.sleep(0.01)
            turns += 1
    assert turns > 10


async def _quietly(stripe: StripeCheckout, wish) -> None:
    with pytest.raises(ProviderDown):
        await stripe.start(wish)


# Refunds


async def test_a_refund_names_the_payment_the_amount_and_itself(stripe, stand_in) -> None:
    await stripe.refund("r-1", "pi_1", 250, "USD")
    [asked] = stand_in.posts(REFUNDS)
    assert asked.key == "r-1"
    assert asked.form == {"payment_intent": "pi_1", "amount": "250", "metadata[refund]": "r-1"}


async def test_the_same_refund_is_paid_once_however_often_it_is_asked_for(stripe, stand_in) -> None:
    stand_in.lost = 1
    with pytest.raises(ProviderDown):
        await stripe.refund("r-1", "pi_1", 250, "USD")
    await stripe.refund("r-1", "pi_1", 250, "USD")
    await stripe.refund("r-1", "pi_1", 250, "USD")
    assert len(stand_in.refunds) == 1


async def test_a_refund_whose_answer_was_lost_is_not_paid_again_after_stripe_forgot_the_key(
    stripe, stand_in
) -> None:
    stand_in.lost = 1
    with pytest.raises(ProviderDown):
        await stripe.refund("r-1", "pi_1", 250, "USD")
    stand_in.forget_keys()
    await stripe.refund("r-1", "pi_1", 250, "USD")
    assert [refund["amount"] for refund in stand_in.refunds] == [250]


async def test_another_refund_of_the_same_payment_is_another_refund(stripe, stand_in) -> None:
    await stripe.refund("r-1", "pi_1", 250, "USD")
    await stripe.refund("r-2", "pi_1", 100, "USD")
    assert [refund["amount"] for refund in stand_in.refunds] == [250, 100]


async def test_refunds_from_the_dashboard_are_not_taken_for_ours(stripe, stand_in) -> None:
    stand_in.refunds = [{"id": "re_0", "payment_intent": "pi_1", "status": "x", "metadata": None}]
    await stripe.refund("r-1", "pi_1", 250, "USD")
    assert len(stand_in.refunds) == 2


async def test_a_refund_may_take_days_to_arrive(stripe, stand_in) -> None:
    stand_in.refund_status = "pending"
    await stripe.refund("r-1", "pi_1", 250, "USD")


@pytest.mark.parametrize("status", ["failed", "canceled"])
async def test_a_refund_that_failed_at_once_is_refused_also_when_asked_again(
    stripe, stand_in, status
) -> None:
    stand_in.refund_status = status
    for _ in range(2):
        with pytest.raises(ProviderRefused, match="r-1"):
            await stripe.refund("r-1", "pi_1", 250, "USD")
    assert len(stand_in.refunds) == 1


async def test_a_payment_that_went_back_already_cannot_be_refunded(stripe, stand_in) -> None:
    stand_in.next = [
        Answer(200, {"data": []}),
        refusal(400, "Charge has already been refunded.", code="charge_already_refunded"),
    ]
    with pytest.raises(ProviderRefused, match="already been refunded"):
        await stripe.refund("r-1", "pi_1", 250, "USD")


@pytest.mark.parametrize("step", [0, 1])
async def test_a_refund_is_tried_later_when_stripe_is_down(stripe, stand_in, step) -> None:
    stand_in.next = [*[Answer(200, {"data": []})][:step], Answer(500, {})]
    with pytest.raises(ProviderDown):
        await stripe.refund("r-1", "pi_1", 250, "USD")
    await stripe.refund("r-1", "pi_1", 250, "USD")
    assert len(stand_in.refunds) == 1


# Looking a checkout up

PAYMENT = {"id": "pi_1", "status": "succeeded"}
UNPAID = PAYMENT | {"status": "requires_payment_method"}
PAID = Paid(purchase="p-1", payment="pi_1", amount_minor=499, currency="USD")
LATE = Declined(purchase="p-1", reason="the checkout expired")
FAILED = Declined(purchase="p-1", reason="the payment failed")


@pytest.mark.parametrize(
    ("changed", "became"),
    [
        ({}, None),
        ({"status": "complete", "payment_status": "paid", "payment_intent": PAYMENT}, PAID),
        ({"status": "complete", "payment_status": "paid", "payment_intent": "pi_1"}, PAID),
        ({"status": "expired"}, LATE),
        ({"status": "complete", "payment_intent": PAYMENT | {"status": "processing"}}, None),
        (
            {
                "status": "complete",
                "payment_intent": PAYMENT | {"status": "requires_payment_method"},
            },
            FAILED,
        ),
        ({"status": "complete", "payment_intent": PAYMENT | {"status": "canceled"}}, FAILED),
        (
            {"status": "open", "payment_intent": UNPAID},
            None,
        ),
        ({"status": "expired", "metadata": {}}, None),
        ({"status": "expired", "client_reference_id": "p-2"}, None),
        ({"status": "expired", "mode": "subscription"}, None),
    ],
    ids=str,
)
async def test_what_became_of_a_checkout(stripe, stand_in, wish, changed, became) -> None:
    checkout = await stripe.start(wish())
    stand_in.sessions[checkout.reference] |= changed
    assert await stripe.look_up(checkout.reference) == became
    asked = stand_in.asked[-1]
    assert (asked.method, asked.path) == ("GET", f"{SESSIONS}/cs_test_1")
    assert asked.form == {"expand[0]": "payment_intent"}


async def test_a_checkout_that_stripe_does_not_know_is_refused(stripe) -> None:
    with pytest.raises(ProviderRefused, match="No such checkout"):
        await stripe.look_up("cs_unknown")


async def test_a_reference_cannot_lead_to_another_address(stripe, stand_in) -> None:
    with pytest.raises(ProviderRefused):
        await stripe.look_up("../refunds?payment_intent=pi_1")
    assert stand_in.asked[-1].path.startswith(SESSIONS + "/")


async def test_a_paid_checkout_without_a_payment_is_not_believed(stripe, stand_in, wish) -> None:
    checkout = await stripe.start(wish())
    stand_in.sessions[checkout.reference] |= {"status": "complete", "payment_status": "paid"}
    with pytest.raises(ProviderDown, match="cannot be read"):
        await stripe.look_up(checkout.reference)


async def test_looking_up_waits_for_better_times(stripe, stand_in, wish) -> None:
    checkout = await stripe.start(wish())
    stand_in.next = [Answer(500, {})]
    with pytest.raises(ProviderDown):
        await stripe.look_up(checkout.reference)


# The front door


def test_without_the_package_one_is_told_what_to_install() -> None:
    program = """
import sys
sys.modules["stripe"] = None
from server.payments import open_provider
from server.settings.table import Settings
open_provider(Settings(token_secret="x"))
keys = {"stripe_secret_key": "sk", "stripe_webhook_secret": "wh"}
try:
    open_provider(Settings(payment_provider="stripe", **keys))
except ValueError as error:
    print(error)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "pip install 'largesse[stripe]'" in ran.stdout, ran.stderr


def test_the_sandbox_does_not_need_the_package_loaded() -> None:
    program = "import sys, server.payments; print('stripe' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout.strip() == "False", ran.stderr
