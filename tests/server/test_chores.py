"""Buying at Stripe from order to refund, and the chores that go on where somebody was cut off.

Stripe is the stand-in of tests/payments on a port of this machine. Chores are called by hand, with
a clock of the test's; the server's own round runs beside them and may have been there first.
"""

import asyncio
import contextlib
import hashlib
import hmac
import json

import pytest
import pytest_asyncio

from kit.servers.described import asking
from kit.servers.http_asking import bearer, refused
from kit.servers.serving import BACKEND, ServerProcess, live
from kit.waiting import until
from payments.stripe_stand_in import Answer, refusal, stripe_stand_in
from reliability.books import check_audit
from rules.commands import AttachCheckout, StartPurchase
from rules.outcomes import PurchaseStarted
from server import chores
from server.chores import Chores
from server.settlement import Settlement

SESSIONS, REFUNDS = "/v1/checkout/sessions", "/v1/refunds"
WEBHOOK_SECRET = "whsec_of_the_tests"
STRIPE = {
    "payment_provider": "stripe",
    "public_url": "https://gifts.example",
    "stripe_secret_key": "sk_test_right",
    "stripe_webhook_secret": WEBHOOK_SECRET,
}
DOWN = Answer(503, {"error": {"type": "api_error", "message": "down"}})
THREE_MINUTES_MS = 180_000
FOUR_DAYS_MS = 4 * 86_400_000


@pytest_asyncio.fixture
async def stripe():
    async with stripe_stand_in() as started:
        yield started


@contextlib.asynccontextmanager
async def selling(stripe, database="sqlite:///:memory:", **changed):
    """A server that sells by Stripe, after its first round of chores: that would ask Stripe too."""
    async with live(database, **STRIPE | changed, stripe_api_base=stripe.url) as running:
        await until(lambda: running.node.chores.rounds >= 4)
        yield running


@pytest_asyncio.fixture
async def server(stripe):
    async with selling(stripe) as running:
        yield running


def chores_of(server, later_ms=0, settlement=None):
    """The server's chores by hand, so much later."""
    node = server.node
    return Chores(
        store=node.store,
        settlement=settlement or node.settlement,
        provider=node.provider,
        in_force=node.in_force,
        return_url=node.settings.public_url,
        clock=lambda: node.clock() + later_ms,
    )


async def order(server, key="o1", coins=100):
    return await server.http.post(
        "/v1/purchases", json={"coins": coins}, headers=bearer("ann") | {"Idempotency-Key": key}
    )


async def ordered(server, key="o1"):
    answer = await order(server, key)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def state(server, made):
    return (await server.http.get(f"/v1/purchases/{made['purchase']}")).json()


async def coins(server, user="ann"):
    return (await server.http.get(f"/v1/users/{user}/wallet")).json()["coins"]


def pay(stripe, made):
    """The buyer pays at Stripe; the session as it is now."""
    [session] = [
        each for each in stripe.sessions.values() if each["client_reference_id"] == made["purchase"]
    ]
    session |= {"status": "complete", "payment_status": "paid"}
    session["payment_intent"] = {"id": f"pi_{made['purchase']}", "status": "succeeded"}
    return session


