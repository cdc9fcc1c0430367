"""What a payment provider says, in any order and as often as it likes: each thing is booked once,
what is not from it moves nothing, and what fits nothing is listed for a person."""

import asyncio
import itertools

import msgspec
import pytest
import pytest_asyncio

from kit.building.buying import HOOK, buy, now_ms, order, paid, purchase, signed, tell, wallet
from kit.servers.http_asking import get, post, refused
from kit.servers.serving import live
from reliability.books import check_audit
from server.payments import (
    ChargebackWon,
    ChargedBack,
    Declined,
    Paid,
    RefundSeen,
    Sandbox,
    notifications,
)
from server.payments.signing import sign
from server.settlement import Settlement

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIVE_MINUTES_MS = 300_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory):
    """The file's server keeps its books in a file, which is audited in the end."""
    database = f"sqlite:///{tmp_path_factory.mktemp('notifications') / 'books.db'}"
    async with live(database, heartbeat_ms=60_000) as running:
        yield running
    check_audit(database)


async def say(stage, said, status=200):
    answer = await tell(stage.server.http, said)
    assert answer.status_code == status, answer.text
    return answer


async def send(stage, headers, body, path=HOOK):
    return await stage.server.http.post(path, content=body, headers=headers | {"Authorization": ""})


async def listed(stage):
    """The newest entry of the suspense list, and how many there are."""
    entries = (await stage.get("suspense", limit=200))["items"]
    return (entries[0] if entries else None), len(entries)


async def counted(stage, result):
    """How many notifications had this result since the start."""
    page = (await stage.server.http.get("/metrics")).text
    wanted = f'largesse_payment_notifications_total{{result="{result}"}} '
    return sum(
        float(line.removeprefix(wanted)) for line in page.splitlines() if line.startswith(wanted)
    )


def given_back(made, minor, **changed):
    given = {
        "purchase": made["purchase"],
        "payment": f"pay-{made['purchase']}",
        "refunded_minor": minor,
        "currency": "USD",
    }
    return RefundSeen(**(given | changed))


def taken_back(made, **changed):
    given = {
        "purchase": made["purchase"],
        "payment": f"pay-{made['purchase']}",
        "amount_minor": made["price_minor"],
        "currency": "USD",
        "reason": "fraudulent",
    }
    return ChargedBack(**(given | changed))


# --- whose word it is ----------------------------------------------------------------------------


def forgeries(said):
    """(why it is refused, headers, body) of what does not come from the provider."""
    headers, body = signed(said)
    name = "Sandbox-Signature"
    good = headers[name]
    other = Sandbox("another secret, as long as the right one").notify(said, now_ms())
    seconds = good.partition(",")[0]
    digest = good.partition("v1=")[2]
    for why, changed, content in (
        ("no signature", {name: ""}, body),
        ("another secret", other[0], body),
        ("an altered body", headers, body.replace(b'"amount_minor":100', b'"amount_minor":101')),
        ("a space more", headers, body + b" "),
        ("an empty body", headers, b""),
        ("cut off", {name: good[:-1]}, body),
        ("another moment", {name: f"t=1{seconds[2:]},v1={digest}"}, body),
        ("not hex", {name: f"{seconds},v1=zz"}, body),
        ("nothing of ours", {name: "Bearer x"}, body),
    ):
        yield pytest.param(headers | changed, content, id=why)
    for why, off_ms in (("old", -FIVE_MINUTES_MS - 2_000), ("early", FIVE_MINUTES_MS + 2_000)):
        yield pytest.param(*signed(said, now_ms() + off_ms), id=why)


async def test_what_the_provider_did_not_sign_moves_nothing(stage):
    made = await order(stage)
    for forged in forgeries(paid(made)):
        before = await counted(stage, "refused")
        headers, body = forged.values
        error = refused(await send(stage, headers, body), 400, "bad_signature")
        assert error["retry"] == "fix", forged.id
        newest = (await stage.get("notifications/refused"))["items"][0]
        assert newest == {"at_ms": newest["at_ms"], "why": error["message"]}, forged.id
        assert abs(newest["at_ms"] - now_ms()) < 10_000
        assert await counted(stage, "refused") == before + 1, forged.id
        assert body[:20].decode() not in error["message"] or not body
    assert (await purchase(stage, made))["status"] == "pending"
    assert await stage.coins("ann") == 0
    await say(stage, paid(made))
    assert await stage.coins("ann") == 100


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"kind":"gift"}', b"\xff", b'{"kind":"paid"}'])
async def test_what_is_signed_and_cannot_be_read(stage, body):
    headers = {"Sandbox-Signature": _signature(stage, body)}
    refused(await send(stage, headers, body), 400, "bad_signature")


