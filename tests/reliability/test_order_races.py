"""A hundred and twenty requests at once against a limit that has room for fifty.

The limits are decided inside the transaction, so it does not matter how many requests are on their
way before the first is answered: as many are accepted as there is room for, and no more.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from kit.servers.http_asking import bearer, refused
from kit.servers.serving import BACKEND, Live, live
from reliability.books import check_audit

pytestmark = pytest.mark.asyncio

AT_ONCE = 120
LIMIT = 50


def asking(server: Live, headers: dict[str, str]) -> httpx.AsyncClient:
    """A client that holds no request back, and uses no connection twice: a slow machine may come
    back to one just when the server closes it for its idleness."""
    limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=0)
    return httpx.AsyncClient(base_url=server.url, headers=headers, limits=limits, timeout=60)


async def patient(ask: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
    """Ask again, under the same key, while the server is too busy to say anything else."""
    while (answer := await ask()).status_code == 503:
        await asyncio.sleep(0.05)
    return answer


async def at_once(*requests: Any) -> tuple[list[httpx.Response], list[httpx.Response]]:
    """What was made and what was refused, of requests that are sent together."""
    answers = await asyncio.gather(*requests)
    refusals = [answer for answer in answers if answer.is_error]
    return [answer for answer in answers if not answer.is_error], refusals


async def test_orders_at_once_leave_fifty_waiting(tmp_path) -> None:
    database = f"sqlite:///{tmp_path / 'books.db'}"
    async with live(database) as server, asking(server, bearer("ann")) as ann:

        def order(number: int) -> Any:
            key = {"Idempotency-Key": f"order-{number}"}
            wish = {"coins": 100}
            return patient(lambda: ann.post("/v1/purchases", json=wish, headers=key))

        made, refusals = await at_once(*map(order, range(AT_ONCE)))
        assert Counter(answer.status_code for answer in made) == {201: LIMIT}
        for answer in refusals:
            assert refused(answer, 409, "wrong_state")["details"] == {"most": LIMIT}
        waiting = await server.node.store.money.purchases("ann", "pending", None, 2 * AT_ONCE)
        assert {row.id for row in waiting} == {answer.json()["purchase"] for answer in made}

        again, refusals = await at_once(*map(order, range(AT_ONCE)))
        assert [a.json() for a in again] == [a.json() for a in made], "a retry is no new order"
        assert len(refusals) == AT_ONCE - LIMIT
        body = {"coins": 100, "user": "ann"}
        (await server.http.post("/v1/purchases", json=body)).raise_for_status()
    check_audit(database)


async def test_endpoints_at_once_are_fifty(tmp_path) -> None:
    database = f"sqlite:///{tmp_path / 'books.db'}"
    async with (
        live(database, webhook_allow_private=True) as server,
        asking(server, BACKEND) as backend,
    ):

        def put(number: int) -> Any:
            wish = {"url": f"http://127.0.0.1:9/{number}", "events": ["payout.paid"]}
            return patient(lambda: backend.put(f"/v1/webhook-endpoints/hook-{number}", json=wish))

        made, refusals = await at_once(*map(put, range(AT_ONCE)))
        assert Counter(answer.status_code for answer in made) == {200: LIMIT}
        for answer in refusals:
            assert refused(answer, 422, "invalid")["details"]["field"] == "endpoint"
        assert len(await server.node.store.money.endpoints()) == LIMIT
        known = int(made[0].json()["id"].removeprefix("hook-"))
        assert (await put(known)).status_code == 200, "one that is known may be set anew"
    check_audit(database)
