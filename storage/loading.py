"""The order in which a batch's rows are loaded, for every dialect.

Which rows a batch needs is known in steps (rules/touches.py): some only when others were found. So
loading is a conversation. `loading` asks, one question after the other, and is sent the answers; at
the end it returns the book. It does no I/O and waits for nothing, so an adapter whose answers are
awaited drives it as well as one that has them at once (`answered`). An adapter decides how it asks:
`AtFirst` names all that is known to be needed, so where a round trip is dear it may fetch people
and accounts at once and answer `Parties` partly from that.

Every question may be answered with nothing: rows that do not exist are simply absent.
"""

from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import msgspec

from rules.book import Book, RareRow
from rules.commands import AnyCommand, RenewEpochs
from rules.ledger import Account
from rules.policy import Policy
from rules.rows import Creator, GiftRecord, Mark, Member, Room, Spent, User
from rules.touches import Touched, touches_at_first, touches_at_last, touches_then, waiting_max
from storage.tables import PURCHASE, RARE, Table


class AtFirst(NamedTuple):
    """Where the books end, the policy in force, and the keys, rooms and gifts (with their marks)
    of `touched`; every room there is if `every_room`. The answer is a `Beginning`."""

    touched: Touched
    every_room: bool


class Beginning(NamedTuple):
    next_command: int
    next_transfer: int
    next_account: int
    policy: Policy | None
    spent: dict[tuple[str, str], Spent]
    rooms: Iterable[Room]
    gifts: Iterable[GiftRecord]
    marks: Iterable[Mark]


class PaidBy(NamedTuple):
    """The gifts that these purchases paid for, and their marks. The answer is `Gifts`."""

    purchases: Collection[str]


class Gifts(NamedTuple):
    gifts: Iterable[GiftRecord]
    marks: Iterable[Mark]


class Rooms(NamedTuple):
    """The answer is the rooms."""

    ids: Collection[str]


class Rare(NamedTuple):
    """Rows of one of tables.RARE; the answer is the rows."""

    table: Table[Any]
    ids: Collection[str | int]


class OfPayments(NamedTuple):
    """The purchases that these payments paid for; the answer is the rows."""

    payments: Collection[str]


class Waiting(NamedTuple):
    """Of each of these users so many purchases that wait for a payment, whichever; the answer is
    the rows."""

    users: Collection[str]
    most: int


class Whole(NamedTuple):
    """Every row of one of tables.RARE, none of which is long; the answer is the rows."""

    table: Table[Any]


class Parties(NamedTuple):
    """The people of a batch. The answer is `People`, with the system's accounts in any case."""

    users: Collection[str]
    accounts: Collection[tuple[str, str]]
    members: Collection[tuple[str, str]]
    creators: Collection[str | int]


class People(NamedTuple):
    users: Iterable[User]
    accounts: Iterable[Account]
    members: Iterable[Member]
    creators: Iterable[Creator]


Question = AtFirst | OfPayments | PaidBy | Rooms | Waiting | Whole | Rare | Parties
Loading = Generator[Question, Any, Book]

T = TypeVar("T")


def answered(asking: Generator[Question, Any, T], answer: Callable[[Question], Any]) -> T:
    """Answer every question as it comes; what was asked for."""
    try:
        question = next(asking)
        while True:
            question = asking.send(answer(question))
    except StopIteration as end:
        found: T = end.value
        return found


def loading(commands: Sequence[AnyCommand]) -> Loading:
    """The book that these commands need, as the transaction sees it."""
    first = touches_at_first(commands)
    every_room = any(isinstance(command, RenewEpochs) for command in commands)
    found: Beginning = yield AtFirst(first, every_room)
    book = Book(
        policy=found.policy,
        next_command=found.next_command,
        next_transfer=found.next_transfer,
        next_account=found.next_account,
    )
    book.spent = found.spent
    book.rooms = {room.id: room for room in found.rooms}
    _take_gifts(book, found.gifts, found.marks)
    if first.payments:
        _take_rows(book, PURCHASE, (yield OfPayments(first.payments)))
    charged = {row.id for row in book.purchases.values() if row.payment in first.charged}
    if lots := first.lots | charged:
        yield from _lots(book, lots)
    if first.buyers and (most := waiting_max(found.policy, commands)):
        _take_rows(book, PURCHASE, (yield Waiting(first.buyers, most)))
    for name in first.whole:
        _take_rows(book, RARE[name], (yield Whole(RARE[name])))
    for name, table in RARE.items():
        if name != "creator":
            yield from _rare(book, table, (id for kind, id in first.rare if kind == name))
    yield from _parties(book, first, touches_then(book))
    yield from _rare(book, PURCHASE, touches_at_last(book, commands))
    return book


def _take_gifts(book: Book, gifts: Iterable[GiftRecord], marks: Iterable[Mark]) -> None:
    book.gifts |= {(gift.room, gift.seq): gift for gift in gifts}
    book.marks |= {(mark.room, mark.gift_seq, mark.kind): mark for mark in marks}


def _lots(book: Book, purchases: set[str]) -> Generator[Question, Any, None]:
    paid: Gifts = yield PaidBy(purchases)
    _take_gifts(book, paid.gifts, paid.marks)
    rooms: Iterable[Room] = yield Rooms({room for room, _ in book.gifts} - book.rooms.keys())
    book.rooms |= {room.id: room for room in rooms}


def _rare(
    book: Book, table: Table[Any], ids: Iterable[str | int]
) -> Generator[Question, Any, None]:
    missing = set(ids) - getattr(book, table.shelf).keys()
    if missing:
        _take_rows(book, table, (yield Rare(table, missing)))


def _take_rows(book: Book, table: Table[Any], found: Iterable[RareRow]) -> None:
    rows: dict[Any, Any] = getattr(book, table.shelf)
    rows |= {row.id: row for row in found}


def _parties(book: Book, first: Touched, then: Touched) -> Generator[Question, Any, None]:
    people: People = yield Parties(
        users=first.users | then.users,
        accounts=first.accounts | then.accounts,
        members=first.members | then.members,
        creators={id for table, id in first.rare | then.rare if table == "creator"},
    )
    book.users = {user.id: user for user in people.users}
    book.accounts = {(account.owner, account.code): account for account in people.accounts}
    book.members = {(member.room, member.user): member for member in people.members}
    book.creators = {creator.id: creator for creator in people.creators}


@lru_cache(maxsize=4)
def read_policy(body: str) -> Policy:
    """The policy that a row holds. It is long, the same for many batches, and never changed."""
    return msgspec.json.decode(body, type=Policy)
