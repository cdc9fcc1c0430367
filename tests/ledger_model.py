"""The contract as plain dictionaries: what every answer and every sum must be.

Written from docs/protocol.md and not from the code, one `if` per sentence of it: no SQL, no
settling, no clock. It is what stateful tests and history checkers hold the real thing against.
"""

from typing import Any

import msgspec

import builders
from rules.commands import (
    AnyCommand,
    CloseRoom,
    GiftAccepted,
    GiftHidden,
    GiftRetracted,
    Grant,
    Granted,
    HideGift,
    OpenRoom,
    Refused,
    RetractGift,
    RoomClosed,
    RoomOpened,
    SendGift,
)
from rules.results import Result

PRICES = {gift.id: gift for gift in builders.CATALOGUE.gifts}
WINDOW_MS = 3_000
PERMILLE = 500
MONEY_MAX = 2**53 - 1
SPENDS_THE_KEY = {"room_closed", "gift_unavailable", "not_of_age", "insufficient_coins"}

Answer = tuple[Any, ...]


class Model:
    """What the contract says, and nothing about how it is done."""

    def __init__(self) -> None:
        self.coins: dict[str, int] = {}
        self.millidiamonds: dict[str, int] = {}
        self.rooms: dict[str, dict[str, Any]] = {}
        self.logs: dict[str, list[dict[str, Any]]] = {}
        self.sums: dict[str, dict[str, tuple[int, int]]] = {}
        self.combos: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.answers: dict[tuple[str, str], tuple[Any, Answer]] = {}

    def say(self, command: AnyCommand, now_ms: int) -> tuple[Answer, bool]:
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

    def _content(self, command: AnyCommand) -> Any:
        content = msgspec.to_builtins(command)
        for field in ("key", "name", "adult", "epoch"):
            content.pop(field, None)
        return content

    def _decide(self, command: AnyCommand, now_ms: int) -> tuple[Answer, bool]:
        match command:
            case SendGift():
                return self._gift(command, now_ms), False
            case Grant(user=user, coins=coins):
                return self._grant(user, coins), False
            case RetractGift(gift_id=gift_id):
                return self._retract(gift_id), False
            case HideGift(gift_id=gift_id):
                return self._hide(gift_id), False
            case OpenRoom():
                return self._open(command)
            case CloseRoom(room=room):
                return self._close(room)
        raise AssertionError(command)

    def _open(self, command: OpenRoom) -> tuple[Answer, bool]:
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

    def _grant(self, user: str, coins: int) -> Answer:
        if not 1 <= coins <= MONEY_MAX:
            return "refused", "bad_quantity"
        self.coins[user] = self.coins.get(user, 0) + coins
        return "granted", user, coins, self.coins[user]

    def _refusal(self, gift: SendGift) -> str | None:
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
        if self.coins.get(gift.sender, 0) < kind.coins * gift.quantity:
            return "insufficient_coins"
        return None

    def _gift(self, gift: SendGift, now_ms: int) -> Answer:
        if refusal := self._refusal(gift):
            return "refused", refusal
        coins, creator = PRICES[gift.gift].coins * gift.quantity, self.rooms[gift.room]["creator"]
        self.coins[gift.sender] -= coins
        self.millidiamonds[creator] = self.millidiamonds.get(creator, 0) + coins * PERMILLE
        anonymous = gift.visibility == "anonymous"
        fields = {"sender": gift.sender, "coins": coins, "anonymous": anonymous, "marks": set()}
        seq = self._log(gift.room, "gift", coins, **fields)
        if not anonymous:
            self._sum(gift.room, gift.sender, coins, seq)
        combo = self._combo(gift, seq, coins, now_ms)
        total = self.rooms[gift.room]["total"]
        balance = self.coins[gift.sender]
        return "gift", gift.room, seq, gift.quantity, coins, balance, total, combo, now_ms

    def _sum(self, room: str, user: str, step: int, seq: int) -> None:
        self.sums[room][user] = (self.sums[room].get(user, (0, 0))[0] + step, seq)
        self.logs[room][-1]["sums"] = dict(self.sums[room])

    def _combo(self, gift: SendGift, seq: int, coins: int, now_ms: int) -> Any:
        place = (gift.room, gift.sender, gift.visibility)
        last = self.combos.pop(place, None)
        if not PRICES[gift.gift].combo:
            return None
        combo = {"id": f"c{seq}", "count": 0, "coins": 0, "gift": gift.gift}
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
        gift["marks"].add("retracted")
        self.coins[gift["sender"]] += gift["coins"]
        self.millidiamonds[self.rooms[room]["creator"]] -= gift["coins"] * PERMILLE
        seq = self._log(room, "gift_retracted", -gift["coins"])
        if not gift["anonymous"]:
            self._sum(room, gift["sender"], -gift["coins"], seq)
        return "retracted", gift_id, seq, gift["coins"]

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
        case Granted(user=user, coins=coins, balance_coins=balance):
            return "granted", user, coins, balance
        case RoomOpened(room=room, epoch=epoch):
            return "opened", room, epoch
        case RoomClosed(room=room, seq=seq):
            return "closed", room, seq
        case GiftRetracted(gift_id=gift_id, seq=seq, coins=coins):
            return "retracted", gift_id, seq, coins
        case GiftHidden(gift_id=gift_id, seq=seq):
            return "hidden", gift_id, seq
        case GiftAccepted() as gift:
            combo = gift.combo and msgspec.structs.astuple(gift.combo)
            sums = (gift.quantity, gift.coins, gift.balance_coins, gift.total_coins)
            return "gift", gift.room, gift.seq, *sums, combo, gift.at_ms
    raise AssertionError(result)
