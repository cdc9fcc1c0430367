"""One room's log as a client knows it, and the proof that nothing is missing. Pure.

The server promises (docs/protocol.md, 1.2) that frames follow each other without a gap and that
the coins in a frame explain exactly how the room's total moved. Whoever remembers two numbers, the
last seq and the total, can therefore check everything that it is told:

    first        == our seq + 1
    total_before == our total
    total_coins  == total_before + Σ gift coins + omitted coins − Σ retraction coins

`read_frame` checks what a frame says by itself, once; `Log.follow` whether it fits behind what was
there before. They are apart because a crowd of viewers gets the same frame: it is read once and
followed a thousand times.
"""

from typing import Literal

import msgspec

from largesse_client.messages import Entry, Events, GiftEvent, GiftRetracted
from largesse_client.wire import decode_entry


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """What an `events` frame says about its room's log, without its entries.

    `coins` are those of the gifts shown, `faults` what is wrong with the frame by itself.
    """

    room: str
    epoch: str
    first: int
    last: int
    total_before: int
    total_coins: int
    gifts: int
    coins: int
    retracted_coins: int
    omitted_gifts: int
    omitted_coins: int
    faults: tuple[str, ...] = ()


class Problem(msgspec.Struct, frozen=True):
    """Why a frame was not followed.

    `repeat`: all of it was there before. `gap`, `overlap`, `epoch`: it belongs elsewhere, so ask
    for what is between. `total_before`, `frame`: the sums do not add up.
    """

    what: Literal["repeat", "gap", "overlap", "epoch", "total_before", "frame"]
    message: str


def read_frame(message: Events) -> tuple[Frame, tuple[Entry, ...]]:
    """The frame and its entries. Raises Unreadable when an entry breaks the contract."""
    entries = tuple(decode_entry(body) for body in message.events)
    faults: list[str] = []
    previous = message.first - 1
    covered, gifts, coins, retracted = message.omitted.gifts, 0, 0, 0
    for entry in entries:
        msgspec.structs.force_setattr(entry, "room", message.room)
        merged = 1
        if isinstance(entry, GiftEvent):
            merged = entry.merged
            gifts += merged
            coins += entry.coins
        elif isinstance(entry, GiftRetracted):
            retracted += entry.coins
        if merged < 1 or entry.seq - merged < previous:
            faults.append(f"seq {entry.seq} (merged {merged}) comes after {previous}")
        previous = entry.seq
        covered += merged
    frame = Frame(
        room=message.room,
        epoch=message.epoch,
        first=message.first,
        last=message.last,
        total_before=message.total_before,
        total_coins=message.total_coins,
        gifts=gifts,
        coins=coins,
        retracted_coins=retracted,
        omitted_gifts=message.omitted.gifts,
        omitted_coins=message.omitted.coins,
    )
    faults += _wrong_sums(frame, previous, covered)
    return (msgspec.structs.replace(frame, faults=tuple(faults)) if faults else frame), entries


def _wrong_sums(frame: Frame, latest: int, covered: int) -> list[str]:
    faults = []
    seqs = frame.last - frame.first + 1
    growth = frame.coins + frame.omitted_coins - frame.retracted_coins
    if seqs < 1 or latest > frame.last:
        faults.append(f"it holds seq {latest}")
    if covered != seqs:
        faults.append(f"it accounts for {covered} seqs, not {seqs}")
    if frame.total_coins != frame.total_before + growth:
        faults.append(f"it grows from {frame.total_before} by {growth} to {frame.total_coins}")
    if frame.omitted_gifts < 0 or frame.omitted_coins < 0:
        faults.append("it leaves out less than nothing")
    return faults


class Log:
    """A place in a room's log: which log (`epoch`), the last entry (`seq`), the total after it."""

    __slots__ = ("_unverified", "epoch", "seq", "total_coins")

    def __init__(self, epoch: str, seq: int, total_coins: int, verified: int = 0) -> None:
        self.epoch = epoch
        self.seq = seq
        self.total_coins = total_coins
        self._unverified = seq - verified

    @property
    def verified(self) -> int:
        """How many entries were followed, here and before (as the log was told at its making)."""
        return self.seq - self._unverified

    def follow(self, frame: Frame) -> Problem | None:
        """Go on by one frame. A frame that does not fit or add up changes nothing."""
        if (
            frame.first == self.seq + 1
            and frame.total_before == self.total_coins
            and frame.epoch == self.epoch
            and not frame.faults
        ):
            self.seq = frame.last
            self.total_coins = frame.total_coins
            return None
        return self._problem(frame)

    def _problem(self, frame: Frame) -> Problem:
        where = f"frame {frame.first}–{frame.last}"
        if frame.epoch != self.epoch:
            return Problem("epoch", f"{where} is of the epoch {frame.epoch}, not {self.epoch}")
        if frame.faults and frame.first == self.seq + 1:
            return Problem("frame", f"{where}: " + "; ".join(frame.faults))
        if frame.last <= self.seq:
            return Problem("repeat", f"repeat: {where} after {self.seq}")
        if frame.first > self.seq + 1:
            return Problem("gap", f"gap: {where} after {self.seq}")
        if frame.first <= self.seq:
            # It cannot be split: merged entries have one seq for many.
            return Problem("overlap", f"repeat: {where} after {self.seq}")
        return Problem(
            "total_before",
            f"{where} starts from {frame.total_before} coins, we have {self.total_coins}",
        )
