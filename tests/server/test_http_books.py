"""The suspense list and corrections over HTTP: a person looks, and two agree."""

import pytest
import pytest_asyncio

from kit.building.earning import EARNS, diamonds, earn
from kit.servers.http_asking import bearer, get, post, refused
from kit.servers.serving import live

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENTRY = {"entry", "subject", "why", "note", "at_ms", "settled_by", "settled_note"}
CORRECTION = {"correction", "status", "user", "account", "amount", "reason", "proposed_by"}
CORRECTION |= {"at_ms", "decided_by"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server():
    async with live(**EARNS) as running:
        yield running


def admin(stage, name):
    return bearer(stage.user(name), role="admin")


async def listed(stage, path, headers=None, **query):
    """Every item of a list, asked for two at a time."""
    items, cursor = [], None
    while True:
        more = {"cursor": cursor} if cursor else {}
        page = (await get(stage, path, headers, limit=2, **query, **more)).json()
        assert page.keys() == {"items", "next_cursor"} and len(page["items"]) <= 2
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return items


# --- the suspense list ---------------------------------------------------------------------------


async def entries(stage, count=1):
    """Entries of this test: results of payouts that never were."""
    lines = [{"payout": f"{stage.room}-{n}", "paid": True} for n in range(count)]
    answer = await stage.post("payouts/results", {"results": lines})
    return [one["entry"] for one in answer["suspended"]]


async def test_an_entry_is_settled_by_who_has_looked(stage):
    [entry] = await entries(stage)
    [row] = [row for row in await listed(stage, "suspense") if row["entry"] == entry]
    assert row.keys() == ENTRY
    assert (row["subject"], row["why"]) == (f"payout {stage.room}-0", "unknown_payout")
    assert (row["settled_by"], row["settled_note"]) == (None, None)
    ada = admin(stage, "ada")
    done = await post(stage, f"suspense/{entry}/settle", {"note": "a typing error"}, **ada)
    assert done.status_code == 200
    assert done.json() == row | {
        "settled_by": f"user:{stage.user('ada')}",
        "settled_note": "a typing error",
    }
    again = await post(stage, f"suspense/{entry}/settle", {"note": "mine"})
    assert stage.user("ada") in refused(again, 409, "wrong_state")["message"]


async def test_an_entry_is_settled_once_per_key(stage):
    first, second = await entries(stage, 2)
    key = {"Idempotency_Key": f"k-{stage.room}"}
    for _ in range(2):
        done = await post(stage, f"suspense/{first}/settle", {"note": "ok"}, **key)
        assert done.status_code == 200 and done.json()["settled_by"] == "backend"
    refused(await post(stage, f"suspense/{first}/settle", {"note": "no"}, **key), 409, "key_reused")
    refused(await post(stage, f"suspense/{second}/settle", {"note": "ok"}, **key), 409)


async def test_the_list_is_paged_and_sorted_out(stage):
    made = await entries(stage, 5)
    await post(stage, f"suspense/{made[2]}/settle", {"note": "ok"})
    ids = [row["entry"] for row in await listed(stage, "suspense")]
    assert ids == sorted(ids, reverse=True) and set(made) <= set(ids)
    settled = {row["entry"] for row in await listed(stage, "suspense", settled="true")}
    waiting = {row["entry"] for row in await listed(stage, "suspense", settled="false")}
    assert settled & set(made) == {made[2]} and settled | waiting == set(ids)
    assert not settled & waiting


async def test_the_list_is_for_the_backend_and_admins(stage):
    [entry] = await entries(stage)
    assert (await get(stage, "suspense", admin(stage, "ada"))).status_code == 200
    for claims in ({}, {"role": "creator"}, {"role": "overlay", "rooms": [stage.room]}):
        eve = bearer(stage.user("eve"), **claims)
        refused(await get(stage, "suspense", eve), 403, "forbidden")
        refused(await get(stage, "corrections", eve), 403, "forbidden")
        refused(await post(stage, f"suspense/{entry}/settle", {"note": "x"}, **eve), 403)
    for path in ("suspense", "corrections"):
        refused(await get(stage, path, {"Authorization": ""}), 401, "unauthorized")


@pytest.mark.parametrize(
    ("entry", "body", "status"),
    [
        ("999999", {"note": "x"}, 404),
        ("0", {"note": "x"}, 400),
        ("9007199254740992", {"note": "x"}, 400),
        ("x", {"note": "x"}, 404),
        ("1", {}, 400),
        ("1", {"note": ""}, 422),
        ("1", {"note": "n" * 501}, 422),
        ("1", {"note": "a\x07"}, 422),
    ],
)
async def test_a_wrong_settling_is_refused(stage, entry, body, status):
    refused(await post(stage, f"suspense/{entry}/settle", body), status)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("suspense", {"settled": "maybe"}),
        ("suspense", {"cursor": "x"}),
        ("suspense", {"cursor": 0}),
        ("suspense", {"limit": 201}),
        ("corrections", {"status": "done"}),
        ("corrections", {"cursor": "-1"}),
    ],
)
async def test_a_wrong_question_is_refused(stage, path, query):
    assert next(iter(query)) in str(refused(await get(stage, path, **query), 400, "malformed"))


