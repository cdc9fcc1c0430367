"""A user is one user on all nodes: their connections, their rates, their wallet."""

import asyncio
import time
from typing import Any

import pytest

from kit.building.builders import grant as grant_command
from kit.servers.leaky import Pair, two_nodes
from kit.servers.serving import Client, token
from kit.waiting import until
from server.clock import steady_ms
from server.live.letters import Asked, Gave, Here, Wallet, user_channel, write_letter


async def wallet(pair: Pair, user: str = "ann") -> int:
    coins: int = (await pair.one.http.get(f"/v1/users/{user}/wallet")).json()["coins"]
    return coins


async def acquainted(pair: Pair, user: str = "ann") -> None:
    """Both nodes know that the user is on the other one as well."""
    users = [live.node.users.here for live in (pair.one, pair.two)]
    await until(lambda: all(user in here and here[user].elsewhere for here in users))


async def both(pair: Pair, user: str = "ann", **claims: Any) -> tuple[Client, Client]:
    """A connection of a user on each node."""
    clients = await pair.one.join(user, **claims), await pair.two.join(user, **claims)
    await acquainted(pair, user)
    return clients


# --- connections ---------------------------------------------------------------------------------


async def test_the_newest_connection_above_the_limit_is_closed_whatever_node_it_is_on() -> None:
    async with two_nodes(max_connections_per_user=2) as pair:
        first = await pair.one.connect("ann")
        second = await pair.two.connect("ann")
        await acquainted(pair)
        third = await pair.one.connect()
        await third.say(type="hello", token=token("ann"), protocol=1)
        assert await third.closed() == 4505
        for client in (first, second):
            assert (await client.ask("pong", type="ping"))["type"] == "pong"


async def test_two_who_come_at_the_same_time_are_not_both_sent_away() -> None:
    async with two_nodes(max_connections_per_user=1) as pair:
        clients = await asyncio.gather(pair.one.connect("ann"), pair.two.connect("ann"))
        here = [live.node.users.here for live in (pair.one, pair.two)]
        await until(lambda: sum(len(users["ann"].guests) for users in here) == 1)
        await asyncio.sleep(0.5)  # several heartbeats
        closed = [client for client in clients if client.socket.close_code is not None]
        left = [client for client in clients if client not in closed]
        assert [await client.closed() for client in closed] in ([4505], [])
        assert (await left[0].ask("pong", type="ping"))["type"] == "pong"
        assert sum(len(users["ann"].guests) for users in here) == 1


async def test_a_limit_is_found_out_even_when_the_first_letters_are_lost() -> None:
    async with two_nodes(max_connections_per_user=1) as pair:
        pair.from_one.lose = pair.from_two.lose = lambda letter: isinstance(letter, Here)
        first, second = await pair.one.connect("ann"), await pair.two.connect("ann")
        pair.from_one.lose = pair.from_two.lose = lambda letter: False
        assert await second.closed() == 4505
        assert (await first.ask("pong", type="ping"))["type"] == "pong"


async def test_connections_of_a_node_that_died_count_no_more() -> None:
    async with two_nodes(max_connections_per_user=2) as pair:
        await pair.one.connect("ann")
        await pair.two.connect("ann")
        await acquainted(pair)
        pair.from_two.lose = lambda letter: True
        await until(lambda: not pair.one.node.users.here["ann"].elsewhere)
        another = await pair.one.connect("ann")
        assert (await another.ask("pong", type="ping"))["type"] == "pong"


# --- rates ---------------------------------------------------------------------------------------


async def test_the_gift_rate_is_one_over_both_nodes() -> None:
    async with two_nodes(gift_rate=1, gift_burst=3, heartbeat_ms=60_000) as pair:
        await pair.one.grant("ann", 100)
        a, b = await both(pair)
        began = time.monotonic()
        answers = [await c.gift(f"k{n}{i}") for n in range(3) for i, c in enumerate((a, b))]
        gained = time.monotonic() - began
        accepted = sum(answer["type"] == "accepted" for answer in answers)
        assert 3 <= accepted <= 3 + gained
        refused = [answer for answer in answers if answer["type"] == "refused"]
        assert {answer["code"] for answer in refused} <= {"rate_limited"}


