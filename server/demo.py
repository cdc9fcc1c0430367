"""The demo's life: one seeded room and a few gifters who are never quite at rest.

They are strangers to the server: each has a connection and a token of its own and uses the client
library, with play money. So what a visitor sees is the real thing: authenticated, durable, counted,
on the board.
"""

import asyncio
import contextlib
import random
from dataclasses import dataclass

from largesse_client import (
    ApiError,
    Backend,
    Ended,
    Live,
    Refused,
    Unreachable,
    connect,
    make_token,
)

DEMO_ROOM = "demo"
CREATOR = "mira"
COINS = 50_000
NAMES = (
    "Ada", "Bruno", "Chidi", "Dana", "Emre", "Freya", "Goro", "Hana", "Ines", "Jonas",
    "Kofi", "Lena", "Mateo", "Noor", "Oskar", "Priya", "Quinn", "Rosa", "Sami", "Tove",
)  # fmt: skip
FAVOURITES = (
    ("spark", 30), ("leaf", 20), ("wave", 20), ("clap", 15), ("note", 10), ("biscuit", 10),
    ("kettle", 6), ("lantern", 6), ("comet", 4), ("kite", 3), ("drum", 2), ("crownlet", 2),
    ("lighthouse", 1), ("orchard", 1), ("aurora", 1),
)  # fmt: skip
"""Gifts and how often they are chosen: small ones mostly, as in life."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where the demo plays, and who may act there."""

    url: str
    token_secret: str
    backend: Backend


async def play(url: str, token_secret: str, api_key: str, rng: random.Random, gifters: int) -> None:
    """Open the room and gift until cancelled."""
    async with Backend(url, api_key) as backend, asyncio.TaskGroup() as tasks:
        await backend.rooms.open(
            DEMO_ROOM,
            title="Mira draws the harbour",
            creator=CREATOR,
            creator_name="Mira",
            key="demo-room",
        )
        stage = Stage(url=url, token_secret=token_secret, backend=backend)
        for number in range(gifters):
            name = NAMES[number % len(NAMES)] + (f" {number}" if number >= len(NAMES) else "")
            tasks.create_task(_gifter(stage, f"demo-{number}", name, rng))


async def _gifter(stage: Stage, user: str, name: str, rng: random.Random) -> None:
    """One gifter, who comes back whatever happens: the demo must not end for a busy second."""

    def token() -> str:
        return make_token(stage.token_secret, user, name=name, adult=True)

    while True:
        with contextlib.suppress(TimeoutError, ApiError, Unreachable, Ended):
            async with connect(stage.url, token, news_max=1) as live:
                while True:
                    await _visit(stage, live, user, rng)
        await asyncio.sleep(1)


async def _visit(stage: Stage, live: Live, user: str, rng: random.Random) -> None:
    """A pause, then a look into the room with a short burst of one gift. Whoever pauses does not
    follow the room, so that a thousand gifters are not a thousand listeners."""
    gifts, weights = zip(*FAVOURITES, strict=True)
    await asyncio.sleep(rng.expovariate(1 / 6))
    await live.join(DEMO_ROOM)
    gift = rng.choices(gifts, weights)[0]
    for _ in range(rng.choice((1, 1, 2, 3, 5, 8)) if gift not in gifts[-3:] else 1):
        answer = await live.gift(room=DEMO_ROOM, gift=gift)
        if isinstance(answer, Refused) and answer.code == "insufficient_coins":
            await stage.backend.users.grant(user, COINS, reason="play money")
        await asyncio.sleep(rng.uniform(0.15, 0.6))
    live.leave(DEMO_ROOM)
