"""Buying coins over HTTP as protocol.md (section 2) promises it: orders, paying, giving back.

What the provider says by itself is in test_http_notifications.py.
"""

import asyncio

import pytest
import pytest_asyncio

from kit.building.buying import buy, order, paid, purchase, tell, wallet
from kit.servers.described import asking
from kit.servers.http_asking import bearer, get, post, refused
from kit.servers.serving import live
from reliability.books import check_audit

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIELDS = {"purchase", "user", "status", "checkout_url", "bundle", "coins", "price_minor"}
FIELDS |= {"currency", "provider", "payment", "started_ms", "paid_ms"}
FIELDS |= {"refunded_coins", "refunded_minor"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory):
    """The file's server keeps its books in a file, which is audited in the end."""
    database = f"sqlite:///{tmp_path_factory.mktemp('purchases') / 'books.db'}"
    async with live(database, heartbeat_ms=60_000) as running:
        yield running
    check_audit(database)


# --- ordering ------------------------------------------------------------------------------------


async def test_what_coins_cost(server):
    async with asking(server.url) as nobody:
        shop = (await nobody.get(f"{server.url}/v1/bundles")).json()
    bundles = shop.pop("bundles")
    assert shop == {
        "coin_price_micros": 10_000,
        "minimum_coins": 50,
        "maximum_coins": 100_000,
        "currency": "USD",
        "minor_digits": 2,
    }
    assert bundles[0] == {"id": "coins-50", "coins": 50, "price_minor": 50, "currency": "USD"}
    assert [each["coins"] for each in bundles] == sorted(each["coins"] for each in bundles)


@pytest.mark.parametrize(
    ("wish", "coins", "bundle"),
    [({"bundle": "coins-250"}, 250, "coins-250"), ({"coins": 137}, 137, None)],
)
async def test_a_user_orders_a_bundle_or_an_exact_amount(stage, wish, coins, bundle):
    ann = stage.user("ann")
    made = await post(stage, "purchases", wish, **bearer(ann))
    assert made.status_code == 201 and made.json().keys() == FIELDS
    id = made.json()["purchase"]
    assert made.json() == made.json() | {
        "user": ann,
        "status": "pending",
        "checkout_url": f"{stage.server.url}/checkout/sandbox/{id}",
        "bundle": bundle,
        "coins": coins,
        "price_minor": coins,
        "currency": "USD",
        "provider": "sandbox",
        "payment": None,
        "paid_ms": None,
        "refunded_coins": 0,
    }
    assert (await get(stage, f"purchases/{id}", bearer(ann))).json() == made.json()
    assert await stage.coins("ann") == 0


@pytest.mark.parametrize("least_or_most", [50, 100_000])
async def test_the_limits_of_an_order_are_inside(stage, least_or_most):
    assert (await order(stage, coins=least_or_most))["coins"] == least_or_most


@pytest.mark.parametrize(
    ("wish", "status", "code", "field"),
    [
        ({}, 422, "invalid", "bundle"),
        ({"bundle": "coins-50", "coins": 50}, 422, "invalid", "bundle"),
        ({"bundle": "coins-51"}, 422, "invalid", "bundle"),
        ({"bundle": ""}, 422, "invalid", "bundle"),
        ({"bundle": 5}, 400, "malformed", "bundle"),
        ({"coins": 49}, 422, "invalid", "coins"),
        ({"coins": 0}, 422, "invalid", "coins"),
        ({"coins": -100}, 422, "invalid", "coins"),
        ({"coins": 100_001}, 422, "invalid", "coins"),
        ({"coins": 2**80}, 422, "invalid", "coins"),
        ({"coins": "100"}, 400, "malformed", "coins"),
        ({"coins": 100.0}, 400, "malformed", "coins"),
        ({"coins": 100.5}, 400, "malformed", "coins"),
        ({"coins": True}, 400, "malformed", "coins"),
        ({"coins": [100]}, 400, "malformed", "coins"),
        ({"coins": 100, "price_minor": 1}, 400, "malformed", "price_minor"),
        ({"coins": 100, "user": "a b"}, 422, "invalid", "user"),
        ({"coins": 100, "user": 7}, 400, "malformed", "user"),
    ],
)
async def test_a_wrong_order_is_refused_and_the_field_named(stage, wish, status, code, field):
    body = {"user": stage.user("ann")} | wish
    error = refused(await post(stage, "purchases", body), status, code)
    assert field in error["message"] or field in str(error["details"]), error
    assert (await get(stage, "purchases", user=stage.user("ann"))).json()["items"] == []


