"""Properties of `settle` that hold for any list of commands, however it is cut into batches.

The store of these tests is a dictionary: it gives a batch exactly the rows that `touches_at_first`
and `touches_then` ask for and keeps exactly what the batch says it changed. So a row that is
forgotten on either way shows as a difference to one book that was never cut.
"""

import copy
from collections import Counter
from collections.abc import Sequence

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import builders
from rules.book import Book, Room, Touched, new_book, touches_at_first, touches_then
from rules.commands import AnyCommand, GiftAccepted, Refused, read_command
from rules.ledger import CURRENCY, SYSTEM, Code
from rules.results import Result
from rules.settle import settle

USERS = ["ada", "bob", "cleo", "dora"]
ROOMS = ["r1", "r2"]

keys = st.sampled_from([f"k{n}" for n in range(8)])
users, rooms = st.sampled_from(USERS), st.sampled_from(ROOMS)
gift_ids = st.builds("{}:{}".format, rooms, st.integers(0, 8))
commands = st.one_of(
    st.builds(
        lambda **fields: builders.gift(**fields),
        sender=users,
        key=keys,
        name=st.sampled_from(["One", "Two"]),
        room=rooms,
        gift=st.sampled_from(["rose", "rose", "rose", "cake", "lion", "ghost", "pony"]),
        quantity=st.sampled_from([1, 1, 1, 2, 7, 0, 10_000]),
        price=st.sampled_from([None, None, None, 1, 25]),
        visibility=st.sampled_from(["public", "public", "anonymous"]),
        adult=st.sampled_from([True, True, True, False]),
        message=st.sampled_from([None, "hello"]),
    ),
    st.builds(
        builders.grant, user=users, coins=st.sampled_from([0, 5, 60, 1_000, 2**53 - 1]), key=keys
    ),
    st.builds(builders.retract, gift_ids, key=keys),
    st.builds(builders.hide, gift_ids, key=keys),
    st.builds(builders.open_room, rooms, users, key=keys),
    st.builds(builders.close_room, rooms, key=keys),
    st.builds(
        builders.set_policy,
        rate_permille=st.sampled_from([0, 333, 500, 10**15]),
        require_adult=st.booleans(),
        combo_window_ms=st.sampled_from([0, 3]),
        key=keys,
    ),
    st.builds(builders.renew_epochs, salt=st.sampled_from(["a", "b"]), key=keys),
)
START = [
    builders.set_policy(key="start"),
    builders.open_room("r1", "cleo", key="start r1"),
    builders.grant("ada", 600, key="start ada"),
    builders.grant("bob", 60, key="start bob"),
    builders.gift("ada", "rose", key="start rose"),
    builders.gift("bob", "cake", key="start cake", visibility="anonymous"),
]
"""r2 is not open yet: that is for the commands that are drawn."""

TABLES = ("rooms", "users", "members", "accounts", "gifts", "marks", "spent")


