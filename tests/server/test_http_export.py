"""The file with everything about a user: in parts, whole, and one at a time."""

import asyncio
import contextlib
import gc

import httpx
import pytest

from kit.servers.http_asking import get, refused
from kit.waiting import PATIENCE_S
from server.api import people

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIELDS = ["user", "purchases", "refunds", "payouts", "corrections", "commands", "transfers"]


async def gave(stage, gifts=30):
    ann = await stage.join("ann", coins=gifts)
    for number in range(gifts):
        await ann.say(type="gift", room=stage.room, gift="spark", key=f"k{gifts - number}")
    await ann.hear("accepted", key="k1")
    return f"users/{stage.user('ann')}/export"


async def done(stage):
    async with asyncio.timeout(PATIENCE_S):
        while stage.server.context.exporting:
            gc.collect()
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("page", [1, 7, 30, 200])
async def test_in_pages_of_any_size_it_is_the_same_file(stage, monkeypatch, page):
    path = await gave(stage)
    whole = (await get(stage, path)).json()
    monkeypatch.setattr(people, "LIST_MAX", page)
    body = (await get(stage, path)).json()
    assert list(body) == FIELDS
    assert len(body["commands"]) == 30 and len(body["transfers"]) == 31
    assert body == whole
    numbers = [line["outcome"]["seq"] for line in body["commands"]]
    assert numbers == sorted(numbers), "in the order in which they were given"


async def test_one_of_whom_nothing_is_known_is_json_too(stage):
    body = (await get(stage, f"users/{stage.user('zoe')}/export")).json()
    assert body == {name: [] for name in FIELDS} | {"user": None}


async def test_one_export_at_a_time_of_each_user(stage, monkeypatch):
    path = await gave(stage)
    node = stage.server.node
    going, go_on = asyncio.Event(), asyncio.Event()

    async def waits(*arguments):
        going.set()
        await go_on.wait()
        return [], False

    with monkeypatch.context() as slow:
        slow.setattr(node.store, "statement", waits)
        first = asyncio.create_task(get(stage, path))
        await going.wait()
        refused(await get(stage, path), 409, "wrong_state")
        go_on.set()
        assert (await get(stage, f"users/{stage.user('bob')}/export")).status_code == 200
        assert (await first).status_code == 200
    await done(stage)
    assert (await get(stage, path)).status_code == 200


async def test_who_leaves_in_the_middle_may_ask_again(stage, monkeypatch):
    path = await gave(stage)
    never = asyncio.Event()
    with monkeypatch.context() as slow:
        slow.setattr(stage.server.node.store, "statement", lambda *_: never.wait())
        with contextlib.suppress(httpx.ReadTimeout):
            await stage.server.http.get(f"/v1/{path}", timeout=0.3)
        await done(stage)
    assert (await get(stage, path)).status_code == 200
