"""Any history of commands, for Hypothesis.

Single commands at random hardly ever lead anywhere: a refund needs a purchase that was paid. So
names are few, the history begins in the middle of things, and commands may be about the newest row
of a kind, whatever it is called: see `name_newest`.
"""

from typing import Any

from hypothesis import strategies as st

from kit.building import builders as b
from rules.book import Book
from rules.commands import AnyCommand

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
USERS = ["ada", "bob", "cleo", "dora"]
ROOMS = ["r1", "r1", "r2", "r3"]
PURCHASES = ["p1", "p2", "p3", "newest"]

keys = st.integers(0, 300).map("k{}".format)
"""Hypothesis likes to repeat itself: most histories use some key twice."""
users, rooms, purchases = map(st.sampled_from, (USERS, ROOMS, PURCHASES))
maybe_purchases = st.sampled_from([*PURCHASES, None, None])
givers, earners = st.sampled_from(["ada", "ada", "bob"]), st.sampled_from(["cleo", "cleo", "dora"])
gift_ids = st.just("newest") | st.builds("{}:{}".format, rooms, st.integers(1, 9))
some_coins = st.sampled_from([None, 1, 7, 30, 100, 0, 10_000])
limits = st.sampled_from([0, 40, 300, 300, None])


def policies() -> st.SearchStrategy[AnyCommand]:
    return st.builds(
        b.set_policy,
        rate_permille=st.sampled_from([0, 333, 500, 10**12]),
        require_adult=st.booleans(),
        combo_window_ms=st.sampled_from([0, 3]),
        hold_days=st.sampled_from([0, 1]),
        clawback=st.sampled_from(["none", "unpaid", "full"]),
        limits=st.sampled_from([{"daily_coins": 90}, {"first_day_coins": 0}]),
        payouts=st.sampled_from([{"minimum_millidiamonds": 1, "automatic_millidiamonds": 10**9}]),
        bounds=st.sampled_from([{}, {"pending_purchases_max": 1, "endpoints_max": 1}]),
        key=keys,
    )


def about_gifts() -> dict[str, st.SearchStrategy[AnyCommand]]:
    return {
        "gift": st.builds(
            b.gift,
            givers,
            st.sampled_from(["rose", "cake", "cake"]),
            key=keys,
            name=st.sampled_from(["One", "Two"]),
            room=st.sampled_from(["r1", "r1", "r2"]),
            quantity=st.sampled_from([1, 1, 2, 4]),
            visibility=st.sampled_from(["public", "public", "anonymous"]),
        ),
        "odd gift": st.builds(
            b.gift,
            users,
            st.sampled_from(["rose", "lion", "ghost", "pony"]),
            key=keys,
            room=rooms,
            quantity=st.sampled_from([1, 7, 0, 10_000]),
            price=st.sampled_from([None, None, 1, 25]),
            adult=st.booleans(),
            message=st.sampled_from([None, "hello"]),
        ),
        "retract": st.builds(b.retract, gift_ids, key=keys),
        "reverse": st.builds(b.reverse_gifts, givers, st.lists(gift_ids, max_size=4), key=keys),
        "hide": st.builds(b.hide, gift_ids, key=keys),
        "open": st.builds(b.open_room, rooms, earners, key=keys),
        "close": st.builds(b.close_room, rooms, key=keys),
        "policy": policies(),
        "epochs": st.builds(b.renew_epochs, salt=st.sampled_from(["a", "b"]), key=keys),
    }


def about_money() -> dict[str, st.SearchStrategy[AnyCommand]]:
    amounts, payments = st.sampled_from([95, 95, 95, 94]), st.sampled_from(["pay-1", "pay-2"])
    currencies = st.sampled_from(["USD", "USD", "USD", "EUR"])
    accounts = st.sampled_from(["coins", "coin_debt", "diamonds_available", "diamond_debt"])
    return {
        "grant": st.builds(
            b.grant, users, st.sampled_from([0, 5, 60, 60, 300, 2**53 - 1]), key=keys
        ),
        "start": st.builds(
            b.start_purchase,
            users,
            st.sampled_from([None, None, 30]),
            st.integers(3, 6).map("p{}".format),
            adult=st.sampled_from([True, True, False]),
            key=keys,
        ),
        "attach": st.builds(b.attach_checkout, purchases, url=users, key=keys),
        "settle": st.builds(
            b.settle_purchase,
            purchases,
            amounts,
            payment=payments,
            currency=currencies,
            key=keys,
        ),
        "fail": st.builds(b.fail_purchase, purchases, key=keys),
        "refund": st.builds(b.refund_purchase, purchases, some_coins, key=keys, sent=st.booleans()),
        "sent": st.builds(b.refund_sent, st.just("newest"), key=keys),
        "refund seen": st.builds(
            b.see_refund,
            maybe_purchases,
            st.sampled_from([19, 19, 38, 95, 10, 96]),
            payment=payments,
            currency=currencies,
            key=keys,
        ),
        "charge back": st.builds(b.charge_back, purchases, key=keys),
        "charge a payment back": st.builds(
            b.charge_back, maybe_purchases, payment=payments, key=keys
        ),
        "win a chargeback": st.builds(
            b.win_chargeback, maybe_purchases, payment=payments, key=keys
        ),
        "suspend": st.builds(b.suspend, key=keys),
        "settle suspense": st.builds(b.settle_suspense, st.just(0), key=keys),
        "propose": st.builds(
            b.propose_correction,
            users,
            accounts,
            st.sampled_from([5, -5, 100, -100, 0]),
            key=keys,
        ),
        "decide": st.builds(
            b.decide_correction,
            st.just(0),
            st.booleans(),
            actor=st.sampled_from(["user:root", "user:boss", "user:boss"]),
            key=keys,
        ),
    }


