"""Coins over HTTP as protocol.md (section 2) promises them: grants, wallets, gifts undone."""

import itertools

import pytest

from kit.servers.http_asking import bearer, get, post, refused

pytestmark = pytest.mark.asyncio(loop_scope="module")


# --- money ---------------------------------------------------------------------------------------


async def test_a_grant_with_a_key_is_given_once(stage):
    body = {"user": stage.user("ann"), "coins": 30, "reason": "welcome"}
    key = f"g-{stage.room}"
    first = await post(stage, "grants", body, Idempotency_Key=key)
    again = await post(stage, "grants", body, Idempotency_Key=key)
    assert first.status_code == again.status_code == 201
    assert first.json()["replayed"] is False and again.json()["replayed"] is True
    assert first.json() | {"replayed": 0} == again.json() | {"replayed": 0}
    assert first.json() == first.json() | {"user": body["user"], "coins": 30, "balance_coins": 30}
    refused(
        await post(stage, "grants", body | {"coins": 31}, Idempotency_Key=key), 409, "key_reused"
    )
    assert await stage.coins("ann") == 30
    await post(stage, "grants", body)
    await post(stage, "grants", body)
    assert await stage.coins("ann") == 90, "without a key each request is a wish of its own"


@pytest.mark.parametrize(
    ("change", "statuses"),
    [
        ({"coins": 0}, (400, 422)),
        ({"coins": -5}, (400, 422)),
        ({"coins": 2**53}, (400, 422)),
        ({"coins": 1.5}, (400, 422)),
        ({"coins": 1.0}, (400, 422)),
        ({"coins": "5"}, (400, 422)),
        ({"coins": True}, (400, 422)),
        ({"coins": None}, (400, 422)),
        ({"user": ""}, (400, 422)),
        ({"user": "a b"}, (400, 422)),
        ({"reason": ""}, (400, 422)),
        ({"reason": "r" * 201}, (400, 422)),
        ({"currency": "EUR"}, (400, 422)),
    ],
)
async def test_a_wrong_grant_is_refused(stage, change, statuses):
    body = {"user": stage.user("ann"), "coins": 5, "reason": "test"} | change
    answer = await post(stage, "grants", body)
    assert answer.status_code in statuses, answer.text
    assert refused(answer, answer.status_code)["retry"] == "fix"
    assert await stage.coins("ann") == 0


@pytest.mark.parametrize("key", ["", "k" * 65])
async def test_a_wrong_idempotency_key_is_refused(stage, key):
    body = {"user": stage.user("ann"), "coins": 5, "reason": "test"}
    refused(await post(stage, "grants", body, Idempotency_Key=key), 400, "malformed")
    assert await stage.coins("ann") == 0


async def test_the_wallet(stage):
    ann = await stage.join("ann", coins=100)
    await stage.gift(ann, "k1", gift="note", quantity=3)
    wallet = (await get(stage, f"users/{stage.user('ann')}/wallet")).json()
    assert wallet == {
        "coins": 85,
        "millidiamonds_pending": 0,
        "millidiamonds_available": 0,
        "millidiamonds_reserved": 0,
        "diamond_debt_millidiamonds": 0,
        "coin_debt": 0,
        "level": 1,
        "level_hidden": False,
        "frozen": False,
        "spent_today": 15,
        "limits": wallet["limits"],
    }
    cara = (await get(stage, f"users/{stage.creator}/wallet")).json()
    assert (cara["coins"], cara["millidiamonds_pending"]) == (0, 7_500)
    unknown = (await get(stage, f"users/{stage.user('zoe')}/wallet")).json()
    assert unknown["coins"] == 0 and unknown.keys() == wallet.keys()


async def test_the_statement_explains_every_balance(stage):
    ann = await stage.join("ann", coins=100)
    for number in range(7):
        await stage.gift(ann, f"k{number}", gift="clap")
    gift_id = (await get(stage, f"rooms/{stage.room}/events")).json()["events"][3]["id"]
    await stage.post(f"gifts/{gift_id}/retract", {"reason": "mistake"})
    path = f"users/{stage.user('ann')}/statement"
    whole = (await get(stage, path)).json()
    assert whole.keys() == {"items", "next_cursor"} and whole["next_cursor"] is None
    lines = whole["items"]
    assert [line["amount"] for line in lines] == [2] + [-2] * 7 + [100]
    assert lines[0]["balance_after"] == 88 and lines[-1]["balance_after"] == 100
    for newer, older in itertools.pairwise(lines):
        assert newer["balance_after"] == older["balance_after"] + newer["amount"]
        assert newer["id"] > older["id"] and newer["at_ms"] >= older["at_ms"]
    paged, cursor = [], None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await get(stage, path, **query)).json()
        paged += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        assert isinstance(cursor, str)
    assert paged == lines
    earned = (await get(stage, f"users/{stage.creator}/statement")).json()["items"]
    assert sum(line["amount"] for line in earned) == 6 * 2 * 500
    nobody = (await get(stage, f"users/{stage.user('zoe')}/statement")).json()
    assert nobody == {"items": [], "next_cursor": None}


