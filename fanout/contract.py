"""The contract of a fan-out: how the nodes that share one ledger tell each other things.

**What it carries.** Bytes on channels. A channel is a name of up to 200 characters; who publishes
on it and what the bytes mean is not the fan-out's to know. A node hears what OTHER nodes publish on
the channels that it listens to, and never itself.

**What it promises.** Little, and that little exactly:

- What one node publishes on one channel comes in the order in which it was published. Between two
  nodes, and between two channels, there is no order.
- Anything may be late, may come twice, and may never come. So nothing may rest on it that cannot be
  read again from the ledger: a fan-out that loses everything makes the show late and no coin wrong.
- When `listen` has returned, what is published from then on is heard, as far as anything is. So who
  listens first and then reads the ledger misses nothing in between: it is in what was read, or it
  is heard. (Something published before may be heard as well.)
- After `ignore` returned nothing is heard on that channel any more, and after `close` nothing at
  all.

**When it is out of reach.** `listen` returns as soon as it is clear that the others cannot be
reached; it does not raise, and the channels are listened to when they can be reached again. What
could not be carried is dropped and counted in `dropped`. Neither is told to anybody: whoever uses a
fan-out compares with the ledger from time to time, and finds in this way what was lost in any way.

**How it is called.** On the event loop's thread. `publish` never waits and never raises. Receivers
are called on the loop's thread, never from within `publish` or `listen`; they must not block, and
what they raise is logged and harms nobody else. They may publish, listen and ignore.

`alone` is true only while it is certain that nobody hears: then a publisher may save itself the
work of making the bytes, and may leave its channels unlistened. An adapter that cannot know says
False.
"""

from collections.abc import Callable, Collection
from typing import Protocol

Receiver = Callable[[str, bytes], None]
"""Called with the channel and what was published on it."""


class Fanout(Protocol):
    dropped: int
    """Messages of ours that could not be carried."""

    @property
    def alone(self) -> bool:
        """True while there is certainly nobody to tell."""

    def publish(self, channel: str, payload: bytes) -> None:
        """Tell the other nodes that listen to this channel."""

    async def listen(self, channels: Collection[str], receiver: Receiver) -> None:
        """Hear these channels from now on. A channel has one receiver; the last one counts."""

    def ignore(self, channel: str) -> None:
        """Hear this channel no more; nothing, where it was not listened to."""

    async def close(self) -> None:
        """Let go of connections. Safe to call twice."""