def about_people() -> dict[str, st.SearchStrategy[AnyCommand]]:
    payouts, amounts = st.just("newest"), st.sampled_from([1_000, 7_000, 10**6, 1, 10**15])
    endpoints, tokens = st.sampled_from(["shop", "chat"]), st.sampled_from(["t1", "t2", "t3"])
    return {
        "limits": st.builds(
            lambda user, key, wanted: b.set_limits(user, key=key, **wanted),
            givers,
            keys,
            st.dictionaries(
                st.sampled_from(["daily_coins", "weekly_coins", "per_gift_coins"]), limits
            ),
        ),
        "pause": st.builds(b.pause, givers, st.sampled_from([1, 7, 2]), key=keys),
        "freeze": st.builds(b.freeze, users, key=keys),
        "unfreeze": st.builds(b.unfreeze, users, key=keys),
        "hide level": st.builds(b.hide_level, givers, st.booleans(), key=keys),
        "erase": st.builds(b.erase, users, key=keys),
        "rate": st.builds(b.set_rate, earners, st.sampled_from([0, 600, 1_001]), key=keys),
        "release": st.builds(b.release, earners, key=keys),
        "request": st.builds(b.request_payout, earners, amounts, key=keys),
        "approve": st.builds(b.approve_payout, payouts, key=keys),
        "pay": st.builds(b.pay_payout, payouts, key=keys),
        "reject": st.builds(b.reject_payout, payouts, key=keys),
        "result": st.builds(b.payout_result, payouts, st.booleans(), key=keys),
        "endpoint": st.builds(b.set_endpoint, endpoints, key=keys),
        "rotate": st.builds(b.rotate_endpoint, endpoints, key=keys),
        "disable": st.builds(b.disable_endpoint, endpoints, key=keys),
        "link": st.builds(b.issue_link, rooms, tokens, key=keys),
        "revoke": st.builds(
            b.revoke_token, tokens, key=keys, expires_ms=st.sampled_from([None, 10**9, 2 * 10**9])
        ),
    }


KINDS = about_gifts() | about_money() | about_people()
OFTEN = ["gift"] * 12 + [
    "retract",
    "charge back",
    "refund",
    "release",
    "start",
    "settle",
    "grant",
] * 3
commands: st.SearchStrategy[AnyCommand] = st.sampled_from([*OFTEN, *KINDS]).flatmap(
    KINDS.__getitem__
)


