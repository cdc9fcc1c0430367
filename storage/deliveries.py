"""The contract of the deliveries: webhooks on their way, and what became of them.

The journal is the outbox. A command that the books keep was written in the transaction that moved
the money, so no event can be lost and none invented; here is only kept how far each endpoint's
events were entered (its *cursor*) and, for each event entered, where it stands: `pending`,
`delivered` or `exhausted`. One event of one endpoint is one delivery, named by the endpoint and the
number of the command. What it says is read from the journal each time.

Order. The events of an endpoint are sorted into *lanes*. Of every lane only the head, the earliest
pending event, is ever handed out, together with those that may follow it once it was delivered. A
head that waits for its next try holds up its lane and no other. An exhausted event lets its lane
go on.

Writing. Every method that changes something is one transaction and durable when it returns; it
raises `StoreUnavailable` (nothing changed, or whether it did is not known: each may be called
again) and `StoreBroken`, as `Store.settle` does. One task enters, hands out and records; replaying
may overlap with it, and what is on its way at that moment counts as sent again. Reads see a
committed state.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

DeliveryState = Literal["pending", "delivered", "exhausted"]
Lane = tuple[str, str]
"""The endpoint, and what the events of the lane have in common."""

ENTERED_MAX = 100_000
"""Pending events of one endpoint (some 20 MB). What comes after them waits in the journal."""


class JournalEntry(NamedTuple):
    """A command of the books with all that an event can say about it."""

    command: int
    kind: str
    body: str
    outcome: str
    at_ms: int
    seal: str
    """The hash of its batch: after a restore the same number may be another command."""
    line: str | None
    """The line that it added to a room's log."""
    origin: str | None
    """The command that made the gift which it took back or hid."""


class Cursor(NamedTuple):
    since: int
    command: int
    pending: int
    """Events entered and not settled, counted up to ENTERED_MAX."""


class Entered(NamedTuple):
    """An event for an endpoint."""

    endpoint: str
    command: int
    kind: str
    lane: str


class Due(NamedTuple):
    entry: JournalEntry
    tries: int


class Run(NamedTuple):
    """A lane's head, which is due, and the events that may follow it, in order."""

    lane: Lane
    events: list[Due]


class Attempted(NamedTuple):
    """What became of one try, and what becomes of the delivery."""

    lane: Lane
    command: int
    at_ms: int
    status: int | None
    error: str | None
    duration_ms: int
    state: DeliveryState
    next_ms: int


class Delivery(NamedTuple):
    endpoint: str
    command: int
    kind: str
    state: DeliveryState
    attempts: int
    next_ms: int | None
    """When it is tried next; None when it is not pending or waits for another one of its lane."""
    changed_ms: int


class Attempt(NamedTuple):
    at_ms: int
    status: int | None
    error: str | None
    duration_ms: int


class Deliveries(Protocol):
    async def journal(self, after: int, limit: int) -> list[JournalEntry]:
        """The commands of the books after this one, in order."""

    async def cursors(self) -> dict[str, Cursor]:
        """Every endpoint that is followed, and how far its events were entered."""

    async def follow(self, endpoint: str, since: int) -> bool:
        """Let an endpoint have events from a command on, and forget what it had from before.

        False when there is more to forget: call it again.
        """

    async def forget(self, endpoint: str) -> bool:
        """Drop all that is known of an endpoint. False when there is more: call it again."""

    async def enter(
        self, events: Sequence[Entered], moved: Mapping[str, tuple[int, int]], now_ms: int
    ) -> None:
        """Make events pending and move each endpoint's cursor from one command to another.

        A cursor that is not where it was expected was set back by a replay meanwhile, and stays
        there. An event that was entered before, and comes again after a replay, becomes pending
        again.
        """

    async def due(
        self, wanted: Mapping[str, int], busy: Collection[Lane], now_ms: int, run_max: int
    ) -> tuple[list[Run], int | None]:
        """So many lanes of each endpoint that are due and not busy, longest due first, each with
        at most `run_max` events; and when the next head of these endpoints will be due.

        Handing out changes nothing: who dies with a run in hand is given it again.
        """

    async def record(self, attempts: Sequence[Attempted]) -> None:
        """Enter what became of tries, at most one of each delivery, and let their lanes go on. What
        became of a delivery that is gone is skipped."""

    async def prune(self, delivered_before_ms: int, exhausted_before_ms: int) -> bool:
        """Delete what is over and older; whether there may be more to delete."""

    async def listed(
        self, endpoint: str, state: DeliveryState | None, before: int | None, limit: int
    ) -> list[Delivery]:
        """An endpoint's deliveries, newest first, with command numbers below `before`."""

    async def attempts(self, endpoint: str, command: int) -> list[Attempt] | None:
        """Every try of a delivery, oldest first; None when there is no such delivery."""

    async def replay(self, endpoint: str, commands: Collection[int], now_ms: int) -> int:
        """Send these deliveries again, now; how many of them exist. Their attempts are kept."""

    async def replay_since(self, endpoint: str, since_ms: int) -> int | None:
        """Send everything again from a moment on, also what was pruned: the cursor goes back.

        The number of the first command that is looked at; None for an unknown endpoint. It is
        never older than the endpoint's own first.
        """