async def tell(server, kind, told, secret=WEBHOOK_SECRET):
    """Stripe's webhook, signed by the letter of Stripe's documents."""
    body = json.dumps({"id": "evt_1", "type": kind, "data": {"object": told}}).encode()
    seconds = str(server.node.clock() // 1_000)
    digest = hmac.new(secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
    headers = {"Stripe-Signature": f"t={seconds},v1={digest}"}
    async with asking(server.url) as unknown:
        return await unknown.post("/v1/webhooks/stripe", content=body, headers=headers)


async def paid(server, stripe, key="o1"):
    made = await ordered(server, key)
    session = pay(stripe, made)
    flat = session | {"payment_intent": session["payment_intent"]["id"]}
    assert (await tell(server, "checkout.session.completed", flat)).status_code == 200
    return made


# --- buying --------------------------------------------------------------------------------------


async def test_an_order_leads_to_stripe_and_its_webhook_brings_the_coins(server, stripe):
    made = await ordered(server)
    assert made["checkout_url"].startswith("https://checkout.stripe.com/")
    [asked] = stripe.posts(SESSIONS)
    assert asked.key == made["purchase"]
    assert asked.form["line_items[0][price_data][unit_amount]"] == "100"
    assert asked.form["success_url"] == f"https://gifts.example/checkout/paid/{made['purchase']}"
    session = pay(stripe, made)
    flat = session | {"payment_intent": session["payment_intent"]["id"]}
    for _ in range(5):
        assert (await tell(server, "checkout.session.completed", flat)).status_code == 200
    now = await state(server, made)
    assert (now["status"], now["payment"]) == ("paid", f"pi_{made['purchase']}")
    assert await coins(server) == 100
    assert (await ordered(server))["status"] == "paid"
    assert len(stripe.posts(SESSIONS)) == 1


async def test_who_does_not_know_the_secret_of_the_webhook_gets_no_coins(server, stripe):
    made = await ordered(server)
    flat = pay(stripe, made) | {"payment_intent": "pi_1"}
    answer = await tell(server, "checkout.session.completed", flat, secret="whsec_guessed")
    refused(answer, 400, "bad_signature")
    assert (await state(server, made))["status"] == "pending"
    other = await tell(server, "customer.created", {"id": "cus_1"})
    assert other.status_code == 200, "what does not concern us is received all the same"


async def test_there_is_no_sandbox_where_payments_are_real(server):
    made = await ordered(server)
    page = f"/checkout/sandbox/{made['purchase']}"
    refused(await server.http.get(page), 404, "not_found")
    refused(await server.http.post(page, data={"answer": "pay"}), 404, "not_found")
    refused(await server.http.post("/v1/webhooks/sandbox", content=b"{}"), 404, "not_found")
    assert (await state(server, made))["status"] == "pending"


async def test_an_expired_checkout_fails(server, stripe):
    made = await ordered(server)
    [session] = stripe.sessions.values()
    await tell(server, "checkout.session.expired", session | {"status": "expired"})
    assert (await state(server, made))["status"] == "failed"


# --- while Stripe is down ------------------------------------------------------------------------


async def test_an_order_while_stripe_is_down_is_found_with_the_same_key(server, stripe):
    stripe.next = [DOWN]
    made = await ordered(server)
    assert (made["status"], made["checkout_url"]) == ("pending", None)
    again = await ordered(server)
    assert again["purchase"] == made["purchase"]
    assert again["checkout_url"] == next(iter(stripe.sessions.values()))["url"]
    assert len(stripe.sessions) == 1


async def test_an_answer_that_was_lost_is_asked_for_again_and_is_the_same_checkout(server, stripe):
    stripe.lost = 1
    made = await ordered(server)
    assert made["checkout_url"] is None
    assert (await ordered(server))["checkout_url"].endswith("cs_test_1")
    assert len(stripe.sessions) == 1
    assert {each.key for each in stripe.posts(SESSIONS)} == {made["purchase"]}


async def test_an_order_while_stripe_is_down_is_started_without_being_asked(server, stripe):
    stripe.next = [DOWN] * 3
    made = [await ordered(server, f"o{number}") for number in range(3)]
    assert {each["checkout_url"] for each in made} == {None}
    await chores_of(server).resume()
    found = [(await state(server, each))["checkout_url"] for each in made]
    assert None not in found and len(set(found)) == len(stripe.sessions) == 3
    await chores_of(server).resume()
    assert len(stripe.posts(SESSIONS)) == 6, "what was started is left alone"


async def test_orders_are_started_behind_any_number_that_wait_for_their_buyers(server, stripe):
    stripe.next = [DOWN]
    made = await ordered(server)
    for number in range(chores.AT_ONCE):
        await wait_for_buyer(server, number)
    await chores_of(server).resume()
    assert (await state(server, made))["checkout_url"] is not None


async def wait_for_buyer(server, number):
    """A purchase whose buyer has a checkout; as it is in the books, without asking Stripe."""
    start = StartPurchase(
        actor="backend",
        key=f"w{number}",
        purchase=f"pur_w{number}",
        user="zoe",
        adult=True,
        provider="stripe",
        coins=100,
    )
    ask = server.node.settlement.ask
    assert isinstance((await ask(start)).outcome, PurchaseStarted)
    checkout = {"checkout": f"cs_w{number}", "url": "https://pay.example/"}
    await ask(
        AttachCheckout(
            actor="provider:stripe", key=f"w{number}", purchase=start.purchase, **checkout
        )
    )


async def test_an_order_of_last_week_is_left_alone(server, stripe):
    stripe.next = [DOWN]
    made = await ordered(server)
    await chores_of(server, FOUR_DAYS_MS).resume()
    assert (await state(server, made))["checkout_url"] is None


async def test_the_chores_find_the_checkout_of_an_answer_that_was_lost(server, stripe):
    stripe.lost = 1
    made = await ordered(server)
    await server.node.chores.resume()
    now = await state(server, made)
    assert now["status"] == "pending" and now["checkout_url"].endswith("cs_test_1")
    assert len(stripe.sessions) == 1


async def test_without_a_public_address_only_the_buyer_goes_on_where_it_stopped(stripe):
    """Stripe would refuse the same purchase under another address, and it would have failed."""
    async with selling(stripe, public_url="") as server:
        stripe.lost = 1
        made = await ordered(server)
        await server.node.chores.resume()
        assert (await state(server, made))["status"] == "pending"
        assert (await ordered(server))["checkout_url"].endswith("cs_test_1")


async def test_what_stripe_refuses_has_failed(server, stripe):
    stripe.next = [refusal(400, "Amounts of this size are not allowed.")]
    error = refused(await order(server), 422, "payment_refused")
    assert "not allowed" in error["message"]
    made = error["details"]
    assert (await state(server, made))["status"] == "failed"
    again = await ordered(server)
    assert (again["purchase"], again["status"]) == (made["purchase"], "failed")
    assert len(stripe.posts(SESSIONS)) == 1


async def test_a_refusal_at_the_second_try_fails_the_order_and_not_the_round(server, stripe):
    stripe.next = [DOWN, DOWN]
    first, second = await ordered(server, "o1"), await ordered(server, "o2")
    stripe.next = [refusal(400, "No.")]
    await chores_of(server).resume()
    found = {(await state(server, each))["status"] for each in (first, second)}
    assert found == {"failed", "pending"}
    assert len(stripe.sessions) == 1


# --- a lost webhook ------------------------------------------------------------------------------


async def test_a_payment_whose_webhook_was_lost_is_looked_up(server, stripe):
    made = await ordered(server)
    pay(stripe, made)
    await chores_of(server).look_up()
    assert (await state(server, made))["status"] == "pending", "its buyer needs a moment"
    await chores_of(server, THREE_MINUTES_MS).look_up()
    now = await state(server, made)
    assert (now["status"], now["payment"]) == ("paid", f"pi_{made['purchase']}")
    assert await coins(server) == 100
    flat = stripe.sessions["cs_test_1"] | {"payment_intent": f"pi_{made['purchase']}"}
    assert (await tell(server, "checkout.session.completed", flat)).status_code == 200
    await chores_of(server, THREE_MINUTES_MS).look_up()
    assert await coins(server) == 100


async def test_looking_up_what_expired_or_is_open_or_cannot_be_found(server, stripe):
    expired, still_open, gone = [await ordered(server, f"o{number}") for number in range(3)]
    stripe.sessions["cs_test_1"]["status"] = "expired"
    del stripe.sessions["cs_test_3"]
    await chores_of(server, THREE_MINUTES_MS).look_up()
    assert (await state(server, expired))["status"] == "failed"
    assert (await state(server, still_open))["status"] == "pending"
    assert (await state(server, gone))["status"] == "pending"
    pay(stripe, still_open)
    stripe.next = [DOWN]
    await chores_of(server, THREE_MINUTES_MS).look_up()
    await chores_of(server, THREE_MINUTES_MS).look_up()
    assert (await state(server, still_open))["status"] == "paid"


async def test_looking_up_while_the_books_take_nothing_is_done_again(server, stripe):
    """A busy server is what loses webhooks: the chores must live through it."""
    made = await ordered(server)
    pay(stripe, made)
    node = server.node
    busy = Settlement(
        node.store, node.hub.deliver, node.clock, node.metrics, queue_max=1, batch_max=1
    )
    busy.close()
    await chores_of(server, THREE_MINUTES_MS, settlement=busy).look_up()
    assert (await state(server, made))["status"] == "pending"
    await chores_of(server, THREE_MINUTES_MS).look_up()
    assert (await state(server, made))["status"] == "paid"


async def test_looking_up_goes_round_through_all_that_wait(server, stripe):
    for number in range(chores.AT_ONCE):
        await wait_for_buyer(server, number)
    made = await ordered(server)
    pay(stripe, made)
    looking = chores_of(server, THREE_MINUTES_MS)
    for _ in range(2):
        await looking.look_up()
    assert (await state(server, made))["status"] == "paid"
    await looking.look_up()
    await looking.look_up()
    asked = [each.path for each in stripe.asked if each.path.endswith("cs_w0")]
    assert len(asked) >= 2, "and begins again"


# --- refunds -------------------------------------------------------------------------------------


async def give_back(server, made, key="f1", coins=40):
    answer = await server.http.post(
        f"/v1/purchases/{made['purchase']}/refund",
        json={"reason": "asked for", "coins": coins},
        headers={"Idempotency-Key": key},
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_refund_is_paid_back_once_under_its_own_name(server, stripe):
    made = await paid(server, stripe)
    booked = await give_back(server, made)
    await asyncio.gather(*(chores_of(server).refund() for _ in range(5)))
    await chores_of(server).refund()
    [sent] = stripe.refunds
    assert (sent["amount"], sent["payment_intent"]) == (40, f"pi_{made['purchase']}")
    assert {each.key for each in stripe.posts(REFUNDS)} == {booked["refund"]}
    assert await server.node.store.money.waiting_refunds("stripe", None, 9) == []


async def test_the_server_pays_refunds_back_by_itself(server, stripe):
    made = await paid(server, stripe)
    await give_back(server, made, "f1", 40)
    await until(lambda: [each["amount"] for each in stripe.refunds] == [40])


async def test_refunds_that_are_refused_do_not_hide_the_others(server, stripe, monkeypatch):
    monkeypatch.setattr(chores, "AT_ONCE", 2)
    waiting = chores_of(server)
    made = [await paid(server, stripe, f"o{number}") for number in range(3)]
    stripe.next = [refusal(400, "No.")] * 2
    for number, each in enumerate(made):
        await give_back(server, each, f"f{number}")
    await waiting.refund()
    assert stripe.refunds == []
    await waiting.refund()
    assert [sent["payment_intent"] for sent in stripe.refunds] == [f"pi_{made[2]['purchase']}"]
    await waiting.refund()
    assert len(stripe.refunds) == 3, "and begins again"


async def test_a_refund_while_stripe_is_down_waits_and_one_that_was_lost_is_not_paid_twice(
    server, stripe
):
    made = await paid(server, stripe)
    stripe.next, stripe.lost = [DOWN], 1
    await give_back(server, made)
    for _ in range(4):
        await chores_of(server).refund()
    assert [each["amount"] for each in stripe.refunds] == [40]
    stripe.forget_keys()
    await chores_of(server).refund()
    assert len(stripe.refunds) == 1


async def test_the_echo_of_a_refund_that_was_sent_changes_nothing(server, stripe):
    made = await paid(server, stripe)
    await give_back(server, made)
    await chores_of(server).refund()
    charge = {
        "id": "ch_1",
        "object": "charge",
        "amount_refunded": 40,
        "currency": "usd",
        "metadata": {"purchase": made["purchase"]},
        "payment_intent": f"pi_{made['purchase']}",
    }
    for _ in range(3):
        assert (await tell(server, "charge.refunded", charge)).status_code == 200
    assert (await state(server, made))["refunded_minor"] == 40
    assert await coins(server) == 60


@pytest.mark.deep
@pytest.mark.parametrize("answer_lost", [False, True], ids=["not sent", "unheard"])
async def test_a_server_that_dies_before_a_refund_is_sent_sends_it_after_its_restart(
    tmp_path, monkeypatch, stripe, answer_lost
):
    monkeypatch.setenv("LARGESSE_STRIPE_SECRET_KEY", "sk_test_right")
    monkeypatch.setenv("LARGESSE_STRIPE_WEBHOOK_SECRET", WEBHOOK_SECRET)
    flags = {"payment-provider": "stripe", "stripe-api-base": stripe.url}
    flags |= {"public-url": "https://gifts.example"}
    process = ServerProcess(tmp_path, **flags)
    async with selling(stripe, process.database) as server:
        made = await paid(server, stripe)
    stripe.next, stripe.lost = ([] if answer_lost else [DOWN] * 1_000), 1_000 * answer_lost
    try:
        await asyncio.to_thread(process.start)
        async with asking(process.url, BACKEND) as http:
            path = f"/v1/purchases/{made['purchase']}/refund"
            (await http.post(path, json={"reason": "asked for"})).raise_for_status()
        with contextlib.suppress(TimeoutError):
            await until(lambda: len(stripe.refunds) == answer_lost, 2)
        process.kill()
        stripe.next, stripe.lost = [], 0
        stripe.forget_keys()
        asked = len(stripe.asked)
        await asyncio.to_thread(process.start)
        await until(lambda: len(stripe.refunds) == 1 and len(stripe.asked) > asked)
        await asyncio.sleep(0.3)
    finally:
        process.kill()
    assert [each["amount"] for each in stripe.refunds] == [100]
    check_audit(process.database)
