"""The gifts that were given and not yet answered. Pure but for its own memory.

A gift is a request to move money over a line that may break at any moment, so it is kept, under
the key it was given once, until the server has answered it. Sending it again **with the same key**
is always safe: the server books a key once and repeats its first answer. Sending it again with a
new key is how people pay twice. A gift waits in one of three states:

    unsent → the room is not joined (yet, or any more): goes out after the next `joined`
    sent   → on the line; back to unsent when the line breaks
    held   → refused with `retry: same`; goes out again at `retry_at_ms`

A gift whose room was left, or may not be joined, never goes out again. One that is on the line
keeps waiting, for the server still answers it; the others are stranded, and answered here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from largesse_client.messages import Gift, Refused

RETRY_DEFAULT_MS = 1_000
"""When a `retry: same` refusal does not say how long to wait."""

_JITTER_CAP_MS = 30_000


@dataclass(slots=True)
class Waiting:
    """`was_sent`: it went out at least once, so it may have been booked."""

    message: Gift
    state: Literal["unsent", "sent", "held"] = "unsent"
    was_sent: bool = False
    retry_at_ms: int = 0
    refusals: int = 0


class Pending:
    """By key, in the order in which they were given."""

    __slots__ = ("_gifts",)

    def __init__(self) -> None:
        self._gifts: dict[str, Waiting] = {}

    def __len__(self) -> int:
        return len(self._gifts)

    def __contains__(self, key: object) -> bool:
        return key in self._gifts

    def keep(self, message: Gift) -> None:
        """A new gift; one whose key waits already is the same wish said twice."""
        self._gifts.setdefault(message.key, Waiting(message))

    def settle(self, key: str) -> Waiting | None:
        """It has its final answer, or is given up."""
        return self._gifts.pop(key, None)

    def hold(self, refusal: Refused, now_ms: int, random: float) -> Waiting:
        """Hold a gift that was refused with `retry: same`, at least as long as the server says."""
        assert refusal.key is not None
        waiting = self._gifts[refusal.key]
        asked_ms = refusal.retry_after_ms or RETRY_DEFAULT_MS
        spread_ms = min(_JITTER_CAP_MS, 100 * 2 ** min(waiting.refusals, 16))
        waiting.state = "held"
        waiting.retry_at_ms = now_ms + asked_ms + int(random * spread_ms)
        waiting.refusals += 1
        return waiting

    def line_broke(self) -> None:
        """Whatever was on it may or may not have arrived, and goes out again."""
        for waiting in self._gifts.values():
            if waiting.state == "sent":
                waiting.state = "unsent"

    def take_due(self, now_ms: int, is_joined: Callable[[str], bool]) -> list[Gift]:
        """What goes out now, in the order in which it was given."""
        due = [one for one in self._gifts.values() if _is_due(one, now_ms, is_joined)]
        for waiting in due:
            waiting.state = "sent"
            waiting.was_sent = True
        return [waiting.message for waiting in due]

    def take_stranded(self, is_wanted: Callable[[str], bool]) -> list[Waiting]:
        """Those that no answer can come for: not on the line, and of no room that we want."""
        stranded = [
            one
            for one in self._gifts.values()
            if one.state != "sent" and not is_wanted(one.message.room)
        ]
        for waiting in stranded:
            del self._gifts[waiting.message.key]
        return stranded

    def take_all(self) -> list[Waiting]:
        taken = list(self._gifts.values())
        self._gifts.clear()
        return taken

    def next_retry_ms(self, is_joined: Callable[[str], bool]) -> int | None:
        """When the next held gift is due. Those of other rooms are due when these are joined."""
        held = [
            one.retry_at_ms
            for one in self._gifts.values()
            if one.state == "held" and is_joined(one.message.room)
        ]
        return min(held, default=None)


def _is_due(waiting: Waiting, now_ms: int, is_joined: Callable[[str], bool]) -> bool:
    if waiting.state == "sent" or not is_joined(waiting.message.room):
        return False
    return waiting.state == "unsent" or waiting.retry_at_ms <= now_ms


def uuid7(now_ms: int, random: bytes) -> str:
    """A UUIDv7 (RFC 9562) of ten random bytes: 48 bits of time, then 74 of chance.

    Time first, so that keys made one after the other lie together in the server's index.
    """
    bits = bytearray(now_ms.to_bytes(6, "big") + random[:10])
    bits[6] = 0x70 | (bits[6] & 0x0F)
    bits[8] = 0x80 | (bits[8] & 0x3F)
    text = bits.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
