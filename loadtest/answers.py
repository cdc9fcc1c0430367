"""What the gifters were told, gift by gift, so that it can be held against the books afterwards.

Pure. Gift `n` is a number all through a run; its answer lies in arrays at `n`, so that millions of
gifts stay affordable. A key has one outcome for ever: a second answer that says something else
than the first is a contradiction, and contradictions fail the run.
"""

from array import array
from collections import Counter

from largesse_client.messages import Accepted
from loadtest.latency import Histogram

HELD_BACK = 0
WAITING = -1
REFUSED = -2
CONTRADICTIONS_KEPT = 20


class Answers:
    """`seqs[n]` is the seq of an accepted gift, or one of the constants above."""

    __slots__ = (
        "acknowledge",
        "again",
        "coins",
        "contradictions",
        "held_back",
        "offered",
        "refused",
        "replayed",
        "sender",
        "seqs",
        "settled",
        "totals",
        "wrong",
    )

    def __init__(self) -> None:
        self.sender = array("i")
        self.seqs = array("q")
        self.coins = array("q")
        self.totals = array("q")
        self.offered = 0
        self.held_back = 0
        self.settled = 0
        self.replayed = 0
        self.again: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.acknowledge = Histogram()
        self.contradictions: list[str] = []
        self.wrong = 0

    def next(self, sender: int) -> int:
        """A number for one more gift of that gifter; held back until it is offered."""
        self.sender.append(sender)
        self.seqs.append(HELD_BACK)
        self.coins.append(0)
        self.totals.append(0)
        return len(self.seqs) - 1

    def offer(self, n: int) -> None:
        self.seqs[n] = WAITING
        self.offered += 1

    def accept(self, n: int, answer: Accepted, coins_expected: int) -> None:
        if self.seqs[n] > 0:
            first = (self.seqs[n], self.coins[n], self.totals[n])
            if first != (answer.seq, answer.coins, answer.total_coins):
                self.contradict(f"gift {n} was accepted as {first}, then as {answer}")
            return
        if self.seqs[n] == REFUSED:
            self.contradict(f"gift {n} was refused for good and then accepted")
        if answer.coins != coins_expected:
            self.contradict(f"gift {n} cost {answer.coins} coins, the price is {coins_expected}")
        if answer.seq < 1:
            self.contradict(f"gift {n} was accepted with the seq {answer.seq}")
            return
        self.seqs[n] = answer.seq
        self.coins[n] = answer.coins
        self.totals[n] = answer.total_coins
        self.settled += 1
        if answer.replayed:
            self.replayed += 1

    def refuse(self, n: int, code: str) -> None:
        """A refusal for good (`fix` or `new`)."""
        if self.seqs[n] > 0:
            self.contradict(f"gift {n} was accepted and then refused ({code})")
            return
        if self.seqs[n] != REFUSED:
            self.seqs[n] = REFUSED
            self.refused[code] += 1
            self.settled += 1

    def contradict(self, sentence: str) -> None:
        self.wrong += 1
        if len(self.contradictions) < CONTRADICTIONS_KEPT:
            self.contradictions.append(sentence)

    @property
    def unanswered(self) -> int:
        return self.offered - self.settled

    @property
    def accepted(self) -> int:
        return self.settled - sum(self.refused.values())

    def accepted_coins(self) -> int:
        return sum(coins for seq, coins in zip(self.seqs, self.coins, strict=True) if seq > 0)
