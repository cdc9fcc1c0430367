"""The real store against a dictionary, through any history of commands, restarts and crashes.

The model is kit/model/ledger_model.py and kit/model/money_model.py; what is done with money is in
kit/model/money_machine.py. The machine says the same to both, and every answer, balance,
total, log and board must agree. A restart closes the store and opens it again; a crash abandons it
and opens what is on the disk at that moment, as after a `kill -9`.
"""

import asyncio
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import orjson
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from kit.building import builders
from kit.model.ledger_model import PERMILLE, WINDOW_MS, Model, said
from kit.model.money_machine import POLICY, MoneyRules
from rules.commands import AnyCommand, SendGift, SetPolicy
from rules.outcomes import GiftAccepted
from rules.policy import CLAWBACKS
from rules.results import Result
from storage.saving import moment
from storage.sqlite.rows import read_newest
from storage.sqlite.store import SqliteStore

few = st.integers(0, 3)
good_wishes = st.fixed_dictionaries(
    {"gift": st.sampled_from(["rose", "cake", "lion"]), "quantity": st.integers(1, 3)},
    optional={"visibility": st.just("anonymous"), "message": st.just("\N{ROSE} for you")},
)
odd_wishes = st.fixed_dictionaries(
    {
        "gift": st.sampled_from(["rose", "cake", "lion", "ghost", "pony"]),
        "quantity": st.sampled_from([1, 2, 5_000, 9_999, 0, -1, 10_000, 2**53]),
    },
    optional={"price": st.sampled_from([1, 25, 26]), "adult": st.booleans()},
)
EVERY_ANSWER = [
    *"gift granted opened closed retracted hidden unknown_room unknown_gift bad_quantity".split(),
    *"self_gift bad_recipient price_changed room_closed gift_unavailable not_of_age".split(),
    *"insufficient_coins key_reused already_retracted already_hidden room_exists".split(),
    *"account_frozen gifting_paused limit_per_gift limit_daily limit_weekly limit_monthly".split(),
    *"started paid failed refunded sent charged_back suspended limits paused frozen".split(),
    *"unfrozen released payout proposed decided reversed refund_too_large wrong_state".split(),
    *"nothing_to_refund nothing_due payout_open insufficient_diamonds forbidden invalid".split(),
    *"unknown_purchase unknown_payout unknown_refund".split(),
    *["replayed gift", "replayed paid", "replayed charged_back", "replayed payout"],
]
UNDOINGS = [builders.retract, builders.hide]
LONG_MS = [3_600_000, 25 * 3_600_000, 24 * 3_600_000, 8 * 24 * 3_600_000]