async def test_going_to_another_node_is_no_way_around_the_gift_rate() -> None:
    async with two_nodes(gift_rate=1, gift_burst=30, heartbeat_ms=60_000) as pair:
        await pair.one.grant("ann", 100)
        a = await pair.one.join("ann")
        for number in range(30):
            await a.gift(f"k{number}")
        await a.socket.close()
        await until(lambda: not pair.one.node.users.here["ann"].guests)
        b = await pair.two.join("ann")
        level = pair.two.node.users.here["ann"].bucket
        await until(lambda: level.millitokens < 30_000)
        began = time.monotonic()
        answers = [await b.gift(f"l{number}") for number in range(30)]
        gained = time.monotonic() - began
        assert sum(answer["type"] == "accepted" for answer in answers) < 25 + gained


async def test_the_rate_over_http_is_one_over_both_nodes() -> None:
    async with two_nodes(http_rate=1, http_burst=3, heartbeat_ms=60_000) as pair:
        await pair.one.grant("ann", 100)
        headers = {"Authorization": f"Bearer {token('ann')}"}
        began, statuses = time.monotonic(), []
        for number in range(6):
            http = (pair.one, pair.two)[number % 2].http
            body = {"daily_coins": 1_000 - number}
            answer = await http.put("/v1/users/ann/limits", json=body, headers=headers)
            statuses.append(answer.status_code)
            await asyncio.sleep(0)
        gained = time.monotonic() - began
        assert 3 <= statuses.count(200) <= 3 + gained
        assert set(statuses) <= {200, 429}


async def test_who_is_on_one_node_only_costs_no_letters_for_gifts() -> None:
    async with two_nodes(heartbeat_ms=60_000) as pair:
        await pair.one.grant("ann", 100)
        ann = await pair.one.join("ann")
        await until(lambda: pair.one.node.users.here["ann"].listening)
        for number in range(5):
            await ann.gift(f"k{number}")
        said = [type(letter) for letter in pair.from_one.sent]
        assert Gave not in said
        wallets = [letter for letter in pair.from_one.sent if isinstance(letter, Wallet)]
        assert {letter.reason for letter in wallets} <= {"grant"}
        assert Asked not in said


# --- balances ------------------------------------------------------------------------------------


async def test_a_gift_on_one_node_is_told_to_the_same_users_connections_on_the_other() -> None:
    async with two_nodes(heartbeat_ms=60_000) as pair:
        await pair.one.grant("ann", 100)
        a, b = await both(pair)
        answer = await a.gift("k1")
        told = await b.hear("balance")
        assert (told["balance_coins"], told["reason"]) == (answer["balance_coins"], "gift")
        await pair.one.http.get("/healthz")
        assert not [m for m in a.heard if m["type"] == "balance"], "it had it in its answer"


async def test_who_joins_another_room_later_is_shown_the_balance_of_the_books() -> None:
    async with two_nodes(heartbeat_ms=60_000) as pair:
        await pair.one.room("s")
        await pair.one.grant("ann", 100)
        a, b = await both(pair)
        for number in range(3):
            await a.gift(f"k{number}")
        while (await b.hear("balance"))["balance_coins"] != 97:
            pass
        joined = await b.ask("joined", type="join", room="s")
        assert joined["balance_coins"] == await wallet(pair) == 97


async def test_a_balance_in_doubt_is_read_before_a_join_that_waited_shows_it() -> None:
    async with two_nodes(heartbeat_ms=60_000) as pair:
        await pair.one.grant("ann", 25)
        await pair.one.grant("bob", 25)
        bob, ann = await pair.two.join("bob"), await pair.two.connect("ann")
        hall = pair.two.node.hub.halls["r"]
        hall.due_ms = steady_ms() + 3_600_000
        await bob.gift("k1")
        await ann.say(type="join", room="r")
        await until(lambda: bool(hall.waiting))
        await pair.two.connect("ann")
        hall.due_ms = 0
        assert (await ann.hear("joined"))["balance_coins"] == 25


async def test_coins_granted_through_a_node_where_the_user_is_not_are_told() -> None:
    async with two_nodes(heartbeat_ms=60_000) as pair:
        ann = await pair.two.join("ann")
        await until(lambda: pair.two.node.users.here["ann"].listening)
        await pair.one.grant("ann", 25)
        told = await ann.hear("balance")
        assert (told["balance_coins"], told["reason"]) == (25, "grant")


