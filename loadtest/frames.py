"""WebSocket frames on the client's side, and what one `events` frame claims about itself.

Pure: bytes in, values out. The same frame reaches every viewer, so it is read and checked once
(`summarise`) and the summary is shared; whether it fits behind what a certain viewer has seen is
the business of `ledger`. Only complete unmasked text frames are cut here; everything unusual is
handed to the websockets library by the caller.
"""

from collections.abc import Iterable

from websockets.speedups import apply_mask

from largesse_client.log import Frame, read_frame
from largesse_client.messages import Entry, Events, GiftEvent

TEXT = 0x81
_MASK = b"\x5a\xc3\x17\x8e"
"""One mask for all: the server cannot tell, and it must still unmask (a mask of zeros would hide a
server that forgets to). Random masks protect proxies from pages, and here is neither."""


class Summary:
    """An `events` frame, read once for all its viewers; `arrivals` counts them by Unix ms.

    `read` is what it says about the log, `entries` holds (seq, merged, coins) of every gift in it,
    `at_ms` when each of its events was booked.
    """

    __slots__ = ("arrivals", "at_ms", "entries", "frame", "read")

    def __init__(self, frame: bytes, read: Frame, entries: Iterable[Entry]) -> None:
        self.frame = frame
        self.read = read
        self.entries: list[tuple[int, int, int]] = []
        self.at_ms: list[int] = []
        self.arrivals: dict[int, int] = {}
        for entry in entries:
            self.at_ms.append(entry.at_ms)
            if isinstance(entry, GiftEvent):
                self.entries.append((entry.seq, entry.merged, entry.coins))


def masked_text(payload: bytes) -> bytes:
    """A client's text frame; payloads stay far below 64 KiB (the contract allows 16)."""
    length = len(payload)
    if length < 126:
        head = bytes((TEXT, 0x80 | length))
    else:
        head = b"\x81\xfe" + length.to_bytes(2, "big")
    return head + _MASK + apply_mask(payload, _MASK)


def frame_end(data: bytes, start: int) -> int:
    """Where the server's frame that begins at `start` ends; 0 when it is not complete yet.

    Raises ValueError for a masked frame, which no server may send.
    """
    available = len(data) - start
    if available < 2:
        return 0
    length, head = data[start + 1], 2
    if length > 127:
        raise ValueError("a masked frame from the server")
    if length == 126:
        head, length = 4, int.from_bytes(data[start + 2 : start + 4], "big")
    elif length == 127:
        head, length = 10, int.from_bytes(data[start + 2 : start + 10], "big")
    return start + head + length if available >= head + length and available >= head else 0


def frame_bytes(beginning: bytes) -> int:
    """How long the whole frame is that begins so; 0 while its head is not complete."""
    length = beginning[1] if len(beginning) > 1 else 0
    if length == 126 and len(beginning) >= 4:
        return 4 + int.from_bytes(beginning[2:4], "big")
    if length == 127 and len(beginning) >= 10:
        return 10 + int.from_bytes(beginning[2:10], "big")
    return 2 + length if len(beginning) > 1 and length < 126 else 0


def payload_of(frame: bytes) -> bytes:
    """The payload of one complete unmasked frame."""
    length = frame[1]
    return frame[4:] if length == 126 else frame[10:] if length == 127 else frame[2:]


def summarise(frame: bytes, events: Events) -> Summary:
    """Read an `events` frame and check all that can be checked without knowing what came before.

    Raises Unreadable when an event in it breaks the contract.
    """
    return Summary(frame, *read_frame(events))
