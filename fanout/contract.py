"""The contract of a fan-out: how a node tells the others what it has settled.

A server that runs alone has nobody to tell; today that is every server, and the tests put several
hubs on one ledger. The contract is here so that a second node changes nothing else.

A node publishes each batch of a room's events after they are durable, in the order of their seq. A
receiver gets the batches of OTHER nodes for the rooms it listens to, never its own. Batches of one
node and one room come in the order in which they were published. Between nodes there is no order,
and any batch may be late, repeated or never come: fan-out may lose everything and no coin is wrong.
That is why a batch says which log it belongs to (`epoch`) and which seqs it holds (`first` to
`last`, without a gap): a receiver that sees one out of order, or none, reads what is missing from
the ledger.

`publish` never waits and never raises: what cannot be carried is dropped and counted in `dropped`.
Receivers are called on the event loop's thread, must not block, and what they raise is theirs.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol


class Batch(NamedTuple):
    room: str
    epoch: str
    first: int
    last: int
    payload: bytes
    """What the publisher wrote; a fan-out does not look inside."""


Receiver = Callable[[Batch], None]


class Fanout(Protocol):
    dropped: int
    """Batches that could not be carried."""

    @property
    def alone(self) -> bool:
        """True while there is nobody to tell: a publisher may save itself the encoding."""

    def publish(self, batch: Batch) -> None:
        """Tell the other nodes. Call it after the events are durable, in the order of seq."""

    def listen(self, room: str, receiver: Receiver) -> None:
        """Get the other nodes' batches of a room from now on; one receiver a room."""

    def ignore(self, room: str) -> None:
        """No more batches of this room."""

    async def close(self) -> None:
        """Let go of connections. Nothing is delivered afterwards."""