# --- taking back and hiding ----------------------------------------------------------------------


async def test_a_gift_is_taken_back_once(stage):
    ann = await stage.join("ann", coins=50)
    await stage.gift(ann, "k1", gift="lantern")
    [event] = (await get(stage, f"rooms/{stage.room}/events")).json()["events"]
    path = f"gifts/{event['id']}/retract"
    key = f"t-{stage.room}"
    done = await post(stage, path, {"reason": "fraud"}, Idempotency_Key=key)
    assert done.status_code == 200 and done.json()["coins"] == 10
    again = await post(stage, path, {"reason": "fraud"}, Idempotency_Key=key)
    assert again.json() == done.json() | {"replayed": True}
    refused(await post(stage, path, {"reason": "other"}, Idempotency_Key=key), 409, "key_reused")
    refused(await post(stage, path, {"reason": "fraud"}), 409)
    assert await stage.coins("ann") == 50
    assert (await stage.books())["total_coins"] == 0
    cara = (await get(stage, f"users/{stage.creator}/wallet")).json()
    assert cara["millidiamonds_pending"] == 0
    mine = (await get(stage, f"users/{stage.user('ann')}/wallet")).json()
    assert (mine["spent_today"], mine["level"]) == (0, 0)


@pytest.mark.parametrize("gift", ["{room}:1", "{room}:01", "{room}", "x:0", "no:1", ":", "x:-1"])
async def test_there_is_no_such_gift(stage, gift):
    gift = gift.format(room=stage.room)
    for path, body in ((f"gifts/{gift}/retract", {"reason": "r"}), (f"gifts/{gift}/hide", None)):
        refused(await post(stage, path, body), 404)


async def test_hiding_is_for_the_backend_and_the_creator(stage):
    ann = await stage.join("ann", coins=50)
    await stage.gift(ann, "k1")
    await stage.gift(ann, "k2")
    log = (await get(stage, f"rooms/{stage.room}/events")).json()["events"]
    refused(await post(stage, f"gifts/{log[0]['id']}/hide", **bearer(stage.user("ann"))), 403)
    assert (await post(stage, f"gifts/{log[0]['id']}/hide")).status_code == 200
    mine = await post(stage, f"gifts/{log[1]['id']}/hide", **bearer(stage.creator))
    assert mine.status_code == 200
    refused(await post(stage, f"gifts/{log[0]['id']}/hide"), 409)
    books = await stage.books()
    assert (books["seq"], books["total_coins"]) == (4, 2)


async def test_a_new_overlay_link_revokes_the_old(stage):
    first = await post(stage, "overlays", {"room": stage.room}, **bearer(stage.creator))
    assert first.status_code == 201 and first.json().keys() == {"token", "url"}
    assert first.json()["token"] in first.json()["url"]
    assert first.json()["url"].startswith(stage.server.url + "/overlay")
    overlay = await stage.silent()
    old = first.json()["token"]
    assert (await overlay.ask("welcome", type="hello", token=old, protocol=1))["role"] == "overlay"
    await overlay.ask("joined", type="join", room=stage.room)
    refused_join = await overlay.ask("refused", type="join", room="another")
    assert refused_join["code"] == "forbidden"
    second = await post(stage, "overlays", {"room": stage.room})
    assert second.json()["token"] != old
    assert await overlay.closed() == 4502, "the old link's connection ends"
    late = await stage.silent()
    await late.say(type="hello", token=old, protocol=1)
    assert await late.closed() == 4502
    fresh = await stage.silent()
    await fresh.ask("welcome", type="hello", token=second.json()["token"], protocol=1)
    refused(await post(stage, "overlays", {"room": "no"}), 404, "unknown_room")
