"""Rooms over HTTP as protocol.md (section 2) promises them: opening, listing, logs, and boards."""

import pytest

from kit.servers.described import asking
from kit.servers.http_asking import bearer, get, post, refused

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOM = {"id", "title", "creator", "creator_name", "status", "epoch", "seq", "total_coins"}
ROOM |= {"viewers"}


# --- rooms ---------------------------------------------------------------------------------------


async def test_a_room_is_opened_once(stage):
    body = {"id": f"{stage.room}x", "title": "Täglich 🎉", "creator": "cy", "creator_name": "Cy"}
    made = await post(stage, "rooms", body)
    assert made.status_code == 201 and made.json().keys() == ROOM
    room = made.json()
    assert room == room | body | {"status": "open", "seq": 0, "total_coins": 0, "viewers": 0}
    again = await post(stage, "rooms", body)
    assert again.status_code in (200, 201) and again.json() == room
    for other in ({"title": "Other"}, {"creator": "di"}, {"creator_name": "C"}):
        refused(await post(stage, "rooms", body | other), 409)
    assert (await get(stage, f"rooms/{room['id']}")).json() == room


async def test_a_creator_without_a_name_has_their_id(stage):
    body = {"id": f"{stage.room}x", "title": "T", "creator": "cy"}
    assert (await post(stage, "rooms", body)).json()["creator_name"] == "cy"


@pytest.mark.parametrize(
    "change",
    [
        {"id": ""},
        {"id": "a/b"},
        {"id": "a" * 65},
        {"id": "ä"},
        {"id": 5},
        {"title": ""},
        {"title": "t" * 201},
        {"title": "a\nb"},
        {"title": None},
        {"creator": "c c"},
        {"creator_name": "n" * 65},
        {"colour": "red"},
    ],
)
async def test_a_wrong_room_is_refused(stage, change):
    body = {"id": f"{stage.room}y", "title": "T", "creator": "cy"} | change
    answer = await post(stage, "rooms", body)
    assert answer.status_code in (400, 422)
    refused(answer, answer.status_code)


async def test_rooms_are_listed_page_by_page(stage):
    ids = [f"{stage.room}-p{number}" for number in range(5)]
    for id in ids:
        await stage.server.room(id, stage.creator)
    found, cursor, pages = [], f"{stage.room}-p", 0
    while cursor:
        page = (await get(stage, "rooms", cursor=cursor, limit=2)).json()
        assert page.keys() == {"items", "next_cursor"} and len(page["items"]) <= 2
        assert all(item.keys() == ROOM for item in page["items"])
        found += [item["id"] for item in page["items"] if item["id"] in ids]
        cursor, pages = page["next_cursor"], pages + 1
        if pages > 50 or (page["items"] and page["items"][-1]["id"] > ids[-1]):
            break
    assert found == ids


async def test_reading_needs_no_key(stage):
    async with asking(stage.server.url) as nobody:
        for path in ("", f"/{stage.room}", f"/{stage.room}/events", f"/{stage.room}/board"):
            assert (await nobody.get(f"/v1/rooms{path}")).status_code == 200
        assert (await nobody.get("/v1/catalogue")).status_code == 200


@pytest.mark.parametrize("path", ["rooms/no", "rooms/no/events", "rooms/no/board"])
async def test_a_room_that_is_not_there(stage, path):
    refused(await get(stage, path), 404, "unknown_room")


async def test_closing_is_done_once_and_by_the_creator_too(stage):
    closed = await post(stage, f"rooms/{stage.room}/close", **bearer(stage.creator))
    assert closed.status_code == 200
    assert (closed.json()["status"], closed.json()["seq"]) == ("closed", 1)
    again = await post(stage, f"rooms/{stage.room}/close")
    assert again.status_code == 200 and again.json()["seq"] == 1
    log = (await get(stage, f"rooms/{stage.room}/events")).json()
    assert [event["kind"] for event in log["events"]] == ["room_closed"]
    refused(await post(stage, "rooms/no/close"), 404, "unknown_room")


