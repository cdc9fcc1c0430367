"""Two servers on one ledger follow the same policy and refuse the same tokens."""

import asyncio
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
import websockets

from kit.building.builders import revoke_token, set_policy
from kit.servers.serving import Live, token
from kit.servers.two import Nodes
from kit.waiting import until
from server import in_force
from server.clock import now_ms

LOOK_MS = 100
GIFTS = """
currency = "USD"
[[gift]]
id = "rose"
name = "Rose"
coins = 3
combo = true
animation = "tray"
ttl_s = 3
"""


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_force, "LOOK_MS", LOOK_MS)


async def lets_in(node: Live, token: str) -> bool:
    try:
        async with websockets.connect(f"{node.ws}?token={token}"):
            return True
    except websockets.InvalidStatus as refused:
        assert refused.response.status_code == 401
        return False


async def link(node: Live, **headers: str) -> dict[str, Any]:
    answer = await node.http.post("/v1/overlays", json={"room": "r"}, headers=headers)
    made: dict[str, Any] = answer.raise_for_status().json()
    return made


async def revoke(node: Live, **body: Any) -> dict[str, Any]:
    wish = {"reason": "leaked"} | body
    answer = await node.http.post("/v1/tokens/revoke", json=wish)
    made: dict[str, Any] = answer.raise_for_status().json()
    return made


async def test_a_new_link_ends_the_old_one_at_once_here_and_soon_elsewhere(nodes: Nodes) -> None:
    one, two = await nodes.start(), await nodes.start()
    await one.room()
    old = (await link(one))["token"]
    assert await lets_in(one, old) and await lets_in(two, old)
    new = (await link(one))["token"]
    assert (await lets_in(one, old), await lets_in(one, new)) == (False, True)

    async def refused() -> bool:
        return not await lets_in(two, old)

    await until(refused)
    assert await lets_in(two, new)


async def test_links_are_replaced_across_nodes_and_restarts(nodes: Nodes) -> None:
    one = await nodes.start()
    await one.room()
    first = (await link(one))["token"]
    await nodes.stop(one)
    two = await nodes.start()
    second = (await link(two))["token"]
    assert (await lets_in(two, first), await lets_in(two, second)) == (False, True)
    await nodes.stop(two)
    three = await nodes.start()
    third = (await link(three))["token"]
    ways = [await lets_in(three, each) for each in (first, second, third)]
    assert ways == [False, False, True]


async def test_the_same_key_gets_the_same_link_to_the_letter(nodes: Nodes) -> None:
    one, two = await nodes.start(), await nodes.start()
    await one.room()
    made = await link(one, **{"Idempotency-Key": "k"})
    await asyncio.sleep(1.1)  # another second, in which another token would end later
    again = await link(two, **{"Idempotency-Key": "k"})
    assert again["token"] == made["token"]
    assert await lets_in(one, made["token"])


async def test_a_revoked_token_is_refused_and_its_connections_are_closed_on_every_node(
    nodes: Nodes,
) -> None:
    one, two = await nodes.start(heartbeat_ms=600_000), await nodes.start(heartbeat_ms=600_000)
    await one.room()
    here, there = await one.join("ann", jti="t1"), await two.join("ann", jti="t1")
    other = await two.join("ann", jti="t2")
    assert await revoke(one, jti="t1") == {"jti": "t1", "expires_ms": None}
    assert await here.closed() == 4502
    assert await there.closed() == 4502
    answer = await one.http.get(
        "/v1/users/ann/wallet", headers={"Authorization": f"Bearer {token('ann', jti='t1')}"}
    )
    assert answer.status_code == 401
    await other.ask("pong", type="ping")


async def test_who_revokes_is_answered_when_it_holds_there(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_force, "LOOK_MS", 600_000)
    one = await nodes.start()
    headers = {"Authorization": f"Bearer {token('ann', jti='t1')}"}
    assert (await one.http.get("/v1/users/ann/wallet", headers=headers)).status_code == 200
    await revoke(one, jti="t1")
    assert (await one.http.get("/v1/users/ann/wallet", headers=headers)).status_code == 401


async def test_a_restart_forgets_no_revocation(nodes: Nodes) -> None:
    one = await nodes.start()
    await revoke(one, jti="t1", expires_ms=2**52)
    await nodes.stop(one)
    two = await nodes.start()
    headers = {"Authorization": f"Bearer {token('ann', jti='t1')}"}
    assert (await two.http.get("/v1/users/ann/wallet", headers=headers)).status_code == 401
    assert await revoke(two, jti="t1", expires_ms=5) == {"jti": "t1", "expires_ms": 2**52}