def _signature(stage, body):
    return sign(stage.server.node.provider._key, body, now_ms())


async def test_only_the_newest_refused_ones_are_kept(stage):
    await asyncio.gather(*(send(stage, {}, b"x") for _ in range(205)))
    found = (await stage.get("notifications/refused"))["items"]
    assert len(found) == 200
    assert all(newer["at_ms"] >= older["at_ms"] for newer, older in itertools.pairwise(found))


async def test_there_is_no_such_provider(stage):
    made = await order(stage)
    headers, body = signed(paid(made))
    for name in ("stripe", "nobody"):
        answer = await send(stage, headers, body, path=f"/v1/webhooks/{name}")
        refused(answer, 404, "not_found")
    assert await stage.coins("ann") == 0


# --- being paid ----------------------------------------------------------------------------------


async def test_a_payment_is_credited_once_however_often_it_is_told(stage):
    made = await order(stage)
    bob = await stage.join("ann")
    answers = await asyncio.gather(
        *(tell(stage.server.http, paid(made)) for _ in range(100)),
    )
    assert {answer.status_code for answer in answers} == {200}
    assert answers[0].json() == {"received": True}
    assert await stage.coins("ann") == 100
    told = [m for m in await stage.settled(bob) if m["type"] == "balance"]
    assert told == [{"type": "balance", "balance_coins": 100, "reason": "settle_purchase"}]
    lines = (await get(stage, f"users/{stage.user('ann')}/statement")).json()["items"]
    assert [(line["reason"], line["amount"]) for line in lines] == [("purchase", 100)]
    assert (await listed(stage))[0] is None or made["purchase"] not in str(await listed(stage))


async def test_money_after_a_declined_checkout_is_still_taken(stage):
    made = await order(stage)
    await say(stage, Declined(purchase=made["purchase"], reason="the card expired"))
    assert (await purchase(stage, made))["status"] == "failed"
    await say(stage, paid(made))
    assert (await purchase(stage, made))["status"] == "paid"
    await say(stage, Declined(purchase=made["purchase"], reason="too late"))
    assert (await purchase(stage, made))["status"] == "paid"
    assert await stage.coins("ann") == 100


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"purchase": "pur_unknown"}, "unknown_purchase"),
        ({"amount_minor": 99}, "wrong_amount"),
        ({"amount_minor": 10_000}, "wrong_amount"),
        ({"amount_minor": 0}, "wrong_amount"),
        ({"currency": "EUR"}, "wrong_currency"),
        ({"currency": "JPY"}, "wrong_currency"),
    ],
)
async def test_money_that_fits_no_order_waits_for_a_person(stage, changed, why):
    made = await order(stage)
    _, before = await listed(stage)
    said = msgspec.structs.replace(paid(made, payment=f"pay-{stage.room}"), **changed)
    for _ in range(3):
        await say(stage, said)
    entry, count = await listed(stage)
    assert count == before + 1, "once, however often it is said"
    assert (entry["why"], entry["settled_by"]) == (why, None)
    assert said.purchase in entry["subject"] and f"pay-{stage.room}" in entry["note"]
    assert (await purchase(stage, made))["status"] == "pending"
    assert await stage.coins("ann") == 0
    await say(stage, paid(made))
    assert await stage.coins("ann") == 100, "the right payment is still taken"


async def test_a_second_payment_for_the_same_order_waits_for_a_person(stage):
    made = await buy(stage)
    _, before = await listed(stage)
    await say(stage, paid(made, payment="pay-again"))
    entry, count = await listed(stage)
    assert (entry["why"], count) == ("paid_twice", before + 1)
    assert await stage.coins("ann") == 100
    assert (await purchase(stage, made))["payment"] == f"pay-{made['purchase']}"


# --- refunds -------------------------------------------------------------------------------------


async def test_a_refund_that_overtakes_its_payment_is_said_again_later(stage):
    made = await order(stage)
    answer = await say(stage, given_back(made, 30), status=503)
    assert refused(answer, 503, "unavailable")["retry"] == "same"
    assert "Retry-After" in answer.headers
    await say(stage, paid(made))
    assert await stage.coins("ann") == 100
    for _ in range(3):
        await say(stage, given_back(made, 30))
    assert await stage.coins("ann") == 70
    now = await purchase(stage, made)
    assert (now["refunded_coins"], now["refunded_minor"]) == (30, 30)