async def test_the_backend_has_to_say_for_whom(stage):
    error = refused(await post(stage, "purchases", {"coins": 100}), 422, "invalid")
    assert error["details"] == {"field": "user"}


async def test_only_adults_buy(stage):
    young = bearer(stage.user("ann"), adult=False)
    error = refused(await post(stage, "purchases", {"coins": 100}, **young), 403, "not_of_age")
    assert error["retry"] == "new"


async def test_a_frozen_account_buys_nothing(stage):
    await stage.post(f"users/{stage.user('ann')}/freeze")
    error = await post(stage, "purchases", {"coins": 100}, **bearer(stage.user("ann")))
    refused(error, 409, "account_frozen")
    await stage.post(f"users/{stage.user('ann')}/unfreeze")
    assert (await buy(stage))["status"] == "paid"


async def test_nobody_buys_for_another_or_looks_at_what_they_bought(stage):
    made = await order(stage, "ann")
    eve = bearer(stage.user("eve"), role="admin")
    body = {"coins": 100, "user": stage.user("ann")}
    refused(await post(stage, "purchases", body, **eve), 403, "forbidden")
    refused(await get(stage, f"purchases/{made['purchase']}", eve), 403, "forbidden")
    refused(await get(stage, "purchases", eve, user=stage.user("ann")), 403, "forbidden")
    mine = await get(stage, "purchases", eve)
    assert mine.json() == {"items": [], "next_cursor": None}
    overlay = bearer(stage.user("ann"), role="overlay", rooms=[stage.room])
    refused(await get(stage, "purchases", overlay), 403, "forbidden")
    refused(await post(stage, "purchases", {"coins": 100}, **overlay), 403, "forbidden")


async def test_nobody_and_strangers_get_nowhere(stage):
    made = await order(stage)
    paths = {
        "purchases": {"coins": 100},
        f"purchases/{made['purchase']}/refund": {"reason": "r"},
        f"purchases/{made['purchase']}/chargeback": {"reason": "r"},
    }
    for path, body in paths.items():
        refused(await post(stage, path, body, Authorization="Bearer x.y.z"), 401, "unauthorized")
        if path != "purchases":
            own = bearer(stage.user("ann"))
            refused(await post(stage, path, body, **own), 403, "forbidden")
    for path in ("purchases", f"purchases/{made['purchase']}", "notifications/refused"):
        refused(await get(stage, path, {"Authorization": ""}), 401, "unauthorized")
    refused(await get(stage, "notifications/refused", bearer("ann", role="admin")), 403)


async def test_a_retry_gets_the_same_purchase_whatever_became_of_it(stage):
    key = f"o-{stage.room}"
    first = await order(stage, Idempotency_Key=key)
    assert await order(stage, Idempotency_Key=key) == first
    await tell(stage.server.http, paid(first))
    again = await order(stage, Idempotency_Key=key)
    assert (again["purchase"], again["status"]) == (first["purchase"], "paid")
    body = {"user": stage.user("ann"), "coins": 101}
    refused(await post(stage, "purchases", body, Idempotency_Key=key), 409, "key_reused")
    other = {"user": stage.user("ann"), "bundle": "coins-100"}
    refused(await post(stage, "purchases", other, Idempotency_Key=key), 409, "key_reused")
    assert (await order(stage))["purchase"] != (await order(stage))["purchase"]


async def test_a_hundred_retries_at_once_are_one_purchase(stage):
    made = await asyncio.gather(
        *(order(stage, Idempotency_Key=f"h-{stage.room}") for _ in range(100))
    )
    assert len({each["purchase"] for each in made}) == 1
    assert {each["checkout_url"] for each in made} == {made[0]["checkout_url"]}
    items = (await get(stage, "purchases", user=stage.user("ann"))).json()["items"]
    assert len(items) == 1


# --- the list ------------------------------------------------------------------------------------


