"""Properties of `settle` that hold for any list of commands, however it is cut into batches.

The store of these tests is kit/disks/shelf.py, the commands are drawn by kit/building/histories.py.
"""

import copy
from collections import Counter
from typing import get_args

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.building.histories import AFTER_THE_START, DAY_MS, HOUR_MS, START, name_newest, scripts
from kit.disks.shelf import Shelf, tables_of
from rules.book import Book, new_book
from rules.commands import AnyCommand, read_command
from rules.ledger import CURRENCY, DEBTS, SYSTEM, AccountCode
from rules.outcomes import GiftAccepted, Refused
from rules.results import Result
from rules.rows import Room
from rules.settle import settle

NOW_MS = 1_700_000_000_000
steps_ms = st.sampled_from([2, 2, 2, 0, HOUR_MS, DAY_MS, 8 * DAY_MS, -50])
cuts = st.lists(st.tuples(st.integers(1, 6), steps_ms), min_size=40, max_size=40)


def settle_by_name(book: Book, script: list[AnyCommand], now_ms: int) -> list[AnyCommand]:
    """Settle one by one, and say what was settled: see `name_newest`."""
    settled = []
    for command in script:
        settled.append(name_newest(book, command))
        settle(book, settled[-1:], now_ms)
    return settled


@given(scripts(), cuts)
def test_batches_of_any_size_give_the_same_outcomes_and_the_same_rows(
    script: list[AnyCommand], sizes: list[tuple[int, int]]
) -> None:
    left, now_ms = script, NOW_MS
    book, shelf = new_book(), Shelf()
    assert shelf.settle(START, now_ms) == settle(book, START, now_ms)
    for size, step_ms in sizes:
        batch, left, now_ms = left[:size], left[size:], now_ms + step_ms
        alone = []
        for number, command in enumerate(batch):
            batch[number] = name_newest(book, command)
            alone += settle(book, batch[number : number + 1], now_ms)
        assert shelf.settle(batch, now_ms) == alone
    assert tables_of(shelf.all) == tables_of(book)


@pytest.mark.parametrize("name", AFTER_THE_START)
def test_every_row_that_a_batch_needs_is_asked_for(name: str) -> None:
    book, shelf = new_book(), Shelf()
    for step, batch in enumerate([START, *AFTER_THE_START[name]]):
        now_ms, alone = NOW_MS + step, []
        for number, command in enumerate(batch):
            batch[number] = name_newest(book, command)
            alone += settle(book, batch[number : number + 1], now_ms)
        assert shelf.settle(batch, now_ms) == alone
    assert tables_of(shelf.all) == tables_of(book)


def test_every_command_takes_part() -> None:
    tried = {
        type(command)
        for batches in AFTER_THE_START.values()
        for each in batches
        for command in each
    }
    assert tried | {type(command) for command in START} == set(get_args(AnyCommand))


@given(scripts())
def test_the_journal_alone_makes_the_same_books_again(script: list[AnyCommand]) -> None:
    """Refusals that are not stored leave nothing that a replay of the journal would miss."""
    book, again = new_book(), new_book()
    for step, command in enumerate(START + script):
        before, now_ms = len(book.journal), NOW_MS + step * HOUR_MS
        settle_by_name(book, [command], now_ms)
        kept = [read_command(row.body, row.said) for row in book.journal[before:]]
        settle(again, kept, now_ms)
    assert tables_of(again) == tables_of(book)
    assert (again.next_account, again.next_transfer) == (book.next_account, book.next_transfer)


@given(scripts())
def test_money_is_conserved_and_explained(script: list[AnyCommand]) -> None:
    book = new_book()
    results = settle(book, settle_by_name(new_book(), START + script, 0), 0)
    debits, credits, by_currency = Counter(), Counter(), Counter()
    currency = {
        account.id: CURRENCY[AccountCode(account.code)] for account in book.accounts.values()
    }
    for transfer in book.transfers:
        assert transfer.amount > 0 and transfer.debit != transfer.credit
        assert currency[transfer.debit] is currency[transfer.credit]
        debits[transfer.debit] += transfer.amount
        credits[transfer.credit] += transfer.amount
        assert transfer.debit_after == credits[transfer.debit] - debits[transfer.debit]
        assert transfer.credit_after == credits[transfer.credit] - debits[transfer.credit]
    for account in book.accounts.values():
        assert (account.debits, account.credits) == (debits[account.id], credits[account.id])
        sign = -1 if account.code in DEBTS else 1
        assert account.owner == SYSTEM or 0 <= sign * account.balance <= 2**53 - 1
        by_currency[currency[account.id]] += account.balance
    assert not any(by_currency.values())
    assert [transfer.id for transfer in book.transfers] == list(range(1, len(book.transfers) + 1))
    check_answers(book, results)


