"""What one viewer has seen, kept as its own book: pure, a few integers, no copy of any event.

A viewer starts at a snapshot (`joined`) and follows frame after frame; each must begin where the
last one ended, in seq and in coins. A fault is told once, then the viewer goes on from what the
frame says, so that one gap is one difference and not a thousand.
"""

from loadtest.frames import Summary

FAULTS_KEPT = 3
"""Sentences kept per viewer; the rest is only counted."""


class Ledger:
    """Position (`epoch`, `last`, `total`), where it started, and what was seen since then."""

    __slots__ = (
        "coins",
        "epoch",
        "fault_count",
        "faults",
        "gifts",
        "last",
        "omitted_coins",
        "omitted_gifts",
        "start_seq",
        "start_total",
        "total",
    )

    def __init__(self) -> None:
        self.epoch = ""
        self.last = -1
        self.total = 0
        self.start_seq = 0
        self.start_total = 0
        self.gifts = 0
        self.coins = 0
        self.omitted_gifts = 0
        self.omitted_coins = 0
        self.fault_count = 0
        self.faults: list[str] = []

    @property
    def started(self) -> bool:
        return self.last >= 0

    def begin(self, epoch: str, seq: int, total_coins: int) -> None:
        """Take a snapshot as the new start; what was seen before it counts no more."""
        self.epoch = epoch
        self.last = self.start_seq = seq
        self.total = self.start_total = total_coins
        self.gifts = self.coins = self.omitted_gifts = self.omitted_coins = 0

    def recover(self, epoch: str, head: int) -> None:
        """The server says that everything since our place follows: our place stays."""
        if epoch != self.epoch:
            self.fault(f"recovered into the epoch {epoch}, from {self.epoch}")
        if head < self.last:
            self.fault(f"recovered to the head {head}, behind our {self.last}")

    def follow(self, frame: Summary) -> None:
        """Book one frame."""
        if (
            frame.first != self.last + 1
            or frame.total_before != self.total
            or frame.faults
            or frame.epoch != self.epoch
        ):
            self._explain(frame)
            if frame.last <= self.last:
                return
        self.last = frame.last
        self.total = frame.total_coins
        self.gifts += frame.gifts
        self.coins += frame.coins
        if frame.omitted_gifts:
            self.omitted_gifts += frame.omitted_gifts
            self.omitted_coins += frame.omitted_coins

    def fault(self, sentence: str) -> None:
        self.fault_count += 1
        if len(self.faults) < FAULTS_KEPT:
            self.faults.append(sentence)

    def _explain(self, frame: Summary) -> None:
        where = f"frame {frame.first}–{frame.last}"
        if frame.epoch != self.epoch:
            self.fault(f"{where} is of the epoch {frame.epoch}, not {self.epoch}")
        if frame.first > self.last + 1:
            self.fault(f"gap: {where} after {self.last}")
        elif frame.first <= self.last:
            self.fault(f"repeat: {where} after {self.last}")
        elif frame.total_before != self.total:
            self.fault(f"{where} starts from {frame.total_before} coins, we have {self.total}")
        for sentence in frame.faults:
            self.fault(sentence)
