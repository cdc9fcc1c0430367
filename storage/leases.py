"""The contract of the leases: what only one node at a time may do, and who does it now.

A lease has a name and a holder. The holder shows that it is alive by renewing; who has seen no
renewal for long enough takes the lease over. Each taking begins a new *term*.

No clock is compared with another one, and the store keeps no time. Who would like to have the lease
looks at it again and again and measures, with its own steady clock, for how long it has not
changed; the holder measures, with its own, since when it last renewed. Wall clocks may be off by
years. How much faster one steady clock may run than another is said in server/duty.py.

A holder may be frozen and wake up after somebody else took over. So a term is a fence: what
`Store.deliveries_under` a lease changes is changed in a transaction that finds the lease in that
very term, or not at all: it raises `LeaseLost`.

Every change is one transaction and durable when it returns; it raises `StoreUnavailable` (whether
it was made is not known) and `StoreBroken`. Leases lie beside the books: no replay makes them. A
store that knows when it is opened that no other process is there ends all terms: whoever held one
is dead.
"""

from typing import NamedTuple, Protocol


class Lease(NamedTuple):
    """A lease as it was at one moment."""

    name: str
    holder: str
    """Who has it, for a person; empty when nobody does."""
    term: int
    """Grows with each holder."""
    beat: int
    """Grows with each renewal."""


class Leases(Protocol):
    async def seen(self, name: str) -> Lease:
        """The lease as it is; without a holder, in term 0, when nobody ever had it."""

    async def take(self, seen: Lease, holder: str) -> Lease | None:
        """Begin a new term, if the lease is still as it was seen; None when it is not.

        That its holder has been silent for long enough is for who asks to know.
        """

    async def renew(self, held: Lease) -> Lease | None:
        """Show that the holder of this term is alive; None when the term is over."""

    async def release(self, held: Lease) -> None:
        """End the term, if it is not over, so that another one may begin at once."""
