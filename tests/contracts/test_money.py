"""What every store tells about people and their money: pages, ties, and where a period ends."""

import itertools
import json
from typing import Any

import pytest

from kit.building import builders as b
from kit.building.ledgers import NOW_MS
from rules.rows import PendingDay
from storage import BoardLine, EarningLine, GiftLine, Store
from storage.money import MoneyReads

DAY_MS = 86_400_000
DAY = NOW_MS // DAY_MS
CASHES = {"hold_days": 0, "payouts": {"minimum_millidiamonds": 1_000, "review_first": True}}


async def settle(store: Store, *commands: Any, at_ms: int = NOW_MS) -> list[Any]:
    return [result.outcome for result in await store.settle(commands, at_ms)]


# People


async def test_a_user_is_told_as_they_are(show: Store) -> None:
    await settle(show, b.freeze("ada"), b.gift("bob", name="Bob B."), b.hide_level("bob"))
    assert await show.money.user("nobody") is None
    ada, bob = await show.money.user("ada"), await show.money.user("bob")
    assert ada is not None and bob is not None
    assert (ada.id, ada.frozen, ada.level_hidden, ada.since_ms) == ("ada", True, False, NOW_MS)
    assert (bob.name, bob.frozen, bob.level_hidden, bob.gifted_coins) == ("Bob B.", False, True, 1)
    assert bob.days[0].coins == 1


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("", "a%b a_b ada bob"),
        ("a", "a%b a_b ada"),
        ("ADA", "ada"),
        ("lovelace", "ada"),
        ("%", "a%b"),
        ("_", "a_b"),
        ("\\", ""),
        ("a_a", ""),
    ],
)
async def test_users_are_found_by_a_part_of_their_id_or_name(
    store: Store, search: str, found: str
) -> None:
    """Whatever the case of ASCII letters; what is a sign of a pattern elsewhere is a letter."""
    await settle(store, b.set_policy(), b.open_room())
    await settle(store, *(b.grant(user) for user in ("ada", "bob", "a_b", "a%b")))
    await settle(store, b.gift("ada", name="Ada Lovelace"))
    users = await store.money.users(search, None, "", 10)
    assert " ".join(user.id for user in users) == found


async def test_users_are_paged_and_told_apart_by_who_is_frozen(show: Store) -> None:
    await settle(show, b.grant("cy"), b.freeze("bob"))
    money = show.money
    assert [user.id for user in await money.users("", None, "", 2)] == ["ada", "bob"]
    assert [user.id for user in await money.users("", None, "bob", 2)] == ["cy"]
    assert [user.id for user in await money.users("", True, "", 9)] == ["bob"]
    assert [user.id for user in await money.users("", False, "", 9)] == ["ada", "cy"]
    assert await money.users("", None, "cy", 9) == []


async def test_everything_about_a_person_and_nothing_of_others(show: Store) -> None:
    await settle(show, b.set_policy(**CASHES))
    for user, purchase in (("ada", "p1"), ("ada", "p2"), ("bob", "q1")):
        await settle(show, b.start_purchase(user, purchase=purchase), b.settle_purchase(purchase))
        await settle(show, b.refund_purchase(purchase, 5, f"refund-{purchase}"))
    await settle(show, b.propose_correction("ada"), b.propose_correction("bob"))
    await settle(show, b.gift("bob", "cake"), b.release(), b.request_payout("cleo", 10_000))
    ada, cleo = await show.money.personal("ada"), await show.money.personal("cleo")
    assert ada.user == await show.money.user("ada")
    assert [row.id for row in ada.purchases] == ["p1", "p2"]
    assert [row.id for row in ada.refunds] == ["refund-p1", "refund-p2"]
    assert [row.user for row in ada.corrections] == ["ada"] and ada.payouts == []
    assert (cleo.user, cleo.purchases, len(cleo.payouts)) == (None, [], 1)


