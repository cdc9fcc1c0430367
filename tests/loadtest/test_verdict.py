"""Answers, frames, log, totals and wallets: each difference fails the check named for it."""

from collections.abc import Callable
from typing import Any

import pytest

from largesse_client.messages import Accepted, Me
from loadtest.answers import Answers
from loadtest.feed import Feed
from loadtest.ledger import Ledger
from loadtest.verdict import Books, Wallet, judge

COINS = 5


def accepted(seq: int, **changes: Any) -> Accepted:
    fields: dict[str, Any] = {
        "key": f"k{seq}",
        "room": "r",
        "seq": seq,
        "gift": "rose",
        "quantity": 1,
        "coins": COINS,
        "balance_coins": 0,
        "total_coins": 100 + COINS * (seq - 10),
        "me": Me(coins=1, rank=1),
        "combo": None,
        "at_ms": 1,
        "replayed": False,
    }
    return Accepted(**fields | changes)


class Story:
    """Four gifts of two gifters, seqs 11–14, all as it should be."""

    def __init__(self) -> None:
        self.answers, self.feed, self.books = Answers(), Feed("r"), Books(10, 100)
        for n in range(4):
            self.answers.next(n % 2)
            self.answers.offer(n)
            self.answers.accept(n, accepted(11 + n), COINS)
            self.books.add(11 + n, COINS, gift=True, owner=n % 2)
        self.feed.frames.extend((11, 12, 100, 110, 13, 14, 110, 120))
        self.feed.entries.extend((12, 2, 10, 13, 1, 5))
        self.feed.snapshots.extend((10, 100))
        self.viewer = Ledger()
        self.viewer.begin("e", 10, 100)
        self.viewer.seq, self.viewer.total_coins, self.viewer.gifts = 14, 120, 4
        self.wallets = [Wallet(user="g", expected_coins=7, found_coins=7)]
        self.room = [14, 120]
        self.others = False

    def wrong(self) -> list[str]:
        checks = judge(
            answers=self.answers,
            feed=self.feed,
            books=self.books,
            room_seq=self.room[0],
            room_total=self.room[1],
            viewers=[("v", self.viewer)],
            wallets=self.wallets,
            others=self.others,
        )
        assert all(check.ok == (check.wrong == 0) for check in checks)
        return [check.name for check in checks if not check.ok]


def test_a_true_story_passes() -> None:
    assert Story().wrong() == []


def unanswered(story: Story) -> None:
    story.answers.next(0)
    story.answers.offer(4)


def not_in_the_log(story: Story) -> None:
    story.answers.seqs[3] = 99


def one_seq_for_two(story: Story) -> None:
    story.answers.seqs[3] = 12


def other_price(story: Story) -> None:
    story.answers.coins[3] = 4


def never_told(story: Story) -> None:
    story.books.add(15, COINS, gift=True, owner=1)


def log_gap(story: Story) -> None:
    story.books.add(16, COINS, gift=True, owner=None)


def foreign(story: Story) -> None:
    story.books.add(15, COINS, gift=True, owner=None)


def snapshot(story: Story) -> None:
    story.feed.snapshots.extend((12, 111))


def frame_total(story: Story) -> None:
    story.feed.frames[3] = 111


def entry_coins(story: Story) -> None:
    story.feed.entries[2] = 9


def behind(story: Story) -> None:
    story.viewer.seq = 13


def viewer_total(story: Story) -> None:
    story.viewer.total_coins = 121


def viewer_gifts(story: Story) -> None:
    story.viewer.gifts = 3


def absent(story: Story) -> None:
    story.viewer.seq = -1


def wallet(story: Story) -> None:
    story.wallets.append(Wallet(user="h", expected_coins=7, found_coins=2))


def room_total(story: Story) -> None:
    story.room[1] = 119


def broken_frame(story: Story) -> None:
    story.feed.fault("unreadable")


@pytest.mark.parametrize(
    ("lie", "check"),
    [
        (unanswered, "every gift was answered"),
        (not_in_the_log, "the log holds the accepted gifts once"),
        (one_seq_for_two, "the log holds the accepted gifts once"),
        (other_price, "the log holds the accepted gifts once"),
        (never_told, "the log holds the accepted gifts once"),
        (log_gap, "the log has no gap"),
        (foreign, "nobody else gifted"),
        (snapshot, "snapshots equal the log"),
        (frame_total, "frames equal the log"),
        (entry_coins, "entries equal the log"),
        (behind, "viewers equal the books"),
        (viewer_total, "viewers equal the books"),
        (viewer_gifts, "viewers equal the books"),
        (absent, "every viewer joined"),
        (wallet, "wallets equal the books"),
        (room_total, "the room's total is the log's"),
        (room_total, "accepted coins are the growth"),
        (broken_frame, "frames keep the contract"),
    ],
)
def test_each_difference_fails_its_check(lie: Callable[[Story], None], check: str) -> None:
    story = Story()
    lie(story)
    assert check in story.wrong()


def test_others_may_gift_when_that_was_said() -> None:
    story = Story()
    foreign(story)
    story.room = [15, 125]
    story.viewer.seq, story.viewer.total_coins, story.viewer.gifts = 15, 125, 5
    story.others = True
    assert story.wrong() == []


def test_a_second_answer_must_repeat_the_first() -> None:
    story = Story()
    story.answers.accept(0, accepted(11, replayed=True), COINS)
    assert story.wrong() == []
    story.answers.accept(0, accepted(15), COINS)
    assert story.wrong() == ["no gift has two outcomes"]


def test_a_refusal_after_an_acceptance_is_a_contradiction() -> None:
    story = Story()
    story.answers.refuse(0, "insufficient_coins")
    assert story.wrong() == ["no gift has two outcomes"]


def test_a_price_that_is_not_the_catalogues_is_a_contradiction() -> None:
    answers = Answers()
    answers.offer(answers.next(0))
    answers.accept(0, accepted(1), COINS + 1)
    assert "price" in answers.contradictions[0]


def test_refused_gifts_are_answered_and_counted_by_code() -> None:
    answers = Answers()
    for n in range(3):
        answers.offer(answers.next(0))
        answers.refuse(n, "insufficient_coins")
    answers.next(0)
    assert (answers.unanswered, answers.accepted, answers.offered) == (0, 0, 3)
    assert answers.refused == {"insufficient_coins": 3}
