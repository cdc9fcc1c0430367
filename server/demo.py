"""The demo's life: one seeded room and a few gifters who are never quite at rest.

They use the settlement path that everybody uses, with play money, so what a visitor sees is the
real thing: durable, counted, on the board.
"""

import asyncio
import random
import secrets

from rules.commands import Grant, OpenRoom, SendGift
from server.settlement import Settlement

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


async def play(settlement: Settlement, rng: random.Random, gifters: int) -> None:
    """Open the room and gift until cancelled."""
    await settlement.ask(
        OpenRoom(
            actor="operator",
            key="demo-room",
            room=DEMO_ROOM,
            title="Mira draws the harbour",
            creator=CREATOR,
            creator_name="Mira",
            epoch=secrets.token_hex(8),
        )
    )
    async with asyncio.TaskGroup() as tasks:
        for number in range(gifters):
            name = NAMES[number % len(NAMES)] + (f" {number}" if number >= len(NAMES) else "")
            tasks.create_task(_gifter(settlement, f"demo-{number}", name, rng))


async def _gifter(settlement: Settlement, user: str, name: str, rng: random.Random) -> None:
    """One gifter: a pause, then a short burst of one gift; a top-up when the wallet is empty."""
    gifts, weights = zip(*FAVOURITES, strict=True)
    while True:
        await asyncio.sleep(rng.expovariate(1 / 6))
        gift = rng.choices(gifts, weights)[0]
        for _ in range(rng.choice((1, 1, 2, 3, 5, 8)) if gift not in gifts[-3:] else 1):
            command = SendGift(
                actor=f"user:{user}",
                key=secrets.token_hex(16),
                sender=user,
                name=name,
                adult=True,
                room=DEMO_ROOM,
                gift=gift,
            )
            result = await settlement.ask(command)
            if getattr(result.outcome, "code", "") == "insufficient_coins":
                await _top_up(settlement, user)
            await asyncio.sleep(rng.uniform(0.15, 0.6))


async def _top_up(settlement: Settlement, user: str) -> None:
    key = secrets.token_hex(16)
    await settlement.ask(
        Grant(actor="operator", key=key, user=user, coins=COINS, reason="play money")
    )