async def test_a_balance_that_was_not_told_is_found_with_a_heartbeat() -> None:
    async with two_nodes() as pair:
        ann = await pair.two.join("ann")
        pair.from_one.lose = lambda letter: isinstance(letter, Wallet)
        await pair.one.grant("ann", 25)
        assert (await ann.hear("balance"))["balance_coins"] == 25
        await pair.store.settle([grant_command("ann", 5)], int(time.time() * 1000))
        assert (await ann.hear("balance", balance_coins=30))["reason"] == "found"


async def test_an_older_balance_that_comes_later_is_not_shown() -> None:
    async with two_nodes(heartbeat_ms=60_000) as pair:
        await pair.one.room("s")
        ann = await pair.two.join("ann")
        await until(lambda: pair.two.node.users.here["ann"].listening)
        await pair.one.grant("ann", 25)
        await ann.hear("balance", balance_coins=25)
        [old] = [letter for letter in pair.from_one.sent if isinstance(letter, Wallet)]
        await pair.one.grant("ann", 10)
        await ann.hear("balance", balance_coins=35)
        pair.from_one.inner.publish(user_channel("ann"), write_letter(old))
        await asyncio.sleep(0.1)
        assert (await ann.ask("joined", type="join", room="s"))["balance_coins"] == 35
        assert [m["balance_coins"] for m in ann.heard if m["type"] == "balance"][-1] == 35


async def test_a_late_letter_does_not_end_the_doubt_about_a_balance() -> None:
    async with two_nodes(heartbeat_ms=60_000) as pair:
        await pair.one.room("s")
        ann = await pair.two.join("ann")
        await until(lambda: pair.two.node.users.here["ann"].listening)
        pair.from_one.lose = lambda letter: isinstance(letter, Wallet)
        await pair.one.grant("ann", 25)
        await pair.one.grant("ann", 10)
        [late, _] = [letter for letter in pair.from_one.sent if isinstance(letter, Wallet)]
        pair.two.node.users.doubt("ann")
        pair.from_one.inner.publish(user_channel("ann"), write_letter(late))
        await ann.hear("balance", balance_coins=25)
        assert (await ann.ask("joined", type="join", room="s"))["balance_coins"] == 35


async def test_an_overlay_is_told_no_balance() -> None:
    async with two_nodes(heartbeat_ms=60_000) as pair:
        overlay = await pair.two.join("cara", role="overlay", rooms=["r"])
        cara = await pair.two.join("cara")
        await until(lambda: pair.two.node.users.here["cara"].listening)
        await pair.one.grant("cara", 25)
        await cara.hear("balance", balance_coins=25)
        await overlay.ask("pong", type="ping")
        assert not [m for m in overlay.heard if m["type"] == "balance"]


async def test_a_reminder_reaches_the_user_wherever_they_watch() -> None:
    async with two_nodes(heartbeat_ms=60_000) as pair:
        await pair.one.grant("ann", 100)
        answer = await pair.one.http.put("/v1/users/ann/limits", json={"daily_coins": 10})
        answer.raise_for_status()
        a, b = await both(pair)
        for number in range(5):
            await a.gift(f"k{number}")
        for client in (a, b):
            notices = [m for m in client.heard if m["type"] == "notice"]
            notice = notices[0] if notices else await client.hear("notice")
            assert notice["details"] == {"percent": 50, "limit_coins": 10, "spent_coins": 5}


# --- forgetting ----------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", [False, True], ids=["told", "the first letter lost"])
async def test_who_is_erased_is_shown_on_no_node_any_more(lost: bool) -> None:
    async with two_nodes() as pair:
        await pair.one.grant("ann", 100)
        ann, bob = await pair.one.join("ann"), await pair.two.join("bob")
        await ann.gift("k1")
        await bob.hear("events")
        if lost:
            said = iter(range(100))
            pair.from_one.lose = lambda letter: next(said) < 2
        (await pair.one.http.post("/v1/users/ann/erase")).raise_for_status()
        assert await bob.closed() == 4003
        again = await pair.two.connect("bob")
        joined = await again.ask("joined", type="join", room="r")
        assert "Ann" not in str(joined)


async def test_a_user_who_left_is_listened_to_no_more() -> None:
    async with two_nodes(gift_rate=100, gift_burst=1) as pair:
        ann = await pair.one.connect("ann")
        heard = pair.from_one.inner._receivers  # type: ignore[attr-defined]
        await until(lambda: user_channel("ann") in heard)
        await ann.socket.close()
        await until(lambda: user_channel("ann") not in heard)
        assert "ann" not in pair.one.node.users.here
