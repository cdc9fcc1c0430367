"""Fan-out inside one process. A server that runs alone is the only member of its bus; tests put
several nodes on one."""

import asyncio
import logging
from collections.abc import Collection

from fanout.contract import Receiver

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
    """See contract.Fanout. Delivers in the loop's next turn, in order, and loses nothing."""

    def __init__(self, bus: LocalBus) -> None:
        self.dropped = 0
        self._bus = bus
        self._receivers: dict[str, Receiver] = {}

    @property
    def alone(self) -> bool:
        return len(self._bus.members) < 2

    def publish(self, channel: str, payload: bytes) -> None:
        for member in self._bus.members:
            if member is not self and channel in member._receivers:
                # Not at once: a receiver must not be called in the middle of what publishes.
                asyncio.get_running_loop().call_soon(member._hear, channel, payload)

    def _hear(self, channel: str, payload: bytes) -> None:
        receiver = self._receivers.get(channel)
        if receiver is None:
            return  # ignored, or closed, in the meantime
        try:
            receiver(channel, payload)
        except Exception:
            log.exception("a receiver of the channel %s failed", channel)

    async def listen(self, channels: Collection[str], receiver: Receiver) -> None:
        self._receivers |= dict.fromkeys(channels, receiver)

    def ignore(self, channel: str) -> None:
        self._receivers.pop(channel, None)

    async def close(self) -> None:
        self._receivers.clear()
        if self in self._bus.members:
            self._bus.members.remove(self)
