"""The contract as plain dictionaries: what every answer and every sum must be.

Written from docs/protocol.md and not from the code, one `if` per sentence of it: no SQL, no
settling, no clock. It is what stateful tests and history checkers hold the real thing against.
Wallets, limits and payouts are in kit/model/money_model.py.
"""

from typing import Any

import msgspec

from kit.building import builders
from kit.model.money_model import Answer, MoneyModel
from kit.model.said import said_of_money
from rules import commands as c
from rules.outcomes import (
    GiftAccepted,
    GiftHidden,
    GiftRetracted,
    GiftsReversed,
    PolicySet,
    Refused,
    RoomClosed,
    RoomOpened,
)
from rules.policy import Policy
from rules.results import Result

PRICES = {gift.id: gift for gift in builders.CATALOGUE.gifts}
WINDOW_MS = 3_000
PERMILLE = 500
SPENDS_THE_KEY = set(
    "room_closed gift_unavailable not_of_age insufficient_coins account_frozen gifting_paused"
    " limit_per_gift limit_daily limit_weekly limit_monthly".split()
)
NOT_CONTENT = {
    "gift": {"name", "adult"},
    "open_room": {"epoch"},
    "start_purchase": {"purchase", "adult"},
    "refund_purchase": {"refund"},
    "see_refund": {"refund"},
    "request_payout": {"facts", "flags"},
}
"""What may differ between two tries of one wish, besides the key."""