async def test_a_refund_made_at_the_provider_is_booked_and_not_sent_back_to_it(stage):
    made = await buy(stage)
    await asyncio.gather(*(say(stage, given_back(made, 40)) for _ in range(20)))
    assert await stage.coins("ann") == 60
    await say(stage, given_back(made, 100, purchase=None))
    await say(stage, given_back(made, 40))
    assert (await purchase(stage, made))["status"] == "refunded"
    assert await stage.coins("ann") == 0
    waiting = await stage.server.node.store.money.waiting_refunds("sandbox", None, 200)
    assert made["purchase"] not in {row.id for _, row in waiting}


async def test_growing_refunds_that_come_at_once_add_up_to_the_last(stage):
    """The provider says the sum so far: what is news of it is decided within the transaction, so
    they are not added to each other, and none has to be said again."""
    made = await buy(stage)
    sums = [10, 30, 60, 30, 10, 60] * 5
    await asyncio.gather(*(say(stage, given_back(made, minor)) for minor in sums))
    now = await purchase(stage, made)
    assert (now["refunded_minor"], now["refunded_coins"]) == (60, 60)
    assert await stage.coins("ann") == 40


@pytest.mark.parametrize("named", [True, False])
async def test_a_refund_that_comes_with_its_payment_is_booked_or_said_again(stage, named):
    """Both are on their way at once, and the refund may name no purchase."""
    for _ in range(5):
        made = await order(stage)
        changed = {} if named else {"purchase": None}
        told = [paid(made), given_back(made, 30, **changed)]
        answers = await asyncio.gather(*(tell(stage.server.http, said) for said in told))
        if answers[1].status_code == 200 and named:
            assert (await purchase(stage, made))["refunded_minor"] == 30
        await say(stage, given_back(made, 30, **changed))
        assert (await purchase(stage, made))["refunded_minor"] == 30


@pytest.mark.parametrize("kind", ["paid", "declined", "refunded", "charged back", "won"])
async def test_what_meets_a_full_queue_is_said_again(stage, kind):
    made = await order(stage)
    node = stage.server.node
    full = Settlement(
        node.store, node.hub.deliver, node.clock, node.metrics, queue_max=0, batch_max=1
    )
    said = {
        "paid": paid(made),
        "declined": Declined(purchase=made["purchase"], reason="no"),
        "refunded": given_back(made, 30),
        "charged back": taken_back(made),
        "won": ChargebackWon(purchase=made["purchase"], payment="x"),
    }[kind]
    with pytest.raises(notifications.NotYet):
        await notifications.take(said, "sandbox", node.store, full)
    assert (await purchase(stage, made))["status"] == "pending"


async def test_the_echo_of_our_own_refund_says_nothing_new(stage):
    made = await buy(stage)
    body = {"coins": 25, "reason": "asked for"}
    await stage.post(f"purchases/{made['purchase']}/refund", body)
    await say(stage, given_back(made, 25))
    await say(stage, given_back(made, 25, purchase=None))
    assert (await purchase(stage, made))["refunded_minor"] == 25
    await stage.post(f"purchases/{made['purchase']}/refund", body)
    await say(stage, given_back(made, 50))
    assert (await purchase(stage, made))["refunded_minor"] == 50
    assert await stage.coins("ann") == 50


async def test_a_refund_in_another_currency_waits_for_a_person(stage):
    made = await buy(stage)
    _, before = await listed(stage)
    await say(stage, given_back(made, 30, currency="EUR"))
    entry, count = await listed(stage)
    assert (entry["why"], count) == ("refund_differs", before + 1)
    assert await stage.coins("ann") == 100


async def test_more_given_back_than_was_paid_waits_for_a_person(stage):
    made = await buy(stage)
    _, before = await listed(stage)
    await say(stage, given_back(made, 101))
    entry, count = await listed(stage)
    assert count == before + 1 and made["purchase"] in entry["subject"]
    assert await stage.coins("ann") == 100


async def test_giving_a_second_payment_back_takes_no_coins_of_the_first(stage):
    made = await buy(stage)
    await order(stage)  # a payment may still be on its way
    await say(stage, paid(made, payment="pay-again"))
    for said, status in (
        (given_back(made, 100, payment="pay-again"), 200),
        (taken_back(made, payment="pay-again"), 200),
        (taken_back(made, payment="pay-again", purchase=None), 503),
    ):
        await say(stage, said, status)
        assert "pay-again" in str((await listed(stage))[0])
    assert await stage.coins("ann") == 100
    assert (await purchase(stage, made))["status"] == "paid"


# --- chargebacks ---------------------------------------------------------------------------------


