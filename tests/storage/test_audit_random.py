"""Whatever happens in whatever order, also when the clock jumps about, the audit agrees.

The random lives here know what is in the books (which gifts, purchases and payouts there are), so
that most of what they ask is answered with something else than "there is no such thing".
"""

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from msgspec import UNSET

from kit.building import builders as b
from kit.building.ledgers import NOW_MS, book, new_ledger
from kit.disks.tampering import failed
from storage.sqlite.audit.checks import audit_connection
from storage.sqlite.money_reads import payout_facts

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
USERS = ("ada", "bob", "cleo", "dora", "eve")
STEPS = 120
NO_LIMITS = {"daily_coins": 0, "weekly_coins": 0, "monthly_coins": 0, "first_day_coins": 0}
LOW_LIMITS = {
    "daily_coins": 300,
    "weekly_coins": 600,
    "monthly_coins": 900,
    "first_day_coins": 100,
}


class Life:
    """A ledger, a clock and chance."""

    def __init__(self, connection: sqlite3.Connection, seed: int) -> None:
        self.connection = connection
        self.chance = random.Random(seed)
        self.now_ms = NOW_MS
        self.orders = 0

    def live(self, clock_steps_back: bool) -> None:
        opened = b.open_room("r1"), b.open_room("r2", "dora")
        book(self.connection, self.policy(), *opened, now_ms=self.now_ms)
        wishes: list[Callable[[], Any]] = [self.gift, self.money, self.person, self.creator]
        wishes += [self.take_back, self.odd, self.grant, self.policy]
        for _ in range(STEPS):
            self.now_ms += self.chance.choice([0, 1, 1_000, HOUR_MS, 5 * HOUR_MS, DAY_MS])
            late = self.chance.choice([0, 0, HOUR_MS, DAY_MS, 3 * DAY_MS]) * clock_steps_back
            asked = self.chance.choices(wishes, [40, 30, 6, 14, 8, 6, 4, 2], k=5)
            count = self.chance.choice([1, 1, 2, 5])
            book(self.connection, *(one() for one in asked[:count]), now_ms=self.now_ms - late)

    def any(self, sql: str, otherwise: Any = "x") -> Any:
        found = self.connection.execute(sql).fetchall()
        return self.chance.choice(found)[0] if found else otherwise

    def policy(self) -> Any:
        pick = self.chance.choice
        return b.set_policy(
            rate_permille=pick([500, 0, 333, 1_000]),
            hold_days=pick([0, 1, 1, 7]),
            clawback=pick(["none", "unpaid", "full"]),
            require_adult=pick([True, False]),
            limits=pick([{}, LOW_LIMITS, NO_LIMITS]),
            payouts={
                "minimum_millidiamonds": pick([1, 1_000, 5_000]),
                "automatic_millidiamonds": pick([0, 10**9]),
                "review_first": pick([True, False]),
                "millidiamonds_per_minor": pick([1, 100, 1_000]),
            },
            review=pick([UNSET, {}, {"top_sender_coins_min": 60}, {"look_back_days": 1}]),
            bounds=pick([UNSET, {"pending_purchases_max": 2, "endpoints_max": 1}]),
            shop={"coin_price_micros": pick([10_000, 9_999, 123])},
        )

    def grant(self) -> Any:
        return b.grant(self.chance.choice(USERS), self.chance.choice([1, 30, 200]))

    def gift(self) -> Any:
        pick = self.chance.choice
        return b.gift(
            pick(USERS),
            pick(["rose", "cake", "cake", "lion"]),
            room=pick(["r1", "r2"]),
            quantity=pick([1, 1, 2, 3]),
            visibility=pick(["public", "public", "anonymous"]),
            adult=pick([True] * 9 + [False]),
            name=pick(["A", "B"]),
        )

    def money(self) -> Any:
        pick = self.chance.choice
        if self.orders == 0 or self.chance.random() < 0.15:
            self.orders += 1
            coins = pick([None, 50, 100, 777])
            return b.start_purchase(pick(USERS), coins, f"p{self.orders}")
        id = f"p{self.chance.randint(max(1, self.orders - 3), self.orders)}"
        price = self.any(f"SELECT price_minor FROM purchase WHERE id = '{id}'", 95)
        refund = self.any("SELECT id FROM refund", "f0")
        paid = b.settle_purchase(id, price, payment=pick([f"pay-{id}"] * 5 + ["another"]))
        wishes: list[Any] = [
            paid,
            paid,
            paid,
            b.settle_purchase(id, price + 1),
            b.fail_purchase(id),
        ]
        wishes += [b.attach_checkout(id, checkout=pick("ab")), b.refund_sent(refund)]
        wishes += [b.refund_purchase(id, pick([None, 1, 10, 60]), sent=pick([True, False]))] * 3
        return pick([*wishes, b.charge_back(id), b.charge_back(id, reason="")])

    def person(self) -> Any:
        user, pick = self.chance.choice(USERS), self.chance.choice
        names = self.chance.sample(["daily", "weekly", "monthly", "per_gift"], 2)
        limits = {f"{name}_coins": pick([None, 50, 100, 500, 1_000]) for name in names}
        wishes: list[Any] = [b.set_limits(user, **limits)] * 3 + [b.pause(user), b.freeze(user)]
        wishes += [b.unfreeze(user)] * 2 + [b.hide_level(user, pick([True, False])), b.erase(user)]
        return pick(wishes)

    def creator(self) -> Any:
        name, pick = self.chance.choice(["cleo", "dora"]), self.chance.choice
        payout = self.any("SELECT id FROM payout ORDER BY requested_ms DESC LIMIT 2")
        wallet = f"FROM account WHERE owner = '{name}' AND code = 'diamonds_available'"
        wanted = max(1_000, self.any(f"SELECT credits - debits {wallet}", 0) // 2_000 * 1_000)
        begins, ends = self.now_ms + self.chance.randrange(DAY_MS), self.now_ms + 3 * DAY_MS
        terms = {"from_ms": pick([None, begins]), "until_ms": pick([None, ends])}
        rate = b.set_rate(name, pick([0, 100, 600, 1_000]), **terms)
        wishes: list[Any] = [rate, *[b.release(name)] * 3, *[self.payout(name, wanted)] * 2]
        wishes += [b.approve_payout(payout)] * 2 + [b.pay_payout(payout), b.reject_payout(payout)]
        return pick([*wishes, b.payout_result(payout, pick([True, False]))])

    def payout(self, name: str, wanted: int) -> Any:
        days = self.chance.choice([1, 2, 8, 9, 15])
        facts = payout_facts(self.connection, name, self.now_ms // DAY_MS - days)
        return b.request_payout(name, wanted, facts=self.chance.choice([facts, facts, None]))

    def take_back(self) -> Any:
        gift_id = self.any("SELECT room || ':' || seq FROM event WHERE kind = 'gift'", "r1:1")
        user = self.chance.choice(USERS)
        given = self.connection.execute(
            "SELECT outcome ->> 'room' || ':' || (outcome ->> 'seq') FROM command"
            " WHERE body ->> 'sender' = ? AND outcome ->> 'kind' = 'gift_accepted'",
            (user,),
        ).fetchall()
        some = [id for (id,) in self.chance.sample(given, min(3, len(given)))]
        wishes: list[Any] = [b.retract(gift_id), b.hide(gift_id), b.reverse_gifts(user, some)]
        return self.chance.choice(wishes)

    def odd(self) -> Any:
        pick = self.chance.choice
        account = pick(["coins", "coin_debt", "diamonds_available", "diamond_debt"])
        correction = self.any("SELECT id FROM correction", 1)
        actor, approve = pick(["user:boss", "user:root"]), pick([True, False])
        endpoint = pick([b.set_endpoint, b.rotate_endpoint, b.disable_endpoint])
        wishes: list[Any] = [b.propose_correction(pick(USERS), account, pick([-30, -5, 5, 30]))]
        wishes += [b.decide_correction(correction, approve, actor=actor)] * 2
        wishes += [b.suspend(), b.settle_suspense(self.any("SELECT id FROM suspense", 1))]
        wishes += [endpoint(pick("ab")), b.renew_epochs(str(self.now_ms)), b.open_room("r3")]
        return pick([*wishes, b.close_room("r3")])


@pytest.mark.parametrize("clock", ["steady", "steps_back"])
@pytest.mark.parametrize("seed", range(12))
def test_no_order_of_events_makes_the_audit_complain(seed: int, clock: str) -> None:
    with closing(new_ledger()) as connection:
        Life(connection, seed).live(clock == "steps_back")
        found = audit_connection(connection, replay=seed < 3)
        assert found.ok, failed(found)


def test_a_creator_may_get_more_rates_than_are_remembered() -> None:
    chance = random.Random(7)
    with closing(new_ledger()) as connection:
        book(connection, b.set_policy(), b.open_room(), b.grant("ada", 100_000))
        for step in range(60):
            now_ms = NOW_MS + step * HOUR_MS
            terms = {"until_ms": chance.choice([None, now_ms + HOUR_MS, now_ms + DAY_MS])}
            rate = b.set_rate("cleo", chance.randrange(1_001), **terms)
            book(connection, rate, b.gift(), b.gift(gift="cake"), now_ms=now_ms)
            book(connection, b.gift(), now_ms=now_ms + HOUR_MS - 1)
        found = audit_connection(connection)
        assert found.ok, failed(found)