# --- corrections ---------------------------------------------------------------------------------


def wish(stage, amount=30, account="coins", **changed):
    body = {"user": stage.user("ann"), "account": account, "amount": amount, "reason": "lost gift"}
    return body | changed


async def test_two_admins_correct_a_balance(stage):
    await stage.server.grant(stage.user("ann"), 10)
    made = await post(stage, "corrections", wish(stage), **admin(stage, "ada"))
    assert made.status_code == 201 and made.json().keys() == CORRECTION
    assert made.json() == made.json() | wish(stage) | {
        "status": "proposed",
        "proposed_by": f"user:{stage.user('ada')}",
        "decided_by": None,
    }
    assert await stage.coins("ann") == 10, "nothing moves by proposing"
    path = f"corrections/{made.json()['correction']}"
    own = await post(stage, f"{path}/approve", **admin(stage, "ada"))
    refused(own, 403, "forbidden")
    assert await stage.coins("ann") == 10
    done = await post(stage, f"{path}/approve", **admin(stage, "ben"))
    assert done.status_code == 200
    assert done.json() == made.json() | {
        "status": "approved",
        "decided_by": f"user:{stage.user('ben')}",
    }
    assert await stage.coins("ann") == 40
    for step in ("approve", "reject"):
        refused(await post(stage, f"{path}/{step}", **admin(stage, "cyd")), 409, "wrong_state")
    assert await stage.coins("ann") == 40


async def test_a_viewer_sees_a_corrected_balance_at_once(stage):
    ann = await stage.join("ann", coins=10)
    made = (await post(stage, "corrections", wish(stage, -4), **admin(stage, "ada"))).json()
    await post(stage, f"corrections/{made['correction']}/approve", **admin(stage, "ben"))
    assert (await ann.hear("balance"))["balance_coins"] == 6


async def test_a_rejected_correction_moves_nothing(stage):
    for who in ("ben", "ada"):  # another admin says no, or who proposed it withdraws it
        made = (await post(stage, "corrections", wish(stage), **admin(stage, "ada"))).json()
        path = f"corrections/{made['correction']}"
        done = (await post(stage, f"{path}/reject", **admin(stage, who))).json()
        assert (done["status"], done["decided_by"]) == ("rejected", f"user:{stage.user(who)}")
        refused(await post(stage, f"{path}/approve", **admin(stage, "ben")), 409, "wrong_state")
    assert await stage.coins("ann") == 0


async def test_the_api_key_is_no_person(stage):
    why = refused(await post(stage, "corrections", wish(stage)), 403, "forbidden")["message"]
    assert "two persons" in why
    made = (await post(stage, "corrections", wish(stage), **admin(stage, "ada"))).json()
    path = f"corrections/{made['correction']}"
    for step in ("approve", "reject"):
        refused(await post(stage, f"{path}/{step}"), 403, "forbidden")
        refused(await post(stage, f"{path}/{step}", **bearer(stage.user("eve"))), 403, "forbidden")
        creator = bearer(stage.creator, role="creator")
        refused(await post(stage, f"{path}/{step}", **creator), 403, "forbidden")
        refused(await post(stage, f"{path}/{step}", Authorization=""), 401, "unauthorized")
    refused(await post(stage, "corrections", wish(stage), **bearer(stage.user("eve"))), 403)
    assert (await get(stage, "corrections")).status_code == 200, "the backend may look"


