"""Webhook endpoints over HTTP, with receivers that really listen."""

import asyncio
import json
import time

import pytest
import pytest_asyncio
from standardwebhooks import Webhook

from kit.building.earning import EARNS
from kit.servers.http_asking import bearer, get, refused
from kit.servers.receiving import receiving
from kit.servers.serving import SECRET, live
from kit.waiting import until
from server.webhooks import TYPES, secret_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHOWN = {"id", "url", "events", "enabled", "reason", "rotated_ms"}
DELIVERY = {"delivery", "type", "state", "attempts", "next_ms", "changed_ms"}
QUIET = ["payout.paid"]
"""An event that does not happen here: nothing is posted to an endpoint that wants no other."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server():
    async with live(webhook_allow_private=True, **EARNS) as running:
        yield running


async def ask(stage, method, path="", body=None, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    path = f"/v1/webhook-endpoints{path}"
    return await stage.server.http.request(method, path, json=body, headers=headers)


@pytest_asyncio.fixture(loop_scope="module")
async def hooks(stage):
    """A receiver, and the test's endpoint that goes to it; silent when the test ends."""
    async with receiving() as receiver:
        receiver.path = f"/{stage.room}"
        made = await ask(stage, "PUT", receiver.path, {"url": receiver.url})
        assert made.status_code == 200, made.text
        receiver.secret = made.json()["secret"]
        yield receiver
        await ask(stage, "DELETE", receiver.path)


async def deliveries(stage, path, **query):
    answer = await get(stage, f"webhook-endpoints{path}/deliveries", **query)
    return answer.json()["items"]


def posts_of(stage, hooks):
    """What arrived about this test's room; a server has the rooms of all tests."""
    return [post for post in hooks.posts if post.event["data"].get("room") == stage.room]


async def counted(stage, series):
    """A counter of the server's metrics."""
    page = (await stage.server.http.get("/metrics")).text
    lines = [line.rpartition(" ") for line in page.splitlines() if line.startswith(series)]
    return sum(float(value) for _, _, value in lines)


async def delivered(stage, hooks, count):
    """Wait until so many events of this room have arrived and are recorded."""
    await until(lambda: len(posts_of(stage, hooks)) >= count)

    async def recorded():
        states = [one["state"] for one in await deliveries(stage, hooks.path, limit=200)]
        return "pending" not in states

    await until(recorded)


# --- setting -------------------------------------------------------------------------------------


async def test_an_endpoint_is_told_and_signed(stage, hooks):
    ann = await stage.join("ann", coins=10)
    await stage.gift(ann, "k1")
    await delivered(stage, hooks, 1)
    [told] = posts_of(stage, hooks)
    assert told.event["type"] == "gift.accepted"
    assert Webhook(hooks.secret).verify(told.body, told.headers)
    assert hooks.secret == secret_of(SECRET, stage.room, 1)


async def test_an_endpoint_is_shown_with_its_secret_and_listed_without(stage, hooks):
    one = (await ask(stage, "GET", hooks.path)).json()
    assert one.keys() == SHOWN | {"secret"} and one["secret"].startswith("whsec_")
    assert one == one | {
        "id": stage.room,
        "url": hooks.url,
        "events": [],
        "enabled": True,
        "reason": None,
        "rotated_ms": None,
    }
    listed = (await ask(stage, "GET")).json()
    assert listed.keys() == {"items", "next_cursor"} and listed["next_cursor"] is None
    [mine] = [row for row in listed["items"] if row["id"] == stage.room]
    assert mine == {name: one[name] for name in SHOWN}
    assert "whsec_" not in json.dumps(listed)


async def test_only_wanted_events_are_sent(stage, hooks):
    wish = {"url": hooks.url, "events": ["room.closed", "gift.retracted", "room.closed"]}
    made = (await ask(stage, "PUT", hooks.path, wish)).json()
    assert made["events"] == ["gift.retracted", "room.closed"]
    assert made["secret"] == hooks.secret, "changing what is wanted changes no secret"
    ann = await stage.join("ann", coins=10)
    await stage.gift(ann, "k1")
    await stage.post(f"rooms/{stage.room}/close")
    await delivered(stage, hooks, 1)
    assert [told.event["type"] for told in posts_of(stage, hooks)] == ["room.closed"]


