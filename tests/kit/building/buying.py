"""Coins for money, for tests: orders, and what a provider says of them, signed as it would."""

import time
from typing import Any

import httpx

from kit.servers.http_asking import post
from kit.servers.serving import SECRET
from server.payments import Notification, Paid, Sandbox

HOOK = "/v1/webhooks/sandbox"


def now_ms() -> int:
    return int(time.time() * 1000)


def signed(said: Notification, at_ms: int | None = None) -> tuple[dict[str, str], bytes]:
    """The headers and the body that the sandbox would send now."""
    return Sandbox(SECRET).notify(said, at_ms or now_ms())


async def tell(http: httpx.AsyncClient, said: Notification) -> httpx.Response:
    """Say it as the provider does: signed, and without the backend's key."""
    headers, body = signed(said)
    return await http.post(HOOK, content=body, headers=headers | {"Authorization": ""})


def paid(purchase: dict[str, Any], **changed: Any) -> Paid:
    """The whole price, by a payment that is named after the purchase."""
    given = {
        "purchase": purchase["purchase"],
        "payment": f"pay-{purchase['purchase']}",
        "amount_minor": purchase["price_minor"],
        "currency": purchase["currency"],
    }
    return Paid(**(given | changed))


async def order(stage: Any, name: str = "ann", coins: int = 100, **headers: str) -> dict[str, Any]:
    """A pending purchase that the backend has made for a user."""
    body = {"user": stage.user(name), "coins": coins}
    answer = await post(stage, "purchases", body, **headers)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def buy(stage: Any, name: str = "ann", coins: int = 100) -> dict[str, Any]:
    """A purchase that was paid for."""
    made = await order(stage, name, coins)
    assert (await tell(stage.server.http, paid(made))).status_code == 200
    return await purchase(stage, made)


async def purchase(stage: Any, made: dict[str, Any]) -> dict[str, Any]:
    """The purchase as it stands now."""
    found: dict[str, Any] = await stage.get(f"purchases/{made['purchase']}")
    return found


async def wallet(stage: Any, name: str = "ann") -> dict[str, Any]:
    found: dict[str, Any] = await stage.get(f"users/{stage.user(name)}/wallet")
    return found
