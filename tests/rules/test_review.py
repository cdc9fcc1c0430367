"""What a person should look at before money leaves: by how much, of which days, by whose policy."""

from typing import Any

import msgspec
import pytest

from kit.building import builders
from kit.tables.ledger_tables import check_table
from rules.commands import read_command, write
from rules.policy import Policy, ReviewRules
from rules.review import PayoutFacts, first_day, payout_flags

DAY_MS = 86_400_000
POLICY = Policy(catalogue=builders.CATALOGUE, hold_days=7)
NOW_MS = 100 * DAY_MS
DAY = first_day(POLICY, NOW_MS)


def facts(coins: int = 0, *, anonymous: int = 0, **fields: Any) -> PayoutFacts:
    given = {"as_of": 1, "from_day": DAY, "earned_coins": coins + anonymous}
    return PayoutFacts(coins=coins, **given | fields)


@pytest.mark.parametrize(
    ("seen", "flags"),
    [
        (facts(), ()),
        (facts(1_600, top_coins=960), ()),  # 60 percent, and below 1,000 coins
        (facts(2_000, top_coins=1_200), ()),
        (facts(2_000, top_coins=1_201), ("one_sender",)),
        (facts(999, top_coins=999), ()),
        (facts(1_000, top_coins=1_000), ("one_sender",)),
        (facts(10, new_sender_coins=5), ()),
        (facts(10, new_sender_coins=6), ("new_senders",)),
        (facts(10, anonymous=10), ()),
        (facts(10, anonymous=11), ("anonymous_senders",)),
        (facts(gave_back=True), ("gives_back",)),
        (facts(charged_back=True), ("charged_back_senders",)),
        (
            facts(
                2_000, top_coins=2_000, new_sender_coins=2_000, gave_back=True, charged_back=True
            ),
            ("one_sender", "new_senders", "gives_back", "charged_back_senders"),
        ),
    ],
)
def test_what_is_flagged(seen: PayoutFacts, flags: tuple[str, ...]) -> None:
    assert payout_flags(seen, POLICY, ReviewRules(), NOW_MS) == flags


@pytest.mark.parametrize(
    ("change", "seen", "flags"),
    [
        ({"top_sender_percent": 50}, facts(2_000, top_coins=1_001), ("one_sender",)),
        ({"top_sender_coins_min": 1_202}, facts(2_000, top_coins=1_201), ()),
        ({"new_senders_percent": 60}, facts(10, new_sender_coins=6), ()),
        ({"anonymous_percent": 60}, facts(10, anonymous=11), ()),
    ],
)
def test_the_policy_says_how_much(
    change: dict[str, int], seen: PayoutFacts, flags: tuple[str, ...]
) -> None:
    assert payout_flags(seen, POLICY, ReviewRules(**change), NOW_MS) == flags


def test_the_days_that_are_looked_at_are_the_week_before_the_hold() -> None:
    """Released today is what was earned on the 92nd day and before: the hold began when that day
    was over. A week of it, and a day more for what was released and not paid out at once."""
    assert first_day(POLICY, NOW_MS) == 85 == first_day(POLICY, NOW_MS + DAY_MS - 1)
    assert first_day(POLICY, NOW_MS + DAY_MS) == 86
    assert first_day(msgspec.structs.replace(POLICY, hold_days=0), NOW_MS) == 92
    longer = msgspec.structs.replace(POLICY, review=ReviewRules(look_back_days=30))
    assert first_day(longer, NOW_MS) == 63


@pytest.mark.parametrize("off", [-2, -1, 0, 1])
def test_other_days_than_these_are_as_good_as_none(off: int) -> None:
    """They may be of the day before: it may have ended while they were gathered."""
    seen = facts(10, from_day=DAY + off)
    found = payout_flags(seen, POLICY, ReviewRules(), NOW_MS)
    assert found == (() if off in (-1, 0) else ("unknown_senders",))
    assert payout_flags(None, POLICY, ReviewRules(), NOW_MS) == ("unknown_senders",)


def test_a_policy_that_is_older_than_the_review_rules_is_written_as_it_was() -> None:
    """Its journal is replayed bit for bit."""
    written = msgspec.json.decode(write(builders.set_policy()))
    assert "review" not in written["policy"]
    assert write(read_command(msgspec.json.encode(written))) == msgspec.json.encode(written)


EARNED = """
    room r1 cleo
    grant ada 100
    gift ada cake quantity=2
    release cleo
"""
RULES = "payouts.minimum_millidiamonds=1_000 payouts.automatic_millidiamonds=5_000 hold_days=0"

TABLES = {
    "the flags are found where the diamonds are reserved": f"""
        policy {RULES} payouts.review_first=false review.look_back_days=8
        {EARNED.strip()}
        request cleo 1_000             | ok status=requested flags=unknown_senders
        reject newest
        request cleo 1_000 flags=young | ok status=requested flags=unknown_senders
        reject newest
        request cleo 1_000 facts.from_day=-8 key=r | ok status=approved flags=
        request cleo 1_000 facts.from_day=-8 facts.gave_back=true key=r | replay flags=
        reject newest
        request cleo 1_000 facts.from_day=-7 | ok status=requested flags=unknown_senders
        reject newest
        @1d request cleo 1_000 facts.from_day=-8 facts.charged_back=true \
                                       | ok status=requested flags=charged_back_senders
        reject newest
        @1d request cleo 1_000 facts.from_day=-8 facts.earned_coins=50 facts.coins=50 \
                    facts.new_sender_coins=26 | ok status=requested flags=new_senders
        reject newest
        policy {RULES} review.new_senders_percent=52
        @1d request cleo 1_000 facts.from_day=-7 facts.earned_coins=50 facts.coins=50 \
                    facts.new_sender_coins=26 | ok status=requested flags=first_payout
        reject newest
        request cleo 1_000             | ok status=requested flags=first_payout,unknown_senders
        reject newest
        policy {RULES} payouts.review_first=false
        request cleo 1_000 facts.gave_back=true | ok status=approved flags=
    """,
    "who owes diamonds is paid what is left of them": f"""
        policy {RULES} payouts.review_first=false
        {EARNED.strip()}
        propose cleo diamond_debt -4_000
        decide 0                       | ok | cleo.available=25000 cleo.owed=-4000
        request cleo 22_000            | -insufficient_diamonds millidiamonds_available=21000
        request cleo 21_000            | ok | cleo.available=4000 cleo.reserved=21000
        reject newest                  | ok | cleo.available=21000 cleo.owed=0
        request cleo 21_000            | ok | cleo.available=0
        reject newest
        propose cleo diamond_debt -30_000
        decide 0                       | ok | cleo.owed=-30000
        request cleo 1_000             | -insufficient_diamonds millidiamonds_available=0
    """,
}


@pytest.mark.parametrize("name", TABLES)
def test_the_books_follow_the_table(name: str) -> None:
    check_table(TABLES[name])
