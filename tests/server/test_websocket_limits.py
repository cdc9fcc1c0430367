"""Limits, pauses and levels as a connection hears of them: reminders, refusals with figures."""

import pytest
import pytest_asyncio

from kit.building.buying import buy, now_ms, paid, tell, wallet
from kit.servers.http_asking import bearer
from kit.servers.serving import live
from rules.levels import THRESHOLDS

pytestmark = pytest.mark.asyncio(loop_scope="module")

DAY_MS, HOUR_MS = 86_400_000, 3_600_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server():
    async with live(heartbeat_ms=60_000) as running:
        yield running


async def limit(stage, name="ann", **limits):
    path = f"/v1/users/{stage.user(name)}/limits"
    headers = bearer(stage.user(name))
    (await stage.server.http.put(path, json=limits, headers=headers)).raise_for_status()


async def spark(stage, client, coins, **fields):
    """A gift of so many coins, under a key of its own."""
    key = f"s{len(client.heard)}-{now_ms()}"
    return await stage.gift(client, key, gift="spark", quantity=coins, **fields)


async def reminders(stage, client):
    """(percent, limit, spent) of each reminder so far."""
    notices = [m for m in await stage.settled(client) if m["type"] == "notice"]
    assert all(notice["code"] == "limit_reminder" for notice in notices)
    return [tuple(notice["details"].values()) for notice in notices]


# --- reminders -----------------------------------------------------------------------------------


async def test_each_mark_of_an_own_limit_is_told_once_and_everywhere(stage):
    ann = await stage.join("ann", coins=500)
    other, bob = await stage.connect("ann"), await stage.join("bob")
    await limit(stage, daily_coins=100)
    told = []
    for coins in (49, 1, 1, 28, 1, 1, 18, 1):
        assert (await spark(stage, ann, coins))["type"] == "accepted"
        told.append(len(await reminders(stage, ann)))
    assert told == [0, 1, 1, 1, 2, 2, 2, 3]
    marks = [(50, 100, 50), (80, 100, 80), (100, 100, 100)]
    assert await reminders(stage, ann) == await reminders(stage, other) == marks
    assert await reminders(stage, bob) == []
    assert (await spark(stage, ann, 1))["code"] == "limit_daily"
    assert await reminders(stage, ann) == marks, "what is refused reminds of nothing"


async def test_a_gift_past_two_marks_tells_the_higher_one(stage):
    ann = await stage.join("ann", coins=500)
    await limit(stage, daily_coins=100)
    await spark(stage, ann, 90)
    assert await reminders(stage, ann) == [(80, 100, 90)]
    await spark(stage, ann, 10)
    assert await reminders(stage, ann) == [(80, 100, 90), (100, 100, 100)]


async def test_a_retry_reminds_of_nothing(stage):
    ann = await stage.join("ann", coins=500)
    await limit(stage, daily_coins=100)
    for _ in range(3):
        await stage.gift(ann, "k1", gift="spark", quantity=60)
    assert await reminders(stage, ann) == [(50, 100, 60)]


async def test_bought_coins_count_against_the_first_day_and_granted_ones_do_not(stage):
    ann = await stage.join("ann", coins=700)
    await buy(stage, coins=1_500)
    await spark(stage, ann, 700)
    assert await reminders(stage, ann) == []
    await spark(stage, ann, 500)
    await spark(stage, ann, 500)
    assert await reminders(stage, ann) == [(50, 1_000, 500), (100, 1_000, 1_000)]
    refused = await spark(stage, ann, 1)
    assert refused["code"] == "limit_daily"
    assert refused["details"] == refused["details"] | {
        "limit": "daily",
        "source": "first_day",
        "limit_coins": 1_000,
        "spent_coins": 1_000,
        "left_coins": 0,
    }
    await stage.server.grant(stage.user("ann"), 5)
    assert (await spark(stage, ann, 5))["type"] == "accepted"


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "days"), [("daily", 1), ("weekly", 7), ("monthly", 30)], ids=["24 h", "7 d", "30 d"]
)
async def test_a_refusal_says_which_limit_and_when_the_gift_would_fit(stage, name, days):
    ann = await stage.join("ann", coins=500)
    await limit(stage, **{f"{name}_coins": 100})
    await spark(stage, ann, 70)
    refused = await spark(stage, ann, 31)
    assert (refused["code"], refused["retry"]) == (f"limit_{name}", "new")
    frees_ms = refused["details"].pop("frees_ms")
    assert refused["details"] == {
        "limit": name,
        "source": "own",
        "limit_coins": 100,
        "spent_coins": 70,
        "left_coins": 30,
    }
    unit_ms = HOUR_MS if name == "daily" else DAY_MS
    assert frees_ms % unit_ms == 0
    assert days * DAY_MS <= frees_ms - now_ms() + 5_000 <= days * DAY_MS + unit_ms + 5_000
    assert (await spark(stage, ann, 101))["details"]["frees_ms"] is None, "it never fits"
    assert (await spark(stage, ann, 30))["type"] == "accepted"
    assert await stage.coins("ann") == 400
    assert (await stage.books())["total_coins"] == 100