async def test_an_endpoint_is_set_once_per_key(stage):
    path, url, key = f"/{stage.room}", "http://127.0.0.1:9/x", f"k-{stage.room}"
    wish = {"url": url, "events": QUIET}
    first = await ask(stage, "PUT", path, wish, Idempotency_Key=key)
    assert (await ask(stage, "PUT", path, wish, Idempotency_Key=key)).json() == first.json()
    other = await ask(stage, "PUT", path, {"url": url}, Idempotency_Key=key)
    refused(other, 409, "key_reused")


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({}, "url"),
        ({"url": ""}, "url"),
        ({"url": 5}, "url"),
        ({"url": "ftp://example.com/x"}, "url"),
        ({"url": "not a url"}, "url"),
        ({"url": "https://user:secret@example.com/"}, "url"),
        ({"url": "https://example.com/#x"}, "url"),
        ({"url": "http://127.0.0.1:9/" + "x" * 2_000}, "url"),
        ({"url": "http://127.0.0.1:9/", "events": ["gift.given"]}, "events"),
        ({"url": "http://127.0.0.1:9/", "events": ["gift.accepted", "*"]}, "events"),
        ({"url": "http://127.0.0.1:9/", "events": "gift.accepted"}, "events"),
        ({"url": "http://127.0.0.1:9/", "kinds": []}, "kinds"),
    ],
)
async def test_a_wrong_endpoint_is_refused(stage, wish, field):
    answer = await ask(stage, "PUT", f"/{stage.room}", wish)
    assert answer.status_code in (400, 422), answer.text
    assert field in str(refused(answer, answer.status_code).get("details"))
    refused(await ask(stage, "GET", f"/{stage.room}"), 404, "unknown_endpoint")


async def test_every_event_type_may_be_wanted(stage):
    wish = {"url": "http://127.0.0.1:9/", "events": sorted(TYPES)}
    assert (await ask(stage, "PUT", f"/{stage.room}", wish)).json()["events"] == sorted(TYPES)
    await ask(stage, "DELETE", f"/{stage.room}")
    refused(await ask(stage, "PUT", "/a b", wish), 422, "invalid")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/x",
        "https://127.0.0.1/x",
        "https://10.1.2.3/x",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/x",
        "https://2130706433/x",
        "https://localhost/x",
    ],
)
async def test_webhooks_do_not_go_to_private_networks(guarded, url):
    error = refused(await ask(guarded, "PUT", "/e", {"url": url, "events": QUIET}), 422, "invalid")
    assert error["details"] == {"field": "url"}


async def test_webhooks_go_to_public_addresses(guarded):
    wish = {"url": "https://8.8.8.8/hooks", "events": QUIET}
    assert (await ask(guarded, "PUT", "/public", wish)).status_code == 200


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guarded(stage_on):
    """A stage on a server as it comes: webhooks go to public addresses only."""
    async with live(**EARNS) as server:
        yield await stage_on(server)


async def test_endpoints_have_a_limit(guarded):
    wish = {"url": "https://8.8.8.8/hooks", "events": QUIET}
    answers = [await ask(guarded, "PUT", f"/e{number}", wish) for number in range(51)]
    assert {answer.status_code for answer in answers[:49]} == {200}
    refused(answers[-1], 422, "invalid")
    assert (await ask(guarded, "PUT", "/e1", wish)).status_code == 200, "a known one may change"


# --- ending and rotating -------------------------------------------------------------------------


async def test_a_removed_endpoint_is_told_nothing_until_it_is_set_again(stage, hooks):
    ann = await stage.join("ann", coins=10)
    await stage.gift(ann, "k1")
    await delivered(stage, hooks, 1)
    removed = await ask(stage, "DELETE", hooks.path)
    assert removed.status_code == 200
    assert (removed.json()["enabled"], removed.json()["reason"]) == (
        False,
        "removed by the operator",
    )
    await stage.gift(ann, "k2")
    await asyncio.sleep(0.3)
    assert len(posts_of(stage, hooks)) == 1
    assert (await ask(stage, "GET", hooks.path)).json()["enabled"] is False
    again = (await ask(stage, "PUT", hooks.path, {"url": hooks.url})).json()
    assert (again["enabled"], again["reason"]) == (True, None)
    await delivered(stage, hooks, 2)
    assert [told.seq for told in posts_of(stage, hooks)] == [1, 2], "it goes on where it stopped"


