"""The real store against a dictionary, through any history of commands, restarts and crashes.

The model below was written from docs/protocol.md and not from the code: plain dictionaries, one
`if` per sentence of the contract. The machine says the same to both and every answer, balance,
total, log and board must agree. A restart closes the store and opens it again; a crash abandons it
and opens what is on the disk at that moment, as after a `kill -9`.
"""

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Any

import builders
import msgspec
import orjson
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)

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
    SetPolicy,
)
from rules.results import Result
from storage.sqlite import SqliteStore

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
        self.combos: dict[tuple[str, str], dict[str, Any]] = {}
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

    def _log(self, room: str, kind: str, coins: int, **fields: Any) -> int:
        self.rooms[room]["total"] += coins
        self.logs[room].append({"kind": kind, "step": coins} | fields)
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
        place = (gift.room, gift.sender)
        last = self.combos.pop(place, None)
        if not PRICES[gift.gift].combo:
            return None
        alike = (gift.gift, gift.visibility)
        combo = {"id": f"c{seq}", "count": 0, "coins": 0, "alike": alike}
        if (
            last
            and last["alike"] == alike
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


few = st.integers(0, 3)
kinds = st.sampled_from(["rose", "rose", "rose", "cake", "cake", "lion", "ghost", "pony"])
quantities = st.sampled_from([1, 1, 1, 2, 5, 99, 9_999, 0, -1, 10_000, 2**53])
wishes = st.fixed_dictionaries(
    {"gift": kinds, "quantity": quantities},
    optional={
        "price": st.sampled_from([1, 25, 26]),
        "visibility": st.just("anonymous"),
        "message": st.just("\N{ROSE} for you"),
        "adult": st.booleans(),
    },
)


class Books(RuleBasedStateMachine):
    users = Bundle("users")
    rooms = Bundle("rooms")
    keys = Bundle("keys")
    used = Bundle("used")
    """Commands that were said before, whatever became of them."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.now_ms = 1_000_000
        self.number = 0
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp(prefix="largesse-model-"))
        self.path = self.folder / "books.db"
        self.store = self.run(SqliteStore.open(str(self.path)))
        policy: SetPolicy = builders.set_policy(rate_permille=PERMILLE, combo_window_ms=WINDOW_MS)
        self.run(self.store.settle([policy], self.now_ms))

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    def fresh(self, prefix: str) -> str:
        self.number += 1
        return f"{prefix}{self.number}"

    def say(self, *commands: AnyCommand) -> Any:
        """Say it to both; what was said can be said again."""
        results = self.run(self.store.settle(commands, self.now_ms))
        for command, result in zip(commands, results, strict=True):
            assert (said(result), result.replayed) == self.model.say(command, self.now_ms), command
        return multiple(*commands)

    @initialize(target=users)
    def first_users(self) -> Any:
        return multiple("ada", "bob", "cleo")

    @initialize(target=rooms)
    def first_rooms(self) -> Any:
        return multiple("r1", "r2")

    @initialize()
    def first_coins(self) -> None:
        self.say(builders.open_room("r1", "cleo"), builders.grant("ada", 20_000))

    @rule(target=users)
    def meet_somebody(self) -> str:
        return self.fresh("user")

    @rule(target=keys)
    def make_a_key(self) -> str:
        return self.fresh("k")

    @rule(target=used, room=rooms, creator=users)
    def open_a_room(self, room: str, creator: str) -> Any:
        return self.say(builders.open_room(room, creator, epoch=self.fresh("e")))

    @rule(target=used, room=rooms)
    def close_a_room(self, room: str) -> Any:
        return self.say(builders.close_room(room))

    @rule(target=used, user=users, coins=st.integers(-1, 50_000) | st.just(2**53))
    def grant(self, user: str, coins: int) -> Any:
        return self.say(builders.grant(user, coins))

    @rule(target=used, sender=users, room=rooms, key=consumes(keys), wish=wishes)
    def give(self, sender: str, room: str, key: str, wish: dict[str, Any]) -> Any:
        return self.say(builders.gift(sender, room=room, key=key, **wish))

    @rule(target=used, sender=users, room=rooms, to=users)
    def give_to(self, sender: str, room: str, to: str) -> Any:
        return self.say(builders.gift(sender, room=room, to=to))

    @rule(target=used, one=users, other=users, room=rooms, wishes=st.lists(wishes, max_size=12))
    def give_in_one_batch(
        self, one: str, other: str, room: str, wishes: list[dict[str, Any]]
    ) -> Any:
        senders = [one, other] * 6
        pairs = zip(senders, wishes, strict=False)
        return self.say(*[builders.gift(sender, room=room, **wish) for sender, wish in pairs])

    @rule(target=used, room=rooms, seq=st.integers(0, 12))
    def retract(self, room: str, seq: int) -> Any:
        return self.say(builders.retract(f"{room}:{seq}"))

    @rule(target=used, room=rooms, seq=st.integers(0, 12))
    def hide(self, room: str, seq: int) -> Any:
        return self.say(builders.hide(f"{room}:{seq}"))

    @rule(command=used)
    def say_it_again(self, command: AnyCommand) -> None:
        self.say(command)

    @rule(command=used)
    def say_it_twice_in_one_batch(self, command: AnyCommand) -> None:
        self.say(command, command)

    @rule(command=used, wish=wishes, room=rooms)
    def use_its_key_for_something_else(
        self, command: AnyCommand, wish: dict[str, Any], room: str
    ) -> None:
        if isinstance(command, SendGift):
            self.say(builders.gift(command.sender, room=room, key=command.key, **wish))

    @rule(step_ms=st.sampled_from([1, 500, 3_000, 3_001, 86_400_000, -1, -5_000]))
    def let_time_pass(self, step_ms: int) -> None:
        self.now_ms += step_ms

    @rule()
    def restart(self) -> None:
        self.run(self.store.close())
        self.store = self.run(SqliteStore.open(str(self.path)))

    @rule()
    def crash(self) -> None:
        """What is on the disk now is all that the next process will know."""
        path = self.folder / f"{self.fresh('crash')}.db"
        for ending in ("", "-wal"):
            if Path(f"{self.path}{ending}").exists():
                shutil.copy(f"{self.path}{ending}", f"{path}{ending}")
        self.run(self.store.close())
        self.path = path
        self.store = self.run(SqliteStore.open(str(path)))

    @rule(room=rooms, back=few)
    def look_back(self, room: str, back: int) -> None:
        if room in self.model.logs:
            as_of = max(0, len(self.model.logs[room]) - back)
            lines = self.run(self.store.board(room, as_of, 100))
            assert [(line.user, line.coins) for line in lines] == self.model.board(room, as_of)

    @invariant()
    def wallets_agree(self) -> None:
        wanted = self.model.coins
        assert self.run(self.store.balances(wanted)) == wanted
        assert all(coins >= 0 for coins in wanted.values())

    @invariant()
    def rooms_agree(self) -> None:
        found = {room.id: room for room in self.run(self.store.rooms("", 100))}
        assert set(found) == set(self.model.rooms)
        for id, wanted in self.model.rooms.items():
            room = found[id]
            assert (room.total_coins, room.seq) == (wanted["total"], len(self.model.logs[id]))
            assert (room.status == "open", room.epoch) == (wanted["open"], wanted["epoch"])

    def teardown(self) -> None:
        try:
            self.restart()
            self.wallets_agree()
            self.rooms_agree()
            for user, millidiamonds in self.model.millidiamonds.items():
                wallet = self.run(self.store.wallet(user, 0))
                assert wallet.millidiamonds_pending == millidiamonds
            for room, log in self.model.logs.items():
                self.log_agrees(room, log)
        finally:
            self.run(self.store.close())
            self.loop.close()
            shutil.rmtree(self.folder)

    def log_agrees(self, room: str, log: list[dict[str, Any]]) -> None:
        events = self.run(self.store.events(room, 0, 10_000))
        assert [(event.kind, event.coins) for event in events] == [
            (entry["kind"], entry["step"]) for entry in log
        ]
        for seq, event in enumerate(events, 1):
            assert orjson.loads(event.body)["seq"] == event.seq == seq
        self.look_back(room, 0)
        state = self.run(self.store.room(room, 0))
        standings = sorted(state.standings, key=lambda line: (-line[2], line[3]))
        assert [(line[0], line[2]) for line in standings] == self.model.board(room, len(log))


class TestTheBooksFollowTheModel(Books.TestCase):
    settings = settings(max_examples=80, stateful_step_count=40, deadline=None)


@pytest.mark.slow
@pytest.mark.timeout(3_600)
class TestTheBooksFollowTheModelForLong(Books.TestCase):
    settings = settings(max_examples=1_500, stateful_step_count=80, deadline=None)
