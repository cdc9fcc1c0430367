"""What has to be read from the ledger, as it was asked for.

The event loop's synchronous half (hub, connections) only notes here what it misses; `joins` takes
all of it at once and reads. So nothing that shows frames ever waits for the ledger, and nobody has
to know who reads.
"""

import asyncio
from typing import NamedTuple

from protocol.messages import Join
from server.live.door import Guest
from server.live.hall import Hall


class Wanted(NamedTuple):
    joins: list[tuple[Guest, Join]]
    catching: list[tuple[Guest, Hall]]
    """Those whom the ring of their room cannot serve any more."""
    gaps: list[Hall]
    """Rooms that missed events."""


class Unread:
    def __init__(self) -> None:
        self._wanted = Wanted([], [], [])
        self._wake = asyncio.Event()

    def join(self, guest: Guest, message: Join) -> None:
        self._wanted.joins.append((guest, message))
        self._wake.set()

    def older(self, guest: Guest, hall: Hall) -> None:
        self._wanted.catching.append((guest, hall))
        self._wake.set()

    def gap(self, hall: Hall) -> None:
        self._wanted.gaps.append(hall)
        self._wake.set()

    async def take(self) -> Wanted:
        """Wait until something is wanted; then all of it, and it is wanted no longer."""
        await self._wake.wait()
        self._wake.clear()
        wanted, self._wanted = self._wanted, Wanted([], [], [])
        return wanted