class Books(MoneyRules):
    users = Bundle("users")
    rooms = Bundle("rooms")
    rooms_to_close = Bundle("rooms_to_close")
    gifts = Bundle("gifts")
    """Ids of gifts that were accepted."""
    keys = Bundle("keys")
    used = Bundle("used")
    """Commands that were said before, whatever became of them."""

    seen: ClassVar[Counter[str]] = Counter()
    """How often each kind of answer came, over all runs: a model that is asked little proves it."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ms = 1_000_000
        self.number = 0
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp(prefix="largesse-model-"))
        self.path = self.folder / "books.db"
        self.store = self.run(SqliteStore.open(str(self.path)))

        policy = self.policy("unpaid")
        self.run(self.store.settle([policy], self.now_ms))
        self.model = Model(policy.policy)

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    def fresh(self, prefix: str) -> str:
        self.number += 1
        return f"{prefix}{self.number}"

    def say(self, *commands: AnyCommand) -> Any:
        """Say it to both; what was said can be said again."""
        at_ms = self.moment()
        results = self.run(self.store.settle(commands, self.now_ms))
        for command, result in zip(commands, results, strict=True):
            assert (said(result), result.replayed) == self.model.say(command, at_ms), command
            self.seen[self._kind(result)] += 1
        return multiple(*commands)

    def moment(self) -> int:
        """When the next batch is, by a clock that may be a little behind the one before it."""
        return moment(self.run(self.store._read(read_newest)), self.now_ms)

    def _kind(self, result: Result) -> str:
        again = "replayed " if result.replayed else ""
        answer = said(result)
        return again + (answer[1] if answer[0] == "refused" else answer[0])

    def give_one(self, gift: SendGift) -> Any:
        """Say it, and remember its id if it was accepted now."""
        at_ms = self.moment()
        [result] = self.run(self.store.settle([gift], self.now_ms))
        assert (said(result), result.replayed) == self.model.say(gift, at_ms), gift
        self.seen[self._kind(result)] += 1
        if isinstance(result.outcome, GiftAccepted) and not result.replayed:
            return f"{result.outcome.room}:{result.outcome.seq}"
        return multiple()

    def policy(self, clawback: str) -> SetPolicy:
        return builders.set_policy(
            rate_permille=PERMILLE, combo_window_ms=WINDOW_MS, clawback=clawback, **POLICY
        )

    @initialize(target=users)
    def first_users(self) -> Any:
        self.say(builders.grant("ada", 20_000), builders.grant("bob", 500))
        for user in ("bob", "cleo", "dan"):
            id = self.fresh("p")
            self.say(builders.start_purchase(user, purchase=id), builders.settle_purchase(id))
        return multiple("ada", "bob", "cleo", "dan")

    @initialize(target=rooms)
    def first_rooms(self) -> Any:
        self.say(builders.open_room("r1", "cleo"), builders.open_room("r2", "bob"))
        return multiple("r1", "r2")

    @rule(target=users)
    def meet_somebody(self) -> str:
        return self.fresh("user")

    @rule(target=keys)
    def make_a_key(self) -> str:
        return self.fresh("k")

    @rule(target=used, room=rooms, creator=users)
    def open_a_room_again(self, room: str, creator: str) -> Any:
        return self.say(builders.open_room(room, creator, epoch=self.fresh("e")))

    @rule(targets=(rooms, rooms_to_close), creator=users)
    def open_a_room(self, creator: str) -> str:
        room = self.fresh("room:")
        self.say(builders.open_room(room, creator))
        return room

    @rule(target=used, room=rooms_to_close)
    def close_a_room(self, room: str) -> Any:
        return self.say(builders.close_room(room))

    @rule(target=used, user=users, coins=st.integers(1, 50_000))
    def grant(self, user: str, coins: int) -> Any:
        return self.say(builders.grant(user, coins))

    @rule(target=used, user=users, coins=st.sampled_from([0, -1, 2**53]))
    def grant_what_cannot_be(self, user: str, coins: int) -> Any:
        return self.say(builders.grant(user, coins))

    @rule(target=gifts, sender=users, room=rooms, wish=good_wishes)
    def give(self, sender: str, room: str, wish: dict[str, Any]) -> Any:
        return self.give_one(builders.gift(sender, room=room, **wish))

    @rule(target=gifts, room=rooms, gift=st.sampled_from(["rose", "cake"]), times=few)
    def tap_and_tap_again(self, room: str, gift: str, times: int) -> Any:
        ids = [self.give_one(builders.gift("ada", gift, room=room)) for _ in range(times)]
        return multiple(*[id for id in ids if isinstance(id, str)])

    @rule(target=used, sender=users, room=rooms, key=consumes(keys), wish=good_wishes)
    def give_with_a_key(self, sender: str, room: str, key: str, wish: dict[str, Any]) -> Any:
        return self.say(builders.gift(sender, room=room, key=key, **wish))

    @rule(target=used, sender=users, room=rooms, wish=odd_wishes)
    def give_oddly(self, sender: str, room: str, wish: dict[str, Any]) -> Any:
        return self.say(builders.gift(sender, room=room, **wish))

    @rule(target=used, sender=users, wish=good_wishes)
    def give_nowhere(self, sender: str, wish: dict[str, Any]) -> Any:
        return self.say(builders.gift(sender, room="r9", **wish))

    @rule(target=used, sender=users, room=rooms, to=users)
    def give_to(self, sender: str, room: str, to: str) -> Any:
        return self.say(builders.gift(sender, room=room, to=to))

    @rule(
        target=used,
        one=users,
        other=users,
        room=rooms,
        wishes=st.lists(good_wishes, max_size=12),
        odd=odd_wishes,
    )
    def give_in_one_batch(
        self, one: str, other: str, room: str, wishes: list[dict[str, Any]], odd: dict[str, Any]
    ) -> Any:
        middle = len(wishes) // 2
        batch = zip([one, other] * 7, [*wishes[:middle], odd, *wishes[middle:]], strict=False)
        return self.say(*[builders.gift(sender, room=room, **wish) for sender, wish in batch])

    @rule(target=used, gift_id=gifts)
    def retract(self, gift_id: str) -> Any:
        return self.say(builders.retract(gift_id))

    @rule(user=users, room=st.sampled_from(["r1", "r2"]), wish=good_wishes)
    def give_and_take_back(self, user: str, room: str, wish: dict[str, Any]) -> None:
        gift_id = self.give_one(builders.gift(user, room=room, **wish))
        if isinstance(gift_id, str):
            self.say(builders.retract(gift_id), builders.retract(gift_id))

    @rule(target=used, user=users, gift_ids=st.lists(gifts, max_size=4))
    def reverse(self, user: str, gift_ids: list[str]) -> Any:
        return self.say(builders.reverse_gifts(user, gift_ids))

    @rule(target=used, gift_id=gifts)
    def hide(self, gift_id: str) -> Any:
        return self.say(builders.hide(gift_id))

    @rule(target=used, room=rooms, seq=st.integers(0, 9), build=st.sampled_from(UNDOINGS))
    def undo_any_line(self, room: str, seq: int, build: Any) -> Any:
        return self.say(build(f"{room}:{seq}"))

    @rule(command=used)
    def say_it_again(self, command: AnyCommand) -> None:
        self.say(command)

    @rule(command=used)
    def say_it_twice_in_one_batch(self, command: AnyCommand) -> None:
        self.say(command, command)

    @rule(command=used, wish=good_wishes, room=rooms)
    def use_its_key_for_something_else(
        self, command: AnyCommand, wish: dict[str, Any], room: str
    ) -> None:
        if isinstance(command, SendGift):
            self.say(builders.gift(command.sender, room=room, key=command.key, **wish))

    @rule(clawback=st.sampled_from(CLAWBACKS))
    def change_the_clawback(self, clawback: str) -> None:
        self.say(self.policy(clawback))

    @rule(step_ms=st.sampled_from([1, 500, 3_000, 3_001, *LONG_MS, -1, -5_000]))
    def let_time_pass(self, step_ms: int) -> None:
        self.now_ms += step_ms

    def restart(self) -> None:
        self.run(self.store.close())
        self.store = self.run(SqliteStore.open(str(self.path)))

    @rule(command=used)
    def restart_and_say_it_again(self, command: AnyCommand) -> None:
        self.restart()
        self.say(command)

    @rule(command=used)
    def crash_and_say_it_again(self, command: AnyCommand) -> None:
        self.crash()
        self.say(command)

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
        wanted = {user: self.model.coins(user) for user in self.model.purses}
        assert self.run(self.store.balances(wanted)).coins == wanted
        assert all(coins >= 0 for coins in wanted.values())

    @invariant()
    def somebody_has_what_the_model_says(self) -> None:
        """One person after each step, all of them at the end."""
        everybody = ["ada", *self.model.purses, *self.model.creators]
        self.person_agrees(everybody[self.number % len(everybody)])

    def person_agrees(self, user: str) -> None:
        wallet = self.run(self.store.wallet(user))
        creator = self.model.creator(user)
        assert (wallet.coins, wallet.coin_debt) == (self.model.coins(user), self.model.debt(user))
        assert wallet.millidiamonds_pending == self.model.pending(user)
        assert wallet.millidiamonds_available == creator["available"]
        assert wallet.millidiamonds_reserved == creator["reserved"]
        assert wallet.diamond_debt == creator["debt"]
        if wallet.user is not None:
            purse = self.model.purses[user]
            lots = [(lot.purchase, lot.coins) for lot in wallet.user.lots]
            assert lots == [(id, coins) for id, coins in purse["lots"]]

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
            for user in {*self.model.purses, *self.model.creators}:
                self.person_agrees(user)
                self.creators_board_agrees(user)
            for room, log in self.model.logs.items():
                self.log_agrees(room, log)
        finally:
            self.run(self.store.close())
            self.loop.close()
            shutil.rmtree(self.folder)

    def creators_board_agrees(self, creator: str) -> None:
        wanted: Counter[str] = Counter()
        for gift in self.model.gifts_sent:
            if gift["creator"] == creator and not gift["anonymous"]:
                wanted[gift["sender"]] += gift["coins"] * ("retracted" not in gift["marks"])
        _, lines = self.run(self.store.money.creator_board(creator, 0, 100))
        assert {line.user: line.coins for line in lines} == +wanted

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


def run_the_model(chosen: settings) -> Counter[str]:
    Books.seen.clear()
    run_state_machine_as_test(Books, settings=settings(chosen, deadline=None))
    return Books.seen


def test_the_books_follow_the_model() -> None:
    """The same histories every time; the long run draws new ones."""
    seen = run_the_model(settings(max_examples=30, stateful_step_count=50, derandomize=True))
    for answer in ("gift", "retracted", "paid", "charged_back", "refunded", "released", "payout"):
        assert seen[answer], (answer, dict(seen))


@pytest.mark.deep
@pytest.mark.timeout(3_600)
def test_the_books_follow_the_model_for_long() -> None:
    seen = run_the_model(settings(max_examples=1_500, stateful_step_count=80))
    assert all(seen[answer] > 10 for answer in EVERY_ANSWER), seen
