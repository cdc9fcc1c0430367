"""What the stateful test of the books does with money; rooms and gifts are in test_model.py."""

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, rule

from kit.building import builders
from rules.policy import Bounds, PayoutRules, SpendingLimits

POLICY = {
    "hold_days": 1,
    "limits": SpendingLimits(
        daily_coins=400, weekly_coins=700, monthly_coins=800, first_day_coins=250
    ),
    "bounds": Bounds(pending_purchases_max=3),
    "payouts": PayoutRules(minimum_millidiamonds=2_000, automatic_millidiamonds=20_000),
}
"""Low enough that a few gifts and payouts reach every one of them."""

some = st.integers(0, 20)
"""Which of the rows that there are, counted from the newest."""
limits = st.dictionaries(
    st.sampled_from(["daily_coins", "weekly_coins", "monthly_coins", "per_gift_coins"]),
    st.sampled_from([None, 0, 60, 150, 150, 900, -1]),
    max_size=2,
)
accounts = st.sampled_from(["coins", "coin_debt", "diamonds_available", "diamond_debt"])
earners = st.sampled_from(["cleo", "cleo", "bob"])
"""The creators of the first rooms."""
money = st.sampled_from([95, 95, 95, 95, 94])


class MoneyRules(RuleBasedStateMachine):
    users = Bundle("users")
    used = Bundle("used")
    purchases = Bundle("purchases")

    # What test_model.py brings.
    model: Any
    now_ms: int
    say: Any
    fresh: Callable[[str], str]

    def newest(self, rows: dict[Any, Any], back: int, none: Any) -> Any:
        names = list(rows)
        return names[-1 - back % len(names)] if names else none

    @rule(target=purchases, user=users, coins=st.sampled_from([None, None, 30]))
    def order(self, user: str, coins: int | None) -> str:
        id = self.fresh("p")
        self.say(builders.start_purchase(user, coins, id))
        return id

    @rule(target=purchases, user=users, times=st.integers(1, 3))
    def buy(self, user: str, times: int) -> str:
        for _ in range(times):
            id = self.fresh("p")
            self.say(builders.start_purchase(user, purchase=id), builders.settle_purchase(id))
        return id

    @rule(user=users, adult=st.booleans())
    def order_what_is_never_paid(self, user: str, adult: bool) -> None:
        id = self.fresh("p")
        self.say(
            builders.start_purchase(user, purchase=id, adult=adult), builders.fail_purchase(id)
        )

    @rule(target=used, id=purchases, minor=money, payment=st.sampled_from(["", "", "b"]))
    def pay(self, id: str, minor: int, payment: str) -> Any:
        return self.say(builders.settle_purchase(id, minor, payment=f"payment-{id}{payment}"))

    @rule(id=purchases, currency=st.sampled_from(["USD", "EUR"]))
    def pay_again_and_again(self, id: str, currency: str) -> None:
        told = builders.settle_purchase(id, currency=currency)
        self.say(told, told, builders.settle_purchase(id), builders.settle_purchase("p-unknown"))

    @rule(target=used, id=purchases)
    def fail(self, id: str) -> Any:
        return self.say(builders.fail_purchase(id))

    @rule(target=used, id=purchases, coins=st.sampled_from([None, None, 1, 40, 100, 0, 101]))
    def refund(self, id: str, coins: int | None) -> Any:
        return self.say(builders.refund_purchase(id, coins))

    @rule(back=some)
    def send_a_refund(self, back: int) -> None:
        self.say(builders.refund_sent(self.newest(self.model.refunds, back, "f-unknown")))

    @rule(id=purchases, minor=st.sampled_from([19, 38, 76, 95, 10, 96]), named=st.booleans())
    def see_refunds(self, id: str, minor: int, named: bool) -> None:
        payment = f"payment-{id}"
        seen = builders.see_refund(id if named else None, minor, payment=payment)
        self.say(seen, builders.see_refund(None, minor + 19, payment=payment), seen)

    @rule(target=used, id=purchases)
    def charge_back(self, id: str) -> Any:
        return self.say(builders.charge_back(id))

    @rule(id=purchases, minor=st.sampled_from([95, 76, 57, 30]), other=st.sampled_from(["", "b"]))
    def charge_a_payment_back(self, id: str, minor: int, other: str) -> None:
        told = {"payment": f"payment-{id}{other}", "amount_minor": minor, "currency": "USD"}
        self.say(builders.charge_back(None, **told), builders.charge_back(id, **told))

    @rule(id=purchases, user=users, times=st.integers(1, 4))
    def spend_and_charge_back_in_one_batch(self, id: str, user: str, times: int) -> None:
        gifts = [builders.gift(user, "cake", quantity=times) for _ in range(times)]
        self.say(*gifts, builders.charge_back(id), builders.gift(user))

    @rule(target=used, user=users, wanted=limits)
    def set_limits(self, user: str, wanted: dict[str, Any]) -> Any:
        return self.say(builders.set_limits(user, **wanted))

    @rule(user=users, days=st.sampled_from([1, 1, 7, 2]))
    def pause(self, user: str, days: int) -> None:
        self.say(builders.pause(user, days))

    @rule(user=users, room=st.sampled_from(["r1", "r2"]))
    def freeze_for_a_while(self, user: str, room: str) -> None:
        asked = [builders.freeze(user), builders.freeze(user), builders.gift(user, room=room)]
        asked += [builders.start_purchase(user, purchase=self.fresh("p"))]
        self.say(*asked, builders.request_payout(user, 2_000), builders.unfreeze(user))

    @rule(target=used, creator=users)
    def release(self, creator: str) -> Any:
        return self.say(builders.release(creator))

    @rule(target=used, user=users, creator=earners, days=st.integers(1, 3))
    def earn_and_wait_and_release(self, user: str, creator: str, days: int) -> Any:
        room = "r1" if creator == "cleo" else "r2"
        self.say(builders.gift(user, "cake", room=room, quantity=2))
        self.now_ms += days * 86_400_000
        return self.say(builders.release(creator))

    @rule(user=users, gifts=st.integers(0, 4), parts=st.lists(st.integers(1, 60), max_size=4))
    def buy_and_spend_and_refund_in_parts(self, user: str, gifts: int, parts: list[int]) -> None:
        id = self.fresh("p")
        self.say(builders.start_purchase(user, purchase=id), builders.settle_purchase(id))
        self.say(*[builders.gift(user, "cake") for _ in range(gifts)])
        self.say(*[builders.refund_purchase(id, part) for part in parts])
        self.say(builders.refund_purchase(id))

    @rule(creator=earners, amount=st.sampled_from([2_000, 12_000, 30_000, 1_000, 2_500]))
    def ask_for_a_payout(self, creator: str, amount: int) -> None:
        self.say(builders.release(creator), builders.request_payout(creator, amount))

    @rule(user=users, creator=earners, amount=st.sampled_from([2_000, 12_000, 20_001]))
    def earn_and_cash_out(self, user: str, creator: str, amount: int) -> None:
        """By chance alone, diamonds that are available and a wish for them hardly ever meet."""
        room = "r1" if creator == "cleo" else "r2"
        self.say(builders.grant(user, 50), builders.gift(user, "cake", room=room, quantity=2))
        self.now_ms += 2 * 86_400_000
        self.say(builders.release(creator), builders.request_payout(creator, amount))

    @rule(target=used, back=some, build=st.sampled_from(["approve", "pay", "reject"]))
    def decide_a_payout(self, back: int, build: str) -> Any:
        id = self.newest(self.model.payouts, back, "payout-0")
        return self.say(getattr(builders, f"{build}_payout")(id))

    @rule(back=some, answers=st.lists(st.booleans(), min_size=1, max_size=3))
    def hear_from_the_bank(self, back: int, answers: list[bool]) -> None:
        id = self.newest(self.model.payouts, back, "payout-0")
        results = [builders.payout_result(id, paid) for paid in answers]
        self.say(builders.payout_result(id), builders.approve_payout(id), *results)

    @rule(
        user=st.sampled_from(["ada", "cleo"]),
        account=accounts,
        amount=st.sampled_from([7, -7, -90, 50_000, -4_000, 0]),
        other=st.booleans(),
    )
    def correct(self, user: str, account: str, amount: int, other: bool) -> None:
        self.say(builders.propose_correction(user, account, amount))
        number = self.newest(self.model.corrections, 0, 1)
        actor = "user:boss" if other else "user:root"
        self.say(
            builders.decide_correction(number, actor=actor),
            builders.decide_correction(number, approve=False),
        )
