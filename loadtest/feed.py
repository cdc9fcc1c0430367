"""Every distinct frame that a room's viewers receive, read once and shared among them.

Five thousand viewers get the same bytes: the frame that follows seq L is remembered under L, and a
viewer that stands at L compares bytes (a memcmp) instead of parsing. Frames that differ (after a
resume each viewer gets its own) are remembered by their bytes. Pure but for its own memory: no
socket, no clock. Keeps what the verdict needs to hold every distinct frame against the log.
"""

from array import array
from collections import Counter
from typing import Any

from largesse_client.messages import (
    Board,
    ComboEnded,
    Events,
    Heartbeat,
    ServerMessage,
    Viewers,
)
from largesse_client.wire import Unreadable, decode
from loadtest.frames import Summary, payload_of, summarise
from loadtest.latency import Histogram

FRAMES_KEPT = 512
"""Distinct frames remembered: some ten seconds of a busy room, and then they are read again."""

BYTES_KEPT = 64 * 1024 * 1024
"""The same limit for a server that sends very long frames."""

OTHERS_KEPT = 64
FAULTS_KEPT = 20
SHARED = (Board, ComboEnded, Heartbeat, Viewers)
"""What the whole room gets as the same bytes, apart from `events`."""


class Feed:
    """Shared by all viewers of one room in this process."""

    __slots__ = (
        "delivery",
        "entries",
        "events_seen",
        "expected",
        "fault_count",
        "faults",
        "frames",
        "kept_bytes",
        "kinds",
        "last_other",
        "others",
        "room",
        "snapshots",
        "variants",
    )

    def __init__(self, room: str) -> None:
        self.room = room
        self.expected: dict[int, Summary] = {}
        self.variants: dict[bytes, Summary] = {}
        self.others: dict[bytes, str] = {}
        self.last_other = b""
        self.kept_bytes = 0
        self.kinds: Counter[str] = Counter()
        self.delivery = Histogram()
        self.events_seen = 0
        self.frames = array("q")
        self.entries = array("q")
        self.snapshots = array("q")
        self.faults: list[str] = []
        self.fault_count = 0

    def known(self, frame: bytes, after: int) -> Summary | None:
        """The summary of an `events` frame read before, for a viewer that stands at `after`."""
        seen = self.expected.get(after)
        if seen is not None and seen.frame == frame:
            return seen
        return self.variants.get(frame) if self.variants else None

    def skip(self, frame: bytes) -> bool:
        """Whether this is a board, a count or a heartbeat that was read before."""
        if frame == self.last_other:
            self.kinds["repeated"] += 1
            return True
        if frame in self.others:
            self.last_other = frame
            self.kinds["repeated"] += 1
            return True
        return False

    def read(self, frame: bytes) -> Summary | ServerMessage | None:
        """Read a new frame; None when it is of a later version or breaks the contract (a fault)."""
        try:
            message = decode(payload_of(frame))
            if isinstance(message, Events):
                return self._remember(summarise(frame, message))
        except Unreadable as error:
            self.fault(f"unreadable: {error}: {payload_of(frame)[:200]!r}")
            return None
        if message is None:
            self.kinds["unknown"] += 1
            return None
        kind = type(message).__name__
        self.kinds[kind] += 1
        if isinstance(message, SHARED):
            if len(self.others) >= OTHERS_KEPT:
                del self.others[next(iter(self.others))]
            self.others[frame] = kind
            self.last_other = frame
        return message

    def fault(self, sentence: str) -> None:
        """Note what a server may never send."""
        self.fault_count += 1
        if len(self.faults) < FAULTS_KEPT:
            self.faults.append(sentence)

    def close(self) -> None:
        """Count the arrivals of all frames that are still remembered."""
        for summary in (*self.expected.values(), *self.variants.values()):
            self._retire(summary)
        self.expected.clear()
        self.variants.clear()

    def _remember(self, summary: Summary) -> Summary:
        read = summary.read
        if read.room != self.room:
            self.fault(f"a frame of the room {read.room}")
        after = read.first - 1
        if after in self.expected:
            self._forget(self.variants)
            self.variants[summary.frame] = summary
        else:
            self._forget(self.expected)
            self.expected[after] = summary
        self.kept_bytes += len(summary.frame)
        self.frames.extend((read.first, read.last, read.total_before, read.total_coins))
        for entry in summary.entries:
            self.entries.extend(entry)
        return summary

    def _forget(self, kept: dict[Any, Summary]) -> None:
        """Drop the oldest frames until there is room for one more."""
        while kept and (len(kept) >= FRAMES_KEPT or self.kept_bytes > BYTES_KEPT):
            oldest = kept.pop(next(iter(kept)))
            self.kept_bytes -= len(oldest.frame)
            self._retire(oldest)

    def _retire(self, summary: Summary) -> None:
        viewers = sum(summary.arrivals.values())
        self.events_seen += viewers * len(summary.at_ms)
        for arrived_ms, times in summary.arrivals.items():
            for at_ms in summary.at_ms:
                self.delivery.add_ms(arrived_ms - at_ms, times)
        summary.arrivals = {}