@st.composite
def scripts(draw: st.DrawFn, length: int = 30) -> list[AnyCommand]:
    """Commands, some of which are said once more later on."""
    least = draw(st.sampled_from([0, length // 2, length]))
    found = draw(st.lists(commands, min_size=least, max_size=length))
    for place in draw(st.lists(st.integers(1, length), max_size=3)):
        if place < len(found):
            found.append(found[place - 1])
    return found


START = [
    b.set_policy(
        key="start",
        hold_days=0,
        clawback="full",
        payouts={"minimum_millidiamonds": 1_000, "review_first": False},
    ),
    b.open_room("r1", "cleo", key="start r1"),
    b.open_room("r2", "dora", key="start r2"),
    b.grant("ada", 60, key="start ada"),
    b.grant("bob", 60, key="start bob"),
    b.start_purchase("ada", purchase="p1", key="start p1"),
    b.settle_purchase("p1", payment="pay-1", key="start paid"),
    b.start_purchase("bob", purchase="p2", key="start p2"),
    b.gift("ada", "rose", key="start rose"),
    b.gift("bob", "cake", key="start cake", visibility="anonymous"),
    b.gift("ada", "cake", quantity=4, key="start cakes"),
    b.release("cleo", key="start release"),
    b.request_payout("cleo", 20_000, key="start payout"),
    b.gift("ada", "cake", key="start pending"),
    b.propose_correction("ada", key="start correction"),
    b.set_endpoint("shop", key="start endpoint"),
    b.issue_link("r1", "t1", key="start link"),
]
"""r3 is not open yet, p2 not paid and the payout not approved: that is for what is drawn."""


AFTER_THE_START: dict[str, list[list[AnyCommand]]] = {
    "a gift": [[b.gift(key="a")]],
    "a combo": [[b.gift(key="a")], [b.gift(key="b")]],
    "a retry": [[b.gift(key="a")], [b.gift(key="a")], [b.grant(key="a")]],
    "a retraction": [[b.retract("r1:1")], [b.retract("r1:1")]],
    "a retraction of an anonymous gift": [[b.retract("r1:2")]],
    "a retraction of what was bought": [[b.retract("r1:3")], [b.gift()]],
    "a hiding": [[b.hide("r1:2")], [b.hide("r1:2")]],
    "a gift and its retraction at once": [[b.gift(), b.retract("r1:5")]],
    "a gift of bought coins and its retraction at once": [[b.retract("r1:3"), b.retract("r1:4")]],
    "a new room of an old creator": [[b.open_room("r3", "cleo"), b.gift(room="r3")]],
    "a new policy": [[b.set_policy(rate_permille=0), b.gift()], [b.gift()]],
    "a rate of zero, and a newcomer": [
        [b.set_policy(rate_permille=0), b.open_room("r3", "eve")],
        [b.gift(room="r3"), b.retract("r3:1"), b.grant("eve")],
    ],
    "a closing": [[b.close_room("r1"), b.gift()], [b.gift()]],
    "new epochs": [[b.open_room("r3", "dora"), b.renew_epochs(), b.gift(room="r3")]],
    "a creator who gives": [
        [b.grant("cleo")],
        [b.gift("cleo", room="r2")],
        [b.gift("ada", room="r1")],
    ],
    "a purchase": [
        [b.start_purchase("dora", purchase="p9")],
        [b.attach_checkout("p9")],
        [b.settle_purchase("p9")],
        [b.gift("dora", "cake")],
        [b.refund_purchase("p9", 10, refund="f9")],
        [b.refund_sent("f9")],
        [b.refund_sent("f9")],
    ],
    "a purchase that fails": [[b.fail_purchase("p2")], [b.fail_purchase("p2")]],
    "a refund of what was spent": [[b.refund_purchase("p1", 90)], [b.grant()], [b.gift()]],
    "a chargeback": [[b.charge_back("p1")], [b.grant()], [b.release()], [b.gift()]],
    "a retraction after the chargeback": [[b.charge_back("p1")], [b.retract("r1:3")]],
    "a chargeback after the retraction": [[b.retract("r1:3")], [b.charge_back("p1")]],
    "both in one batch": [[b.charge_back("p1"), b.retract("r1:4"), b.retract("r1:3")]],
    "a refund that the provider tells": [
        [b.see_refund("p1", 19, payment="pay-1")],
        [b.see_refund(None, 38, payment="pay-1"), b.see_refund(None, 38, payment="pay-1")],
        [b.see_refund("p1", 39, payment="pay-1"), b.see_refund(None, 38, payment="pay-2")],
        [b.settle_purchase("p2", payment="pay-2"), b.see_refund(None, 19, payment="pay-2")],
    ],
    "a chargeback of a payment": [
        [b.charge_back(None, payment="pay-1"), b.win_chargeback(None, payment="pay-1")],
        [b.charge_back(None, payment="pay-2")],
        [b.settle_purchase("p2", payment="pay-2"), b.charge_back(None, payment="pay-2")],
    ],
    "a chargeback before the payment": [[b.charge_back("p2")], [b.settle_purchase("p2")]],
    "a payment and its chargeback at once": [
        [b.settle_purchase("p2"), b.gift("bob", "cake", quantity=3), b.charge_back("p2")]
    ],
    "a reversal": [[b.reverse_gifts("ada", ["r1:1", "r1:3", "r1:4"])], [b.charge_back("p1")]],
    "a suspense entry": [[b.suspend()], [b.settle_suspense(0)], [b.settle_suspense(0)]],
    "corrections": [
        [b.decide_correction(0)],
        [b.propose_correction("ada", "coins", -3)],
        [b.propose_correction("ada", "coin_debt", -3)],
        [b.decide_correction(0)],
        [b.propose_correction("cleo", "diamonds_available", -7)],
        [b.decide_correction(0)],
        [b.propose_correction("eve", "diamond_debt", -7), b.decide_correction(0)],
    ],
    "a correction in one batch": [
        [b.propose_correction("bob", "coins", -7), b.decide_correction(0)]
    ],
    "limits": [[b.set_limits(daily_coins=30)], [b.gift("ada", "cake")], [b.gift("ada", "cake")]],
    "a pause": [[b.pause()], [b.gift()]],
    "a freezing": [[b.freeze("cleo")], [b.approve_payout("newest")], [b.unfreeze("cleo")]],
    "a hidden level": [[b.hide_level()], [b.gift()]],
    "an erasure": [[b.erase()], [b.gift("bob")], [b.gift(name="Back"), b.erase(), b.erase("bob")]],
    "an erasure and a retraction": [[b.erase(), b.retract("r1:1")]],
    "a rate of one's own": [[b.set_rate("dora", 900)], [b.gift(room="r2")], [b.retract("r2:1")]],
    "a payout": [[b.approve_payout("newest")], [b.pay_payout("newest")], [b.request_payout()]],
    "a payout that is rejected": [[b.charge_back("p1")], [b.reject_payout("newest")]],
    "a payout that is rejected while something is owed": [
        [b.propose_correction("cleo", "diamond_debt", -7_000)],
        [b.decide_correction(0)],
        [b.reject_payout("newest")],
    ],
    "the bank's answers": [
        [b.payout_result("newest")],
        [b.approve_payout("newest")],
        [b.payout_result("newest", True)],
        [b.payout_result("newest", True)],
        [b.payout_result("newest", False)],
    ],
    "a purchase too many": [
        [b.set_policy(bounds={"pending_purchases_max": 2})],
        [b.start_purchase("bob", purchase="p3")],
        [b.start_purchase("bob", purchase="p4")],
        [b.fail_purchase("p3"), b.start_purchase("bob", purchase="p4")],
        [b.start_purchase("bob", purchase="p5"), b.start_purchase("eve", purchase="p6")],
        [b.settle_purchase("p2"), b.start_purchase("bob", purchase="p7")],
    ],
    "more purchases by the backend than a user may have waiting": [
        [b.start_purchase("bob", purchase=f"p{n}", actor="backend") for n in range(10, 18)],
        [b.set_policy(bounds={"pending_purchases_max": 2})],
        [*(b.fail_purchase(f"p{n}") for n in range(10, 15)), b.start_purchase("bob")],
        [*(b.fail_purchase(f"p{n}") for n in (15, 16)), b.start_purchase("bob", purchase="p3")],
        [
            b.start_purchase("bob", purchase="p4"),
            b.set_policy(bounds={"pending_purchases_max": 4}),
            b.start_purchase("bob", purchase="p5"),
            b.start_purchase("bob", purchase="p6"),
            b.start_purchase("bob", purchase="p7"),
        ],
    ],
    "an endpoint too many": [
        [b.set_policy(bounds={"endpoints_max": 2})],
        [b.set_endpoint("chat"), b.set_endpoint("mail")],
        [b.set_endpoint("mail"), b.set_endpoint("shop")],
    ],
    "links": [
        [b.issue_link("r1", "t2"), b.issue_link("r2", "t3")],
        [b.issue_link("r1", "t4")],
        [b.issue_link("r1", "t5"), b.issue_link("r1", "t6")],
    ],
    "revoked tokens": [
        [b.revoke_token("t9", expires_ms=10**6)],
        [b.revoke_token("t9", expires_ms=10**7), b.revoke_token("t9", expires_ms=10**6)],
        [b.revoke_token("t9")],
        [b.revoke_token("t9", expires_ms=10**7)],
    ],
    "a link that was revoked by hand": [
        [b.revoke_token("t1"), b.issue_link("r1", "t2")],
        [b.revoke_token("t1")],
    ],
    "endpoints": [[b.rotate_endpoint()], [b.disable_endpoint()], [b.set_endpoint(kinds=("x",))]],
}
"""Batches that need rows of the ones before them, each kind of command at least once."""


def name_newest(book: Book, command: AnyCommand) -> AnyCommand:
    """The command with `newest` (0 for a number) replaced by the id of the newest row."""
    tables: dict[str, dict[Any, Any]] = {
        "gift_id": {f"{room}:{seq}": None for room, seq in book.gifts},
        "purchase": book.purchases,
        "payout": book.payouts,
        "refund": book.refunds,
        "entry": book.suspense,
        "correction": book.corrections,
    }
    newest = {
        field: list(rows)[-1]
        for field, rows in tables.items()
        if rows and getattr(command, field, None) in ("newest", 0)
    }
    return b.again(command, **newest) if newest else command
