"""Users over HTTP as protocol.md (section 2) promises it: what they decide about themselves, and
what operators do about an account. Gifts that limits refuse are in test_websocket_limits.py."""

import json

import pytest
import pytest_asyncio

from kit.building.buying import buy, now_ms, wallet
from kit.servers.http_asking import bearer, get, post, refused
from kit.servers.serving import live
from reliability.books import check_audit
from server.api import people

pytestmark = pytest.mark.asyncio(loop_scope="module")

DAY_MS = 86_400_000
WRONG = ("100", 100.0, 1.5, True, [100], {})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory):
    """The file's server keeps its books in a file, which is audited in the end."""
    database = f"sqlite:///{tmp_path_factory.mktemp('people') / 'books.db'}"
    async with live(database, heartbeat_ms=60_000) as running:
        yield running
    check_audit(database)


def own(stage, name="ann"):
    return bearer(stage.user(name))


async def put(stage, path, body, headers=None):
    return await stage.server.http.put(f"/v1/users/{path}", json=body, headers=headers)


async def set_limits(stage, name="ann", headers=None, **limits):
    return await put(stage, f"{stage.user(name)}/limits", limits, headers or own(stage, name))


async def limits_of(stage, name="ann"):
    return (await wallet(stage, name))["limits"]


# --- limits --------------------------------------------------------------------------------------


async def test_a_lower_limit_counts_at_once(stage):
    answer = await set_limits(stage, daily_coins=500, per_gift_coins=50)
    assert answer.status_code == 200
    assert answer.json() == await limits_of(stage)
    assert answer.json()["daily"] == {
        "limit_coins": 500,
        "source": "own",
        "own_coins": 500,
        "spent_coins": 0,
        "left_coins": 500,
        "frees_ms": None,
    }
    assert (answer.json()["per_gift_coins"], answer.json()["raises"]) == (50, [])
    assert answer.json()["weekly"]["source"] == "default", "what is left out stays as it is"
    lower = (await set_limits(stage, daily_coins=0, weekly_coins=0)).json()
    assert (lower["daily"]["limit_coins"], lower["weekly"]["limit_coins"]) == (0, 0)


async def test_a_raise_waits_for_a_day(stage):
    await set_limits(stage, daily_coins=500, weekly_coins=600, monthly_coins=700, per_gift_coins=9)
    asked = {"daily": 501, "weekly": 700, "monthly": None, "per_gift": None}
    before = now_ms()
    answer = await set_limits(stage, **{f"{name}_coins": coins for name, coins in asked.items()})
    body = answer.json()
    assert [body[name]["limit_coins"] for name in ("daily", "weekly", "monthly")] == [500, 600, 700]
    assert body["per_gift_coins"] == 9
    assert {each["limit"]: each["coins"] for each in body["raises"]} == asked
    waits = [each["at_ms"] - before for each in body["raises"]]
    assert all(DAY_MS <= wait < DAY_MS + 5_000 for wait in waits)
    again = (await set_limits(stage, daily_coins=501)).json()
    assert again["raises"] == body["raises"], "asking again does not begin the day again"
    lower = (await set_limits(stage, daily_coins=400)).json()
    assert lower["daily"]["limit_coins"] == 400
    assert "daily" not in {each["limit"] for each in lower["raises"]}


async def test_a_first_limit_above_the_default_is_a_raise(stage):
    body = (await set_limits(stage, daily_coins=5_001, weekly_coins=14_000)).json()
    assert (body["daily"]["own_coins"], body["weekly"]["own_coins"]) == (None, 14_000)
    assert [(each["limit"], each["coins"]) for each in body["raises"]] == [("daily", 5_001)]


