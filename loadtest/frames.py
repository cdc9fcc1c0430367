"""WebSocket frames on the client's side, and what one `events` frame claims about itself.

Pure: bytes in, values out. The same frame reaches every viewer, so it is read and checked once
(`summarise`) and the summary is shared; whether it fits behind what a certain viewer has seen is
the business of `ledger`. Only complete unmasked text frames are cut here; everything unusual is
handed to the websockets library by the caller.
"""

from typing import Any

import msgspec
from websockets.speedups import apply_mask

from protocol.codec import decode_event
from protocol.messages import Events, GiftEvent, GiftRetracted

TEXT = 0x81
_MASK = b"\x5a\xc3\x17\x8e"
"""One mask for all: the server cannot tell, and it must still unmask (a mask of zeros would hide a
server that forgets to). Random masks protect proxies from pages, and here is neither."""


class Summary:
    """An `events` frame, read once for all its viewers; `arrivals` counts them by Unix ms.

    `entries` holds (seq, merged, coins) of every gift in it, `faults` what it says wrongly by
    itself, `at_ms` when each of its events was booked.
    """

    __slots__ = (
        "arrivals",
        "at_ms",
        "coins",
        "entries",
        "epoch",
        "faults",
        "first",
        "frame",
        "gifts",
        "last",
        "merged",
        "omitted_coins",
        "omitted_gifts",
        "room",
        "total_before",
        "total_coins",
    )

    def __init__(self, frame: bytes, events: Events) -> None:
        self.frame = frame
        self.room = events.room
        self.epoch = events.epoch
        self.first = events.first
        self.last = events.last
        self.total_before = events.total_before
        self.total_coins = events.total_coins
        self.omitted_gifts = events.omitted.gifts
        self.omitted_coins = events.omitted.coins
        self.gifts = 0
        self.coins = 0
        self.merged = 0
        self.entries: list[tuple[int, int, int]] = []
        self.at_ms: list[int] = []
        self.faults: list[str] = []
        self.arrivals: dict[int, int] = {}


class _AnyEvent(msgspec.Struct):
    seq: int
    kind: str
    at_ms: int = 0


_read_any_event = msgspec.json.Decoder(_AnyEvent)


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

    Raises msgspec.MsgspecError when an event in it breaks the contract.
    """
    summary = Summary(frame, events)
    previous = events.first - 1
    covered = events.omitted.gifts
    taken_back = 0
    for body in events.events:
        event: Any = decode_event(body) or _read_any_event.decode(body)
        merged = 1
        summary.at_ms.append(event.at_ms)
        if isinstance(event, GiftEvent):
            merged = event.merged
            summary.gifts += merged
            summary.merged += merged - 1
            summary.coins += event.coins
            summary.entries.append((event.seq, merged, event.coins))
        elif isinstance(event, GiftRetracted):
            taken_back += event.coins
        if merged < 1 or event.seq - merged < previous:
            summary.faults.append(f"seq {event.seq} (merged {merged}) comes after {previous}")
        previous = event.seq
        covered += merged
    _check_sums(summary, previous, covered, taken_back)
    return summary


def _check_sums(summary: Summary, latest: int, covered: int, taken_back: int) -> None:
    where = f"frame {summary.first}–{summary.last}"
    if summary.last < summary.first or latest > summary.last:
        summary.faults.append(f"{where} holds seq {latest}")
    if covered != summary.last - summary.first + 1:
        summary.faults.append(
            f"{where} accounts for {covered} seqs, not {summary.last - summary.first + 1}"
        )
    growth = summary.coins + summary.omitted_coins - taken_back
    if summary.total_coins != summary.total_before + growth:
        summary.faults.append(
            f"{where} grows from {summary.total_before} by {growth} to {summary.total_coins}"
        )
    if summary.omitted_gifts < 0 or summary.omitted_coins < 0:
        summary.faults.append(f"{where} leaves out less than nothing")