async def test_the_commands_of_a_person_have_what_was_said_until_it_is_forgotten(
    show: Store,
) -> None:
    said = b.gift("ada", name="Ada 'L.'", message="a \\ b \U0001f381")
    await settle(show, said, b.gift("bob", message="other"), b.set_limits("ada", daily_coins=500))
    numbers = await show.money.commands_of("ada")
    assert numbers == sorted(numbers) and len(numbers) == 2
    assert await show.money.commands_of("nobody") == []
    gift, limits = await show.money.commands(numbers)
    assert await show.money.commands([numbers[1], numbers[0]]) == [limits, gift]
    assert (gift.at_ms, json.loads(limits.command)["kind"]) == (NOW_MS, "set_limits")
    told = json.loads(gift.command)
    assert (told["name"], told["message"]) == ("Ada 'L.'", "a \\ b \U0001f381")
    assert json.loads(gift.outcome)["kind"] == "gift_accepted"
    await settle(show, b.erase("ada"))
    [forgotten] = await show.money.commands(numbers[:1])
    assert "Ada" not in forgotten.command and "\\" not in forgotten.command
    assert await show.money.commands([]) == []


# Creators


async def test_a_creator_is_told_as_they_are(show: Store) -> None:
    await settle(show, b.set_rate("cleo", 600), b.gift("ada", "cake"))
    assert await show.money.creator("ada") is None
    cleo = await show.money.creator("cleo")
    assert cleo is not None and cleo.pending == [PendingDay(DAY, 25 * 600)]
    assert [rate.permille for rate in cleo.rates] == [600]


async def test_creators_are_due_from_the_end_of_their_oldest_day_on(show: Store) -> None:
    await settle(
        show, b.open_room("r2", "dora"), b.open_room("r3", "eve"), b.open_room("r4", "fay")
    )
    await settle(show, b.gift("ada", room="r2"))
    await settle(show, b.gift("ada"), b.gift("ada", room="r2"), at_ms=NOW_MS + DAY_MS)
    await settle(show, b.gift("ada", room="r4"), b.retract("r4:1"), at_ms=NOW_MS)
    money = show.money
    assert await money.due_creators(DAY - 1, 9) == []
    assert await money.due_creators(DAY, 9) == ["dora"]
    assert sorted(await money.due_creators(DAY + 1, 9)) == ["cleo", "dora"]
    assert len(await money.due_creators(DAY + 1, 1)) == 1


async def test_a_creators_board_goes_by_coins_and_then_by_who_was_there_first(
    show: Store,
) -> None:
    await settle(show, b.grant("eve"), b.grant("fay"))
    given = [b.gift("bob", "cake"), b.gift("ada"), b.gift("eve", "lion", visibility="anonymous")]
    await settle(show, *given, b.gift("fay"), b.retract("r1:4"))
    await settle(show, b.gift("ada", quantity=24), at_ms=NOW_MS + DAY_MS)
    as_of, lines = await show.money.creator_board("cleo", DAY, 9)
    assert lines == [BoardLine("bob", "Bob", 25), BoardLine("ada", "Ada", 25)]
    assert as_of == (await show.balances([])).as_of
    assert (await show.money.creator_board("cleo", DAY, 1))[1] == lines[:1]
    assert (await show.money.creator_board("cleo", DAY + 1, 9))[1] == [BoardLine("ada", "Ada", 24)]
    assert (await show.money.creator_board("cleo", DAY + 2, 9))[1] == []
    assert await show.money.creator_board("nobody", 0, 9) == (as_of, [])


async def test_on_a_creators_board_people_go_by_their_newest_name(show: Store) -> None:
    await settle(show, b.gift("ada", name="Zoe"))
    await settle(show, b.gift("ada", name="Ada"), at_ms=NOW_MS + DAY_MS)
    assert (await show.money.creator_board("cleo", 0, 9))[1] == [BoardLine("ada", "Ada", 2)]


