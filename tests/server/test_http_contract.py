"""The HTTP API as protocol.md (section 2) promises it: shapes, statuses, keys, who may ask what."""

import itertools
import json
import re
from typing import Any

import httpx
import pytest

from serving import live, token

pytestmark = pytest.mark.asyncio(loop_scope="module")

ERROR = {"code", "message", "retry", "request_id"}
ROOM = {"id", "title", "creator", "creator_name", "status", "epoch", "seq", "total_coins"}
ROOM |= {"viewers"}


def bearer(user: str, **claims: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(user, **claims)}"}


def refused(answer: httpx.Response, status: int, code: str | None = None) -> dict[str, Any]:
    """Assert the one shape of every error; the error."""
    assert answer.status_code == status, answer.text
    assert answer.json().keys() == {"error"}
    error: dict[str, Any] = answer.json()["error"]
    assert ERROR <= error.keys() <= ERROR | {"details"}
    assert error["retry"] in ("fix", "same", "new") and error["request_id"] and error["message"]
    assert code is None or error["code"] == code, error
    return error


async def post(stage: Any, path: str, body: Any = None, **headers: str) -> httpx.Response:
    answer: httpx.Response = await stage.server.http.post(
        f"/v1/{path}", json=body, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )
    return answer


async def get(stage: Any, path: str, headers: Any = None, **query: Any) -> httpx.Response:
    answer: httpx.Response = await stage.server.http.get(
        f"/v1/{path}", params=query, headers=headers
    )
    return answer


# --- who may ask what ----------------------------------------------------------------------------

BACKEND_ONLY = [
    ("rooms", {"id": "x", "title": "t", "creator": "c"}),
    ("grants", {"user": "ann", "coins": 1, "reason": "r"}),
    ("gifts/{room}:1/retract", {"reason": "r"}),
]
BACKEND_OR_CREATOR = [
    ("rooms/{room}/close", None),
    ("gifts/{room}:1/hide", None),
    ("overlays", {"room": "{room}"}),
]


@pytest.mark.parametrize(("path", "body"), BACKEND_ONLY + BACKEND_OR_CREATOR)
async def test_nobody_and_strangers_are_turned_away(stage, path, body):
    path = path.format(room=stage.room)
    body = json.loads(json.dumps(body).replace("{room}", stage.room))
    url = f"{stage.server.url}/v1/{path}"
    async with httpx.AsyncClient() as nobody:
        refused(await nobody.post(url, json=body), 401, "unauthorized")
        for wrong in ("Bearer wrong", "Bearer", "Basic dTpw", "Bearer a.b.c"):
            answer = await nobody.post(url, json=body, headers={"Authorization": wrong})
            refused(answer, 401, "unauthorized")
        for claims in ({}, {"role": "admin"}, {"role": "creator"}):
            headers = bearer(stage.user("eve"), **claims)
            refused(await nobody.post(url, json=body, headers=headers), 403, "forbidden")
    assert (await stage.books())["seq"] == 0


@pytest.mark.parametrize(("path", "body"), BACKEND_ONLY)
async def test_a_creator_is_not_the_backend(stage, path, body):
    answer = await post(
        stage, path.format(room=stage.room), body, **bearer(stage.creator, role="creator")
    )
    refused(answer, 403, "forbidden")


async def test_a_wallet_is_for_its_owner_and_the_backend(stage):
    ann = stage.user("ann")
    for path in (f"users/{ann}/wallet", f"users/{ann}/statement"):
        assert (await get(stage, path)).status_code == 200
        assert (await get(stage, path, bearer(ann))).status_code == 200
        refused(await get(stage, path, bearer(stage.user("bob"))), 403, "forbidden")
        overlay = bearer(ann, role="overlay", rooms=[stage.room])
        refused(await get(stage, path, overlay), 403, "forbidden")
        refused(await get(stage, path, {"Authorization": ""}), 401, "unauthorized")
        refused(await get(stage, path, {"Authorization": "Bearer x.y.z"}), 401, "unauthorized")


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
    async with httpx.AsyncClient(base_url=stage.server.url) as nobody:
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
        "coin_debt": 0,
        "level": 1,
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


# --- requests that are no requests ---------------------------------------------------------------


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"5", b'{"user": "a"}', b"\xff", b'{"coins": NaN}']
)
async def test_a_body_that_cannot_be_read(stage, content):
    headers = {"Content-Type": "application/json"}
    answer = await stage.server.http.post("/v1/grants", content=content, headers=headers)
    refused(answer, 400, "malformed")


