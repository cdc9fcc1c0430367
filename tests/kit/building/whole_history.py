"""A history in which everything happens: every command, and every way that money can go."""

import sqlite3
from pathlib import Path
from typing import Any

from kit.building import builders as b
from kit.building.ledgers import NOW_MS, book, new_ledger
from rules.commands import AnyCommand
from storage.sqlite.money_reads import payout_facts

DAY_MS = 86_400_000
PAYOUTS = {"minimum_millidiamonds": 1_000}
BOUNDS = {"pending_purchases_max": 2, "endpoints_max": 3}


def whole_history(path: Path | str = ":memory:") -> sqlite3.Connection:
    """The connection that wrote it. ada gives and buys, bob keeps limits and is erased, eve pauses
    and is frozen, fay's card is stolen, liv does nothing unusual; cleo, dora and kim earn."""
    connection = new_ledger(path)
    _open_the_house(connection)
    _buy_and_give(connection)
    _set_limits(connection)
    _cash_out(connection)
    _charge_back(connection)
    _correct(connection)
    _end(connection)
    return connection


def _open_the_house(connection: sqlite3.Connection) -> None:
    book(connection, b.set_policy(hold_days=1, payouts=PAYOUTS))
    book(connection, b.open_room("r1"), b.open_room("r2", "dora"), b.open_room("r1"))
    book(connection, b.grant("ada"), b.grant("bob"), b.grant("eve", 30))
    book(connection, b.gift("ada"), b.gift("ada"), b.gift("eve", "lion"), b.gift("eve", "cake"))
    book(connection, b.gift("bob", "cake", visibility="anonymous", message="psst"))


def _buy_and_give(connection: sqlite3.Connection) -> None:
    book(connection, b.start_purchase("ada"), b.attach_checkout(), b.attach_checkout(checkout="2"))
    book(connection, b.settle_purchase(), b.settle_purchase(), b.settle_purchase("p1", 94))
    book(connection, b.start_purchase("fay", 200, "p2"), b.settle_purchase("p2", 200))
    book(connection, b.start_purchase("fay", purchase="p3"), b.settle_purchase("p3"))
    book(connection, b.gift("fay", "cake"), b.gift("fay", "cake", quantity=8), now_ms=NOW_MS + 1)
    book(connection, b.set_rate("cleo"), b.gift("fay", "cake", quantity=2), now_ms=NOW_MS + 2)
    book(connection, b.set_rate("dora", rate_permille=700, from_ms=NOW_MS + DAY_MS))
    book(connection, b.retract("r1:2"), b.hide("r1:1"), b.retract("r1:4"), now_ms=NOW_MS + 3)
    book(connection, b.refund_purchase("p1", 10, "f1"), b.refund_sent("f1"), now_ms=NOW_MS + 4)
    book(connection, b.refund_purchase("p3", refund="f3"), now_ms=NOW_MS + 5)
    book(connection, b.start_purchase("ada", purchase="p4"), b.fail_purchase("p4"))
    book(connection, b.start_purchase("ada", purchase="p5"), b.charge_back("p5"))
    book(connection, b.settle_purchase("p5"), b.fail_purchase("p4"))
    book(connection, b.start_purchase("gus", purchase="p6"), b.settle_purchase("p6"))
    book(connection, b.gift("gus", "cake", quantity=2, room="r2"), now_ms=NOW_MS + 6)
    book(connection, b.open_room("r3", "kim"), b.start_purchase("liv", 60, "p7"))
    book(connection, b.settle_purchase("p7", 60), b.gift("liv", "cake", room="r3"))


def _set_limits(connection: sqlite3.Connection) -> None:
    now_ms = NOW_MS + 1_000
    lower = b.set_limits("bob", daily_coins=100, weekly_coins=500, per_gift_coins=50)
    book(connection, lower, b.gift("bob", "lion"), b.gift("bob", "cake"), now_ms=now_ms)
    higher = b.set_limits("bob", daily_coins=200, weekly_coins=None)
    book(connection, higher, b.pause("eve", 7), b.gift("eve"), now_ms=now_ms + 1)
    book(connection, b.freeze("eve"), b.freeze("ida"), b.hide_level("bob"), now_ms=now_ms + 2)
    book(connection, b.unfreeze("eve"), b.unfreeze("eve"), b.freeze("eve"), now_ms=now_ms + 3)
    book(connection, b.gift("ada", "lion", room="r2"), now_ms=now_ms + 4)


def _ask(connection: sqlite3.Connection, creator: str, millidiamonds: int, now_ms: int) -> Any:
    asked = b.request_payout(creator, millidiamonds, flags=("new_account",))
    return book(connection, asked, now_ms=now_ms)[0].outcome


