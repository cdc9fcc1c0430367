"""A ledger store made of dictionaries, for tests of what a batch asks for and what it changes.

It gives a batch exactly the rows that rules/touches.py names, in its three steps, and keeps exactly
what the book says that it changed. So a row that is forgotten on either way shows as a difference
to one book that was never cut into batches.
"""

import copy
from collections.abc import Iterable, Sequence
from typing import Any

from rules.book import Book, new_book
from rules.commands import FORGOTTEN, AnyCommand, RenewEpochs
from rules.events import forget, speaks_of
from rules.ledger import SYSTEM
from rules.results import Result
from rules.settle import settle
from rules.touches import touches_at_first, touches_at_last, touches_then

RARE = {
    "creator": "creators",
    "purchase": "purchases",
    "refund": "refunds",
    "payout": "payouts",
    "suspense": "suspense",
    "correction": "corrections",
    "endpoint": "endpoints",
}
"""The book's dictionary of each table of rows with an id."""
SUMS = {"creator_days": ["coins"], "earnings": ["gifts", "coins", "millidiamonds"]}
"""Tables to which a batch adds, with the columns that are added up."""
TABLES = ("rooms", "users", "members", "accounts", "gifts", "marks", "spent", *RARE.values(), *SUMS)


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
        book = Book(
            policy=stored.policy,
            next_command=len(stored.journal) + 1,
            next_transfer=len(stored.transfers) + 1,
            next_account=max(99, *(account.id for account in stored.accounts.values())) + 1,
        )
        first = touches_at_first(batch)
        all_rooms = any(isinstance(command, RenewEpochs) for command in batch)
        self._take(book, "spent", first.keys)
        self._take(book, "rooms", set(stored.rooms) if all_rooms else first.rooms)
        self._take_gifts(book, first.gifts)
        paid_for = self._gifts_from(first.lots)
        self._take_gifts(book, paid_for)
        self._take(book, "rooms", {room for room, _ in paid_for})
        self._take_rare(book, (name for name in first.rare if name[0] != "creator"))
        waiting = [p.id for p in stored.purchases.values() if p.status == "pending"]
        wanted = {id for id in waiting if stored.purchases[id].user in first.buyers}
        self._take(book, "purchases", wanted - book.purchases.keys())
        for table in first.whole:
            self._take(book, RARE[table], getattr(stored, RARE[table]))
        then = touches_then(book)
        self._take(book, "users", first.users | then.users)
        self._take(book, "members", first.members | then.members)
        self._take(book, "accounts", first.accounts | then.accounts)
        self._take(book, "accounts", {name for name in stored.accounts if name[0] == SYSTEM})
        self._take_rare(book, (name for name in first.rare | then.rare if name[0] == "creator"))
        self._take(book, "purchases", touches_at_last(book, batch) - book.purchases.keys())
        return book

    def _take(self, book: Book, table: str, wanted: Iterable[Any]) -> None:
        rows = getattr(self.all, table)
        getattr(book, table).update({k: copy.deepcopy(rows[k]) for k in wanted if k in rows})

    def _take_gifts(self, book: Book, wanted: set[tuple[str, int]]) -> None:
        self._take(book, "gifts", wanted)
        self._take(book, "marks", [name for name in self.all.marks if name[:2] in wanted])

    def _gifts_from(self, purchases: set[str]) -> set[tuple[str, int]]:
        return {
            place
            for place, gift in self.all.gifts.items()
            if any(purchase in purchases for purchase, _ in gift.lots)
        }

    def _take_rare(self, book: Book, wanted: Iterable[tuple[str, Any]]) -> None:
        for table, id in wanted:
            self._take(book, RARE[table], [id])

    def _save(self, book: Book) -> None:
        stored = self.all
        for account in book.changed_accounts.values():
            old = stored.accounts.get((account.owner, account.code))
            assert old is None or old.id == account.id, "an account was made twice"
        for user in book.erased:
            self._forget(user)
        stored.rooms |= book.changed_rooms
        stored.users |= book.changed_users
        stored.members |= book.changed_members
        stored.accounts |= book.changed_accounts
        stored.marks |= {(m.room, m.gift_seq, m.kind): m for m in book.new_marks}
        given = [(e.room, e.seq) for e in book.events if e.kind == "gift"]
        stored.gifts |= {place: book.gifts[place] for place in given}
        keys = [(row.actor, row.key) for row in book.journal]
        stored.spent |= {key: book.spent[key] for key in keys}
        for (table, id), row in book.changed_rows.items():
            getattr(stored, RARE[table])[id] = row
        for table, columns in SUMS.items():
            self._add(table, columns, getattr(book, table))
        stored.journal += book.journal
        stored.transfers += book.transfers
        stored.events += book.events
        if book.new_policies:
            stored.set_policy(book.new_policies[-1][1])

    def _forget(self, user: str) -> None:
        """What is erased in the rows of the batches before."""
        stored = self.all
        for row in (*stored.members.values(), *stored.creator_days.values()):
            if row.user == user:
                row.name = ""
        stored.events = [
            event._replace(body=forget(event.body)) if speaks_of(event.body, user) else event
            for event in stored.events
        ]
        stored.journal = [
            row._replace(said=FORGOTTEN) if row.said and row.actor == f"user:{user}" else row
            for row in stored.journal
        ]
        theirs = {row.id for row in stored.journal if row.said == FORGOTTEN}
        stored.events = [
            event._replace(body=forget(event.body)) if event.command in theirs else event
            for event in stored.events
        ]

    def _add(self, table: str, columns: list[str], added: dict[Any, Any]) -> None:
        rows = getattr(self.all, table)
        for name, row in added.items():
            for column in columns if name in rows else ():
                setattr(row, column, getattr(row, column) + getattr(rows[name], column))
            rows[name] = row


def tables_of(book: Book) -> dict[str, Any]:
    tables = {table: dict(getattr(book, table)) for table in TABLES}
    return tables | {"journal": book.journal, "transfers": book.transfers, "events": book.events}
