"""Fan-out inside one process. A server that runs alone is the only member of its bus; tests put
several hubs on one."""

import logging

from fanout.contract import Batch, Receiver

log = logging.getLogger(__name__)


class LocalBus:
    """What the members share."""

    def __init__(self) -> None:
        self.members: list[LocalFanout] = []

    def join(self) -> "LocalFanout":
        member = LocalFanout(self)
        self.members.append(member)
        return member


class LocalFanout:
    """See contract.Fanout. Delivers at once, in order, and loses nothing."""

    def __init__(self, bus: LocalBus) -> None:
        self.dropped = 0
        self._bus = bus
        self._receivers: dict[str, Receiver] = {}

    @property
    def alone(self) -> bool:
        return len(self._bus.members) < 2

    def publish(self, batch: Batch) -> None:
        for member in self._bus.members:
            if member is not self and (receiver := member._receivers.get(batch.room)):
                try:
                    receiver(batch)
                except Exception:
                    # Theirs, and no reason to keep the batch from the others.
                    log.exception("a receiver of the room %s failed", batch.room)

    def listen(self, room: str, receiver: Receiver) -> None:
        self._receivers[room] = receiver

    def ignore(self, room: str) -> None:
        self._receivers.pop(room, None)

    async def close(self) -> None:
        self._receivers.clear()
        if self in self._bus.members:
            self._bus.members.remove(self)