@given(scripts())
def test_what_rows_say_is_what_the_accounts_say(script: list[AnyCommand]) -> None:
    book = new_book()
    for step, command in enumerate(START + script):
        settle_by_name(book, [command], NOW_MS + step * HOUR_MS)
        check_rows(book)


def check_rows(book: Book) -> None:
    for user in book.users.values():
        assert sum(lot.coins for lot in user.lots) <= book.balance(user.id, AccountCode.COINS)
        for lot in user.lots:
            purchase = book.purchases[lot.purchase]
            left = purchase.coins - purchase.refunded_coins
            assert purchase.status == "paid" and purchase.user == user.id and 0 < lot.coins <= left
        assert len({lot.purchase for lot in user.lots}) == len(user.lots)
    for creator in book.creators.values():
        pending = [row.millidiamonds for row in creator.pending]
        assert sum(pending) == book.balance(creator.id, AccountCode.DIAMONDS_PENDING)
        assert all(millidiamonds > 0 for millidiamonds in pending)
        open_now = {p.id: p for p in book.payouts.values() if p.status in ("requested", "approved")}
        mine = {id: p.millidiamonds for id, p in open_now.items() if p.creator == creator.id}
        assert list(mine) == ([creator.payout] if creator.payout else [])
        assert sum(mine.values()) == book.balance(creator.id, AccountCode.DIAMONDS_RESERVED)
    check_money(book)


def check_money(book: Book) -> None:
    """Money in the system's accounts is what purchases and payouts say, and no more."""
    sold = sum(
        purchase.price_minor - purchase.refunded_minor
        for purchase in book.purchases.values()
        if purchase.status in ("paid", "refunded")
    )
    paid = sum(p.amount_minor for p in book.payouts.values() if p.status == "paid")
    assert book.balance(SYSTEM, AccountCode.MONEY_SALES) == sold
    assert book.balance(SYSTEM, AccountCode.MONEY_PAYOUTS) == -paid
    assert book.balance(SYSTEM, AccountCode.MONEY_CLEARING) == paid - sold
    coins = sum(
        purchase.coins - purchase.refunded_coins
        for purchase in book.purchases.values()
        if purchase.status in ("paid", "refunded")
    )
    assert book.balance(SYSTEM, AccountCode.COINS_SOLD) == -coins
    refunds = Counter[str]()
    for refund in book.refunds.values():
        refunds[refund.purchase] += refund.amount_minor
    assert all(book.purchases[id].refunded_minor == minor for id, minor in refunds.items())


def check_answers(book: Book, results: list[Result]) -> None:
    for result in results:
        match result.outcome:
            case Refused(code=code, message=message):
                assert message and code and not result.events and result.balance is None
            case GiftAccepted() as gift if not result.replayed:
                assert [event.seq for event in result.events] == [gift.seq]
                assert result.balance is not None and result.balance.coins == gift.balance_coins
                assert orjson.loads(result.events[0].body)["coins"] == gift.coins


@given(scripts())
def test_every_log_is_without_gaps_and_its_sums_are_the_rooms(script: list[AnyCommand]) -> None:
    book = new_book()
    for step, command in enumerate(START + script):
        settle_by_name(book, [command], NOW_MS + step)
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


@given(scripts())
def test_saying_everything_again_changes_nothing(script: list[AnyCommand]) -> None:
    book = new_book()
    script = settle_by_name(new_book(), START + script, 5)
    first = settle(book, script, 5)
    before = copy.deepcopy(tables_of(book))
    spent = set(book.spent)
    again = settle(book, script, 9)
    for command, one, other in zip(script, first, again, strict=True):
        if (command.actor, command.key) in spent and not isinstance(one.outcome, Refused):
            assert other.replayed and other.outcome == one.outcome and not other.events
    kept = {k: v for k, v in tables_of(book)["spent"].items() if k in spent}
    assert kept == before["spent"]