async def test_a_limit_for_one_gift(stage):
    ann = await stage.join("ann", coins=500)
    await limit(stage, per_gift_coins=20)
    refused = await spark(stage, ann, 21)
    assert (refused["code"], refused["retry"]) == ("limit_per_gift", "new")
    assert refused["details"] == {"limit": "per_gift", "limit_coins": 20, "left_coins": 20}
    for _ in range(3):
        assert (await spark(stage, ann, 20))["type"] == "accepted"


async def test_a_refusal_stays_when_the_limit_is_gone(stage):
    ann = await stage.join("ann", coins=500)
    await limit(stage, daily_coins=0)
    first = await stage.gift(ann, "k1")
    assert first["code"] == "limit_daily"
    await stage.server.grant(stage.user("ann"), 5)
    assert await stage.gift(ann, "k1") == first


async def test_anonymous_gifts_count_as_well(stage):
    ann = await stage.join("ann", coins=500)
    await limit(stage, daily_coins=100)
    await spark(stage, ann, 100, visibility="anonymous")
    assert (await spark(stage, ann, 1, visibility="anonymous"))["code"] == "limit_daily"


async def test_what_was_taken_back_may_be_spent_again(stage):
    ann = await stage.join("ann", coins=500)
    await limit(stage, daily_coins=100)
    await spark(stage, ann, 100)
    await stage.post(f"gifts/{stage.room}:1/retract", {"reason": "mistake"})
    assert (await wallet(stage))["limits"]["daily"]["left_coins"] == 100
    assert (await spark(stage, ann, 100))["type"] == "accepted"


async def test_a_paused_user_is_told_until_when(stage):
    ann = await stage.join("ann", coins=50)
    path = f"users/{stage.user('ann')}/pause"
    done = await stage.post(path, {"days": 7}, **bearer(stage.user("ann")))
    refused = await stage.gift(ann, "k1")
    assert (refused["code"], refused["retry"]) == ("gifting_paused", "new")
    assert refused["details"] == {"until_ms": done["until_ms"]}
    assert await stage.coins("ann") == 50


async def test_who_owes_coins_is_told_how_many(stage):
    made = await buy(stage, coins=100)
    ann = await stage.join("ann")
    await spark(stage, ann, 80)
    await stage.post(f"purchases/{made['purchase']}/chargeback", {"reason": "stolen card"})
    balance = await ann.hear("balance")
    assert (balance["balance_coins"], balance["reason"]) == (0, "charge_back")
    refused = await spark(stage, ann, 1)
    assert (refused["code"], refused["details"]) == ("account_frozen", {"coin_debt": 80})
    await stage.post(f"users/{stage.user('bob')}/freeze")
    bob = await stage.join("bob", coins=5)
    assert "details" not in await spark(stage, bob, 1), "frozen, and nothing is owed"


async def test_bought_coins_are_told_to_every_connection_of_the_buyer(stage):
    ann, other = await stage.join("ann"), await stage.connect("ann")
    wish = {"user": stage.user("ann"), "coins": 100}
    made = await stage.post("purchases", wish)
    await tell(stage.server.http, paid(made))
    for client in (ann, other):
        told = await client.hear("balance")
        assert (told["balance_coins"], told["reason"]) == (100, "settle_purchase")


# --- levels --------------------------------------------------------------------------------------


async def test_a_new_level_is_told_to_the_room_once(stage):
    ann, bob = await stage.join("ann", coins=5_000), await stage.join("bob")
    told = []
    for coins in (THRESHOLDS[0], THRESHOLDS[1] - 2, 1, 1, THRESHOLDS[4] - THRESHOLDS[1]):
        answer = await spark(stage, ann, coins)
        event = await stage.event(bob, answer["seq"])
        told.append(event.get("level_up"))
        assert event["from"]["level"] == sum(each <= event["from_total"] for each in THRESHOLDS), (
            "the level that the gift reached"
        )
    assert told == [None, None, 2, None, 5]
    for client in (ann, bob):
        risen = [m for m in await stage.settled(client) if m["type"] == "level_up"]
        assert [m["level"] for m in risen] == [2, 5]
        assert {m["room"] for m in risen} == {stage.room}
        assert {m["user"]["id"] for m in risen} == {stage.user("ann")}


async def test_anonymous_gifts_raise_no_level(stage):
    ann, bob = await stage.join("ann", coins=500), await stage.join("bob")
    answer = await spark(stage, ann, 400, visibility="anonymous")
    assert "level_up" not in await stage.event(bob, answer["seq"])
    assert not [m for m in await stage.settled(bob) if m["type"] == "level_up"]
    assert (await wallet(stage))["level"] == 0