@pytest.mark.parametrize(
    ("limits", "field"),
    [
        ({"daily_coins": -1}, "daily_coins"),
        ({"daily_coins": 50_001}, "daily_coins"),
        ({"weekly_coins": 200_001}, "weekly_coins"),
        ({"monthly_coins": 500_001}, "monthly_coins"),
        ({"per_gift_coins": 100_000_001}, "per_gift_coins"),
        ({"per_gift_coins": 2**80}, "per_gift_coins"),
        ({"weekly_coins": 5, "daily_coins": -1}, "daily_coins"),
        ({}, "body"),
    ],
)
async def test_a_limit_out_of_range_is_refused(stage, limits, field):
    error = refused(await set_limits(stage, **limits), 422, "invalid")
    assert error["details"]["field"] == field
    assert (await limits_of(stage))["weekly"]["own_coins"] is None, "all or nothing"


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("name", people.LIMITS)
async def test_a_limit_of_another_type_is_refused(stage, name, wrong):
    error = refused(await set_limits(stage, **{name: wrong}), 400, "malformed")
    assert name in str(error["details"])


async def test_limits_are_set_by_oneself_and_the_backend(stage):
    body = {"daily_coins": 100}
    refused(await set_limits(stage, headers=own(stage, "eve"), **body), 403, "forbidden")
    admin = bearer(stage.user("eve"), role="admin")
    refused(await set_limits(stage, headers=admin, **body), 403, "forbidden")
    overlay = bearer(stage.user("ann"), role="overlay", rooms=[stage.room])
    refused(await set_limits(stage, headers=overlay, **body), 403, "forbidden")
    refused(await set_limits(stage, headers={"Authorization": ""}, **body), 401, "unauthorized")
    refused(await set_limits(stage, daily_coins=5, hourly_coins=1), 400, "malformed")
    backend = await put(stage, f"{stage.user('ann')}/limits", body)
    assert backend.json()["daily"]["own_coins"] == 100


async def test_limits_are_set_once_per_key(stage):
    headers = own(stage) | {"Idempotency-Key": f"l-{stage.room}"}
    assert (await set_limits(stage, headers=headers, daily_coins=100)).status_code == 200
    await set_limits(stage, daily_coins=50)
    again = await set_limits(stage, headers=headers, daily_coins=100)
    assert again.json()["daily"]["limit_coins"] == 50, "the old wish is not carried out again"
    refused(await set_limits(stage, headers=headers, daily_coins=99), 409, "key_reused")


# --- pausing -------------------------------------------------------------------------------------


async def test_a_pause_is_never_shortened(stage):
    path, ann = f"users/{stage.user('ann')}/pause", own(stage)
    until = []
    for days, least in ((7, 7), (1, 7), (30, 30), (7, 30)):
        done = await post(stage, path, {"days": days}, **ann)
        assert done.status_code == 200 and done.json()["user"] == stage.user("ann")
        until.append(done.json()["until_ms"])
        assert abs(until[-1] - now_ms() - least * DAY_MS) < 5_000
    assert until[0] == until[1] and until[2] == until[3]
    assert (await limits_of(stage))["paused_until_ms"] == until[-1]


@pytest.mark.parametrize(
    ("days", "status"),
    [(2, 422), (0, 422), (-1, 422), (365, 422), ("7", 400), (7.0, 400), (True, 400), (None, 400)],
)
async def test_a_pause_of_another_length_is_refused(stage, days, status):
    answer = await post(stage, f"users/{stage.user('ann')}/pause", {"days": days}, **own(stage))
    assert "days" in str(refused(answer, status)["details"])
    assert (await limits_of(stage))["paused_until_ms"] is None


async def test_only_the_user_pauses(stage):
    path = f"users/{stage.user('ann')}/pause"
    refused(await post(stage, path, {"days": 1}), 403, "forbidden")
    refused(await post(stage, path, {"days": 1}, **own(stage, "eve")), 403, "forbidden")


# --- freezing ------------------------------------------------------------------------------------


async def test_a_frozen_account_gives_buys_and_cashes_out_nothing(stage):
    ann = await stage.join("ann", coins=50)
    await stage.gift(ann, "g1")
    path = f"users/{stage.user('ann')}"
    assert (await stage.post(f"{path}/freeze", {"reason": "stolen card"}))["frozen"] is True
    assert (await stage.post(f"{path}/freeze"))["frozen"] is True, "without a reason too"
    assert (await wallet(stage))["frozen"] is True
    assert (await stage.gift(ann, "g2"))["code"] == "account_frozen"
    assert (await stage.gift(ann, "g1"))["type"] == "accepted", "an old answer stays"
    refused(await post(stage, "purchases", {"coins": 100}, **own(stage)), 409, "account_frozen")
    wish = {"millidiamonds": 5_000_000}
    creator = bearer(stage.user("ann"), role="creator")
    refused(await post(stage, "payouts", wish, **creator), 409, "account_frozen")
    assert await stage.coins("ann") == 49
    assert (await stage.post(f"{path}/unfreeze"))["frozen"] is False
    assert (await stage.gift(ann, "g3"))["type"] == "accepted"
    assert (await stage.gift(ann, "g2"))["code"] == "account_frozen", "the key is spent"


