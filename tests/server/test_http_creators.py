"""Creators over HTTP as protocol.md (section 2) promises them: boards, rates and earnings."""

import time
from datetime import UTC, date, datetime, timedelta

import pytest
import pytest_asyncio

from kit.building.earning import EARNS
from kit.servers.described import asking
from kit.servers.http_asking import bearer, get, refused
from kit.servers.serving import live
from server.api.creators import first_day

pytestmark = pytest.mark.asyncio(loop_scope="module")

DAY_MS = 86_400_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server():
    async with live(**EARNS) as running:
        yield running


def now_ms():
    return int(time.time() * 1000)


async def put(stage, path, body, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return await stage.server.http.put(f"/v1/{path}", json=body, headers=headers)


# --- the board -----------------------------------------------------------------------------------


async def test_a_creators_board_is_over_all_rooms(stage):
    other = f"{stage.room}-b"
    await stage.server.room(other, stage.creator)
    ann, bob = await stage.join("ann", coins=50), await stage.join("bob", coins=50)
    await ann.ask("joined", type="join", room=other)
    await stage.gift(ann, "k1", quantity=10)
    await stage.gift(bob, "k1", quantity=15)
    await ann.gift("k2", room=other, quantity=8)
    await bob.gift("k2", room=stage.room, quantity=5, visibility="anonymous")
    async with asking(stage.server.url) as anybody:
        for window in ("day", "week", "month", "all"):
            path = f"/v1/creators/{stage.creator}/board"
            board = (await anybody.get(path, params={"window": window})).json()
            assert board.keys() == {"as_of", "window", "top"} and board["window"] == window
            assert board["as_of"] > 0
            assert board["top"] == [
                {"rank": 1, "user": {"id": stage.user("ann"), "name": "Ann-" + str(stage.number)},
                 "coins": 18},
                {"rank": 2, "user": {"id": stage.user("bob"), "name": "Bob-" + str(stage.number)},
                 "coins": 15},
            ]  # fmt: skip
    short = (await get(stage, f"creators/{stage.creator}/board", limit=1)).json()
    assert [line["rank"] for line in short["top"]] == [1]
    nobody = (await get(stage, f"creators/{stage.user('zoe')}/board")).json()
    assert nobody["top"] == [] and nobody["window"] == "all"


async def test_what_is_taken_back_leaves_the_board(stage):
    ann = await stage.join("ann", coins=50)
    await stage.gift(ann, "k1", quantity=10)
    await stage.post(f"gifts/{stage.room}:1/retract", {"reason": "mistake"})
    assert (await get(stage, f"creators/{stage.creator}/board")).json()["top"] == []


@pytest.mark.parametrize(
    ("window", "today", "begin"),
    [
        ("day", date(2026, 3, 1), date(2026, 3, 1)),
        ("week", date(2026, 3, 1), date(2026, 2, 23)),  # a Sunday: its week began in February
        ("week", date(2026, 3, 2), date(2026, 3, 2)),  # a Monday
        ("week", date(2025, 1, 1), date(2024, 12, 30)),
        ("month", date(2026, 3, 31), date(2026, 3, 1)),
        ("month", date(2026, 3, 1), date(2026, 3, 1)),
        ("all", date(2026, 3, 1), date(1970, 1, 1)),
    ],
)
async def test_windows_are_of_the_utc_calendar(window, today, begin):
    assert first_day(window, today) == begin


@pytest.mark.parametrize("query", [{"window": "year"}, {"limit": 0}, {"limit": 201}])
async def test_a_wrong_board_is_refused(stage, query):
    answer = await get(stage, f"creators/{stage.creator}/board", **query)
    assert next(iter(query)) in str(refused(answer, 400, "malformed"))
    refused(await get(stage, "creators/a b/board"), 422, "invalid")


# --- rates ---------------------------------------------------------------------------------------


async def test_a_rate_counts_from_now_on(stage):
    path = f"creators/{stage.creator}/rate"
    assert (await get(stage, path)).json() == {"rate_permille": 500, "rates": []}
    ann = await stage.join("ann", coins=50)
    await stage.gift(ann, "k1", quantity=10)
    answer = await put(stage, path, {"rate_permille": 700})
    assert answer.status_code == 200 and answer.json()["rate_permille"] == 700
    [rate] = answer.json()["rates"]
    assert rate == {"from_ms": rate["from_ms"], "until_ms": None, "rate_permille": 700}
    await stage.gift(ann, "k2", quantity=10)
    earned = (await get(stage, f"creators/{stage.creator}/earnings")).json()
    assert earned["total"]["millidiamonds"] == 5_000 + 7_000


async def test_a_rate_may_begin_later_and_end(stage):
    path = f"creators/{stage.creator}/rate"
    later = now_ms() + DAY_MS
    wish = {"rate_permille": 900, "from_ms": later, "until_ms": later + DAY_MS}
    answer = (await put(stage, path, wish)).json()
    assert answer == {"rate_permille": 500, "rates": [wish]}


async def test_a_rate_is_set_once_per_key(stage):
    path, key = f"creators/{stage.creator}/rate", f"k-{stage.room}"
    first = await put(stage, path, {"rate_permille": 600}, Idempotency_Key=key)
    again = await put(stage, path, {"rate_permille": 600}, Idempotency_Key=key)
    assert first.json() == again.json() and len(again.json()["rates"]) == 1
    refused(await put(stage, path, {"rate_permille": 601}, Idempotency_Key=key), 409, "key_reused")


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({}, "rate_permille"),
        ({"rate_permille": None}, "rate_permille"),
        ({"rate_permille": "600"}, "rate_permille"),
        ({"rate_permille": 600.0}, "rate_permille"),
        ({"rate_permille": True}, "rate_permille"),
        ({"rate_permille": -1}, "rate_permille"),
        ({"rate_permille": 1_001}, "rate_permille"),
        ({"rate_permille": 600, "from_ms": 1}, "from_ms"),
        ({"rate_permille": 600, "from_ms": "9999999999999"}, "from_ms"),
        ({"rate_permille": 600, "from_ms": 2**70}, "from_ms"),
        ({"rate_permille": 600, "until_ms": 5}, "until_ms"),
        ({"rate_permille": 600, "until_ms": 2**63}, "until_ms"),
        ({"rate_permille": 600, "to_ms": 5}, "to_ms"),
    ],
)
async def test_a_wrong_rate_is_refused(stage, wish, field):
    path = f"creators/{stage.creator}/rate"
    answer = await put(stage, path, wish)
    assert answer.status_code in (400, 422), answer.text
    assert field in str(refused(answer, answer.status_code))
    assert (await get(stage, path)).json()["rates"] == []


