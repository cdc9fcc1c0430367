"""What one viewer has seen, kept as its own book: pure, a few integers, no copy of any event.

A viewer starts at a snapshot (`joined`) and follows frame after frame; each must begin where the
last one ended, in seq and in coins. A fault is told once, then the viewer goes on from what the
frame says, so that one gap is one difference and not a thousand.
"""

from largesse_client.log import Frame, Log

FAULTS_KEPT = 3
"""Sentences kept per viewer; the rest is only counted."""

NOWHERE = -1


class Ledger(Log):
    """A place in the log, where it started, and what was seen since then."""

    __slots__ = (
        "fault_count",
        "faults",
        "gifts",
        "omitted_coins",
        "omitted_gifts",
        "start_seq",
        "start_total",
    )

    def __init__(self) -> None:
        super().__init__("", NOWHERE, 0)
        self.start_seq = 0
        self.start_total = 0
        self.gifts = 0
        self.omitted_gifts = 0
        self.omitted_coins = 0
        self.fault_count = 0
        self.faults: list[str] = []

    @property
    def started(self) -> bool:
        return self.seq > NOWHERE

    def begin(self, epoch: str, seq: int, total_coins: int) -> None:
        """Take a snapshot as the new start; what was seen before it counts no more."""
        self.epoch = epoch
        self.seq = self.start_seq = seq
        self.total_coins = self.start_total = total_coins
        self.gifts = self.omitted_gifts = self.omitted_coins = 0

    def recover(self, epoch: str, head: int) -> None:
        """The server says that everything since our place follows: our place stays."""
        if epoch != self.epoch:
            self.fault(f"recovered into the epoch {epoch}, from {self.epoch}")
        if head < self.seq:
            self.fault(f"recovered to the head {head}, behind our {self.seq}")

    def book(self, frame: Frame) -> None:
        """See one frame."""
        problem = self.follow(frame)
        if problem is not None:
            self.fault(problem.message)
            if frame.last <= self.seq:
                return
            self.seq, self.total_coins = frame.last, frame.total_coins
        self.gifts += frame.gifts
        if frame.omitted_gifts:
            self.omitted_gifts += frame.omitted_gifts
            self.omitted_coins += frame.omitted_coins

    def fault(self, sentence: str) -> None:
        self.fault_count += 1
        if len(self.faults) < FAULTS_KEPT:
            self.faults.append(sentence)
