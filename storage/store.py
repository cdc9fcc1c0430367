"""The contract of a ledger store: what must survive, and when it counts as survived.

Writing. `settle` is the only method that changes anything. It takes commands in order, applies
`rules.settle` to them inside ONE transaction, and returns only when that transaction is durable: a
power failure after the return loses nothing. Results come in the order of the commands. A command
whose batch fails is tried again in smaller batches, so that one that cannot be booked fails alone,
with the refusal `unavailable`, and its neighbours do not notice.

When nothing could be made durable, `settle` raises `StoreUnavailable`: no command of this call left
a trace, and each may be sent again with its key. When the fate of a transaction cannot be found out
it raises `StoreBroken`, the store is closed to writing, and the process should stop: after a
restart the key tells what happened. A store never publishes anything to anybody.

Several nodes. The ledger is serial: the numbers of the next command, transfer and account, and the
seal of the newest batch, are its *head*, and a batch holds the head from before it loads its first
row until its COMMIT. SQLite has one writer, so there it is the writer. Where several nodes settle,
the adapter waits for the head inside the database, and reads nothing for the batch that is older
than the moment it got it: a snapshot taken while waiting would load sums that others have changed.
An adapter whose connection breaks at COMMIT does not know what was stored. It takes the head again
and settles the same commands again: by their keys, what was stored is answered and what was not is
booked. To look the keys up without the head is not enough, for the COMMIT may still be on its way.

Time. `now_ms` is what this node's clock says. Nodes' clocks differ and nodes wait for the head, so
the store gives a batch the moment of the batch before it if that is a little later: read under the
head, by `saving.moment`. So time stands still between nodes and does not run backwards.

Reading. Reads see a committed state, never one older than the last `settle` that returned before
the read began; they raise `StoreUnavailable` when the database cannot be read. What is answered by
several statements is of one moment. Only one task of a node calls `settle` at a time; reads may
overlap with it and with each other.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol

from rules.commands import AnyCommand
from rules.events import Event
from rules.policy import Policy
from rules.results import Result
from rules.rows import Revocation, Room, User
from storage.deliveries import Deliveries
from storage.leases import Lease, Leases
from storage.money import BoardLine, MoneyReads


class StoreError(Exception):
    """A sentence for the operator."""


class StoreUnavailable(StoreError):
    """Nothing was stored; the same commands may be tried again."""


class StoreBroken(StoreError):
    """It is not known what was stored: stop, restart, and look the keys up."""


class LeaseLost(StoreError):
    """Somebody else has the lease now; nothing was stored."""


class RoomState(NamedTuple):
    """A room as one moment saw it, with what its board and its ring need."""

    room: Room
    standings: list[tuple[str, str, int, int]]
    """(user, name, coins, reached_seq) of everyone with coins on the board."""
    recent: list[Event]
    """The newest events, oldest first."""


class Head(NamedTuple):
    """How far a room's log has come."""

    epoch: str
    seq: int


class Balances(NamedTuple):
    as_of: int
    """The number of the newest command that they hold."""
    coins: dict[str, int]


class Rulings(NamedTuple):
    """What every node has to follow and did not know: see `Store.rulings`."""

    command: int
    """The newest command that these are of: ask next for what comes after it."""
    policy: Policy | None
    """The policy that was set last, if one was set."""
    revoked: list[Revocation]
    """In order of their commands."""
    more: bool
    """There is more to ask for at once."""


class Wallet(NamedTuple):
    coins: int
    millidiamonds_pending: int
    millidiamonds_available: int
    millidiamonds_reserved: int
    diamond_debt: int
    """Millidiamonds owed, as a positive number."""
    coin_debt: int
    """Coins owed, as a positive number."""
    user: User | None
    """What they spent and allowed themselves; None for who was never heard of."""


class StatementRow(NamedTuple):
    """A transfer as one account of a user saw it, with the command that made it and its outcome, as
    the journal has them (JSON)."""

    transfer: int
    account: str
    amount: int
    """What it did to the account, with its sign."""
    balance_after: int
    reason: int
    at_ms: int
    command: str
    outcome: str

    @property
    def place(self) -> int:
        """Where the row stands in the statement: a transfer between two accounts of one user has
        two rows, what came in before what went out."""
        return 2 * self.transfer + (self.amount > 0)


class Store(Protocol):
    @property
    def money(self) -> MoneyReads:
        """What can be asked about people and their money."""

    @property
    def deliveries(self) -> Deliveries:
        """Webhooks on their way: kept beside the books, with a contract of their own."""

    @property
    def leases(self) -> Leases:
        """What only one node may do at a time: beside the books, with a contract of its own."""

    def deliveries_under(self, lease: Lease) -> Deliveries:
        """The deliveries for the holder of a lease: whatever changes them raises LeaseLost, and
        changes nothing, once the term of the lease is over."""

    async def settle(self, commands: Sequence[AnyCommand], now_ms: int) -> list[Result]:
        """Make the commands durable, in order, at `now_ms` or a little later (see above). Raises
        StoreUnavailable, StoreBroken."""

    async def dry_run(self, commands: Sequence[AnyCommand], now_ms: int) -> list[Result]:
        """What `settle` would answer if these commands were the next ones, all in one batch.

        They are settled on the rows of one committed state, in a book that is thrown away: nothing
        is kept, no key is spent and no number is taken, so the outcomes are true of this moment
        only. It may overlap with everything else and holds none of it up. Raises StoreUnavailable.
        """

    async def policy(self) -> Policy | None:
        """The policy in force; None before the first one was set."""

    async def rulings(self, after: int, now_ms: int, limit: int) -> Rulings:
        """What was set and revoked by commands after this one, at most `limit` revocations; without
        those of tokens that have expired by `now_ms`. With nothing new, `command` is `after`.

        Cheap when there is nothing new: every node asks this every few seconds.
        """

    async def rooms(self, after: str, limit: int) -> list[Room]:
        """Rooms with an id after this one, in order of id."""

    async def find_room(self, id: str) -> Room | None:
        """The room by itself."""

    async def room(self, id: str, recent: int) -> RoomState | None:
        """A room with its standings and its newest `recent` events."""

    async def events(self, room: str, after: int, limit: int) -> list[Event]:
        """The log from `after` + 1 on, at most `limit` events, in order."""

    async def board(self, room: str, as_of: int, limit: int) -> list[BoardLine]:
        """The board as it was after that seq, best first."""

    async def current_board(self, room: str, limit: int) -> tuple[int, list[BoardLine]]:
        """The board now and the seq that it is as of; (0, nothing) for an unknown room."""

    async def heads(self, rooms: Collection[str]) -> dict[str, Head]:
        """How far the log of each of these rooms has come; unknown rooms are left out."""

    async def balances(self, users: Collection[str]) -> Balances:
        """Coins of each of these users; 0 for who has no wallet yet."""

    async def wallet(self, user: str) -> Wallet:
        """What a user has."""

    async def statement(
        self, user: str, before: int | None, limit: int
    ) -> tuple[list[StatementRow], bool]:
        """At most `limit` rows of the user's statement, newest first, with places below `before`;
        and whether there are more. The last row's place goes on where a page ended, also between
        the two rows of one transfer."""

    async def close(self) -> None:
        """Finish what is running and let go of the files."""
