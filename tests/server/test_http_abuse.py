"""What somebody with a token, or with nothing, may try over HTTP, and what it does not get them."""

import asyncio

import pytest

from kit.servers.serving import live, token


def as_user(user):
    return {"Authorization": f"Bearer {token(user)}"}


async def test_a_user_who_asks_too_fast_is_held_up_and_others_are_not():
    async with live(http_rate=1, http_burst=3) as server:
        wish = {"daily_coins": 5}
        # All at once, and far more than the rate: a slow machine lets some more through.
        answers = await asyncio.gather(
            *(
                server.http.put("/v1/users/ann/limits", json=wish, headers=as_user("ann"))
                for _ in range(40)
            )
        )
        held_up = [answer for answer in answers if answer.status_code == 429]
        assert held_up and [answer.status_code for answer in answers].count(200) >= 3
        assert {answer.status_code for answer in answers} == {200, 429}
        error = held_up[0].json()["error"]
        assert (error["code"], error["retry"]) == ("rate_limited", "same")
        assert held_up[0].headers["Retry-After"]
        other = await server.http.put("/v1/users/bob/limits", json=wish, headers=as_user("bob"))
        assert other.status_code == 200
        looking = [
            await server.http.get("/v1/users/ann/wallet", headers=as_user("ann")) for _ in range(9)
        ]
        assert {answer.status_code for answer in looking} == {200}
        backend = [
            await server.http.post("/v1/grants", json={"user": "ann", "coins": 1, "reason": "x"})
            for _ in range(9)
        ]
        assert {answer.status_code for answer in backend} == {201}


async def test_who_may_not_ask_is_held_up_too():
    async with live(http_rate=1, http_burst=2) as server:
        wish = {"user": "ann", "coins": 1, "reason": "mine"}
        answers = await asyncio.gather(
            *(server.http.post("/v1/grants", json=wish, headers=as_user("ann")) for _ in range(40))
        )
        assert {answer.status_code for answer in answers} == {403, 429}


async def test_an_order_is_one_change_and_not_two():
    async with live(http_rate=1, http_burst=2) as server:
        answers = [
            await server.http.post("/v1/purchases", json={"coins": 50}, headers=as_user("ann"))
            for _ in range(3)
        ]
        assert [answer.status_code for answer in answers] == [201, 201, 429]


async def test_purchases_that_nobody_pays_do_not_pile_up():
    async with live() as server:
        answers = [
            await server.http.post("/v1/purchases", json={"coins": 50}, headers=as_user("ann"))
            for _ in range(51)
        ]
        assert [answer.status_code for answer in answers[-2:]] == [201, 409]
        paid = answers[0].json()["checkout_url"]
        await server.http.post(paid, data={"answer": "decline"})
        again = await server.http.post("/v1/purchases", json={"coins": 50}, headers=as_user("ann"))
        assert again.status_code == 201


@pytest.mark.parametrize("path", ["/v1/grants", "/v1/purchases", "/v1/payouts"])
async def test_a_body_that_is_nested_too_deeply_is_malformed(path):
    async with live() as server:
        body = b"[" * 30_000
        headers = {"Content-Type": "application/json"}
        if path == "/v1/payouts":
            headers |= as_user("cara")
        answer = await server.http.post(path, content=body, headers=headers)
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "malformed"


async def test_a_huge_name_of_a_bundle_is_refused_and_not_said_again():
    async with live() as server:
        wish = {"bundle": "x" * 60_000}
        answer = await server.http.post("/v1/purchases", json=wish, headers=as_user("ann"))
        assert answer.status_code == 422 and len(answer.content) < 1_000


async def test_an_account_is_not_aged_by_touching_it():
    async with live() as server:
        await server.room()
        now_ms = server.node.clock()
        await server.http.put("/v1/users/ann/level", json={"hidden": True}, headers=as_user("ann"))
        found = await server.node.store.money.user("ann")
        assert found is not None and found.since_ms == -1
        await server.grant("ann", 10)
        found = await server.node.store.money.user("ann")
        assert found is not None and found.since_ms >= now_ms


async def test_who_is_erased_is_forgotten_by_the_running_show_too():
    async with live() as server:
        await server.room()
        await server.grant("ann", 100)
        ann = await server.join("ann", name="Ann Secretname")
        bob = await server.join("bob")
        await ann.gift("k", gift="note", message="my secret words")
        await bob.hear("events")
        await server.http.post("/v1/users/ann/erase")
        assert await bob.closed() == 4003
        again = await server.connect("bob")
        joined = await again.ask("joined", type="join", room="r", resume={"epoch": "", "seq": 0})
        await asyncio.sleep(0.1)
        log = (await server.http.get("/v1/rooms/r/events")).text
        assert "Secretname" not in str(joined) + log and "secret words" not in log
        assert joined["total_coins"] == 5
