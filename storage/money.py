"""The contract of what a store tells about people and their money: questions only, no changes.

Part of `store.Store` (its `money`), and kept apart from it because viewers never ask these. Every
answer is a committed state of one moment. Lists are newest first where they page by `before`, a
cursor that is the place of the last row of the page before. All raise `StoreUnavailable` when the
database cannot be read.
"""

from typing import NamedTuple, Protocol

from rules.review import PayoutFacts
from rules.rows import Correction, Creator, Endpoint, Payout, Purchase, Refund, Suspense, User


class BoardLine(NamedTuple):
    user: str
    name: str
    coins: int


class EarningLine(NamedTuple):
    """What a creator earned on a UTC day (days since 1970) by one kind of gift, net."""

    day: int
    gift: str
    gifts: int
    coins: int
    millidiamonds: int


class GiftLine(NamedTuple):
    room: str
    seq: int
    creator: str
    coins: int
    millidiamonds: int
    at_ms: int


class Personal(NamedTuple):
    """What is kept about somebody, but for their transfers and commands."""

    user: User | None
    purchases: list[Purchase]
    refunds: list[Refund]
    payouts: list[Payout]
    corrections: list[Correction]


class Asked(NamedTuple):
    """A command of the journal and its outcome (JSON), with what was said in it unless that is
    forgotten."""

    at_ms: int
    command: str
    outcome: str


class MoneyReads(Protocol):
    async def user(self, id: str) -> User | None: ...

    async def users(self, search: str, frozen: bool | None, after: str, limit: int) -> list[User]:
        """Users whose id or name holds this text, whatever the case of ASCII letters; in order of
        id, after this id."""

    async def creator(self, id: str) -> Creator | None: ...

    async def due_creators(self, last_day: int, limit: int) -> list[str]:
        """Creators with pending diamonds of this UTC day or before, in any order."""

    async def purchase(self, id: str) -> Purchase | None: ...

    async def purchase_of_payment(self, payment: str) -> Purchase | None:
        """None for an empty `payment`: what is not paid has none."""

    async def purchases(
        self, user: str | None, status: str | None, before: tuple[int, str] | None, limit: int
    ) -> list[Purchase]:
        """`before` is (started_ms, id)."""

    async def open_checkouts(self, from_ms: int, to_ms: int, limit: int) -> list[Purchase]:
        """Pending purchases with a checkout, started in that time (both ends belong to it), oldest
        first."""

    async def unstarted(
        self, provider: str, from_ms: int, after: tuple[int, str] | None, limit: int
    ) -> list[Purchase]:
        """Pending purchases without a checkout, started since then, oldest first; `after` is
        (started_ms, id)."""

    async def waiting_refunds(
        self, provider: str, after: tuple[int, str] | None, limit: int
    ) -> list[tuple[Refund, Purchase]]:
        """Refunds that this provider has to be told of, oldest first; `after` is (at_ms, id)."""

    async def payout(self, id: str) -> Payout | None: ...

    async def payouts(
        self, creator: str | None, status: str | None, before: tuple[int, str] | None, limit: int
    ) -> list[Payout]:
        """`before` is (requested_ms, id)."""

    async def payable(self, before: tuple[int, str] | None, limit: int) -> list[Payout]:
        """Approved payouts of creators whose account is not frozen; `before` is as above."""

    async def payout_facts(self, creator: str, from_day: int) -> PayoutFacts:
        """What the creator earned since that UTC day, and from whom."""

    async def suspense(
        self, settled: bool | None, before: int | None, limit: int
    ) -> list[Suspense]: ...

    async def corrections(
        self, status: str | None, before: int | None, limit: int
    ) -> list[Correction]: ...

    async def endpoints(self) -> list[Endpoint]: ...

    async def creator_board(
        self, creator: str, from_day: int, limit: int
    ) -> tuple[int, list[BoardLine]]:
        """The number of the newest command, and the creator's givers since that UTC day, by their
        newest names, best first; ties go to who was there first."""

    async def earnings(self, creator: str, from_day: int, to_day: int) -> list[EarningLine]:
        """By day and gift; both days belong to the period."""

    async def gifts_of(self, user: str, from_ms: int, to_ms: int, limit: int) -> list[GiftLine]:
        """Gifts of that time (`to_ms` excluded) that were not retracted, oldest first."""

    async def personal(self, user: str) -> Personal: ...

    async def commands_of(self, user: str) -> list[int]:
        """The numbers of all that a user asked for, in order."""

    async def commands(self, numbers: list[int]) -> list[Asked]:
        """The commands with these numbers, in the order of the numbers given."""
