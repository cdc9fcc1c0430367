"""The HTTP API as protocol.md (section 2) promises it: who may ask, errors, what operators need.

Rooms and boards are in test_http_rooms.py, coins and gifts in test_http_money.py.
"""

import json
import re

import pytest

from kit.servers.described import asking
from kit.servers.http_asking import bearer, get, post, refused
from kit.servers.serving import live

pytestmark = pytest.mark.asyncio(loop_scope="module")


# --- who may ask what ----------------------------------------------------------------------------

BACKEND_ONLY = [
    ("rooms", {"id": "x", "title": "t", "creator": "c"}),
    ("grants", {"user": "ann", "coins": 1, "reason": "r"}),
    ("gifts/{room}:1/retract", {"reason": "r"}),
    ("tokens/revoke", {"jti": "t1", "reason": "r"}),
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
    async with asking(stage.server.url) as nobody:
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


async def test_a_token_for_other_rooms_is_good_for_none_of_these(stage):
    ann = await stage.join("ann", coins=5)
    await stage.gift(ann, "k1")
    elsewhere = bearer(stage.creator, role="creator", rooms=[f"{stage.room}-2"])
    here = bearer(stage.creator, role="creator", rooms=[f"{stage.room}-2", stage.room])
    for path, body in (
        ("overlays", {"room": stage.room}),
        (f"gifts/{stage.room}:1/hide", None),
        (f"rooms/{stage.room}/close", None),
    ):
        refused(await post(stage, path, body, **elsewhere), 403, "forbidden")
        assert (await post(stage, path, body, **here)).is_success, path


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
    refused(await http.get("/static/%00"), 404, "not_found")
    wrong = await http.delete(f"/v1/rooms/{stage.room}")
    assert wrong.headers["Allow"] == "GET, OPTIONS"
    both = await http.delete("/v1/rooms")
    assert both.headers["Allow"] == "GET, OPTIONS, POST"
    for path in ("/v1/rooms/", "/v1//rooms"):
        assert (await http.delete(path)).headers["Allow"] == "GET, OPTIONS, POST"
    file = await http.delete("/static/show/dom.js")
    assert file.headers["Allow"] == "GET, HEAD, OPTIONS"


async def test_no_cache_keeps_an_answer_and_no_browser_takes_it_for_a_page(stage):
    answers = [
        await get(stage, f"users/{stage.user('ann')}/wallet"),
        await get(stage, "rooms/no"),
        await post(stage, "overlays", {"room": stage.room}),
        await get(stage, "users/ann/export"),
    ]
    for answer in answers:
        assert answer.headers["Cache-Control"] == "no-store", answer.url
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    page = await stage.server.http.get("/")
    assert page.headers["Cache-Control"] == "no-cache"


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
        "/v1/tokens/revoke",
    } <= paths
    docs = await server.http.get("/docs")
    assert docs.status_code == 200 and docs.headers["content-type"].startswith("text/html")
    assert "/v1/grants" in docs.text


@pytest.mark.parametrize("path", ["/", "/overlay"])
async def test_pages_are_served_with_a_policy(server, path):
    page = await server.http.get(path)
    assert page.status_code == 200 and page.headers["content-type"] == "text/html; charset=utf-8"
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