async def test_a_frozen_creator_still_earns(stage):
    await stage.post(f"users/{stage.creator}/freeze")
    ann = await stage.join("ann", coins=10)
    assert (await stage.gift(ann, "g1"))["type"] == "accepted"


@pytest.mark.parametrize("what", ["freeze", "unfreeze", "erase", "reverse"])
async def test_operators_things_are_not_for_users(stage, what):
    path, body = f"users/{stage.user('ann')}/{what}", None
    if what == "reverse":
        body = {"from_ms": 0, "to_ms": 1, "reason": "r"}
    for headers in (own(stage), bearer(stage.user("ann"), role="admin")):
        refused(await post(stage, path, body, **headers), 403, "forbidden")
    refused(await post(stage, path, body, Authorization=""), 401, "unauthorized")


# --- the level -----------------------------------------------------------------------------------


async def test_a_hidden_level_is_shown_to_nobody(stage):
    ann, bob = await stage.join("ann", coins=500), await stage.join("bob")
    await stage.gift(ann, "g1", gift="note", quantity=12)
    assert (await stage.event(bob, 1))["from"]["level"] == 2
    hidden = await put(stage, f"{stage.user('ann')}/level", {"hidden": True}, own(stage))
    assert hidden.json()["hidden"] is True
    await stage.gift(ann, "g2", gift="note", quantity=12)
    event = await stage.event(bob, 2)
    assert event["from"]["level"] == 0 and "level_up" not in event
    found = await wallet(stage)
    assert (found["level"], found["level_hidden"]) == (3, True)
    await put(stage, f"{stage.user('ann')}/level", {"hidden": False}, own(stage))
    await stage.gift(ann, "g3")
    assert (await stage.event(bob, 3))["from"]["level"] == 3


@pytest.mark.parametrize("hidden", [None, "maybe", 7, []])
async def test_a_wrong_level_wish_is_refused(stage, hidden):
    path = f"{stage.user('ann')}/level"
    refused(await put(stage, path, {"hidden": hidden}, own(stage)), 400, "malformed")
    refused(await put(stage, path, {"hidden": True}, own(stage, "eve")), 403, "forbidden")


# --- looking for and at people -------------------------------------------------------------------


async def test_users_are_found_by_a_part_of_id_or_name(stage):
    for name in ("ann", "bob", "cyd"):
        await stage.server.grant(stage.user(name), 5)
    cyd = await stage.server.join(stage.user("cyd"), stage.room, name=f"Zo%_{stage.number}é")
    await stage.gift(cyd, "g1")
    await stage.post(f"users/{stage.user('bob')}/freeze")

    async def found(**query):
        return [each["user"] for each in (await stage.get("users", **query))["items"]]

    mine = [stage.user(name) for name in ("ann", "bob", "cyd")]
    assert await found(search=f"-{stage.number}", frozen=False) == [mine[0], mine[2]]
    assert await found(search=stage.user("ANN")) == [mine[0]]
    assert await found(search=f"o%_{stage.number}") == [mine[2]], "no wildcards"
    assert await found(search="%") == [mine[2]] and await found(search="nobody") == []
    frozen = (await stage.get("users", frozen=True))["items"]
    assert stage.user("bob") in {each["user"] for each in frozen}
    assert all(each["frozen"] for each in frozen)
    paged, cursor = [], ""
    while cursor is not None:
        page = await stage.get("users", limit=1, cursor=cursor)
        paged += [each["user"] for each in page["items"]]
        cursor = page["next_cursor"]
    assert paged == sorted(set(paged)) and set(mine) <= set(paged)
    refused(await get(stage, "users", own(stage)), 403, "forbidden")
    refused(await get(stage, "users", search="x" * 65), 400, "malformed")