async def test_a_correction_is_proposed_and_approved_once_per_key(stage):
    ada = admin(stage, "ada") | {"Idempotency_Key": f"a-{stage.room}"}
    first = await post(stage, "corrections", wish(stage), **ada)
    again = await post(stage, "corrections", wish(stage), **ada)
    assert first.status_code == again.status_code == 201 and first.json() == again.json()
    refused(await post(stage, "corrections", wish(stage, 31), **ada), 409, "key_reused")
    path = f"corrections/{first.json()['correction']}/approve"
    ben = admin(stage, "ben") | {"Idempotency_Key": f"b-{stage.room}"}
    for _ in range(2):
        done = await post(stage, path, **ben)
        assert done.status_code == 200 and done.json()["status"] == "approved"
    assert await stage.coins("ann") == 30


async def test_diamonds_can_be_corrected(stage):
    creator = await earn(stage)
    body = wish(stage, -20_000, "diamonds_available", user=creator)
    made = (await post(stage, "corrections", body, **admin(stage, "ada"))).json()
    await post(stage, f"corrections/{made['correction']}/approve", **admin(stage, "ben"))
    assert await diamonds(stage) == {"pending": 0, "available": 30_000, "reserved": 0}


async def test_a_balance_never_goes_where_it_cannot_be(stage):
    await stage.server.grant(stage.user("ann"), 10)
    made = (await post(stage, "corrections", wish(stage, -11), **admin(stage, "ada"))).json()
    answer = await post(stage, f"corrections/{made['correction']}/approve", **admin(stage, "ben"))
    assert refused(answer, 422, "invalid")["details"] == {"field": "amount", "balance": 10}
    assert await stage.coins("ann") == 10
    debt = await post(stage, "corrections", wish(stage, 5, "coin_debt"), **admin(stage, "ada"))
    number = debt.json()["correction"]
    refused(await post(stage, f"corrections/{number}/approve", **admin(stage, "ben")), 422)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount": 0}, "amount"),
        ({"amount": "5"}, "amount"),
        ({"amount": 5.0}, "amount"),
        ({"amount": True}, "amount"),
        ({"amount": 2**53}, "amount"),
        ({"amount": -(2**70)}, "amount"),
        ({"account": "diamonds_pending"}, "account"),
        ({"account": "money_sales"}, "account"),
        ({"user": ""}, "user"),
        ({"user": "a b"}, "user"),
        ({"reason": ""}, "reason"),
        ({"reason": "r" * 501}, "reason"),
        ({"note": "x"}, "note"),
    ],
)
async def test_a_wrong_correction_is_refused(stage, change, field):
    answer = await post(stage, "corrections", wish(stage) | change, **admin(stage, "ada"))
    assert answer.status_code in (400, 422), answer.text
    assert field in str(refused(answer, answer.status_code))


async def test_there_is_no_such_correction(stage):
    for step in ("approve", "reject"):
        ada = admin(stage, "ada")
        refused(await post(stage, f"corrections/999999/{step}", **ada), 404, "unknown_correction")
        refused(await post(stage, f"corrections/x/{step}", **ada), 404)
        refused(await post(stage, f"corrections/9007199254740992/{step}", **ada), 400)


async def test_corrections_are_listed(stage):
    made = []
    for number in range(1, 6):
        answer = await post(stage, "corrections", wish(stage, number), **admin(stage, "ada"))
        made.append(answer.json()["correction"])
    await post(stage, f"corrections/{made[0]}/reject", **admin(stage, "ben"))
    everything = await listed(stage, "corrections")
    ids = [row["correction"] for row in everything]
    assert ids == sorted(ids, reverse=True) and set(made) <= set(ids)
    assert all(row.keys() == CORRECTION for row in everything)
    proposed = await listed(stage, "corrections", admin(stage, "ada"), status="proposed")
    assert {row["correction"] for row in proposed} & set(made) == set(made[1:])
