"""Creators with diamonds of real gifts, for tests of what becomes of diamonds."""

from typing import Any

import httpx

from kit.servers.http_asking import bearer, post
from rules.commands import ReleaseDiamonds

EARNS = {
    "hold_days": 0,
    "payout_minimum_millidiamonds": 1_000,
    "payout_review_first": False,
    "heartbeat_ms": 60_000,
}
"""Settings with which diamonds can be paid out at once, and nothing is flagged for being first."""


async def earn(stage: Any, coins: int = 100, sender: str = "ann", key: str = "g1") -> str:
    """The stage's creator, after a gift of so many coins whose diamonds are available."""
    client = await stage.join(sender, coins=coins)
    answer = await stage.gift(client, key, gift="spark", quantity=coins)
    assert answer["type"] == "accepted", answer
    await release(stage)
    return str(stage.creator)


async def release(stage: Any) -> None:
    """What is pending becomes available; the server may have seen to it before."""
    key = f"release-{stage.room}-{len(stage.clients)}"
    command = ReleaseDiamonds(actor="operator", key=key, creator=stage.creator)
    await stage.server.node.settlement.ask(command)
    assert (await diamonds(stage))["pending"] == 0


async def diamonds(stage: Any) -> dict[str, int]:
    """The creator's millidiamonds by where they are."""
    wallet = await stage.get(f"users/{stage.creator}/wallet")
    return {name: wallet[f"millidiamonds_{name}"] for name in ("pending", "available", "reserved")}


async def asked(stage: Any, millidiamonds: int, **headers: str) -> httpx.Response:
    """The creator asks for a payout."""
    body = {"millidiamonds": millidiamonds}
    return await post(stage, "payouts", body, **(bearer(stage.creator, role="creator") | headers))


async def open_payout(stage: Any, millidiamonds: int = 50_000, *, approve: bool = False) -> str:
    """The id of a payout of the creator's, asked for or approved."""
    answer = await asked(stage, millidiamonds)
    assert answer.status_code == 201, answer.text
    payout = str(answer.json()["payout"])
    if approve:
        await stage.post(f"payouts/{payout}/approve")
    return payout