async def test_the_raw_log_is_whole(stage):
    ann, bob = await stage.join("ann", coins=500), await stage.join("bob")
    await stage.gift(ann, "k0")
    await stage.frame_with(bob, 1)
    for number in range(1, 45):
        await ann.say(type="gift", room=stage.room, gift="spark", key=f"k{number}")
    for _ in range(1, 45):
        await ann.hear("accepted")
    log = (await get(stage, f"rooms/{stage.room}/events")).json()
    assert log.keys() == {"events", "head"} and log["head"] == 45
    assert [event["seq"] for event in log["events"]] == list(range(1, 46))
    assert {event["merged"] for event in log["events"]} == {1}
    await stage.frame_with(bob, 45)
    seen = {e["seq"]: e for m in bob.heard if m["type"] == "events" for e in m["events"]}
    alone = [event for event in seen.values() if event["merged"] == 1]
    assert alone and all(event == log["events"][event["seq"] - 1] for event in alone)
    part = (await get(stage, f"rooms/{stage.room}/events", after=40, limit=3)).json()
    assert [event["seq"] for event in part["events"]] == [41, 42, 43] and part["head"] == 45
    assert (await get(stage, f"rooms/{stage.room}/events", after=45)).json()["events"] == []
    assert (await get(stage, f"rooms/{stage.room}/events", after=10**9)).json()["events"] == []


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("rooms", {"limit": 0}),
        ("rooms", {"limit": 201}),
        ("rooms", {"limit": "many"}),
        ("rooms", {"limit": -1}),
        ("rooms/{room}/events", {"limit": 0}),
        ("rooms/{room}/events", {"after": -1}),
        ("rooms/{room}/events", {"after": "x"}),
        ("rooms/{room}/events", {"after": 2**63}),
        ("rooms/{room}/events", {"limit": 100_000}),
        ("rooms/{room}/board", {"limit": 0}),
        ("rooms/{room}/board", {"limit": 201}),
        ("rooms/{room}/board", {"as_of": -1}),
        ("rooms/{room}/board", {"as_of": "now"}),
        ("rooms/{room}/board", {"window": "year"}),
        ("users/ann/statement", {"limit": 0}),
        ("users/ann/statement", {"limit": 201}),
        ("users/ann/statement", {"cursor": "garbage"}),
        ("users/ann/statement", {"cursor": "-1"}),
        ("users/ann/statement", {"cursor": str(2**70)}),
        ("users/a%20b/wallet", {}),
    ],
)
async def test_a_question_out_of_range_is_refused(stage, path, query):
    answer = await get(stage, path.format(room=stage.room), **query)
    assert answer.status_code in (400, 422), answer.text
    refused(answer, answer.status_code)


# --- boards --------------------------------------------------------------------------------------


async def test_the_board_of_now_and_of_any_seq(stage):
    names = ("ann", "bob", "cyd")
    clients = {name: await stage.join(name, coins=100) for name in names}
    plan = [("ann", 5), ("bob", 9), ("ann", 4), ("cyd", 9), ("bob", 1)]
    for number, (name, quantity) in enumerate(plan):
        await stage.gift(clients[name], f"k{number}", quantity=quantity)
    expected = {
        0: [],
        1: [("ann", 5)],
        2: [("bob", 9), ("ann", 5)],
        3: [("bob", 9), ("ann", 9)],
        4: [("bob", 9), ("ann", 9), ("cyd", 9)],
        5: [("bob", 10), ("ann", 9), ("cyd", 9)],
    }
    for seq, lines in expected.items():
        board = (await get(stage, f"rooms/{stage.room}/board", as_of=seq)).json()
        assert board.keys() == {"as_of", "window", "top"}
        assert (board["as_of"], board["window"]) == (seq, "session")
        assert board["top"] == [
            {
                "rank": rank,
                "user": {"id": stage.user(name), "name": stage.user(name).title()},
                "coins": coins,
            }
            for rank, (name, coins) in enumerate(lines, 1)
        ], seq
    now = (await get(stage, f"rooms/{stage.room}/board")).json()
    later = (await get(stage, f"rooms/{stage.room}/board", as_of=1_000)).json()
    assert now == later == (await get(stage, f"rooms/{stage.room}/board", as_of=5)).json()
    two = (await get(stage, f"rooms/{stage.room}/board", limit=2)).json()
    assert two["top"] == now["top"][:2]
    top = (await stage.join("dan")).heard[-1]["board"]["top"]
    assert top == now["top"], "the live board is the same"


async def test_the_catalogue(stage):
    catalogue = (await get(stage, "catalogue")).json()
    assert catalogue.keys() == {"version", "currency", "gifts"}
    fields = {"id", "name", "coins", "combo", "animation", "enabled"}
    assert all(fields <= gift.keys() for gift in catalogue["gifts"])
    [spark] = [gift for gift in catalogue["gifts"] if gift["id"] == "spark"]
    assert spark["coins"] == 1 and spark["combo"] is True and spark["enabled"] is True