async def test_the_list_pages_newest_first_and_filters(stage):
    ann = stage.user("ann")
    made = [await order(stage, coins=100 + number) for number in range(5)]
    for each in made[:2]:
        await tell(stage.server.http, paid(each))
    paged, cursor = [], None
    while True:
        query = {"limit": 2, "user": ann} | ({"cursor": cursor} if cursor else {})
        page = (await get(stage, "purchases", **query)).json()
        paged += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert [each["coins"] for each in paged] == [104, 103, 102, 101, 100]
    assert (await get(stage, "purchases", bearer(ann))).json()["items"] == paged
    by_status = {
        status: [
            each["coins"]
            for each in (await get(stage, "purchases", user=ann, status=status)).json()["items"]
        ]
        for status in ("pending", "paid", "failed", "refunded", "charged_back")
    }
    assert by_status == {
        "pending": [104, 103, 102],
        "paid": [101, 100],
        "failed": [],
        "refunded": [],
        "charged_back": [],
    }


@pytest.mark.parametrize(
    ("query", "statuses"),
    [
        ({"status": "lost"}, (422,)),
        ({"status": ""}, (422,)),
        ({"cursor": "x"}, (422,)),
        ({"cursor": "-1_x"}, (422,)),
        ({"cursor": f"{10**30}_x"}, (422,)),
        ({"limit": 0}, (400,)),
        ({"limit": 201}, (400,)),
        ({"limit": "many"}, (400,)),
    ],
)
async def test_a_wrong_list_is_refused(stage, query, statuses):
    answer = await get(stage, "purchases", **query)
    assert answer.status_code in statuses, answer.text
    refused(answer, answer.status_code)


async def test_there_is_no_such_purchase(stage):
    refused(await get(stage, "purchases/pur_x"), 404, "unknown_purchase")
    for what in ("refund", "chargeback"):
        answer = await post(stage, f"purchases/pur_x/{what}", {"reason": "r"})
        refused(answer, 404, "unknown_purchase")


# --- the sandbox's page --------------------------------------------------------------------------


def page_of(made):
    return f"/checkout/sandbox/{made['purchase']}"


@pytest.mark.parametrize("how", ["data", "json"])
async def test_paying_in_the_sandbox_by_form_or_by_json(stage, how):
    made = await order(stage, coins=120)
    async with asking(stage.server.url) as payer:
        page = await payer.get(page_of(made))
        assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
        assert "unsafe" not in page.headers["content-security-policy"]
        assert "120 coins" in page.text and "USD 1.20" in page.text and "<form" in page.text
        for _ in range(3):
            answer = await payer.post(page_of(made), **{how: {"answer": "pay"}})
            assert answer.status_code == 303 and answer.headers["location"] == page_of(made)
        await payer.post(page_of(made), **{how: {"answer": "decline"}})
        page = await payer.get(page_of(made))
        assert "<form" not in page.text and "Paid" in page.text
    now = await purchase(stage, made)
    assert (now["status"], now["payment"]) == ("paid", f"sandbox-{made['purchase']}")
    assert now["paid_ms"] >= now["started_ms"]
    assert await stage.coins("ann") == 120


async def test_paying_at_the_same_time_pays_once(stage):
    made = await order(stage)
    http = stage.server.http
    await asyncio.gather(*(http.post(page_of(made), data={"answer": "pay"}) for _ in range(20)))
    assert await stage.coins("ann") == 100


async def test_declining_in_the_sandbox(stage):
    made = await order(stage)
    answer = await stage.server.http.post(page_of(made), data={"answer": "decline"})
    assert answer.status_code == 303
    assert (await purchase(stage, made))["status"] == "failed"
    assert "Declined" in (await stage.server.http.get(page_of(made))).text
    await stage.server.http.post(page_of(made), data={"answer": "pay"})
    assert (await purchase(stage, made))["status"] == "failed"
    assert await stage.coins("ann") == 0


async def test_the_sandbox_takes_no_other_answer(stage):
    made = await order(stage)
    http = stage.server.http
    for how in (
        {"data": {"answer": "steal"}},
        {"data": {}},
        {"json": {"answer": None}},
        {"json": {"answer": ["pay"]}},
        {"json": ["pay"]},
        {"json": "pay"},
        {"json": None},
        {"content": b""},
    ):
        error = refused(await http.post(page_of(made), **how), 422, "invalid")
        assert error["details"] == {"field": "answer"}
    broken = {"content": b"{", "headers": {"Content-Type": "application/json"}}
    refused(await http.post(page_of(made), **broken), 400, "malformed")
    assert (await purchase(stage, made))["status"] == "pending"
    for method in (http.get, http.post):
        refused(await method("/checkout/sandbox/pur_x"), 404, "unknown_purchase")