class Shelf:
    """What a store would hold between batches."""

    def __init__(self) -> None:
        self.all = new_book()

    def settle(self, batch: Sequence[AnyCommand], now_ms: int) -> list[Result]:
        book = self._load(batch)
        results = settle(book, batch, now_ms)
        if book.journal:
            self._save(book)
        return results

    def _load(self, batch: Sequence[AnyCommand]) -> Book:
        stored = self.all
        taken = [row[0] for row in stored.transfers], [row.id for row in stored.journal]
        book = Book(
            policy=stored.policy,
            next_command=max(taken[1], default=0) + 1,
            next_transfer=max(taken[0], default=0) + 1,
            next_account=max(99, *(account.id for account in stored.accounts.values())) + 1,
        )
        first = touches_at_first(batch)
        self._take(book, first)
        self._take(book, touches_then(book))
        system = {(SYSTEM, code) for code in (a[1] for a in stored.accounts if a[0] == SYSTEM)}
        self._take(book, Touched(set(), set(), set(), set(), system, set()))
        return book

    def _take(self, book: Book, touched: Touched) -> None:
        stored = self.all
        names = set(stored.rooms) if touched.all_rooms else touched.rooms
        for table, wanted in (
            ("spent", touched.keys),
            ("rooms", names),
            ("gifts", touched.gifts),
            ("users", touched.users),
            ("accounts", touched.accounts),
            ("members", touched.members),
        ):
            rows = getattr(stored, table)
            getattr(book, table).update({k: copy.copy(rows[k]) for k in wanted & set(rows)})
        marks = {k: mark for k, mark in stored.marks.items() if k[:2] in touched.gifts}
        book.marks.update(marks)

    def _save(self, book: Book) -> None:
        stored = self.all
        for account in book.changed_accounts.values():
            old = stored.accounts.get((account.owner, account.code))
            assert old is None or old.id == account.id, "an account was made twice"
        stored.rooms |= book.changed_rooms
        stored.users |= book.changed_users
        stored.members |= book.changed_members
        stored.accounts |= book.changed_accounts
        stored.marks |= {(m.room, m.gift_seq, m.kind): m for m in book.new_marks}
        stored.gifts |= {(e.room, e.seq): book.gifts[e.room, e.seq] for e in gifts_of(book)}
        stored.spent |= {
            (row.actor, row.key): book.spent[row.actor, row.key] for row in book.journal
        }
        stored.journal += book.journal
        stored.transfers += book.transfers
        stored.events += book.events
        if book.new_policies:
            stored.set_policy(book.new_policies[-1][1])


def gifts_of(book: Book) -> list[object]:
    return [event for event in book.events if event.kind == "gift"]


def tables_of(book: Book) -> dict[str, object]:
    tables = {table: dict(getattr(book, table)) for table in TABLES}
    return tables | {"journal": book.journal, "transfers": book.transfers, "events": book.events}


scripts = st.lists(commands, max_size=30)


@given(scripts, st.lists(st.integers(1, 6), min_size=30, max_size=30))
def test_batches_of_any_size_give_the_same_outcomes_and_the_same_rows(
    script: list[AnyCommand], sizes: list[int]
) -> None:
    script, left = START + script, START + script
    book, shelf, now_ms = new_book(), Shelf(), 0
    for size in [len(START), *sizes]:
        batch, left, now_ms = left[:size], left[size:], now_ms + 2
        assert shelf.settle(batch, now_ms) == settle(book, batch, now_ms)
    assert tables_of(shelf.all) == tables_of(book)


AFTER_THE_START = {
    "a gift": [[builders.gift(key="a")]],
    "a combo": [[builders.gift(key="a")], [builders.gift(key="b")]],
    "a retry": [[builders.gift(key="a")], [builders.gift(key="a")], [builders.grant(key="a")]],
    "a retraction": [[builders.retract("r1:1")], [builders.retract("r1:1")]],
    "a retraction of an anonymous gift": [[builders.retract("r1:2")]],
    "a hiding": [[builders.hide("r1:2")], [builders.hide("r1:2")]],
    "a gift and its retraction at once": [[builders.gift(), builders.retract("r1:3")]],
    "a new room of an old creator": [[builders.open_room("r2", "cleo"), builders.gift(room="r2")]],
    "a new policy": [[builders.set_policy(rate_permille=0), builders.gift()], [builders.gift()]],
    "a rate of zero, and a newcomer": [
        [builders.set_policy(rate_permille=0), builders.open_room("r2", "dora")],
        [builders.gift(room="r2"), builders.retract("r2:1"), builders.grant("eve")],
    ],
    "a closing": [[builders.close_room("r1"), builders.gift()], [builders.gift()]],
    "new epochs": [
        [builders.open_room("r2", "dora")],
        [builders.open_room("r3", "dora"), builders.renew_epochs(), builders.gift(room="r3")],
    ],
    "a creator who gives": [
        [builders.grant("cleo"), builders.open_room("r2", "dora")],
        [builders.gift("cleo", room="r2")],
        [builders.gift("ada", room="r1")],
    ],
}