def _cash_out(connection: sqlite3.Connection) -> None:
    now_ms = NOW_MS + 3 * DAY_MS
    everybody = [b.release(creator) for creator in ("cleo", "dora", "kim")]
    book(connection, *everybody, now_ms=now_ms)
    paid = _ask(connection, "cleo", 60_000, now_ms).payout
    book(connection, b.approve_payout(paid), b.pay_payout(paid, reference="b1"), now_ms=now_ms + 1)
    sent_back = _ask(connection, "dora", 100_000, now_ms + 2).payout
    book(connection, b.approve_payout(sent_back), now_ms=now_ms + 3)
    book(connection, b.payout_result(sent_back, False), b.payout_result(paid), now_ms=now_ms + 4)
    book(connection, b.payout_result(paid, False), b.payout_result("payout-0"), now_ms=now_ms + 5)
    rejected = _ask(connection, "dora", 50_000, now_ms + 6).payout
    book(connection, b.reject_payout(rejected), now_ms=now_ms + 7)
    _ask(connection, "dora", 120_000, now_ms + 8)


def _charge_back(connection: sqlite3.Connection) -> None:
    now_ms = NOW_MS + 4 * DAY_MS
    book(connection, b.charge_back("p2"), b.charge_back("p0"), now_ms=now_ms)
    book(connection, b.gift("fay"), b.grant("fay", 70), b.gift("fay"), now_ms=now_ms + 1)
    book(connection, b.reverse_gifts("ada", ["r1:1", "r2:2"]), now_ms=now_ms + 2)
    book(connection, b.reverse_gifts("ada", ["r2:2"]), b.gift("ada", "cake"), now_ms=now_ms + 3)
    book(connection, b.suspend(), now_ms=now_ms + 4)
    entry = connection.execute("SELECT max(id) FROM suspense").fetchone()[0]
    book(connection, b.settle_suspense(entry), now_ms=now_ms + 5)
    seen: list[AnyCommand] = [b.see_refund("p1", 28), b.see_refund(None, 28, payment="payment-p1")]
    seen += [b.see_refund("p1", 30), b.see_refund("p0"), b.win_chargeback("p2")]
    other = {"payment": "other", "amount_minor": 95, "currency": "USD"}
    told: list[AnyCommand] = [
        b.charge_back("p1", **other),
        b.charge_back(None, **other),
        b.win_chargeback("p0"),
    ]
    book(connection, *seen, *told, now_ms=now_ms + 6)


def _correct(connection: sqlite3.Connection) -> None:
    now_ms = NOW_MS + 5 * DAY_MS
    wanted = [("ada", "coins", 7), ("ada", "coins", -3), ("hal", "diamond_debt", -3)]
    proposed = book(connection, *(b.propose_correction(*one) for one in wanted), now_ms=now_ms)
    for place, result in enumerate(proposed):
        number = getattr(result.outcome, "correction", 0)
        decided = b.decide_correction(number, approve=place != 1)
        book(connection, decided, now_ms=now_ms + 1 + place)
    book(connection, b.propose_correction("ada", "coins", 1), now_ms=now_ms + 5)
    book(connection, b.gift("liv", room="r3"), now_ms=now_ms + 6)


def _end(connection: sqlite3.Connection) -> None:
    now_ms = NOW_MS + 6 * DAY_MS
    book(connection, b.set_endpoint(), b.rotate_endpoint(), b.disable_endpoint(), now_ms=now_ms)
    book(connection, b.set_endpoint("mail", kinds=("gift",)), now_ms=now_ms)
    book(connection, b.erase("bob"), b.erase("fay"), b.gift("bob", room="r2"), now_ms=now_ms + 1)
    policy = b.set_policy(
        rate_permille=300,
        clawback="full",
        hold_days=0,
        payouts=PAYOUTS,
        bounds=BOUNDS,
        review={"new_senders_percent": 40},
    )
    book(connection, policy, b.gift("gus", "cake"), b.gift("bob", room="r2"), now_ms=now_ms + 2)
    now_ms += DAY_MS
    book(connection, b.charge_back("p6"), b.retract("r2:1"), now_ms=now_ms)
    book(connection, b.gift("bob", "cake", room="r2"), b.release("dora"), now_ms=now_ms + 1)
    book(connection, b.gift("liv", "cake", room="r3"), now_ms=now_ms + 2)
    facts = payout_facts(connection, "kim", now_ms // DAY_MS - 8)
    book(connection, b.request_payout("kim", 2_000, facts=facts), now_ms=now_ms + 2)
    book(connection, *(b.start_purchase("liv", purchase=f"p{n}") for n in (11, 12, 13)))
    book(connection, b.set_endpoint("chat"), b.set_endpoint("news"))
    book(connection, b.issue_link("r1", "t1"), b.issue_link("r3", "t2"), now_ms=now_ms + 2)
    book(connection, b.revoke_token("t9", expires_ms=10**9), b.revoke_token("t2"))
    book(connection, b.issue_link("r1", "t3"), b.revoke_token("t9"), now_ms=now_ms + 3)
    book(connection, b.close_room("r2"), b.renew_epochs(), b.gift("ada"), now_ms=now_ms + 3)
