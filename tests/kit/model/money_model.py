"""The money half of the contract as plain dictionaries; ledger_model.py has rooms and gifts.

Written from what the books promise about buying, owing, limits, earning and cashing out, and not
from the code. Coins are kept as what was granted plus what is left of each lot, where the books
keep one balance and the lots; what was spent is kept gift by gift, where they keep sums by the hour
and day.
"""

from typing import Any

import msgspec

from rules import commands as c

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
MONEY_MAX = 2**53 - 1
WINDOWS = {"daily": (HOUR_MS, 24), "weekly": (DAY_MS, 7), "monthly": (DAY_MS, 30)}
NO_LIMIT = 100_000_000

Answer = tuple[Any, ...]
REPLAYED = True


class MoneyModel:
    """`policy` has the fields of rules.policy.Policy that money depends on. The whole model brings
    `number`: of the command that is being decided."""

    number: Any

    def __init__(self, policy: Any) -> None:
        self.policy = policy
        self.purses: dict[str, dict[str, Any]] = {}
        self.creators: dict[str, dict[str, Any]] = {}
        self.purchases: dict[str, dict[str, Any]] = {}
        self.refunds: dict[str, str] = {}
        self.payouts: dict[str, dict[str, Any]] = {}
        self.corrections: dict[int, dict[str, Any]] = {}
        self.suspense: dict[int, bool] = {}
        self.gifts_sent: list[dict[str, Any]] = []

    # Wallets

    def purse(self, user: str, now_ms: int) -> dict[str, Any]:
        empty = {"granted": 0, "lots": [], "debt": 0, "frozen": False, "paused": 0, "spent": []}
        return self.purses.setdefault(user, empty | {"since": None, "limits": {}, "raises": {}})

    def payee(self, user: str, now_ms: int) -> dict[str, Any]:
        """The purse of who gets coins now: their account begins with the first."""
        purse = self.purse(user, now_ms)
        if purse["since"] is None:
            purse["since"] = now_ms
        return purse

    def coins(self, user: str) -> int:
        purse = self.purses.get(user)
        return purse["granted"] + sum(left for _, left in purse["lots"]) if purse else 0

    def debt(self, user: str) -> int:
        return self.purses[user]["debt"] if user in self.purses else 0

    def take(self, user: str, coins: int) -> list[tuple[str, int]]:
        """Granted coins first, then lots from the oldest on; what was taken of which lot."""
        purse, taken = self.purses[user], []
        granted = min(coins, purse["granted"])
        purse["granted"] -= granted
        coins -= granted
        for lot in purse["lots"]:
            part = min(coins, lot[1])
            lot[1] -= part
            coins -= part
            if part:
                taken.append((lot[0], part))
        assert coins == 0
        purse["lots"] = [lot for lot in purse["lots"] if lot[1]]
        return taken

    def pay_debt(self, user: str) -> int:
        paid = min(self.debt(user), self.coins(user))
        self.take(user, paid)
        self.purses[user]["debt"] -= paid
        return paid

    def put_back(self, user: str, purchase: str, coins: int) -> None:
        """To the lot, as far as it was not refunded meanwhile; the rest counts as granted."""
        purse, bought = self.purses[user], self.purchases[purchase]
        lot: list[Any] = next((lot for lot in purse["lots"] if lot[0] == purchase), [purchase, 0])
        room = bought["coins"] - bought["refunded"] - lot[1] if bought["status"] == "paid" else 0
        back = min(coins, room)
        purse["granted"] += coins - back
        lot[1] += back
        if back and lot not in purse["lots"]:
            purse["lots"].insert(0, lot)

    def grant(self, user: str, coins: int, now_ms: int) -> Answer:
        if not 1 <= coins <= MONEY_MAX:
            return "refused", "bad_quantity"
        self.payee(user, now_ms)["granted"] += coins
        paid = self.pay_debt(user)
        return "granted", user, coins, self.coins(user), paid

    # Limits

    def own_limit(self, purse: dict[str, Any], name: str, now_ms: int) -> int | None:
        limit: int | None = purse["limits"].get(name)
        if name in purse["raises"] and now_ms >= purse["raises"][name][1]:
            limit = purse["raises"][name][0]
        return limit

    def spent(self, purse: dict[str, Any], name: str, column: str, now_ms: int) -> int:
        """A bucket counts until all of it is out of the window."""
        unit_ms, units = WINDOWS[name]
        oldest = now_ms // unit_ms - units
        return sum(gift[column] for gift in purse["spent"] if gift["at_ms"] // unit_ms >= oldest)

    def limit_refusal(self, user: str, coins: int, now_ms: int) -> str | None:
        purse, defaults = self.purses[user], self.policy.limits
        bought = max(0, coins - purse["granted"]) if purse["lots"] else 0
        per_gift = self.own_limit(purse, "per_gift", now_ms)
        if per_gift is not None and coins > per_gift:
            return "limit_per_gift"
        for name in WINDOWS:
            own, default = self.own_limit(purse, name, now_ms), getattr(defaults, f"{name}_coins")
            if own is not None:
                limit, column, wanted = own, "coins", coins
            else:
                limit, column, wanted = default or NO_LIMIT, "bought", bought
            if wanted and self.spent(purse, name, column, now_ms) + wanted > limit:
                return f"limit_{name}"
        if defaults.first_day_coins and (
            purse["since"] is None or now_ms - purse["since"] < DAY_MS
        ):
            spent = self.spent(purse, "daily", "bought", now_ms)
            if bought and spent + bought > defaults.first_day_coins:
                return "limit_daily"
        return None

    def set_limits(self, command: c.SetLimits, now_ms: int) -> Answer:
        wanted = {
            name: getattr(command, f"{name}_coins")
            for name in (*WINDOWS, "per_gift")
            if getattr(command, f"{name}_coins") is not msgspec.UNSET
        }
        for name, value in wanted.items():
            most = (
                NO_LIMIT if name == "per_gift" else getattr(self.policy.limits, f"{name}_max_coins")
            )
            if value is not None and not 0 <= value <= most:
                return "refused", "invalid"
        purse = self.purse(command.user, now_ms)
        for name in [name for name, (_, at_ms) in purse["raises"].items() if now_ms >= at_ms]:
            purse["limits"][name] = purse["raises"].pop(name)[0]
        for name, value in wanted.items():
            self.set_limit(purse, name, value, now_ms)
        purse["limits"] = {name: n for name, n in purse["limits"].items() if n is not None}
        return "limits", command.user, dict(purse["limits"]), dict(purse["raises"])

    def set_limit(self, purse: dict[str, Any], name: str, value: int | None, now_ms: int) -> None:
        own = purse["limits"].get(name)
        allowed = getattr(self.policy.limits, f"{name}_coins", 0) or NO_LIMIT
        allowed = allowed if own is None else own
        if value == own or (value is not None and value <= allowed):
            purse["limits"][name] = value
            purse["raises"].pop(name, None)
        elif purse["raises"].get(name, (object(),))[0] != value:
            purse["raises"][name] = (value, now_ms + DAY_MS)

    # Purchases

    def start(self, command: c.StartPurchase) -> Answer:
        if not command.adult:
            return "refused", "not_of_age"
        if self.purses.get(command.user, {}).get("frozen"):
            return "refused", "account_frozen"
        if command.actor == f"user:{command.user}" and self.waiting(command.user) >= self.most:
            return "refused", "wrong_state"
        coins, price = (100, 95) if command.coins is None else (command.coins, command.coins)
        self.purchases[command.purchase] = {
            "user": command.user, "coins": coins, "price": price, "status": "pending",
            "payment": None, "refunded": 0, "money_back": 0, "parked": False, "clawback": "none",
        }  # fmt: skip
        return "started", command.purchase, coins, price

    @property
    def most(self) -> int:
        """Purchases of a user that may wait for a payment."""
        return self.policy.bounds.pending_purchases_max if self.policy.bounds else 2**63

    def waiting(self, user: str) -> int:
        theirs = [p for p in self.purchases.values() if p["user"] == user]
        return sum(p["status"] == "pending" for p in theirs)

    def suspend(self, why: str) -> Answer:
        self.suspense[self.number()] = False
        return "suspended", why

    def settle_paid(self, command: c.SettlePurchase, now_ms: int) -> tuple[Answer, bool]:
        bought = self.purchases.get(command.purchase)
        if bought is None:
            return self.suspend("unknown_purchase"), False
        if command.currency != "USD":
            return self.suspend("wrong_currency"), False
        if command.amount_minor != bought["price"]:
            return self.suspend("wrong_amount"), False
        if bought["payment"] not in (None, command.payment):
            return self.suspend("paid_twice"), False
        if bought["payment"] and bought["parked"]:
            return ("charged_back", command.purchase, 0, 0, 0, {}), True
        if bought["payment"]:
            return ("paid", command.purchase, bought["coins"], self.coins(bought["user"]), 0), True
        bought["payment"] = command.payment
        if bought["parked"]:
            bought["status"] = "charged_back"
            return ("charged_back", command.purchase, 0, 0, 0, {}), False
        bought["status"] = "paid"
        user = bought["user"]
        self.payee(user, now_ms)["lots"].append([command.purchase, bought["coins"]])
        paid = self.pay_debt(user)
        return ("paid", command.purchase, bought["coins"], self.coins(user), paid), False

    def fail(self, id: str) -> tuple[Answer, bool]:
        bought = self.purchases.get(id)
        if bought is None:
            return ("refused", "unknown_purchase"), False
        if bought["status"] not in ("pending", "failed"):
            return ("refused", "wrong_state"), False
        before, bought["status"] = bought["status"], "failed"
        return ("failed", id), before == "failed"

    def take_bought(self, bought: dict[str, Any], id: str, coins: int) -> int:
        """Of its own lot, then of all else; the rest is owed."""
        purse = self.purses[bought["user"]]
        for lot in purse["lots"]:
            if lot[0] == id:
                part = min(coins, lot[1])
                lot[1] -= part
                coins -= part
        purse["lots"] = [lot for lot in purse["lots"] if lot[1]]
        others = min(coins, self.coins(bought["user"]))
        self.take(bought["user"], others)
        purse["debt"] += coins - others
        return coins - others

    def refund(self, command: c.RefundPurchase) -> Answer:
        bought = self.purchases.get(command.purchase)
        if bought is None:
            return "refused", "unknown_purchase"
        if bought["status"] != "paid":
            return "refused", "wrong_state"
        coins, left = command.coins, bought["coins"] - bought["refunded"]
        if coins is None:
            lots = dict(map(tuple, self.purses[bought["user"]]["lots"]))
            coins = lots.get(command.purchase, 0)
            if not coins:
                return "refused", "nothing_to_refund"
        if coins < 1:
            return "refused", "invalid"
        if coins > left:
            return "refused", "refund_too_large"
        return self.give_back(command.purchase, coins, command.refund, "requested")

    def give_back(self, id: str, coins: int, refund: str, status: str) -> Answer:
        bought = self.purchases[id]
        bought["refunded"] += coins
        in_all = bought["price"] * bought["refunded"] // bought["coins"]
        money, bought["money_back"] = in_all - bought["money_back"], in_all
        debt = self.take_bought(bought, id, coins)
        if bought["refunded"] == bought["coins"]:
            bought["status"] = "refunded"
        self.refunds[refund] = status if money else "sent"
        return "refunded", id, coins, money, self.coins(bought["user"]), debt

    def named(self, purchase: str | None, payment: str | None) -> str | None:
        """The purchase that a provider means."""
        if purchase is not None:
            return purchase if purchase in self.purchases else None
        return next((id for id, p in self.purchases.items() if p["payment"] == payment), None)

    def see_refund(self, command: c.SeeRefund) -> Answer:
        """The provider says the sum so far; only whole coins of the payment itself are booked."""
        id = self.named(command.purchase, command.payment)
        if id is None:
            return "refused", "unknown_purchase"
        bought = self.purchases[id]
        if not bought["payment"]:
            return "refused", "wrong_state"
        if bought["payment"] != command.payment:
            return self.suspend("refund_differs")
        news = command.refunded_minor - bought["money_back"]
        if news <= 0 or bought["status"] != "paid":
            return "refused", "nothing_to_refund"
        coins = news * bought["coins"] / bought["price"]
        if command.refunded_minor == bought["price"]:
            coins = bought["coins"] - bought["refunded"]
        if command.refunded_minor > bought["price"] or coins % 1 or command.currency != "USD":
            return self.suspend("refund_differs")
        return self.give_back(id, int(coins), command.refund, "sent")

    def refund_sent(self, id: str) -> tuple[Answer, bool]:
        if id not in self.refunds:
            return ("refused", "unknown_refund"), False
        before, self.refunds[id] = self.refunds[id], "sent"
        return ("sent", id), before == "sent"

    def charge_back(self, command: c.ChargeBack) -> tuple[Answer, bool]:
        id = self.named(command.purchase, command.payment)
        if id is None:
            if command.purchase is None:
                return ("refused", "unknown_purchase"), False
            return self.suspend("unknown_purchase"), False
        bought = self.purchases[id]
        if command.payment and bought["payment"] not in (None, command.payment):
            return self.suspend("charged_back_second"), False
        if bought["status"] == "charged_back" or bought["parked"]:
            return ("charged_back", id, 0, 0, 0, {}), True
        rest = bought["price"] - bought["money_back"]
        if command.amount_minor not in (None, bought["price"], rest):
            return self.suspend("chargeback_differs"), False
        if bought["status"] == "refunded":
            return self.suspend("refunded_before"), False
        if bought["status"] != "paid":
            bought["parked"] = True
            return ("charged_back", id, 0, 0, 0, {}), False
        coins = bought["coins"] - bought["refunded"]
        debt = self.take_bought(bought, id, coins)
        bought["status"], bought["clawback"] = "charged_back", self.policy.clawback
        money, bought["money_back"] = bought["price"] - bought["money_back"], bought["price"]
        return ("charged_back", id, coins, money, debt, self.claw_back(id)), False

    # Creators

    def creator(self, id: str) -> dict[str, Any]:
        empty = {"pending": {}, "available": 0, "reserved": 0, "debt": 0, "open": "", "paid": 0}
        return self.creators.setdefault(id, empty)

    def claw_back(self, id: str) -> dict[str, dict[str, int]]:
        sums: dict[str, dict[str, int]] = {}
        gifts = sorted(self.gifts_sent, key=lambda gift: (gift["room"], gift["seq"]))
        for gift in gifts if self.policy.clawback != "none" else ():
            share = gift["lots"].get(id, 0) * gift["earned"] // gift["coins"]
            if share and "retracted" not in gift["marks"]:
                so_far = sums.setdefault(gift["creator"], {})
                for place, amount in self.take_back(gift, share).items():
                    so_far[place] = so_far.get(place, 0) + amount
        return sums

    def take_back(self, gift: dict[str, Any], amount: int) -> dict[str, int]:
        creator, day = self.creator(gift["creator"]), gift["at_ms"] // DAY_MS
        taken = {"pending": 0}
        for each in sorted(creator["pending"], key=lambda other: (other != day, other)):
            part = min(amount - taken["pending"], creator["pending"][each])
            creator["pending"][each] -= part
            taken["pending"] += part
        amount -= taken["pending"]
        taken["available"] = min(amount, creator["available"])
        creator["available"] -= taken["available"]
        owed = amount - taken["available"]
        taken["debt"] = owed if self.policy.clawback == "full" else 0
        creator["debt"] += taken["debt"]
        taken["borne"] = owed - taken["debt"]
        return taken

    def earn(self, id: str, amount: int, now_ms: int) -> None:
        pending, day = self.creator(id)["pending"], now_ms // DAY_MS
        pending[day] = pending.get(day, 0) + amount

    def pending(self, id: str) -> int:
        return sum(self.creators[id]["pending"].values()) if id in self.creators else 0

    def release(self, id: str, now_ms: int) -> Answer:
        creator, hold = self.creator(id), self.policy.hold_days
        wait_ms = (hold + 1) * DAY_MS if hold else 0
        days = [day for day in creator["pending"] if day * DAY_MS + wait_ms <= now_ms]
        due = sum(creator["pending"].pop(day) for day in days)
        if not due:
            return "refused", "nothing_due"
        return "released", due, self.make_available(creator, due)

    def make_available(self, creator: dict[str, Any], amount: int) -> int:
        paid: int = min(amount, creator["debt"])
        creator["debt"] -= paid
        creator["available"] += amount - paid
        return paid

    def request(self, command: c.RequestPayout) -> Answer:
        creator, rules, wanted = (
            self.creator(command.creator),
            self.policy.payouts,
            command.millidiamonds,
        )
        if wanted < rules.minimum_millidiamonds or wanted % rules.millidiamonds_per_minor:
            return "refused", "invalid"
        if self.purses.get(command.creator, {}).get("frozen"):
            return "refused", "account_frozen"
        if creator["open"]:
            return "refused", "payout_open"
        if wanted > creator["available"] - creator["debt"]:
            return "refused", "insufficient_diamonds"
        reviewed = creator["paid"] == 0 or wanted > rules.automatic_millidiamonds
        id, status = f"payout-{self.number()}", "requested" if reviewed else "approved"
        creator["available"] -= wanted
        creator["reserved"] += wanted
        creator["open"] = id
        self.payouts[id] = {"creator": command.creator, "amount": wanted, "status": status}
        return "payout", id, status, wanted

    def change_payout(self, id: str, status: str, *before: str) -> Answer:
        payout = self.payouts.get(id)
        if payout is None:
            return "refused", "unknown_payout"
        if payout["status"] not in before:
            return "refused", "wrong_state"
        creator, amount = self.creators[payout["creator"]], payout["amount"]
        if status == "approved" and self.purses.get(payout["creator"], {}).get("frozen"):
            return "refused", "account_frozen"
        payout["status"] = status
        if status != "approved":
            creator["reserved"] -= amount
            creator["open"] = ""
        if status == "rejected":
            self.make_available(creator, amount)
        creator["paid"] += status == "paid"
        return "payout", id, status, amount

    def record(self, command: c.RecordPayoutResult) -> tuple[Answer, bool]:
        payout, said = self.payouts.get(command.payout), "paid" if command.paid else "rejected"
        if payout is None:
            return self.suspend("unknown_payout"), False
        if payout["status"] == "approved":
            payout["reference"] = command.reference
            return self.change_payout(command.payout, said, "approved"), False
        known = payout.get("reference") or command.reference
        if payout["status"] == said == "paid" and command.reference not in ("", known):
            return self.suspend("paid_twice"), False
        if payout["status"] == said:
            return ("payout", command.payout, said, payout["amount"]), True
        return self.suspend(f"is_{payout['status']}"), False

    # Corrections and people

    def propose(self, command: c.ProposeCorrection) -> Answer:
        if not 0 < abs(command.amount) <= MONEY_MAX:
            return "refused", "invalid"
        self.corrections[self.number()] = {
            "user": command.user, "account": command.account, "amount": command.amount,
            "by": command.actor, "status": "proposed",
        }  # fmt: skip
        return ("proposed", self.number())

    def decide(self, command: c.DecideCorrection, now_ms: int) -> Answer:
        found = self.corrections.get(command.correction)
        if found is None:
            return "refused", "unknown_correction"
        if found["status"] != "proposed":
            return "refused", "wrong_state"
        if command.approve and command.actor == found["by"]:
            return "refused", "forbidden"
        if command.approve and not self.correct(
            found["user"], found["account"], found["amount"], now_ms
        ):
            return "refused", "invalid"
        found["status"] = "approved" if command.approve else "rejected"
        return "decided", command.correction, found["status"]

    def correct(self, user: str, account: str, amount: int, now_ms: int) -> bool:
        if account == "coins":
            if self.coins(user) + amount < 0:
                return False
            if amount > 0:
                self.payee(user, now_ms)["granted"] += amount
            else:
                self.take(user, -amount)
            return True
        rows, field = {
            "coin_debt": (self.purse(user, now_ms), "debt"),
            "diamond_debt": (self.creator(user), "debt"),
            "diamonds_available": (self.creator(user), "available"),
        }[account]
        after = rows[field] + (amount if field == "available" else -amount)
        if after >= 0:
            rows[field] = after
        return bool(after >= 0)

    def pause(self, user: str, days: int, now_ms: int) -> Answer:
        if days not in (1, 7, 30):
            return "refused", "invalid"
        purse = self.purse(user, now_ms)
        purse["paused"] = max(purse["paused"], now_ms + days * DAY_MS)
        return "paused", user, purse["paused"]

    def freeze(self, user: str, frozen: bool, now_ms: int) -> tuple[Answer, bool]:
        purse = self.purse(user, now_ms)
        before, purse["frozen"] = purse["frozen"], frozen
        return ("frozen" if frozen else "unfrozen", user), before == frozen
