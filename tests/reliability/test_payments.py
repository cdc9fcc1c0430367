"""What a payment provider says, a hundred times each, in parallel and in any order, to a server
that is killed again and again: every payment is one credit, and the books are clean.

The provider is the sandbox, whose notifications the test signs. It behaves as providers do: it says
each thing until it is answered with 200, and more often than that. Nothing is assumed about what a
dead server had booked; only the end is compared.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from kit.building.buying import HOOK, signed
from kit.servers.serving import BACKEND, ServerProcess
from kit.waiting import PATIENCE_S
from reliability.books import check_audit
from reliability.load import Say
from server.payments import ChargedBack, Declined, Notification, Paid, RefundSeen

COINS = 100
AT_ONCE = 40
"""Connections of the provider."""
TRIES = 60

STORIES: dict[str, tuple[str, int, int]] = {
    "paid": ("paid", COINS, 0),
    "declined and paid": ("paid", COINS, 0),
    "part refunded": ("paid", COINS - 60, 60),
    "all refunded": ("refunded", 0, COINS),
    "charged back": ("charged_back", 0, 0),
    "part refunded and charged back": ("charged_back", 0, -1),
    "declined": ("failed", 0, 0),
    "wrong amount": ("pending", 0, 0),
}
"""What happens to a purchase, and how it ends: status, coins left, refunded (−1: either)."""


@dataclass
class Order:
    """A purchase of a user's own, and what the provider has to say of it."""

    story: str
    user: str
    made: dict[str, Any]

    def told(self) -> Iterator[Notification]:
        id, payment = self.made["purchase"], f"pay-{self.user}"
        given: dict[str, Any] = {"purchase": id, "payment": payment, "currency": "USD"}
        if "declined" in self.story:
            yield Declined(purchase=id, reason="the card expired")
        if self.story == "wrong amount":
            yield Paid(amount_minor=COINS - 1, **given)
        elif self.story != "declined":
            yield Paid(amount_minor=COINS, **given)
        for minor in {"part": (20, 60), "all ": (60, COINS)}.get(self.story[:4], ()):
            yield RefundSeen(refunded_minor=minor, **given)
        if "charged back" in self.story:
            yield ChargedBack(amount_minor=COINS, reason="fraudulent", **given)


@dataclass
class Provider:
    """Says everything until it was taken. `left` is what has not been answered with 200."""

    url: str
    left: list[Notification] = field(default_factory=list)
    answers: Counter[int] = field(default_factory=Counter)
    answered: int = 0
    gone: bool = False
    """The server is dead: what has not been said by now is left for its next life."""

    async def talk(self, dice: random.Random) -> None:
        """Say all that is left once, in an order of the dice; a dead server leaves it."""
        saying, self.left, self.gone = self.left, [], False
        dice.shuffle(saying)
        limits = httpx.Limits(max_connections=AT_ONCE)
        async with httpx.AsyncClient(base_url=self.url, limits=limits, timeout=PATIENCE_S) as http:
            turns = asyncio.Semaphore(AT_ONCE)

            async def say(said: Notification) -> None:
                async with turns:
                    if self.gone or await self._say(http, said) != 200:
                        self.left.append(said)

            await asyncio.gather(*map(say, saying))

    async def _say(self, http: httpx.AsyncClient, said: Notification) -> int:
        headers, body = signed(said)
        try:
            status = (await http.post(HOOK, content=body, headers=headers)).status_code
        except httpx.HTTPError:
            return 0
        self.answers[status] += 1
        self.answered += 1
        return status


async def make_orders(url: str, rounds: int) -> list[Order]:
    async with httpx.AsyncClient(base_url=url, headers=BACKEND, timeout=PATIENCE_S) as http:
        orders = []
        for number in range(rounds):
            for story in STORIES:
                user = f"{story.replace(' ', '-')}-{number}"
                body = {"user": user, "coins": COINS}
                made = (await http.post("/v1/purchases", json=body)).raise_for_status().json()
                orders.append(Order(story, user, made))
        return orders


async def kill_amid(server: ServerProcess, provider: Provider, answers: int) -> None:
    """kill −9 when so many more were answered, whatever the others are waiting for."""
    aim = provider.answered + answers
    while provider.answered < aim:
        await asyncio.sleep(0.002)
    server.kill()
    provider.gone = True


async def campaign(
    folder: Path, *, rounds: int, copies: int, kills: int, seed: int, say: Say
) -> None:
    dice = random.Random(seed)
    server = ServerProcess(folder)
    try:
        await asyncio.to_thread(server.start)
        orders = await make_orders(server.url, rounds)
        everything = [said for order in orders for said in order.told()]
        provider = Provider(server.url, everything * copies)
        for _ in range(kills):
            share = len(provider.left) // (2 * kills)
            killing = asyncio.ensure_future(kill_amid(server, provider, dice.randrange(1, share)))
            await provider.talk(dice)
            await killing
            await asyncio.to_thread(server.start)
        for _ in range(TRIES):
            if not provider.left:
                break
            await provider.talk(dice)
        assert not provider.left, provider.left[:3]
        assert provider.answers.keys() <= {200, 503}, provider.answers
        await check_orders(server.url, orders)
    finally:
        server.kill()
    check_audit(server.database)
    say(
        f"{len(orders)} purchases, {len(everything) * copies:,} notifications, {kills} kills: "
        f"{provider.answers[200]:,} taken, {provider.answers[503]:,} to be said again"
    )


async def check_orders(url: str, orders: list[Order]) -> None:
    async with httpx.AsyncClient(base_url=url, headers=BACKEND, timeout=PATIENCE_S) as http:

        async def ask(path: str) -> dict[str, Any]:
            found: dict[str, Any] = (await http.get(f"/v1/{path}")).raise_for_status().json()
            return found

        for order in orders:
            status, coins, refunded = STORIES[order.story]
            now = await ask(f"purchases/{order.made['purchase']}")
            wallet = await ask(f"users/{order.user}/wallet")
            assert (now["status"], wallet["coins"], wallet["coin_debt"]) == (status, coins, 0), now
            if refunded >= 0:
                assert (now["refunded_minor"], now["refunded_coins"]) == (refunded, refunded), now
            lines = (await ask(f"users/{order.user}/statement"))["items"]
            credits = [line["amount"] for line in lines if line["amount"] > 0]
            assert credits in ([], [COINS]), (order.story, lines)
            assert sum(line["amount"] for line in lines) == coins
        entries = (await ask("suspense?limit=200"))["items"]
        wrong = [order.made["purchase"] for order in orders if order.story == "wrong amount"]
        assert sorted(entry["subject"] for entry in entries) == sorted(
            f"purchase {id}" for id in wrong
        ), "each misfit once, and nothing else"


async def test_every_payment_is_one_credit_over_a_kill(tmp_path: Path, say: Say) -> None:
    await campaign(tmp_path, rounds=1, copies=10, kills=1, seed=1, say=say)


@pytest.mark.deep
@pytest.mark.timeout(900)
async def test_every_payment_is_one_credit_over_twenty_kills(tmp_path: Path, say: Say) -> None:
    await campaign(tmp_path, rounds=12, copies=100, kills=20, seed=2, say=say)