async def test_earnings_are_net_and_both_ends_of_the_period_count(show: Store) -> None:
    for day in range(4):
        given = [b.gift("ada", "cake", quantity=2), b.gift("ada"), b.gift("bob", "cake")]
        await settle(show, *given, at_ms=NOW_MS + day * DAY_MS)
    await settle(show, b.retract("r1:4"), b.retract("r1:5"), at_ms=NOW_MS + DAY_MS)
    cakes, rose = (lambda day: EarningLine(day, "cake", 3, 75, 37_500)), ("rose", 1, 1, 500)
    assert await show.money.earnings("cleo", DAY + 1, DAY + 2) == [
        EarningLine(DAY + 1, "cake", 1, 25, 12_500),
        cakes(DAY + 2),
        EarningLine(DAY + 2, *rose),
    ]
    assert await show.money.earnings("cleo", DAY, DAY) == [cakes(DAY), EarningLine(DAY, *rose)]
    assert await show.money.earnings("cleo", DAY + 4, DAY + 9) == []
    assert await show.money.earnings("nobody", 0, DAY + 9) == []


async def test_the_gifts_of_a_period_begin_with_it_and_end_before_its_end(show: Store) -> None:
    for number in range(4):
        await settle(show, b.gift("ada"), b.gift("bob"), at_ms=NOW_MS + number * 100)
    await settle(show, b.retract("r1:5"), at_ms=NOW_MS + 1_000)

    async def seqs(from_ms: int, to_ms: int, limit: int = 9) -> list[int]:
        found = await show.money.gifts_of("ada", NOW_MS + from_ms, NOW_MS + to_ms, limit)
        return [gift.seq for gift in found]

    assert await seqs(0, 301) == [1, 3, 7]
    assert await seqs(0, 300) == [1, 3] and await seqs(100, 300) == [3]
    assert await seqs(101, 301) == [7] and await seqs(0, 301, 2) == [1, 3]
    [first] = await show.money.gifts_of("ada", NOW_MS, NOW_MS + 1, 9)
    assert first == GiftLine("r1", 1, "cleo", 1, 500, NOW_MS)


# Purchases and refunds