async def test_a_chargeback_is_booked_once(stage):
    made = await buy(stage)
    answers = await asyncio.gather(
        *(tell(stage.server.http, taken_back(made)) for _ in range(20)),
        *(tell(stage.server.http, taken_back(made, purchase=None)) for _ in range(20)),
        *(tell(stage.server.http, taken_back(made, reason="other")) for _ in range(20)),
    )
    assert {answer.status_code for answer in answers} == {200}
    assert (await purchase(stage, made))["status"] == "charged_back"
    found = await wallet(stage)
    assert (found["coins"], found["coin_debt"]) == (0, 0)


async def test_a_chargeback_that_overtakes_its_payment_leaves_no_coins(stage):
    made = await order(stage)
    await say(stage, taken_back(made))
    assert (await purchase(stage, made))["status"] == "pending"
    await say(stage, paid(made))
    await say(stage, paid(made))
    now = await purchase(stage, made)
    assert (now["status"], now["payment"]) == ("charged_back", f"pay-{made['purchase']}")
    found = await wallet(stage)
    assert (found["coins"], found["coin_debt"]) == (0, 0)


async def test_a_chargeback_of_an_unknown_payment_waits_for_a_person(stage):
    made = await order(stage)
    for changed, why, status in (
        # 503: its payment may be on its way, and then this must be said again.
        ({"purchase": None, "payment": f"no-{stage.room}"}, "charged_back_unknown", 503),
        ({"purchase": f"no-{stage.room}"}, "unknown_purchase", 200),
    ):
        _, before = await listed(stage)
        await say(stage, taken_back(made, **changed), status)
        entry, count = await listed(stage)
        assert (entry["why"], count) == (why, before + 1)
        assert f"no-{stage.room}" in entry["subject"]


async def test_a_chargeback_by_payment_alone_that_overtook_it_is_booked_when_said_again(stage):
    made = await order(stage)
    said = taken_back(made, purchase=None)
    await say(stage, said, 503)
    await say(stage, paid(made))
    assert await stage.coins("ann") == 100
    await say(stage, said)
    assert (await purchase(stage, made))["status"] == "charged_back"
    assert await stage.coins("ann") == 0


async def test_a_chargeback_after_a_full_refund_waits_for_a_person(stage):
    made = await buy(stage)
    await stage.post(f"purchases/{made['purchase']}/refund", {"reason": "asked for"})
    await say(stage, taken_back(made))
    entry, _ = await listed(stage)
    assert (entry["why"], entry["subject"]) == ("refunded_before", f"purchase {made['purchase']}")
    assert (await wallet(stage))["coin_debt"] == 0


async def test_a_chargeback_that_was_won_waits_for_a_person(stage):
    made = await buy(stage)
    await say(stage, taken_back(made))
    _, before = await listed(stage)
    won = ChargebackWon(purchase=None, payment=f"pay-{made['purchase']}")
    await say(stage, won)
    await say(stage, won)
    entry, count = await listed(stage)
    assert (entry["why"], entry["subject"]) == ("chargeback_won", f"purchase {made['purchase']}")
    assert count == before + 1
    assert await stage.coins("ann") == 0
    settled = await post(stage, f"suspense/{entry['entry']}/settle", {"note": "coins granted"})
    assert settled.json()["settled_by"] == "backend"


# --- everything at once --------------------------------------------------------------------------


async def test_every_order_of_what_is_said_ends_in_the_same_books(stage):
    """Paid, a part refunded at the provider, charged back: 6 orders, each said until taken."""
    for number, shuffled in enumerate(itertools.permutations(range(3))):
        name = f"u{number}"
        made = await order(stage, name)
        said: list[Paid | RefundSeen | ChargedBack] = [
            paid(made),
            given_back(made, 30),
            taken_back(made),
        ]
        left = [said[index] for index in shuffled]
        for _ in range(4):
            left = [
                each for each in left if (await tell(stage.server.http, each)).status_code == 503
            ]
        assert not left
        found = await wallet(stage, name)
        assert (found["coins"], found["coin_debt"]) == (0, 0), shuffled
        assert (await purchase(stage, made))["status"] == "charged_back", shuffled


async def test_a_dispute_over_a_part_waits_for_a_person_and_takes_nothing(stage):
    made = await buy(stage)
    await say(stage, taken_back(made, amount_minor=30))
    entry, _ = await listed(stage)
    assert (entry["why"], entry["subject"]) == (
        "chargeback_differs",
        f"purchase {made['purchase']}",
    )
    assert (await purchase(stage, made))["status"] == "paid"
    assert await stage.coins("ann") == 100