async def test_rates_are_the_backends_to_set_and_the_creators_to_see(stage):
    path, own = f"creators/{stage.creator}/rate", bearer(stage.creator, role="creator")
    refused(await put(stage, path, {"rate_permille": 999}, **own), 403, "forbidden")
    refused(await put(stage, path, {"rate_permille": 999}, Authorization=""), 401)
    assert (await get(stage, path, own)).json()["rate_permille"] == 500
    refused(await get(stage, path, bearer(stage.user("eve"))), 403, "forbidden")


# --- earnings ------------------------------------------------------------------------------------


async def test_earnings_by_day_and_gift(stage):
    ann = await stage.join("ann", coins=100)
    await stage.gift(ann, "k1", quantity=10)
    await stage.gift(ann, "k2", quantity=5)
    await stage.gift(ann, "k3", gift="note", quantity=2)
    await stage.gift(ann, "k4", gift="note")
    await stage.post(f"gifts/{stage.room}:4/retract", {"reason": "mistake"})
    earned = (await get(stage, f"creators/{stage.creator}/earnings")).json()
    total = {"gifts": 17, "coins": 25, "millidiamonds": 12_500}
    [day] = earned["days"]
    assert day == total | {
        "date": day["date"],
        "by_gift": [
            {"gift": "note", "gifts": 2, "coins": 10, "millidiamonds": 5_000},
            {"gift": "spark", "gifts": 15, "coins": 15, "millidiamonds": 7_500},
        ],
    }
    assert earned["total"] == total
    assert earned["from"] <= day["date"] <= earned["to"]


def days(begin, end):
    return {"from": begin.isoformat(), "to": end.isoformat()}


async def test_earnings_of_a_period(stage):
    ann = await stage.join("ann", coins=100)
    await stage.gift(ann, "k1")
    path, today = f"creators/{stage.creator}/earnings", datetime.now(UTC).date()
    tomorrow, before = today + timedelta(days=1), today - timedelta(days=9)
    usual = (await get(stage, path)).json()
    assert date.fromisoformat(usual["to"]) - date.fromisoformat(usual["from"]) == timedelta(days=29)
    for query, gifts in (
        (days(today, tomorrow), 1),  # the test may run over midnight
        (days(before, before), 0),
        (days(tomorrow - timedelta(days=365), tomorrow), 1),
    ):
        answer = (await get(stage, path, **query)).json()
        assert {"from": answer["from"], "to": answer["to"]} == query
        assert answer["total"]["gifts"] == gifts
        assert [day["gifts"] for day in answer["days"]] == [1] * gifts


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"from": "2026-02-30"}, "from"),
        ({"from": "20260201"}, "from"),
        ({"from": "2026-2-1"}, "from"),
        ({"from": "yesterday"}, "from"),
        ({"to": "1969-12-31"}, "to"),
        ({"to": ""}, "to"),
        ({"from": "2026-02-02", "to": "2026-02-01"}, "from"),
        ({"from": "2025-01-01", "to": "2026-01-02"}, "from"),
    ],
)
async def test_a_wrong_period_is_refused(stage, query, field):
    error = refused(await get(stage, f"creators/{stage.creator}/earnings", **query), 422, "invalid")
    assert error["details"] == {"field": field}


async def test_earnings_are_for_their_creator_and_the_backend(stage):
    path = f"creators/{stage.creator}/earnings"
    assert (await get(stage, path, bearer(stage.creator, role="creator"))).status_code == 200
    refused(await get(stage, path, bearer(stage.user("eve"), role="admin")), 403, "forbidden")
    overlay = bearer(stage.creator, role="overlay", rooms=[stage.room])
    refused(await get(stage, path, overlay), 403, "forbidden")
    refused(await get(stage, path, {"Authorization": ""}), 401, "unauthorized")