async def test_rotating_makes_a_new_secret_and_both_sign(stage, hooks):
    before = int(time.time() * 1000)
    key = f"r-{stage.room}"
    rotated = await ask(stage, "POST", f"{hooks.path}/rotate", Idempotency_Key=key)
    assert rotated.status_code == 200 and rotated.json()["secret"] != hooks.secret
    assert rotated.json()["rotated_ms"] >= before
    again = await ask(stage, "POST", f"{hooks.path}/rotate", Idempotency_Key=key)
    assert again.status_code == 200 and again.json() == rotated.json(), "once per key"
    ann = await stage.join("ann", coins=10)
    await stage.gift(ann, "k1")
    await delivered(stage, hooks, 1)
    [told] = posts_of(stage, hooks)
    for secret in (hooks.secret, rotated.json()["secret"]):
        assert Webhook(secret).verify(told.body, told.headers)


async def test_an_address_that_is_gone_does_not_take_the_new_one_with_it(stage, hooks):
    """Its answer comes after the endpoint was set anew: the new address has said nothing."""
    refusals = 'largesse_refusals_total{code="wrong_state"}'
    before = await counted(stage, refusals)
    hooks.status = 410
    hooks.answering.clear()
    ann = await stage.join("ann", coins=10)
    await stage.gift(ann, "k1")
    await until(lambda: posts_of(stage, hooks))
    async with receiving() as other:
        moved = await ask(stage, "PUT", hooks.path, {"url": other.url, "events": QUIET})
        assert moved.status_code == 200
        hooks.answering.set()

        async def judged():
            return await counted(stage, refusals) > before

        await until(judged)
        now = (await ask(stage, "GET", hooks.path)).json()
        assert (now["enabled"], now["url"]) == (True, other.url)


# --- what became of events -----------------------------------------------------------------------


async def test_deliveries_and_their_attempts_are_shown(stage, hooks):
    hooks.status = 500
    ann = await stage.join("ann", coins=10)
    for number in range(3):
        await stage.gift(ann, f"k{number}")
    await until(lambda: len(posts_of(stage, hooks)) >= 1)

    async def recorded():
        return any(one["attempts"] for one in await deliveries(stage, hooks.path))

    await until(recorded)
    listed = [one for one in await deliveries(stage, hooks.path) if one["type"] == "gift.accepted"]
    assert all(one.keys() == DELIVERY for one in listed)
    assert [one["state"] for one in listed] == ["pending"] * 3
    assert [one["attempts"] for one in listed] == [0, 0, 1], "the others of the room wait for it"
    assert listed[-1]["next_ms"] > listed[-1]["changed_ms"] and listed[0]["next_ms"] is None
    path = f"webhook-endpoints{hooks.path}/deliveries/{listed[-1]['delivery']}/attempts"
    tried = (await get(stage, path)).json()
    assert tried.keys() == {"items", "next_cursor"}
    [attempt] = tried["items"]
    assert attempt.keys() == {"at_ms", "status", "error", "duration_ms"}
    assert attempt["status"] == 500 and "500" in attempt["error"]


async def test_deliveries_are_paged_and_sorted_out(stage, hooks):
    ann = await stage.join("ann", coins=10)
    for number in range(5):
        await stage.gift(ann, f"k{number}")
    await delivered(stage, hooks, 5)
    everything = await deliveries(stage, hooks.path, limit=200)
    numbers = [one["delivery"] for one in everything]
    assert numbers == sorted(numbers, reverse=True) and len(numbers) >= 5
    paged, cursor = [], None
    while True:
        more = {"cursor": cursor} if cursor else {}
        path = f"webhook-endpoints{hooks.path}/deliveries"
        page = (await get(stage, path, limit=2, **more)).json()
        paged += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert [one["delivery"] for one in paged] == numbers
    assert await deliveries(stage, hooks.path, state="delivered", limit=200) == everything
    assert await deliveries(stage, hooks.path, state="pending") == []