class Model(MoneyModel):
    """What the contract says, and nothing about how it is done. It begins after the policy."""

    def __init__(self, policy: Policy) -> None:
        super().__init__(policy)
        self.rooms: dict[str, dict[str, Any]] = {}
        self.logs: dict[str, list[dict[str, Any]]] = {}
        self.sums: dict[str, dict[str, tuple[int, int]]] = {}
        self.combos: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.answers: dict[tuple[str, str], tuple[Any, Answer]] = {}

    def number(self) -> int:
        return len(self.answers) + 2

    def say(self, command: c.AnyCommand, now_ms: int) -> tuple[Answer, bool]:
        """The answer, and whether it is an old one."""
        name = (command.actor, command.key)
        content = self._content(command)
        if name in self.answers:
            before, answer = self.answers[name]
            return (answer, True) if before == content else (("refused", "key_reused"), False)
        answer, replayed = self._decide(command, now_ms)
        if answer[0] != "refused" or answer[1] in SPENDS_THE_KEY:
            self.answers[name] = (content, answer)
        return answer, replayed

    def _content(self, command: c.AnyCommand) -> Any:
        content = msgspec.to_builtins(command)
        for field in {"key"} | NOT_CONTENT.get(content["kind"], set()):
            content.pop(field, None)
        return content

    def _decide(self, command: c.AnyCommand, now_ms: int) -> tuple[Answer, bool]:
        match command:
            case c.OpenRoom():
                return self._open(command)
            case c.CloseRoom(room=room):
                return self._close(room)
            case c.SettlePurchase():
                return self.settle_paid(command, now_ms)
            case c.FailPurchase(purchase=purchase):
                return self.fail(purchase)
            case c.RefundSent(refund=refund):
                return self.refund_sent(refund)
            case c.ChargeBack():
                return self.charge_back(command)
            case c.RecordPayoutResult():
                return self.record(command)
            case c.Freeze(user=user) | c.Unfreeze(user=user):
                return self.freeze(user, isinstance(command, c.Freeze), now_ms)
        return self._decide_anew(command, now_ms), False

    def _decide_anew(self, command: c.AnyCommand, now_ms: int) -> Answer:
        """What is never the same wish under another key."""
        match command:
            case c.SetPolicy(policy=policy):
                self.policy = policy
                return ("policy",)
            case c.SendGift():
                return self._gift(command, now_ms)
            case c.RetractGift(gift_id=gift_id):
                return self._retract(gift_id)
            case c.ReverseGifts(user=user, gifts=gifts):
                return self._reverse(user, gifts)
            case c.HideGift(gift_id=gift_id):
                return self._hide(gift_id)
            case c.Grant(user=user, coins=coins):
                return self.grant(user, coins, now_ms)
            case c.StartPurchase():
                return self.start(command)
            case c.SeeRefund():
                return self.see_refund(command)
            case c.RefundPurchase():
                return self.refund(command)
            case c.ProposeCorrection():
                return self.propose(command)
            case c.DecideCorrection():
                return self.decide(command, now_ms)
            case c.SetLimits():
                return self.set_limits(command, now_ms)
            case c.PauseGifting(user=user, days=days):
                return self.pause(user, days, now_ms)
            case c.ReleaseDiamonds(creator=creator):
                return self.release(creator, now_ms)
            case c.RequestPayout():
                return self.request(command)
            case c.ApprovePayout(payout=payout):
                return self.change_payout(payout, "approved", "requested")
            case c.PayPayout(payout=payout, reference=reference):
                answer = self.change_payout(payout, "paid", "approved")
                if answer[0] == "payout":
                    self.payouts[payout]["reference"] = reference
                return answer
            case c.RejectPayout(payout=payout):
                return self.change_payout(payout, "rejected", "requested", "approved")
        raise AssertionError(command)

    def _open(self, command: c.OpenRoom) -> tuple[Answer, bool]:
        wanted = {"title": command.title, "creator": command.creator, "name": command.creator_name}
        room = self.rooms.get(command.room)
        if room is None:
            self.rooms[command.room] = wanted | {"open": True, "total": 0, "epoch": command.epoch}
            self.logs[command.room], self.sums[command.room] = [], {}
            return ("opened", command.room, command.epoch), False
        if any(room[field] != value for field, value in wanted.items()):
            return ("refused", "room_exists"), False
        return ("opened", command.room, room["epoch"]), True

    def _close(self, room: str) -> tuple[Answer, bool]:
        if room not in self.rooms:
            return ("refused", "unknown_room"), False
        was_open, self.rooms[room]["open"] = self.rooms[room]["open"], False
        if was_open:
            self._log(room, "room_closed", 0)
        return ("closed", room, len(self.logs[room])), not was_open

    def _log(self, room: str, kind: str, step: int, **fields: Any) -> int:
        self.rooms[room]["total"] += step
        self.logs[room].append({"kind": kind, "step": step} | fields)
        return len(self.logs[room])

    def _refusal(self, gift: c.SendGift, now_ms: int) -> str | None:
        room, kind = self.rooms.get(gift.room), PRICES.get(gift.gift)
        if room is None:
            return "unknown_room"
        if kind is None:
            return "unknown_gift"
        if not 1 <= gift.quantity <= 9_999:
            return "bad_quantity"
        if (gift.to or room["creator"]) == gift.sender:
            return "self_gift"
        if (gift.to or room["creator"]) != room["creator"]:
            return "bad_recipient"
        if gift.price not in (None, kind.coins):
            return "price_changed"
        if not room["open"]:
            return "room_closed"
        if not kind.enabled:
            return "gift_unavailable"
        if not gift.adult:
            return "not_of_age"
        coins, purse = kind.coins * gift.quantity, self.purses.get(gift.sender)
        if purse and (purse["debt"] or purse["frozen"]):
            return "account_frozen"
        if purse and now_ms < purse["paused"]:
            return "gifting_paused"
        if purse and (refusal := self.limit_refusal(gift.sender, coins, now_ms)):
            return refusal
        return "insufficient_coins" if self.coins(gift.sender) < coins else None

    def _gift(self, gift: c.SendGift, now_ms: int) -> Answer:
        if refusal := self._refusal(gift, now_ms):
            return "refused", refusal
        coins, creator = PRICES[gift.gift].coins * gift.quantity, self.rooms[gift.room]["creator"]
        lots = dict(self.take(gift.sender, coins))
        self.earn(creator, coins * PERMILLE, now_ms)
        anonymous = gift.visibility == "anonymous"
        fields = {"sender": gift.sender, "coins": coins, "anonymous": anonymous, "marks": set()}
        seq = self._log(gift.room, "gift", coins, **fields)
        entry = self.logs[gift.room][-1]
        entry |= {"room": gift.room, "seq": seq, "creator": creator, "lots": lots}
        entry |= {"at_ms": now_ms, "earned": coins * PERMILLE, "bought": sum(lots.values())}
        self.gifts_sent.append(entry)
        self.purses[gift.sender]["spent"].append(entry)
        if not anonymous:
            self._sum(gift.room, gift.sender, coins, seq)
        combo = self._combo(gift, seq, coins, now_ms)
        total = self.rooms[gift.room]["total"]
        balance = self.coins(gift.sender)
        sums = (gift.quantity, coins, balance, total)
        return "gift", gift.room, seq, *sums, combo, now_ms, lots

    def _sum(self, room: str, user: str, step: int, seq: int) -> None:
        self.sums[room][user] = (self.sums[room].get(user, (0, 0))[0] + step, seq)
        self.logs[room][-1]["sums"] = dict(self.sums[room])

    def _combo(self, gift: c.SendGift, seq: int, coins: int, now_ms: int) -> Any:
        place = (gift.room, gift.sender, gift.visibility)
        last = self.combos.pop(place, None)
        if not PRICES[gift.gift].combo:
            return None
        combo: dict[str, Any] = {"id": f"c{seq}", "count": 0, "coins": 0, "gift": gift.gift}
        if (
            last
            and last["gift"] == gift.gift
            and 0 <= now_ms - last["at_ms"] <= WINDOW_MS
            and last["count"] + gift.quantity <= 9_999
        ):
            combo = last
        combo["count"] += gift.quantity
        combo["coins"] += coins
        combo["at_ms"] = now_ms
        self.combos[place] = combo
        return combo["id"], combo["count"], combo["coins"], now_ms + WINDOW_MS

    def _find(self, gift_id: str) -> tuple[str, dict[str, Any] | None]:
        room, _, seq = gift_id.rpartition(":")
        log = self.logs.get(room, [])
        entry = log[int(seq) - 1] if 1 <= int(seq) <= len(log) else None
        return room, entry if entry and entry["kind"] == "gift" else None

    def _retract(self, gift_id: str) -> Answer:
        room, gift = self._find(gift_id)
        if gift is None:
            return "refused", "unknown_gift"
        if "retracted" in gift["marks"]:
            return "refused", "already_retracted"
        return "retracted", gift_id, *self._undo(room, gift)

    def _undo(self, room: str, gift: dict[str, Any]) -> tuple[int, int, int]:
        """The seq of the retraction, the coins, and how many of them paid a debt."""
        gift["marks"].add("retracted")
        sender, bought = gift["sender"], sum(gift["lots"].values())
        self.purses[sender]["granted"] += gift["coins"] - bought
        for purchase, part in gift["lots"].items():
            self.put_back(sender, purchase, part)
        paid = self.pay_debt(sender)
        spent = self.purses[sender]["spent"]
        spent[:] = [other for other in spent if other is not gift]
        clawed = sum(
            part * gift["earned"] // gift["coins"]
            for purchase, part in gift["lots"].items()
            if self.purchases[purchase]["clawback"] != "none"
        )
        self.take_back(gift, gift["earned"] - clawed)
        seq = self._log(room, "gift_retracted", -gift["coins"])
        if not gift["anonymous"]:
            self._sum(room, sender, -gift["coins"], seq)
        return seq, gift["coins"], paid

    def _reverse(self, user: str, gift_ids: tuple[str, ...]) -> Answer:
        found = {gift_id: self._find(gift_id) for gift_id in gift_ids}
        for _, gift in found.values():
            if gift is None or ("retracted" not in gift["marks"] and gift["sender"] != user):
                return "refused", "unknown_gift"
        seqs: list[tuple[str, int]] = []
        coins = paid = 0
        for gift_id, (room, gift) in found.items():
            if gift and "retracted" not in gift["marks"]:
                seq, back, debt = self._undo(room, gift)
                seqs, coins, paid = [*seqs, (gift_id, seq)], coins + back, paid + debt
        return "reversed", user, tuple(seqs), coins, paid

    def _hide(self, gift_id: str) -> Answer:
        room, gift = self._find(gift_id)
        if gift is None:
            return "refused", "unknown_gift"
        if "hidden" in gift["marks"]:
            return "refused", "already_hidden"
        gift["marks"].add("hidden")
        return "hidden", gift_id, self._log(room, "gift_hidden", 0)

    def board(self, room: str, as_of: int) -> list[tuple[str, int]]:
        states = [entry["sums"] for entry in self.logs[room][:as_of] if "sums" in entry]
        sums = states[-1].items() if states else ()
        best_first = sorted(sums, key=lambda item: (-item[1][0], item[1][1]))
        return [(user, coins) for user, (coins, _) in best_first if coins]


def said(result: Result) -> Answer:
    """An outcome in the words of the model."""
    match result.outcome:
        case Refused(code=code):
            return "refused", code
        case PolicySet():
            return ("policy",)
        case RoomOpened(room=room, epoch=epoch):
            return "opened", room, epoch
        case RoomClosed(room=room, seq=seq):
            return "closed", room, seq
        case GiftRetracted() as back:
            return "retracted", back.gift_id, back.seq, back.coins, back.debt_paid_coins
        case GiftsReversed() as back:
            return "reversed", back.user, back.gifts, back.coins, back.debt_paid_coins
        case GiftHidden(gift_id=gift_id, seq=seq):
            return "hidden", gift_id, seq
        case GiftAccepted() as gift:
            combo = gift.combo and msgspec.structs.astuple(gift.combo)
            sums = (gift.quantity, gift.coins, gift.balance_coins, gift.total_coins)
            return "gift", gift.room, gift.seq, *sums, combo, gift.at_ms, dict(gift.lots)
    return said_of_money(result.outcome)
