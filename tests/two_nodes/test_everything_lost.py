"""Whatever the fan-out does, what is shown ends up as what is booked.

Chance loses a third of the letters, delays, doubles and reorders the others; people give through
both nodes, coins are granted, gifts are hidden and taken back through nodes where nobody watches,
some commands are settled by a node that tells nobody, and viewers come and go. Then it is quiet,
the letters still as bad as before: every viewer has every line once and in order, the totals are
the books', and so are the balances.
"""

import asyncio
import contextlib
import random
import time
from typing import Any

import pytest

from kit.building.builders import gift as gift_command
from kit.servers.leaky import Pair, two_nodes
from kit.servers.serving import Client, Live
from kit.waiting import until

GIFTERS = ("ann", "bob", "both")
GIFTS = 40


class Viewer:
    """A connection and what it was told, folded as a page would."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.seq = self.total = -1
        self.balance = -1
        for message in client.heard:
            self.take(message)

    def take(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "joined":
                self.seq, self.total = message["seq"], message["total_coins"]
                self.balance = message["balance_coins"]
            case "events":
                assert message["first"] == self.seq + 1, "a gap, or a line twice"
                assert message["total_before"] == self.total
                self.seq, self.total = message["last"], message["total_coins"]
            case "balance" | "accepted":
                self.balance = message["balance_coins"]
            case "heartbeat":
                assert message["rooms"].get("r", self.seq) == self.seq

    async def watch(self) -> None:
        while True:
            self.take(await self.client.hear(*ANYTHING))


ANYTHING = (
    "joined", "left", "accepted", "refused", "events", "board", "standing", "viewers",
    "combo_ended", "balance", "level_up", "heartbeat", "pong", "notice",
)  # fmt: skip


async def join(live: Live, user: str) -> Viewer:
    return Viewer(await live.join(user))


async def give(pair: Pair, viewers: list[Viewer], name: str, rng: random.Random) -> None:
    for number in range(GIFTS):
        viewer = rng.choice(viewers)
        gift = rng.choice(("spark", "clap"))
        await viewer.client.say(type="gift", room="r", gift=gift, key=f"{name}-{number}")
        await asyncio.sleep(rng.choice((0, 0, 0.01, 0.05)))


async def run_the_room(pair: Pair, rng: random.Random) -> None:
    """What the platform does meanwhile, through either node or none that tells."""
    for number in range(12):
        await asyncio.sleep(0.05)
        live = rng.choice((pair.one, pair.two))
        match number % 4:
            case 0:
                await live.grant(rng.choice(GIFTERS), 7)
            case 1:
                lone = gift_command("ann", gift="spark", room="r", key=f"lone-{number}")
                await pair.store.settle([lone], int(time.time() * 1000))
            case 2:
                await live.http.post(f"/v1/gifts/r:{number}/hide")
            case 3:
                await live.http.post(f"/v1/gifts/r:{number}/retract", json={"reason": "test"})


async def come_and_go(pair: Pair, rng: random.Random) -> None:
    for number in range(6):
        live = rng.choice((pair.one, pair.two))
        client = await live.join(f"guest{number}")
        await asyncio.sleep(rng.choice((0.01, 0.1)))
        await client.socket.close()
        hub = live.node.hub
        if number % 2 and "r" in hub.halls and not hub.halls["r"].everyone():
            hub.close_hall(hub.halls["r"])


SEEDS = [*range(2), *(pytest.param(seed, marks=pytest.mark.deep) for seed in range(2, 20))]


@pytest.mark.parametrize("seed", SEEDS)
async def test_what_is_shown_ends_as_what_is_booked(seed: int) -> None:
    rng = random.Random(seed)
    async with two_nodes() as pair:
        for user in GIFTERS:
            await pair.one.grant(user, 1_000)
        pair.from_one.rng, pair.from_two.rng = random.Random(seed), random.Random(-seed - 1)
        ann, bob = await join(pair.one, "ann"), await join(pair.two, "bob")
        both = [await join(pair.one, "both"), await join(pair.two, "both")]
        looking = [await join(pair.one, "w1"), await join(pair.two, "w2")]
        everyone = [ann, bob, *both, *looking]
        async with asyncio.TaskGroup() as tasks:
            watching = [tasks.create_task(viewer.watch()) for viewer in everyone]
            with contextlib.suppress(asyncio.CancelledError):
                async with asyncio.TaskGroup() as doing:
                    doing.create_task(give(pair, [ann], "ann", rng))
                    doing.create_task(give(pair, [bob], "bob", rng))
                    doing.create_task(give(pair, both, "both", rng))
                    doing.create_task(run_the_room(pair, rng))
                    doing.create_task(come_and_go(pair, rng))
            await until(lambda: the_last_gifts_are_answered(everyone))
            await settled_down(pair, everyone)
            for task in watching:
                task.cancel()


def the_last_gifts_are_answered(viewers: list[Viewer]) -> bool:
    answers = [m for v in viewers for m in v.client.heard if m["type"] in ("accepted", "refused")]
    return len(answers) == len(GIFTERS) * GIFTS


async def settled_down(pair: Pair, viewers: list[Viewer]) -> None:
    room = (await pair.one.http.get("/v1/rooms/r")).json()
    assert room["seq"] > len(GIFTERS) * GIFTS
    coins = {}
    for user in (*GIFTERS, "w1", "w2"):
        coins[user] = (await pair.one.http.get(f"/v1/users/{user}/wallet")).json()["coins"]
    users = (*GIFTERS[:2], GIFTERS[2], GIFTERS[2], "w1", "w2")
    with contextlib.suppress(TimeoutError):
        await until(
            lambda: all(
                (viewer.seq, viewer.balance) == (room["seq"], coins[user])
                for viewer, user in zip(viewers, users, strict=True)
            )
        )
    assert [viewer.seq for viewer in viewers] == [room["seq"]] * len(viewers)
    assert [viewer.total for viewer in viewers] == [room["total_coins"]] * len(viewers)
    assert [viewer.balance for viewer in viewers] == [coins[user] for user in users]