async def test_named_deliveries_are_sent_again(stage, hooks):
    ann = await stage.join("ann", coins=10)
    for number in range(3):
        await stage.gift(ann, f"k{number}")
    await delivered(stage, hooks, 3)
    gifts = [
        one["delivery"]
        for one in await deliveries(stage, hooks.path)
        if one["type"] == "gift.accepted"
    ]
    body = {"deliveries": [gifts[0], gifts[0], 999_999_999]}
    answer = await ask(stage, "POST", f"{hooks.path}/replay", body)
    assert answer.status_code == 200 and answer.json() == {"replayed": 1}
    await delivered(stage, hooks, 4)
    told = posts_of(stage, hooks)
    assert [one.seq for one in told] == [1, 2, 3, 3]
    assert told[2].id == told[3].id, "a receiver can tell that it has seen it"


async def test_everything_since_a_moment_is_sent_again(stage, hooks):
    ann = await stage.join("ann", coins=10)
    await stage.gift(ann, "k1")
    await delivered(stage, hooks, 1)
    answer = await ask(stage, "POST", f"{hooks.path}/replay", {"since_ms": 0})
    assert answer.status_code == 200 and answer.json()["from_delivery"] > 0
    await delivered(stage, hooks, 2)
    assert len({told.id for told in posts_of(stage, hooks)}) == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"deliveries": [1], "since_ms": 1}, 422),
        ({"deliveries": []}, 422),
        ({"deliveries": ["1"]}, 400),
        ({"deliveries": [1.0]}, 400),
        ({"deliveries": [True]}, 400),
        ({"deliveries": [2**53]}, 422),
        ({"deliveries": list(range(1, 1_002))}, 422),
        ({"deliveries": 5}, 400),
        ({"since_ms": "0"}, 400),
        ({"since_ms": -1}, 422),
        ({"since_ms": 2**70}, 422),
        ({"all": True}, 400),
    ],
)
async def test_a_wrong_replay_is_refused(stage, hooks, body, status):
    refused(await ask(stage, "POST", f"{hooks.path}/replay", body), status)


async def test_there_is_no_such_endpoint_or_delivery(stage, hooks):
    for method, path, body in (
        ("GET", "/no", None),
        ("DELETE", "/no", None),
        ("POST", "/no/rotate", None),
        ("POST", "/no/replay", {"since_ms": 1}),
        ("GET", "/no/deliveries", None),
        ("GET", "/no/deliveries/1/attempts", None),
    ):
        refused(await ask(stage, method, path, body), 404, "unknown_endpoint")
    refused(await ask(stage, "GET", f"{hooks.path}/deliveries/999999/attempts"), 404, "not_found")
    refused(await ask(stage, "GET", f"{hooks.path}/deliveries/0/attempts"), 400)
    wrong = await get(stage, f"webhook-endpoints{hooks.path}/deliveries", state="done")
    refused(wrong, 400, "malformed")


async def test_endpoints_are_for_the_backend(stage, hooks):
    asked = [
        ("PUT", hooks.path, {"url": hooks.url}),
        ("GET", "", None),
        ("GET", hooks.path, None),
        ("DELETE", hooks.path, None),
        ("POST", f"{hooks.path}/rotate", None),
        ("GET", f"{hooks.path}/deliveries", None),
        ("GET", f"{hooks.path}/deliveries/1/attempts", None),
        ("POST", f"{hooks.path}/replay", {"since_ms": 1}),
    ]
    for method, path, body in asked:
        refused(await ask(stage, method, path, body, Authorization=""), 401, "unauthorized")
        for claims in ({}, {"role": "admin"}):
            eve = bearer(stage.user("eve"), **claims)
            refused(await ask(stage, method, path, body, **eve), 403, "forbidden")
    assert (await ask(stage, "GET", hooks.path)).json()["enabled"] is True


async def test_a_secret_of_its_own_signs():
    root = "another secret of the tests, 32 bytes or more"
    async with (
        receiving() as receiver,
        live(webhook_allow_private=True, webhook_secret=root, **EARNS) as server,
    ):
        wish = {"url": receiver.url, "events": ["room.opened"]}
        made = (await server.http.put("/v1/webhook-endpoints/e", json=wish)).json()
        assert made["secret"] == secret_of(root, "e", 1)
        await server.room()
        await until(lambda: bool(receiver.posts))
        [told] = receiver.posts
        assert Webhook(made["secret"]).verify(told.body, told.headers)