@pytest.mark.parametrize("name", AFTER_THE_START)
def test_every_row_that_a_batch_needs_is_asked_for(name: str) -> None:
    book, shelf = new_book(), Shelf()
    for now_ms, batch in enumerate([START, *AFTER_THE_START[name]]):
        assert shelf.settle(batch, now_ms) == settle(book, batch, now_ms)
    assert tables_of(shelf.all) == tables_of(book)


@given(scripts)
def test_the_journal_alone_makes_the_same_books_again(script: list[AnyCommand]) -> None:
    """Refusals that are not stored leave nothing that a replay of the journal would miss."""
    book, again = new_book(), new_book()
    for now_ms, command in enumerate(START + script):
        before = len(book.journal)
        settle(book, [command], now_ms)
        kept = [read_command(row.body) for row in book.journal[before:]]
        settle(again, kept, now_ms)
    assert tables_of(again) == tables_of(book)
    assert (again.next_account, again.next_transfer) == (book.next_account, book.next_transfer)


@given(scripts)
def test_money_is_conserved_and_explained(script: list[AnyCommand]) -> None:
    book = new_book()
    results = settle(book, START + script, 0)
    debits, credits, by_currency = Counter(), Counter(), Counter()
    currency = {account.id: CURRENCY[Code(account.code)] for account in book.accounts.values()}
    for transfer in book.transfers:
        assert transfer.amount > 0 and transfer.debit != transfer.credit
        assert currency[transfer.debit] is currency[transfer.credit]
        debits[transfer.debit] += transfer.amount
        credits[transfer.credit] += transfer.amount
        assert transfer.debit_after == credits[transfer.debit] - debits[transfer.debit]
        assert transfer.credit_after == credits[transfer.credit] - debits[transfer.credit]
    for account in book.accounts.values():
        assert (account.debits, account.credits) == (debits[account.id], credits[account.id])
        assert account.owner == SYSTEM or 0 <= account.balance <= 2**53 - 1
        by_currency[currency[account.id]] += account.balance
    assert not any(by_currency.values())
    assert [transfer.id for transfer in book.transfers] == list(range(1, len(book.transfers) + 1))
    check_answers(book, results)


def check_answers(book: Book, results: list[Result]) -> None:
    for result in results:
        match result.outcome:
            case Refused(code=code, message=message):
                assert message and code and result.event is None and result.balance is None
            case GiftAccepted() as gift if not result.replayed:
                assert result.event is not None and result.event.seq == gift.seq
                assert result.balance is not None and result.balance.coins == gift.balance_coins
                assert orjson.loads(result.event.body)["coins"] == gift.coins


@given(scripts)
def test_every_log_is_without_gaps_and_its_sums_are_the_rooms(script: list[AnyCommand]) -> None:
    book = new_book()
    for now_ms, command in enumerate(START + script):
        settle(book, [command], now_ms)
    for room in book.rooms.values():
        check_log(book, room)


def check_log(book: Book, room: Room) -> None:
    log = [event for event in book.events if event.room == room.id]
    assert [event.seq for event in log] == list(range(1, room.seq + 1))
    total = 0
    for event in log:
        total += event.coins
        body = orjson.loads(event.body)
        assert (body["seq"], body["kind"], event.total_coins) == (event.seq, event.kind, total)
        sign = {"gift": 1, "gift_retracted": -1}.get(event.kind, 0)
        assert event.coins == sign * body.get("coins", 0)
    assert room.total_coins == total >= 0
    shown = sum(m.coins for m in book.members.values() if m.room == room.id)
    assert 0 <= shown <= total


@settings(max_examples=30)
@given(scripts)
def test_saying_everything_again_changes_nothing(script: list[AnyCommand]) -> None:
    book = new_book()
    first = settle(book, START + script, 5)
    before = copy.deepcopy(tables_of(book))
    spent = set(book.spent)
    again = settle(book, START + script, 9)
    for command, one, other in zip(START + script, first, again, strict=True):
        if (command.actor, command.key) in spent and not isinstance(one.outcome, Refused):
            assert other.replayed and other.outcome == one.outcome and other.event is None
    kept = {k: v for k, v in tables_of(book)["spent"].items() if k in spent}
    assert kept == before["spent"]