async def test_where_payers_come_back_to(stage):
    made = await order(stage)
    http = stage.server.http
    waiting = await http.get(f"/checkout/paid/{made['purchase']}")
    assert "being confirmed" in waiting.text, "the way back proves nothing"
    assert "Declined" in (await http.get(f"/checkout/cancelled/{made['purchase']}")).text
    await tell(http, paid(made))
    for end in ("paid", "cancelled"):
        assert "are in the wallet" in (await http.get(f"/checkout/{end}/{made['purchase']}")).text
    refused(await http.get(f"/checkout/lost/{made['purchase']}"), 404, "not_found")
    refused(await http.get("/checkout/paid/pur_x"), 404, "unknown_purchase")


# --- giving back ---------------------------------------------------------------------------------


async def refund(stage, made, coins=None, **headers):
    body = {"reason": "asked for"} | ({} if coins is None else {"coins": coins})
    return await post(stage, f"purchases/{made['purchase']}/refund", body, **headers)


async def test_unspent_coins_are_refunded(stage):
    made = await buy(stage, coins=100)
    ann = await stage.join("ann")
    await stage.gift(ann, "g1", gift="note", quantity=6)
    done = await refund(stage, made)
    assert done.status_code == 200
    assert done.json() == {
        "purchase": made["purchase"],
        "refund": done.json()["refund"],
        "user": stage.user("ann"),
        "coins": 70,
        "amount_minor": 70,
        "currency": "USD",
        "balance_coins": 0,
        "debt_coins": 0,
    }
    now = await purchase(stage, made)
    assert (now["status"], now["refunded_coins"], now["refunded_minor"]) == ("paid", 70, 70)
    refused(await refund(stage, made), 409, "nothing_to_refund")


async def test_a_refund_in_parts_until_nothing_is_left(stage):
    made = await buy(stage, coins=100)
    for coins in (30, 30, 40):
        assert (await refund(stage, made, coins)).json()["amount_minor"] == coins
    assert (await purchase(stage, made))["status"] == "refunded"
    refused(await refund(stage, made, 1), 409, "wrong_state")
    assert await stage.coins("ann") == 0


async def test_a_refund_is_made_once_per_key(stage):
    made = await buy(stage, coins=100)
    key = f"f-{stage.room}"
    first = await refund(stage, made, 40, Idempotency_Key=key)
    again = await refund(stage, made, 40, Idempotency_Key=key)
    assert again.json() == first.json()
    refused(await refund(stage, made, 41, Idempotency_Key=key), 409, "key_reused")
    assert (await purchase(stage, made))["refunded_coins"] == 40
    await asyncio.gather(*(refund(stage, made, 10, Idempotency_Key=f"{key}2") for _ in range(30)))
    assert (await purchase(stage, made))["refunded_coins"] == 50
    assert await stage.coins("ann") == 50


@pytest.mark.parametrize(
    ("coins", "status", "code"),
    [
        (101, 409, "refund_too_large"),
        (2**80, 409, "refund_too_large"),
        (0, 422, "invalid"),
        (-1, 422, "invalid"),
        ("5", 400, "malformed"),
        (5.0, 400, "malformed"),
        (True, 400, "malformed"),
    ],
)
async def test_a_wrong_refund_is_refused(stage, coins, status, code):
    made = await buy(stage, coins=100)
    error = refused(await refund(stage, made, coins), status, code)
    assert "coins" in str(error["details"])
    assert await stage.coins("ann") == 100


async def test_a_refund_needs_a_reason_and_a_payment(stage):
    made = await order(stage)
    refused(await refund(stage, made, 5), 409, "wrong_state")
    for reason in ("", "r" * 201, "a\nb"):
        path = f"purchases/{made['purchase']}/refund"
        error = refused(await post(stage, path, {"reason": reason}), 422, "invalid")
        assert error["details"] == {"field": "reason"}


