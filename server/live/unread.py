"""What has to be read from the ledger, or waited for, as it was asked for.

The event loop's synchronous half (hub, users, connections) only notes here what it misses; `joins`
takes all of it at once and reads. So nothing that shows frames ever waits for the ledger, and
nobody has to know who reads.
"""

import asyncio
from dataclasses import dataclass, field

from protocol.messages import Join
from rules.events import Event
from server.live.door import Guest
from server.live.hall import Hall


@dataclass(slots=True)
class Wanted:
    joins: list[tuple[Guest, Join]] = field(default_factory=list)
    catching: list[tuple[Guest, Hall]] = field(default_factory=list)
    """Those whom the ring of their room cannot serve any more."""
    gaps: dict[Hall, None] = field(default_factory=dict)
    """Rooms that missed events, or whose log may be another one by now."""
    users: dict[str, None] = field(default_factory=dict)
    """Users whose channel has to be listened to."""
    balances: dict[str, None] = field(default_factory=dict)
    """Users whose balance has to be looked up."""
    untold: list[tuple[str, list[Event]]] = field(default_factory=list)
    """What was settled in rooms that are not in memory: the others are to be told of which log."""
    heads: bool = False
    """Whether all rooms are to be compared with the ledger."""


class Unread:
    def __init__(self) -> None:
        self._wanted = Wanted()
        self._wake = asyncio.Event()

    def join(self, guest: Guest, message: Join) -> None:
        self._wanted.joins.append((guest, message))
        self._wake.set()

    def older(self, guest: Guest, hall: Hall) -> None:
        self._wanted.catching.append((guest, hall))
        self._wake.set()

    def gap(self, hall: Hall) -> None:
        self._wanted.gaps[hall] = None
        self._wake.set()

    def user(self, user: str) -> None:
        self._wanted.users[user] = None
        self._wake.set()

    def balance(self, user: str) -> None:
        self._wanted.balances[user] = None
        self._wake.set()

    def untold(self, room: str, events: list[Event]) -> None:
        self._wanted.untold.append((room, events))
        self._wake.set()

    def heads(self) -> None:
        self._wanted.heads = True
        self._wake.set()

    async def take(self) -> Wanted:
        """Wait until something is wanted; then all of it, and it is wanted no longer."""
        await self._wake.wait()
        self._wake.clear()
        wanted, self._wanted = self._wanted, Wanted()
        return wanted
