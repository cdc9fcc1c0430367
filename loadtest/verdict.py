"""Answers, frames, log, totals and wallets held against each other: pure, numbers in, checks out.

The raw log is the reference. Its running sums are built once; then every answer, every distinct
frame, every entry of a frame, every snapshot and every viewer is one subtraction away from being
proven or caught. Each check says what was expected, what was found, and its first few differences.
"""

from array import array
from collections.abc import Iterable, Iterator

import msgspec

from loadtest.answers import Answers
from loadtest.feed import Feed
from loadtest.ledger import Ledger

DIFFERENCES_SHOWN = 5


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One comparison; `differences` explains the first few of `wrong`."""

    name: str
    ok: bool
    compared: int
    wrong: int
    differences: tuple[str, ...] = ()


class Wallet(msgspec.Struct, frozen=True, kw_only=True):
    user: str
    expected_coins: int
    found_coins: int


class Books:
    """The room's log from `start_seq` (exclusive) on, entry by entry, as running sums.

    `totals[i]` is the room's total after seq `start_seq + i`, `gifts[i]` how many gifts were in the
    log by then (counted from the start), `owners[i]` the index of our gifter or -1.
    """

    __slots__ = ("faults", "foreign", "gifts", "owners", "start_seq", "totals")

    def __init__(self, start_seq: int, start_total: int) -> None:
        self.start_seq = start_seq
        self.totals = array("q", (start_total,))
        self.gifts = array("q", (0,))
        self.owners = array("i", (-1,))
        self.foreign = 0
        self.faults: list[str] = []

    @property
    def head(self) -> int:
        return self.start_seq + len(self.totals) - 1

    def add(self, seq: int, coins: int, *, gift: bool, owner: int | None) -> None:
        """Append one entry; `coins` is negative for a retraction."""
        if seq != self.head + 1:
            self.faults.append(f"seq {seq} follows {self.head}")
            return
        self.totals.append(self.totals[-1] + coins)
        self.gifts.append(self.gifts[-1] + gift)
        self.owners.append(-1 if owner is None else owner)
        if owner is None and coins:
            self.foreign += 1

    def total_at(self, seq: int) -> int | None:
        place = seq - self.start_seq
        return self.totals[place] if 0 <= place < len(self.totals) else None

    def gifts_between(self, after: int, to: int) -> int:
        return self.gifts[to - self.start_seq] - self.gifts[after - self.start_seq]


def make_check(name: str, compared: int, differences: Iterable[str]) -> Check:
    found = list(differences)
    shown = tuple(found[:DIFFERENCES_SHOWN])
    return Check(name=name, ok=not found, compared=compared, wrong=len(found), differences=shown)


def judge(
    *,
    answers: Answers,
    feed: Feed,
    books: Books,
    room_seq: int,
    room_total: int,
    viewers: list[tuple[str, Ledger]],
    wallets: list[Wallet],
    others: bool,
) -> list[Check]:
    """Every check of the run. `others`: people outside of this run may have gifted too."""
    started = [(name, ledger) for name, ledger in viewers if ledger.started]
    foreign = books.foreign if not others else 0
    return [
        make_check("every gift was answered", answers.offered, _unanswered(answers)),
        _told("no gift has two outcomes", answers.offered, answers.wrong, answers.contradictions),
        make_check("the log has no gap", books.head - books.start_seq, books.faults),
        make_check("the log holds the accepted gifts once", answers.accepted, _log(answers, books)),
        make_check("nobody else gifted", 1, [f"{foreign} entries"] if foreign else []),
        make_check("the room's total is the log's", 1, _room(books, room_seq, room_total)),
        make_check("accepted coins are the growth", 1, _growth(answers, books, room_total, others)),
        make_check("answered totals are the log's", answers.accepted, _totals(answers, books)),
        _told("frames keep the contract", len(feed.frames) // 4, feed.fault_count, feed.faults),
        make_check("frames equal the log", len(feed.frames) // 4, _frames(feed, books)),
        make_check("entries equal the log", len(feed.entries) // 3, _entries(feed, books)),
        make_check("snapshots equal the log", len(feed.snapshots) // 2, _snapshots(feed, books)),
        make_check("every viewer joined", len(viewers), _absent(viewers)),
        make_check("viewers equal the books", len(started), _viewers(started, books, room_seq)),
        make_check("wallets equal the books", len(wallets), _wallets(wallets)),
    ]


def _told(name: str, compared: int, wrong: int, sentences: list[str]) -> Check:
    shown = tuple(sentences[:DIFFERENCES_SHOWN])
    return Check(name=name, ok=not wrong, compared=compared, wrong=wrong, differences=shown)


def _unanswered(answers: Answers) -> list[str]:
    return [f"gift {n} has no answer" for n, seq in enumerate(answers.seqs) if seq == -1]


def _log(answers: Answers, books: Books) -> Iterator[str]:
    ours: dict[int, int] = {}
    for n, seq in enumerate(answers.seqs):
        if seq <= 0:
            continue
        if seq in ours:
            yield f"gifts {ours[seq]} and {n} were both answered with seq {seq}"
        ours[seq] = n
        place = seq - books.start_seq
        if not 0 < place < len(books.totals):
            yield f"gift {n} was accepted as seq {seq}, which is not in the log"
            continue
        booked = books.totals[place] - books.totals[place - 1]
        if booked != answers.coins[n] or books.owners[place] != answers.sender[n]:
            yield (
                f"gift {n} of gifter {answers.sender[n]} was accepted as seq {seq} for "
                f"{answers.coins[n]} coins; the log has {booked} of gifter {books.owners[place]}"
            )
    for place, owner in enumerate(books.owners):
        if owner >= 0 and books.start_seq + place not in ours:
            yield f"seq {books.start_seq + place} of gifter {owner} was never answered as accepted"


def _room(books: Books, room_seq: int, room_total: int) -> Iterator[str]:
    if books.head < room_seq:
        yield f"the room is at seq {room_seq}, the log ends at {books.head}"
    elif books.total_at(room_seq) != room_total:
        yield f"the room has {room_total} coins, its log {books.total_at(room_seq)}"


def _growth(answers: Answers, books: Books, room_total: int, others: bool) -> Iterator[str]:
    growth, accepted = room_total - books.totals[0], answers.accepted_coins()
    if growth != accepted and not (others and growth > accepted):
        yield f"{accepted} coins were accepted, the room grew by {growth}"


def _totals(answers: Answers, books: Books) -> Iterator[str]:
    for n, seq in enumerate(answers.seqs):
        if seq > 0 and books.total_at(seq) != answers.totals[n]:
            yield f"gift {n}: {answers.totals[n]} coins after seq {seq}, not {books.total_at(seq)}"


def _frames(feed: Feed, books: Books) -> Iterator[str]:
    frames = feed.frames
    for i in range(0, len(frames), 4):
        first, last, before, after = frames[i : i + 4]
        if first <= books.start_seq or last > books.head:
            yield f"frame {first}–{last} is not in the log"
        elif (before, after) != (books.total_at(first - 1), books.total_at(last)):
            yield (
                f"frame {first}–{last} says {before} → {after} coins, "
                f"the log {books.total_at(first - 1)} → {books.total_at(last)}"
            )


def _entries(feed: Feed, books: Books) -> Iterator[str]:
    entries = feed.entries
    for i in range(0, len(entries), 3):
        seq, merged, coins = entries[i : i + 3]
        before, after = books.total_at(seq - merged), books.total_at(seq)
        if before is None or after is None or after - before != coins:
            yield f"the entry of seq {seq} ({merged} merged) shows {coins} coins, the log differs"


def _snapshots(feed: Feed, books: Books) -> Iterator[str]:
    for i in range(0, len(feed.snapshots), 2):
        seq, total = feed.snapshots[i : i + 2]
        if books.total_at(seq) != total:
            yield f"joined at seq {seq} with {total} coins, the log has {books.total_at(seq)}"


def _absent(viewers: list[tuple[str, Ledger]]) -> Iterator[str]:
    for name, ledger in viewers:
        if not ledger.started:
            yield f"{name} never joined"


def _viewers(viewers: list[tuple[str, Ledger]], books: Books, room_seq: int) -> Iterator[str]:
    for name, ledger in viewers:
        sentence = explain(ledger, books, room_seq)
        if sentence:
            yield f"{name}: {sentence}"


def explain(ledger: Ledger, books: Books, room_seq: int) -> str:
    """Why a viewer's ledger differs from the books; empty when it does not."""
    if ledger.fault_count:
        return f"{ledger.fault_count} faults: " + "; ".join(ledger.faults)
    if ledger.seq < room_seq:
        return f"saw the room up to seq {ledger.seq}, not {room_seq}"
    start, end = books.total_at(ledger.start_seq), books.total_at(ledger.seq)
    if (start, end) != (ledger.start_total, ledger.total_coins):
        return (
            f"{ledger.start_total} coins at seq {ledger.start_seq}, {ledger.total_coins} at "
            f"{ledger.seq}; the books have {start} and {end}"
        )
    seen = ledger.gifts + ledger.omitted_gifts
    booked = books.gifts_between(ledger.start_seq, ledger.seq)
    return f"saw {seen} gifts, the books have {booked}" if seen != booked else ""


def _wallets(wallets: list[Wallet]) -> Iterator[str]:
    for wallet in wallets:
        if wallet.expected_coins != wallet.found_coins:
            yield f"{wallet.user} has {wallet.found_coins} coins, not {wallet.expected_coins}"