async def test_refunded_coins_that_were_spent_are_owed(stage):
    made = await buy(stage, coins=100)
    ann = await stage.join("ann")
    await stage.gift(ann, "g1", gift="note", quantity=18)
    done = (await refund(stage, made, 60)).json()
    assert (done["balance_coins"], done["debt_coins"]) == (0, 50)
    assert (await wallet(stage))["coin_debt"] == 50
    answer = await stage.gift(ann, "g2")
    assert (answer["code"], answer["details"]) == ("account_frozen", {"coin_debt": 50})
    await stage.server.grant(stage.user("ann"), 20)
    assert ((await wallet(stage))["coins"], (await wallet(stage))["coin_debt"]) == (0, 30)
    await buy(stage, coins=70)
    assert ((await wallet(stage))["coins"], (await wallet(stage))["coin_debt"]) == (40, 0)
    assert (await stage.gift(ann, "g3"))["type"] == "accepted"


async def test_a_chargeback_takes_coins_and_diamonds_and_leaves_a_debt(stage):
    made = await buy(stage, coins=100)
    ann = await stage.join("ann")
    await stage.gift(ann, "g1", gift="note", quantity=8)
    path, body = f"purchases/{made['purchase']}/chargeback", {"reason": "stolen card"}
    done = await post(stage, path, body)
    assert done.json() == {
        "purchase": made["purchase"],
        "user": stage.user("ann"),
        "coins": 100,
        "amount_minor": 100,
        "currency": "USD",
        "balance_coins": 0,
        "debt_coins": 40,
        "taken": done.json()["taken"],
    }
    [taken] = done.json()["taken"]
    assert (taken["creator"], taken["pending"]) == (stage.creator, 20_000)
    assert (await post(stage, path, body)).status_code == 200, "told twice"
    assert (await purchase(stage, made))["status"] == "charged_back"
    assert (await wallet(stage))["coin_debt"] == 40
    cara = await stage.get(f"users/{stage.creator}/wallet")
    assert cara["millidiamonds_pending"] == 0
    refused(await refund(stage, made, 1), 409, "wrong_state")


async def test_a_chargeback_of_what_was_refunded_goes_to_the_suspense_list(stage):
    made = await buy(stage, coins=100)
    await refund(stage, made, 100)
    path, body = f"purchases/{made['purchase']}/chargeback", {"reason": "stolen card"}
    done = await post(stage, path, body)
    assert done.status_code == 200
    entry, subject = done.json()["entry"], f"purchase {made['purchase']}"
    assert done.json() == {"entry": entry, "subject": subject, "why": "refunded_before"}
    listed = (await stage.get("suspense"))["items"]
    assert (listed[0]["entry"], listed[0]["subject"]) == (entry, subject)


# --- the wallet ----------------------------------------------------------------------------------


async def test_the_wallet_of_a_buyer_line_by_line(stage):
    nothing = {"limit_coins": None, "source": None, "own_coins": None}
    fresh = await wallet(stage, "zoe")
    assert fresh["limits"]["daily"] == nothing | {
        "limit_coins": 1_000,
        "source": "first_day",
        "spent_coins": 0,
        "left_coins": 1_000,
        "frees_ms": None,
    }
    await buy(stage, coins=500)
    ann = await stage.join("ann", coins=10)
    await stage.gift(ann, "g1", gift="note", quantity=4)
    found = await wallet(stage)
    limits = found.pop("limits")
    assert found == {
        "coins": 490,
        "millidiamonds_pending": 0,
        "millidiamonds_available": 0,
        "millidiamonds_reserved": 0,
        "diamond_debt_millidiamonds": 0,
        "coin_debt": 0,
        "level": 1,
        "level_hidden": False,
        "frozen": False,
        "spent_today": 20,
    }
    frees = {name: limits[name].pop("frees_ms") for name in ("daily", "weekly", "monthly")}
    assert frees["daily"] % 3_600_000 == 0 and frees["weekly"] % 86_400_000 == 0
    assert frees["daily"] < frees["weekly"] < frees["monthly"]
    window = {"own_coins": None, "spent_coins": 10}
    assert limits == {
        "daily": window | {"limit_coins": 1_000, "source": "first_day", "left_coins": 990},
        "weekly": window | {"limit_coins": 15_000, "source": "default", "left_coins": 14_990},
        "monthly": window | {"limit_coins": 40_000, "source": "default", "left_coins": 39_990},
        "per_gift_coins": None,
        "raises": [],
        "paused_until_ms": None,
    }