async def test_one_user_with_the_wallet(stage):
    ann = await stage.join("ann", coins=50)
    await stage.gift(ann, "g1", gift="note")
    found = await stage.get(f"users/{stage.user('ann')}")
    assert found == await wallet(stage) | {
        "user": stage.user("ann"),
        "name": ann.heard[0]["user"]["name"],
        "since_ms": found["since_ms"],
        "gifted_coins": 5,
    }
    assert (await get(stage, f"users/{stage.user('ann')}", own(stage))).json() == found
    refused(await get(stage, f"users/{stage.user('ann')}", own(stage, "eve")), 403, "forbidden")
    refused(await get(stage, f"users/{stage.user('zoe')}"), 404, "unknown_user")
    error = refused(await get(stage, "users/a%20b"), 422, "invalid")
    assert error["message"] == "`user` must be 1 to 64 of A-Z a-z 0-9 _ . : and -."
    assert error["details"] == {"field": "user"}


async def test_an_export_has_all_of_a_user_and_nothing_of_others(stage):
    made, theirs = await buy(stage, "ann"), await buy(stage, "bob")
    ann, bob = await stage.join("ann", coins=500), await stage.join("bob", coins=500)
    for number in range(3):
        await stage.gift(ann, f"a{number}", gift="note", message="from ann")
        await stage.gift(bob, f"b{number}", gift="kite", message="from bob")
    await stage.post(f"purchases/{made['purchase']}/refund", {"reason": "r", "coins": 10})
    await set_limits(stage, daily_coins=400)
    answer = await get(stage, f"users/{stage.user('ann')}/export", own(stage))
    assert answer.headers["content-disposition"].startswith("attachment")
    body = answer.json()
    assert body["user"]["id"] == stage.user("ann") and body["user"]["limits"] == {"daily": 400}
    assert [each["id"] for each in body["purchases"]] == [made["purchase"]]
    assert [each["coins"] for each in body["refunds"]] == [10]
    kinds = [each["command"]["kind"] for each in body["commands"]]
    assert kinds == ["gift"] * 3 + ["set_limits"]
    assert {each["command"]["message"] for each in body["commands"][:3]} == {"from ann"}
    assert sum(line["amount"] for line in body["transfers"]) == await stage.coins("ann")
    text = json.dumps(body)
    assert theirs["purchase"] not in text and stage.user("bob") not in text
    assert "from bob" not in text
    refused(await get(stage, f"users/{stage.user('ann')}/export", own(stage, "bob")), 403)
    nobody = (await get(stage, f"users/{stage.user('zoe')}/export")).json()
    assert nobody["user"] is None and nobody["transfers"] == nobody["commands"] == []


async def test_an_export_is_not_cut_off(stage):
    ann = await stage.join("ann", coins=500)
    for number in range(230):
        await ann.say(type="gift", room=stage.room, gift="spark", key=f"k{number}")
    await ann.hear("accepted", key="k229")
    body = await stage.get(f"users/{stage.user('ann')}/export")
    assert len(body["transfers"]) == 231 == len({line["id"] for line in body["transfers"]})
    assert len(body["commands"]) == 230


async def test_an_erased_user_has_no_name_and_keeps_what_was_booked(stage):
    await stage.server.grant(stage.user("ann"), 50)
    ann = await stage.server.join(stage.user("ann"), stage.room, name="Ann Known")
    await stage.gift(ann, "g1", gift="note")
    path = f"users/{stage.user('ann')}"
    assert (await stage.post(f"{path}/erase"))["user"] == stage.user("ann")
    assert (await stage.post(f"{path}/erase"))["user"] == stage.user("ann")
    found = await stage.get(path)
    assert (found["name"], found["level_hidden"], found["coins"]) == ("", True, 45)
    assert (await stage.get("users", search="Ann Known"))["items"] == []
    board = await stage.get(f"rooms/{stage.room}/board")
    assert "Ann Known" not in json.dumps(board) and board["top"][0]["coins"] == 5
    assert (await stage.books())["total_coins"] == 5