async def test_a_body_that_is_too_large(stage):
    body = {"user": "ann", "coins": 1, "reason": "r" * 70_000}
    refused(await post(stage, "grants", body), 413, "too_large")


async def test_paths_and_methods_that_are_not_there(stage):
    http = stage.server.http
    refused(await http.get("/v1/nothing"), 404, "not_found")
    refused(await http.get("/v1/grants"), 405, "method_not_allowed")
    refused(await http.delete(f"/v1/rooms/{stage.room}"), 405, "method_not_allowed")
    refused(await http.post("/demo/viewer"), 404, "not_found")


async def test_every_error_has_its_own_request_id(stage):
    ids = {(await get(stage, "rooms/no")).json()["error"]["request_id"] for _ in range(5)}
    assert len(ids) == 5


# --- for operators -------------------------------------------------------------------------------


async def test_health_readiness_and_version(server):
    assert (await server.http.get("/healthz")).status_code == 200
    ready = await server.http.get("/readyz")
    assert ready.status_code == 200 and ready.json() == {"ready": True, "reasons": []}
    version = (await server.http.get("/version")).json()
    assert version["protocol"] == 1 and version["version"]


async def test_the_api_describes_itself(server):
    document = (await server.http.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.")
    paths = {re.sub(r"{[^}]*}", "{}", path) for path in document["paths"]}
    assert {
        "/v1/rooms",
        "/v1/rooms/{}",
        "/v1/rooms/{}/close",
        "/v1/rooms/{}/events",
        "/v1/rooms/{}/board",
        "/v1/catalogue",
        "/v1/grants",
        "/v1/users/{}/wallet",
        "/v1/users/{}/statement",
        "/v1/gifts/{}/retract",
        "/v1/gifts/{}/hide",
        "/v1/overlays",
    } <= paths
    docs = await server.http.get("/docs")
    assert docs.status_code == 200 and docs.headers["content-type"].startswith("text/html")
    assert "/v1/grants" in docs.text


@pytest.mark.parametrize("path", ["/", "/overlay"])
async def test_pages_are_served_with_a_policy(server, path):
    page = await server.http.get(path)
    assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert "default-src 'self'" in policy and "unsafe" not in policy
    assert page.headers["x-content-type-options"] == "nosniff"


def samples(text: str) -> dict[str, float]:
    """Every line of a Prometheus page: name with labels, and value."""
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


async def test_metrics_count_known_traffic():
    async with live(heartbeat_ms=60_000) as server:
        await server.room()
        await server.grant("ann", 20)
        ann, bob = await server.join("ann"), await server.join("bob")
        await ann.gift("k1", gift="note", quantity=2)
        await ann.gift("k1", gift="note", quantity=2)
        await ann.gift("k2", gift="glacier")
        await ann.gift("k3", quantity=0)
        await bob.say(type="join", room="nowhere")
        await bob.hear("refused")
        await bob.socket.send("rubbish")
        await bob.hear("refused")
        epoch = (await server.http.get("/v1/rooms/r")).json()["epoch"]
        for resume in ({"epoch": epoch, "seq": 1}, {"epoch": "other", "seq": 1}):
            await bob.ask("joined", type="join", room="r", resume=resume)
        await server.connect("cyd")
        page = await server.http.get("/metrics")
        assert page.headers["content-type"].startswith("text/plain")
        found = samples(page.text)
        assert {
            "largesse_connections": 3,
            "largesse_rooms_loaded": 1,
            'largesse_handshakes_total{result="accepted"}': 3,
            'largesse_messages_total{type="gift"}': 4,
            'largesse_messages_total{type="join"}': 5,
            'largesse_refusals_total{code="insufficient_coins"}': 1,
            'largesse_refusals_total{code="bad_quantity"}': 1,
            'largesse_refusals_total{code="unknown_room"}': 1,
            'largesse_refusals_total{code="malformed"}': 1,
            "largesse_gifts_total": 1,
            "largesse_gift_coins_total": 10,
            "largesse_replays_total": 1,
            "largesse_queue_commands": 0,
            'largesse_resumes_total{result="recovered"}': 1,
            'largesse_resumes_total{result="snapshot"}': 1,
        }.items() <= found.items()
        assert found["largesse_settle_seconds_count"] >= 5
        assert found["largesse_batch_commands_sum"] == 6, "room, grant and four gifts"
        assert found["largesse_frames_sent_total"] >= 2
        assert {"largesse_loop_lag_seconds_count", "largesse_flush_seconds_count"} <= found.keys()
        assert "ann" not in page.text and "cyd" not in page.text
