"""A ledger store made of dictionaries, for tests of what a batch asks for and what it changes.

It gives a batch exactly the rows that storage/loading.py asks for, and keeps exactly what the book
says that it changed. So a row that is forgotten on either way shows as a difference to one book
that was never cut into batches.
"""

import copy
from collections.abc import Collection, Iterable, Sequence
from itertools import chain
from typing import Any

from rules.book import Book, new_book
from rules.commands import FORGOTTEN, AnyCommand
from rules.events import forget, speaks_of
from rules.ledger import SYSTEM
from rules.results import Result
from rules.settle import settle
from rules.touches import Touched
from storage.loading import (
    AtFirst,
    Beginning,
    Gifts,
    OfPayments,
    PaidBy,
    Parties,
    People,
    Question,
    Rare,
    Rooms,
    Waiting,
    Whole,
    answered,
    loading,
)
from storage.tables import CREATOR_DAY, EARNING, RARE, Table

SHELVES = [table.shelf for table in (*RARE.values(), CREATOR_DAY, EARNING)]
TABLES = ("rooms", "users", "members", "accounts", "gifts", "marks", "spent", *SHELVES)


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
        return answered(loading(batch), self.answer)

    def answer(self, question: Question) -> Any:
        match question:
            case AtFirst(touched, every_room):
                return self._beginning(
                    touched, set(self.all.rooms) if every_room else touched.rooms
                )
            case PaidBy(purchases):
                return Gifts(*self._gifts(self._gifts_from(purchases)))
            case Rooms(ids):
                return self._taken("rooms", ids)
            case Rare(table, ids):
                return self._taken(table.shelf, ids)
            case OfPayments(payments):
                rows = self.all.purchases.values()
                return self._taken("purchases", [p.id for p in rows if p.payment in payments])
            case Waiting(users, most):
                pending = [p for p in self.all.purchases.values() if p.status == "pending"]
                of_users = ([p.id for p in pending if p.user == user][:most] for user in users)
                return self._taken("purchases", chain.from_iterable(of_users))
            case Whole(table):
                return self._taken(table.shelf, getattr(self.all, table.shelf))
            case Parties():
                system = {name for name in self.all.accounts if name[0] == SYSTEM}
                return People(
                    self._taken("users", question.users),
                    self._taken("accounts", {*question.accounts, *system}),
                    self._taken("members", question.members),
                    self._taken("creators", question.creators),
                )

    def _beginning(self, touched: Touched, rooms: Iterable[str]) -> Beginning:
        stored = self.all
        gifts, marks = self._gifts(touched.gifts)
        return Beginning(
            next_command=len(stored.journal) + 1,
            next_transfer=len(stored.transfers) + 1,
            next_account=max(99, *(account.id for account in stored.accounts.values())) + 1,
            policy=stored.policy,
            spent={key: stored.spent[key] for key in touched.keys if key in stored.spent},
            rooms=self._taken("rooms", rooms),
            gifts=gifts,
            marks=marks,
        )

    def _taken(self, shelf: str, wanted: Iterable[Any]) -> list[Any]:
        rows = getattr(self.all, shelf)
        return [copy.deepcopy(rows[name]) for name in wanted if name in rows]

    def _gifts(self, wanted: set[tuple[str, int]]) -> tuple[list[Any], list[Any]]:
        marks = [name for name in self.all.marks if name[:2] in wanted]
        return self._taken("gifts", wanted), self._taken("marks", marks)

    def _gifts_from(self, purchases: Collection[str]) -> set[tuple[str, int]]:
        return {
            place
            for place, gift in self.all.gifts.items()
            if any(purchase in purchases for purchase, _ in gift.lots)
        }

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
            getattr(stored, RARE[table].shelf)[id] = row
        for dated in (CREATOR_DAY, EARNING):
            self._add(dated, getattr(book, dated.shelf))
        stored.journal += book.journal
        stored.transfers += book.transfers
        stored.events += book.events
        if book.new_policies:
            stored.set_policy(book.new_policies[-1][1])

    def _forget(self, user: str) -> None:
        """What is erased in the rows of the batches before."""
        stored = self.all
        for member in stored.members.values():
            if member.user == user:
                member.name = ""
        for day in stored.creator_days.values():
            if day.user == user:
                day.name = ""
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

    def _add(self, table: Table[Any], added: dict[Any, Any]) -> None:
        rows = getattr(self.all, table.shelf)
        for name, row in added.items():
            for column in table.adds if name in rows else ():
                setattr(row, column, getattr(row, column) + getattr(rows[name], column))
            rows[name] = row


def tables_of(book: Book) -> dict[str, Any]:
    tables = {table: dict(getattr(book, table)) for table in TABLES}
    return tables | {"journal": book.journal, "transfers": book.transfers, "events": book.events}