@pytest.mark.parametrize(
    "wrong",
    [
        {"jti": ""},
        {"jti": "x" * 129},
        {"jti": "t1", "expires_ms": 0},
        {"jti": "t1", "expires_ms": "5"},
        {"jti": "t1", "reason": ""},
        {"jti": "t1", "token": "x"},
        {},
    ],
)
async def test_a_wish_that_names_no_token_is_refused(nodes: Nodes, wrong: dict[str, Any]) -> None:
    one = await nodes.start()
    wish = {"reason": "leaked"} | wrong
    answer = await one.http.post("/v1/tokens/revoke", json=wish)
    assert answer.status_code in (400, 422), answer.text
    assert (await one.node.store.rulings(0, 0, 10)).revoked == []


async def test_only_the_backend_revokes(nodes: Nodes) -> None:
    one = await nodes.start()
    for role in ("viewer", "creator", "admin"):
        headers = {"Authorization": f"Bearer {token('eve', role=role)}"}
        body = {"jti": "t1", "reason": "spite"}
        answer = await one.http.post("/v1/tokens/revoke", json=body, headers=headers)
        assert answer.status_code == 403


async def limit_of(node: Live) -> int:
    wallet = (await node.http.get("/v1/users/ann/wallet")).json()
    return int(wallet["limits"]["daily"]["limit_coins"])


async def test_the_node_that_starts_last_sets_the_policy_and_all_follow(
    nodes: Nodes, logs: list[dict[str, Any]]
) -> None:
    one = await nodes.start(daily_limit_coins=100, hold_days=3)
    assert await limit_of(one) == 100
    two = await nodes.start(daily_limit_coins=200, hold_days=5)
    assert await limit_of(two) == 200

    async def followed() -> bool:
        return await limit_of(one) == 200

    await until(followed)
    assert one.node.in_force.policy == two.node.in_force.policy
    changed = {"event": "policy.changed", "log_level": "warning"}
    found = {"event": "policy.not_as_settings_say", "log_level": "warning"}
    differs = {"differs": ["hold_days", "limits.daily_coins"]}
    assert changed | differs in logs and found | differs in logs


async def test_a_connection_that_cannot_be_closed_keeps_no_node_from_following(
    nodes: Nodes,
) -> None:
    one = await nodes.start()
    told: list[set[str]] = []

    def close(token_ids: Collection[str]) -> None:
        told.append(set(token_ids))
        if len(told) == 1:
            raise ZeroDivisionError

    one.node.in_force.on_revoked(close)
    wanted = set_policy(hold_days=2)
    await nodes.store.settle([revoke_token("t1"), wanted], now_ms())
    await until(lambda: one.node.in_force.policy == wanted.policy)
    await until(lambda: told == [{"t1"}, {"t1"}])


async def test_what_depends_on_the_policy_uses_the_one_in_force(
    nodes: Nodes, tmp_path: Path
) -> None:
    one = await nodes.start(hold_days=3)
    before = (await one.http.get("/v1/catalogue")).json()
    file = tmp_path / "gifts.toml"
    file.write_text(GIFTS)
    two = await nodes.start(hold_days=0, catalogue=str(file))
    after = (await two.http.get("/v1/catalogue")).json()
    assert after["version"] != before["version"]

    async def followed() -> bool:
        return bool((await one.http.get("/v1/catalogue")).json() == after)

    await until(followed)
    ann = await one.connect()
    await ann.say(type="hello", token=token("ann"), protocol=1)
    assert (await ann.hear("welcome"))["catalogue"] == after["version"]
    # The node on duty was started with three days of hold, and releases at once now.
    await one.room()
    await one.grant("bob", 100)
    bob = await one.join("bob")
    await bob.gift("k", gift="rose")

    async def released() -> bool:
        wallet = (await one.http.get("/v1/users/cara/wallet")).json()
        return bool(wallet["millidiamonds_available"] > 0)

    assert one.node.webhooks is not None
    await until(released)


async def test_the_others_look_at_once_and_close_who_is_connected(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_force, "LOOK_MS", 600_000)
    one, two = await nodes.start(), await nodes.start()
    await one.room()
    ann = await two.connect("ann", jti="lost-phone")
    await revoke(one, jti="lost-phone")
    assert await ann.closed() == 4502
    old = (await link(one))["token"]
    async with websockets.connect(f"{two.ws}?token={old}") as overlay:
        await overlay.recv()
        await link(one)
        with pytest.raises(websockets.ConnectionClosed):
            async with asyncio.timeout(20):
                while True:
                    await overlay.recv()
        assert overlay.close_code == 4502