@pytest.fixture
async def shop(store: Store) -> Store:
    """Twelve purchases of Ada's and Bob's in turns, five at a time; every third failed."""
    await settle(store, b.set_policy())
    for number in range(12):
        wish = b.start_purchase(("ada", "bob")[number % 2], purchase=f"p{number:02}")
        await settle(store, wish, at_ms=NOW_MS + number // 5)
    await settle(store, *(b.fail_purchase(f"p{number:02}") for number in range(0, 12, 3)))
    return store


@pytest.mark.parametrize("limit", [1, 2, 5, 50])
@pytest.mark.parametrize("user", [None, "ada"])
@pytest.mark.parametrize("status", [None, "pending", "failed"])
async def test_pages_of_purchases_go_through_all_and_nothing_else(
    shop: Store, user: str | None, status: str | None, limit: int
) -> None:
    found: list[str] = []
    before = None
    while page := await shop.money.purchases(user, status, before, limit):
        assert len(page) <= limit
        found += [row.id for row in page]
        before = page[-1].started_ms, page[-1].id
    assert found == [
        f"p{number:02}"
        for number in reversed(range(12))
        if (user is None or number % 2 == 0)
        and (status is None or (status == "failed") == (number % 3 == 0))
    ]


async def test_a_purchase_is_found_by_its_id_and_by_its_payment(shop: Store) -> None:
    money = shop.money
    await settle(shop, b.settle_purchase("p01", payment="pay-1"))
    paid = await money.purchase("p01")
    assert paid is not None and (paid.status, paid.payment) == ("paid", "pay-1")
    assert await money.purchase_of_payment("pay-1") == paid
    assert await money.purchase("p99") is None and await money.purchase_of_payment("x") is None
    assert await money.purchase_of_payment("") is None, "what is not paid has no payment"


async def test_open_checkouts_are_those_of_a_period_with_both_its_ends(shop: Store) -> None:
    with_checkout = [number for number in range(12) if number % 3 and number != 7]
    await settle(shop, *(b.attach_checkout(f"p{number:02}") for number in with_checkout))
    await settle(shop, b.settle_purchase("p08"))

    async def found(from_ms: int, to_ms: int, limit: int = 99) -> list[str]:
        rows = await shop.money.open_checkouts(NOW_MS + from_ms, NOW_MS + to_ms, limit)
        return [row.id for row in rows]

    assert await found(0, 0) == ["p01", "p02", "p04"]
    assert await found(1, 1) == ["p05"], "p07 has no checkout, and p08 is paid"
    assert await found(1, 2) == ["p05", "p10", "p11"]
    assert await found(0, 9, 2) == ["p01", "p02"] and await found(3, 9) == []


async def test_unstarted_are_those_of_that_provider_without_a_checkout(store: Store) -> None:
    await settle(store, b.set_policy())
    for number in range(6):
        wish = b.start_purchase(purchase=f"p{number}")
        await settle(store, wish, at_ms=NOW_MS + number // 2)
    await settle(store, b.start_purchase(purchase="q", provider="stripe"))
    await settle(store, b.attach_checkout("p1"), b.fail_purchase("p2"))

    async def unstarted(from_ms: int, after: Any = None, limit: int = 9) -> list[str]:
        return [row.id for row in await store.money.unstarted("sandbox", from_ms, after, limit)]

    assert await unstarted(NOW_MS) == ["p0", "p3", "p4", "p5"]
    assert await unstarted(NOW_MS + 1) == ["p3", "p4", "p5"]
    assert await unstarted(NOW_MS, (NOW_MS + 1, "p3"), 1) == ["p4"]
    assert await unstarted(NOW_MS + 2, (NOW_MS, "p0")) == ["p4", "p5"]
    assert [row.id for row in await store.money.unstarted("stripe", 0, None, 9)] == ["q"]


async def test_refunds_wait_in_the_order_in_which_they_were_decided(shop: Store) -> None:
    await settle(shop, b.start_purchase(purchase="q", provider="stripe"))
    bought = ("p01", "p02", "p04", "q")
    await settle(shop, *(b.settle_purchase(purchase) for purchase in bought))
    for refund, purchase, at_ms in (("c", "p02", 50), ("b", "p01", 51), ("a", "p01", 51)):
        await settle(shop, b.refund_purchase(purchase, 5, refund), at_ms=NOW_MS + at_ms)
    await settle(shop, b.refund_purchase("p04", 5, "d"), b.refund_sent("d"))
    await settle(shop, b.refund_purchase("q", 5, "e"))

    async def waiting(provider: str, after: Any = None, limit: int = 9) -> list[tuple[str, str]]:
        found = await shop.money.waiting_refunds(provider, after, limit)
        assert all(refund.purchase == purchase.id for refund, purchase in found)
        return [(refund.id, purchase.id) for refund, purchase in found]

    assert await waiting("sandbox") == [("c", "p02"), ("a", "p01"), ("b", "p01")]
    assert await waiting("sandbox", (NOW_MS + 51, "a")) == [("b", "p01")]
    assert await waiting("sandbox", None, 1) == [("c", "p02")]
    assert await waiting("stripe") == [("e", "q")]


# Payouts


@pytest.fixture
async def cashed(store: Store) -> Store:
    """Payouts of five creators, asked for two at a time; those of the first three are approved."""
    await settle(store, b.set_policy(**CASHES), b.grant("ada", 10_000))
    for number, creator in enumerate("vwxyz"):
        room = f"room-{creator}"
        await settle(store, b.open_room(room, creator), b.gift("ada", "cake", room=room))
        asked = b.release(creator), b.request_payout(creator, 10_000)
        outcome = (await settle(store, *asked, at_ms=NOW_MS + DAY_MS + number // 2))[1]
        if number < 3:
            await settle(store, b.approve_payout(outcome.payout))
    return store


async def creators_of(money: MoneyReads, *wanted: Any, limit: int) -> list[str]:
    """Who is paid out, over all pages of a list."""
    found: list[str] = []
    before = None
    while page := await money.payouts(*wanted, before, limit):
        assert len(page) <= limit
        found += [row.creator for row in page]
        before = page[-1].requested_ms, page[-1].id
    return found


@pytest.mark.parametrize("limit", [1, 2, 50])
async def test_pages_of_payouts_go_through_all_and_nothing_else(cashed: Store, limit: int) -> None:
    money = cashed.money
    everybodys = await creators_of(money, None, None, limit=limit)
    assert sorted(everybodys) == list("vwxyz")
    assert everybodys[0] == "z" and set(everybodys[1:3]) == {"x", "y"}, "the newest are first"
    assert sorted(await creators_of(money, None, "approved", limit=limit)) == list("vwx")
    assert await creators_of(money, "y", None, limit=limit) == ["y"]
    assert await creators_of(money, "y", "approved", limit=limit) == []


async def test_payable_are_approved_payouts_of_who_is_not_frozen(cashed: Store) -> None:
    await settle(cashed, b.freeze("w"))
    money = cashed.money
    assert [row.creator for row in await money.payable(None, 9)] == ["x", "v"]
    [first] = await money.payable(None, 1)
    rest = await money.payable((first.requested_ms, first.id), 9)
    assert [row.creator for row in rest] == ["v"]
    assert await money.payout(first.id) == first and await money.payout("no") is None
    await settle(cashed, b.unfreeze("w"), b.pay_payout(first.id))
    assert sorted(row.creator for row in await money.payable(None, 9)) == ["v", "w"]


# What needs a person, and who is told


async def test_suspense_is_listed_newest_first_open_or_settled(store: Store) -> None:
    await settle(store, *(b.suspend(f"payment {number}") for number in range(5)))
    await settle(store, b.settle_suspense(2), b.settle_suspense(4))

    async def ids(settled: bool | None, before: int | None = None, limit: int = 9) -> list[int]:
        return [row.id for row in await store.money.suspense(settled, before, limit)]

    assert await ids(None) == [5, 4, 3, 2, 1]
    assert await ids(True) == [4, 2] and await ids(False) == [5, 3, 1]
    assert await ids(None, 4, 2) == [3, 2] and await ids(False, 3) == [1]


async def test_corrections_are_listed_newest_first_by_status(show: Store) -> None:
    made = await settle(show, *(b.propose_correction(amount=number) for number in range(1, 6)))
    one, two, three, four, five = (outcome.correction for outcome in made)
    await settle(show, b.decide_correction(two), b.decide_correction(three, approve=False))

    async def ids(status: str | None, before: int | None = None, limit: int = 9) -> list[int]:
        return [row.id for row in await show.money.corrections(status, before, limit)]

    assert await ids(None) == [five, four, three, two, one]
    assert await ids("proposed") == [five, four, one]
    assert await ids("approved") == [two] and await ids("rejected") == [three]
    assert await ids("proposed", five, 1) == [four] and await ids(None, one) == []


async def test_endpoints_are_told_in_order_of_id_with_what_they_want(store: Store) -> None:
    kinds = ("gift.accepted", "room.closed")
    await settle(store, b.set_endpoint("shop", kinds=kinds), b.set_endpoint("bank"))
    await settle(store, b.disable_endpoint("bank"))
    bank, shop = await store.money.endpoints()
    assert (bank.id, bank.enabled, bank.kinds) == ("bank", False, [])
    assert (shop.id, shop.enabled, shop.kinds) == ("shop", True, list(kinds))


async def test_what_nobody_ever_did_is_empty(store: Store) -> None:
    money = store.money
    lists: list[Any] = [
        *(await money.users("", None, "", 9), await money.purchases(None, None, None, 9)),
        *(await money.payouts(None, None, None, 9), await money.payable(None, 9)),
        *(await money.suspense(None, None, 9), await money.corrections(None, None, 9)),
        *(await money.endpoints(), await money.earnings("cleo", 0, 9)),
    ]
    assert list(itertools.chain(*lists)) == []
    assert await money.personal("ada") == (None, [], [], [], [])
