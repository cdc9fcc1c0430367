"""Payouts over HTTP as protocol.md (section 2) promises them: asking, deciding, what is flagged.

The files to the bank and from it are in test_http_bank_files.py.
"""

import json

import pytest
import pytest_asyncio

from kit.building.buying import now_ms
from kit.building.earning import EARNS, asked, diamonds, earn, open_payout
from kit.servers.described import asking
from kit.servers.http_asking import bearer, get, post, refused
from kit.servers.serving import live

pytestmark = pytest.mark.asyncio(loop_scope="module")

DAY_MS = 86_400_000
ROW = {"payout", "creator", "status", "millidiamonds", "amount_minor", "currency", "flags"}
SHOWN = ROW | {"requested_ms", "decided_ms", "reference", "reason"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server():
    async with live(**EARNS) as running:
        yield running


# --- asking --------------------------------------------------------------------------------------


async def test_a_creator_asks_and_the_diamonds_are_reserved(stage):
    await earn(stage)
    made = await asked(stage, 20_000)
    assert made.status_code == 201 and made.json().keys() == ROW
    assert made.json() == made.json() | {
        "status": "requested",
        "creator": stage.creator,
        "millidiamonds": 20_000,
        "amount_minor": 20,
        "currency": "USD",
    }
    assert await diamonds(stage) == {"pending": 0, "available": 30_000, "reserved": 20_000}
    shown = (await get(stage, f"payouts/{made.json()['payout']}")).json()
    assert shown.keys() == SHOWN
    assert (shown["decided_ms"], shown["reference"], shown["reason"]) == (None, None, None)


async def test_a_payout_is_asked_for_once_per_key(stage):
    await earn(stage)
    key = f"p-{stage.room}"
    first = await asked(stage, 10_000, Idempotency_Key=key)
    again = await asked(stage, 10_000, Idempotency_Key=key)
    assert first.status_code == again.status_code == 201
    assert again.json() == first.json()
    refused(await asked(stage, 11_000, Idempotency_Key=key), 409, "key_reused")
    error = refused(await asked(stage, 10_000), 409, "payout_open")
    assert error["details"] == {"payout": first.json()["payout"]}
    assert (await diamonds(stage))["reserved"] == 10_000


@pytest.mark.parametrize(
    ("wish", "status", "code"),
    [
        ("5000", 400, "malformed"),
        (5000.0, 400, "malformed"),
        (True, 400, "malformed"),
        (None, 400, "malformed"),
        (999, 422, "invalid"),
        (1_500, 422, "invalid"),
        (0, 422, "invalid"),
        (-5_000, 422, "invalid"),
        (2**70 * 1_000, 409, "insufficient_diamonds"),
        (51_000, 409, "insufficient_diamonds"),
    ],
)
async def test_a_wrong_amount_is_refused(stage, wish, status, code):
    await earn(stage)
    error = refused(await asked(stage, wish), status, code)
    assert "millidiamonds" in str(error["details"])
    assert await diamonds(stage) == {"pending": 0, "available": 50_000, "reserved": 0}


async def test_only_the_creator_asks(stage):
    creator = await earn(stage)
    body = {"millidiamonds": 10_000}
    refused(await post(stage, "payouts", body, Authorization=""), 401, "unauthorized")
    assert "creator" in refused(await post(stage, "payouts", body), 403, "forbidden")["message"]
    overlay = bearer(creator, role="overlay", rooms=[stage.room])
    refused(await post(stage, "payouts", body, **overlay), 403, "forbidden")
    stranger = bearer(stage.user("eve"), role="creator")
    refused(await post(stage, "payouts", body, **stranger), 409, "insufficient_diamonds")
    viewer = await post(stage, "payouts", body, **bearer(creator))
    assert viewer.status_code == 201, "who has the diamonds may ask, whatever the token's role"


async def test_a_frozen_creator_gets_nothing(stage):
    await earn(stage)
    await stage.post(f"users/{stage.creator}/freeze", {"reason": "looked at"})
    refused(await asked(stage, 10_000), 409, "account_frozen")
    assert (await diamonds(stage))["reserved"] == 0


# --- deciding ------------------------------------------------------------------------------------


async def test_a_payout_is_approved_and_paid(stage):
    await earn(stage)
    payout = await open_payout(stage)
    approved = (await post(stage, f"payouts/{payout}/approve")).json()
    assert approved.keys() == SHOWN and approved["status"] == "approved"
    paid = await post(stage, f"payouts/{payout}/paid", {"reference": "SEPA 17"})
    assert paid.status_code == 200
    assert paid.json() == approved | {
        "status": "paid",
        "reference": "SEPA 17",
        "decided_ms": paid.json()["decided_ms"],
    }
    assert paid.json()["decided_ms"] >= approved["requested_ms"]
    assert await diamonds(stage) == {"pending": 0, "available": 0, "reserved": 0}


async def test_a_payout_may_be_paid_without_a_reference(stage):
    await earn(stage)
    payout = await open_payout(stage, approve=True)
    paid = await post(stage, f"payouts/{payout}/paid")
    assert paid.status_code == 200 and paid.json()["reference"] == ""


async def test_a_rejected_payout_gives_everything_back(stage):
    await earn(stage)
    payout = await open_payout(stage, 40_000)
    rejected = (await post(stage, f"payouts/{payout}/reject", {"reason": "no account"})).json()
    assert (rejected["status"], rejected["reason"]) == ("rejected", "no account")
    assert rejected["reference"] is None
    assert await diamonds(stage) == {"pending": 0, "available": 50_000, "reserved": 0}
    assert (await asked(stage, 40_000)).status_code == 201


@pytest.mark.parametrize(
    ("before", "then", "allowed"),
    [
        ((), "approve", True),
        ((), "paid", False),
        ((), "reject", True),
        (("approve",), "approve", False),
        (("approve",), "reject", True),
        (("approve", "paid"), "approve", False),
        (("approve", "paid"), "paid", False),
        (("approve", "paid"), "reject", False),
        (("reject",), "approve", False),
        (("reject",), "paid", False),
        (("reject",), "reject", False),
    ],
)
async def test_a_payout_moves_forward_only(stage, before, then, allowed):
    await earn(stage)
    payout = await open_payout(stage)
    answers = [
        await post(stage, f"payouts/{payout}/{step}", {"reason": "r"} if step == "reject" else None)
        for step in (*before, then)
    ]
    assert {answer.status_code for answer in answers[:-1]} <= {200}
    if allowed:
        assert answers[-1].status_code == 200, answers[-1].text
    else:
        error = refused(answers[-1], 409, "wrong_state")
        now = await stage.get(f"payouts/{payout}")
        assert error["details"] == {"status": now["status"]}


async def test_the_same_key_decides_once(stage):
    await earn(stage)
    payout = await open_payout(stage)
    key = f"d-{stage.room}"
    for _ in range(2):
        answer = await post(stage, f"payouts/{payout}/reject", {"reason": "a"}, Idempotency_Key=key)
        assert answer.status_code == 200 and answer.json()["status"] == "rejected"
    other = await post(stage, f"payouts/{payout}/reject", {"reason": "b"}, Idempotency_Key=key)
    refused(other, 409, "key_reused")


async def test_a_frozen_creators_payout_is_not_approved(stage):
    await earn(stage)
    payout = await open_payout(stage)
    await stage.post(f"users/{stage.creator}/freeze", {"reason": "looked at"})
    refused(await post(stage, f"payouts/{payout}/approve"), 409, "account_frozen")
    back = await post(stage, f"payouts/{payout}/reject", {"reason": "fraud"})
    assert back.status_code == 200


async def test_deciding_is_for_the_backend(stage):
    await earn(stage)
    payout = await open_payout(stage)
    for step, body in (("approve", None), ("paid", {}), ("reject", {"reason": "r"})):
        path = f"payouts/{payout}/{step}"
        refused(await post(stage, path, body, Authorization=""), 401, "unauthorized")
        for claims in ({"role": "creator"}, {"role": "admin"}):
            refused(await post(stage, path, body, **bearer(stage.creator, **claims)), 403)
    assert (await stage.get(f"payouts/{payout}"))["status"] == "requested"


@pytest.mark.parametrize("step", ["approve", "paid", "reject"])
async def test_there_is_no_such_payout(stage, step):
    body = {"reason": "r"} if step == "reject" else None
    for payout in ("payout-999999", "no", "%20"):
        refused(await post(stage, f"payouts/{payout}/{step}", body), 404, "unknown_payout")
    refused(await get(stage, "payouts/no"), 404, "unknown_payout")


@pytest.mark.parametrize(
    ("step", "body"),
    [
        ("reject", None),
        ("reject", {}),
        ("reject", {"reason": ""}),
        ("reject", {"reason": "a\nb"}),
        ("reject", {"reason": "r" * 201}),
        ("reject", {"reason": "r", "extra": 1}),
        ("paid", {"reference": "r" * 201}),
        ("paid", {"reference": 5}),
        ("paid", {"reference": "\u202e"}),
    ],
)
async def test_a_wrong_decision_is_refused(stage, step, body):
    answer = await post(stage, f"payouts/payout-1/{step}", body)
    assert answer.status_code in (400, 422), answer.text
    assert refused(answer, answer.status_code)["retry"] == "fix"


# --- the queue -----------------------------------------------------------------------------------


async def pages(stage, headers=None, **query):
    """Every item of the list, asked for two at a time."""
    items, cursor = [], None
    while True:
        more = {"cursor": cursor} if cursor else {}
        page = (await get(stage, "payouts", headers, limit=2, **query, **more)).json()
        assert page.keys() == {"items", "next_cursor"} and len(page["items"]) <= 2
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return items


async def test_the_queue_is_listed_page_by_page(stage):
    await earn(stage)
    made = []
    for number in range(5):
        made.append(await open_payout(stage, 1_000 * (number + 1)))
        await post(stage, f"payouts/{made[-1]}/reject", {"reason": "again"})
    made.append(await open_payout(stage, 9_000))
    mine = await pages(stage, creator=stage.creator)
    assert sorted(row["payout"] for row in mine) == sorted(made)
    times = [row["requested_ms"] for row in mine]
    assert times == sorted(times, reverse=True)
    rejected = await pages(stage, creator=stage.creator, status="rejected")
    assert {row["payout"] for row in rejected} == set(made[:-1])
    everything = await pages(stage)
    assert {row["payout"] for row in everything} >= set(made)
    assert len({row["payout"] for row in everything}) == len(everything)


async def test_a_creator_sees_their_own_payouts_only(stage):
    creator = await earn(stage)
    payout = await open_payout(stage)
    own, eve = bearer(creator, role="creator"), bearer(stage.user("eve"))
    assert [row["payout"] for row in await pages(stage, own)] == [payout]
    assert await pages(stage, eve) == []
    assert (await get(stage, f"payouts/{payout}", own)).json()["payout"] == payout
    refused(await get(stage, f"payouts/{payout}", eve), 403, "forbidden")
    refused(await get(stage, "payouts/payout-999999", eve), 403, "forbidden")
    refused(await get(stage, "payouts", eve, creator=creator), 403, "forbidden")
    overlay = bearer(creator, role="overlay", rooms=[stage.room])
    for path in ("payouts", f"payouts/{payout}"):
        refused(await get(stage, path, overlay), 403, "forbidden")
        refused(await get(stage, path, {"Authorization": ""}), 401, "unauthorized")


@pytest.mark.parametrize(
    "query",
    [
        {"status": "done"},
        {"cursor": "x"},
        {"cursor": "1_payout-1' OR 1"},
        {"limit": 0},
        {"limit": 201},
        {"creator": "a b"},
    ],
)
async def test_a_wrong_question_is_refused(stage, query):
    answer = await get(stage, "payouts", **query)
    assert answer.status_code in (400, 422), answer.text
    error = refused(answer, answer.status_code)
    assert next(iter(query)) in str(error)


# --- what a reviewer is shown --------------------------------------------------------------------


async def test_a_payout_from_one_new_sender_is_flagged(stage):
    await earn(stage, coins=2_000)
    made = (await asked(stage, 100_000)).json()
    assert made["flags"] == ["one_sender", "new_senders"]
    assert (await stage.get(f"payouts/{made['payout']}"))["flags"] == made["flags"]


async def test_what_the_flags_were_found_from_is_kept(stage):
    await earn(stage, coins=40)
    today = now_ms() // DAY_MS
    assert (await asked(stage, 10_000)).status_code == 201
    money = stage.server.node.store.money
    numbers = await money.commands_of(stage.creator)
    [found] = [json.loads(one.command) for one in await money.commands(numbers)]
    facts = found["facts"]
    assert 0 < facts.pop("as_of") < numbers[0]
    assert facts.pop("from_day") in (today - 8, today - 7), "there is no hold here"
    assert facts == {"earned_coins": 40, "coins": 40, "top_coins": 40, "new_sender_coins": 40}


async def test_a_ring_is_flagged(stage):
    await earn(stage)
    back = f"{stage.room}-back"
    await stage.server.room(back, stage.user("ann"))
    cara = await stage.server.join(stage.creator, back)
    await stage.server.grant(stage.creator, 10)
    assert (await cara.gift("b1", room=back))["type"] == "accepted"
    assert "gives_back" in (await asked(stage, 10_000)).json()["flags"]


async def test_a_first_payout_is_reviewed_and_a_small_clean_one_is_not(stage_on):
    async with live(**(EARNS | {"payout_automatic_millidiamonds": 5_000})) as server:
        stage = await stage_on(server)
        await earn(stage)
        flagged = (await asked(stage, 1_000)).json()
        assert (flagged["status"], flagged["flags"]) == ("requested", ["new_senders"])
    careful = {"payout_automatic_millidiamonds": 5_000, "payout_review_first": True}
    async with live(**(EARNS | careful)) as server:
        stage = await stage_on(server)
        await earn(stage)
        first = (await asked(stage, 1_000)).json()
        assert (first["status"], first["flags"][0]) == ("requested", "first_payout")


async def test_nobody_pages_into_a_payout_route_without_a_token(server):
    async with asking(server.url) as nobody:
        for path in ("/v1/payouts", "/v1/payouts/export", "/v1/payouts/payout-1"):
            refused(await nobody.get(path), 401, "unauthorized")
        refused(await nobody.post("/v1/payouts/results", json={"results": []}), 401)
