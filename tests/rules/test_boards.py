"""The board: a fold over a room's log that says the same as the books."""

import orjson
from hypothesis import given
from hypothesis import strategies as st

from kit.building import builders
from rules.boards import Board
from rules.book import Book, new_book
from rules.settle import settle

USERS = ["ada", "bob", "eve", "ida"]


def ranked(board: Board) -> list[tuple[str, int]]:
    return [(row.user, row.coins) for row in board.top(100)]


def test_the_best_come_first_and_ties_go_to_who_was_there_first() -> None:
    board = Board()
    board.put("zoe", "Zoe", 10, seq=1)
    board.put("ada", "Ada", 10, seq=2)
    board.put("bob", "Bob", 11, seq=3)
    assert ranked(board) == [("bob", 11), ("zoe", 10), ("ada", 10)]
    assert [board.rank_of(user) for user in ("bob", "zoe", "ada")] == [1, 2, 3]


def test_who_catches_up_stands_behind_who_was_there_before() -> None:
    board = Board([("ada", "Ada", 5, 1), ("bob", "Bob", 3, 2)])
    board.put("bob", "Bob", 5, seq=9)
    assert ranked(board) == [("ada", 5), ("bob", 5)]


def test_a_sum_of_nothing_is_on_no_board() -> None:
    board = Board([("ada", "Ada", 5, 1), ("bob", "Bob", 0, 2)])
    assert len(board) == 1
    board.put("ada", "Ada", 0, seq=3)
    assert (len(board), board.top(10)) == (0, [])
    assert (board.coins_of("ada"), board.rank_of("ada"), board.rank_of("bob")) == (0, None, None)


def test_to_next_is_what_it_takes_to_pass_the_next_one_up() -> None:
    board = Board([("ada", "Ada", 50, 1), ("bob", "Bob", 50, 2), ("eve", "Eve", 20, 3)])
    assert board.to_next("ada") is None
    assert board.to_next("bob") == 1
    assert board.to_next("eve") == 31
    assert board.to_next("nobody yet") == 21
    assert Board().to_next("ada") is None


@given(st.sampled_from(USERS), st.lists(st.integers(0, 20), min_size=4, max_size=4))
def test_giving_what_to_next_says_passes_the_next_one_and_one_less_does_not(
    user: str, sums: list[int]
) -> None:
    rows = [
        (name, name, coins, seq) for seq, (name, coins) in enumerate(zip(USERS, sums, strict=True))
    ]
    board = Board(rows)
    missing, rank = board.to_next(user), board.rank_of(user) or len(board) + 1
    if missing is None:
        assert rank == 1
        return
    coins = board.coins_of(user)
    board.put(user, user, coins + missing - 1, seq=99)
    assert (board.rank_of(user) or len(board) + 1) >= rank
    board.put(user, user, coins + missing, seq=100)
    assert (board.rank_of(user) or 0) < rank  # More than one place when those above are tied.


def test_the_top_is_no_longer_than_asked_for() -> None:
    board = Board((str(n), str(n), n + 1, n) for n in range(50))
    assert [row.coins for row in board.top(3)] == [50, 49, 48]
    assert board.top(0) == []


# Against the log


def room_after(*commands: object) -> Book:
    book = new_book()
    settle(book, [builders.set_policy(), builders.open_room()], 0)
    settle(book, [builders.grant(user, 10_000) for user in USERS], 0)
    for at_ms, command in enumerate(commands):
        settle(book, [command], at_ms)
    return book


def board_from_log(book: Book, room: str = "r1") -> Board:
    board = Board()
    for event in book.events:
        if event.room == room:
            board.apply(event.seq, orjson.loads(event.body))
    return board


def board_from_members(book: Book, room: str = "r1") -> Board:
    members = (m for m in book.members.values() if m.room == room)
    return Board((m.user, m.name, m.coins, m.reached_seq) for m in members)


def test_a_retraction_moves_its_giver_down_or_off() -> None:
    book = room_after(
        builders.gift("ada", "cake"),
        builders.gift("bob", "rose", quantity=24),
        builders.gift("bob", "rose"),
        builders.retract("r1:2"),
        builders.retract("r1:3"),
    )
    board = board_from_log(book)
    assert ranked(board) == [("ada", 25)]
    assert board.as_of == 5


def test_a_sum_reached_by_retraction_is_reached_then() -> None:
    book = room_after(
        builders.gift("ada", "cake"),
        builders.gift("ada", "cake"),
        builders.gift("bob", "cake"),
        builders.retract("r1:1"),
    )
    assert ranked(board_from_log(book)) == [("bob", 25), ("ada", 25)]
    assert ranked(board_from_members(book)) == [("bob", 25), ("ada", 25)]


def test_anonymous_gifts_are_on_no_board_and_do_not_move_their_giver() -> None:
    hidden = {"visibility": "anonymous"}
    book = room_after(
        builders.gift("ada"),
        builders.gift("bob"),
        builders.gift("ada", "lion", **hidden),
        builders.gift("eve", "lion", **hidden),
        builders.retract("r1:3"),
    )
    assert ranked(board_from_log(book)) == [("ada", 1), ("bob", 1)]
    assert ranked(board_from_members(book)) == [("ada", 1), ("bob", 1)]


def test_a_new_name_shows_with_a_public_gift_and_never_with_an_anonymous_one() -> None:
    book = room_after(
        builders.gift("ada", name="Ada"),
        builders.gift("ada", name="Secret", visibility="anonymous"),
    )
    for board in (board_from_log(book), board_from_members(book)):
        assert [row.name for row in board.top(1)] == ["Ada"]
    settle(book, [builders.gift("ada", name="Countess")], 9)
    for board in (board_from_log(book), board_from_members(book)):
        assert [row.name for row in board.top(1)] == ["Countess"]


gifts = st.tuples(
    st.sampled_from(USERS), st.integers(1, 3), st.booleans(), st.sampled_from(["One", "Two"])
)
steps = st.lists(gifts | st.integers(1, 12), max_size=25)


@given(steps)
def test_the_board_of_the_log_is_the_board_of_the_books_and_folding_twice_changes_nothing(
    script: list[object],
) -> None:
    commands = [
        builders.retract(f"r1:{step}")
        if isinstance(step, int)
        else builders.gift(
            step[0],
            quantity=step[1],
            visibility="anonymous" if step[2] else "public",
            name=step[3],
        )
        for step in script
    ]
    book = room_after(*commands)
    from_log, from_members = board_from_log(book), board_from_members(book)
    assert from_log.top(100) == from_members.top(100)
    for event in book.events:
        for _ in range(2):
            from_log.apply(event.seq, orjson.loads(event.body))
    assert from_log.top(100) == from_members.top(100)
    assert sum(coins for _, coins in ranked(from_log)) <= book.rooms["r1"].total_coins


@given(st.lists(st.tuples(st.sampled_from(USERS), st.integers(0, 5)), max_size=40))
def test_a_board_agrees_with_sorting_all_sums(puts: list[tuple[str, int]]) -> None:
    board, sums = Board(), {}
    for seq, (user, coins) in enumerate(puts, 1):
        board.put(user, user, coins, seq)
        sums[user] = (coins, seq)
    best_first = sorted(
        ((user, coins, seq) for user, (coins, seq) in sums.items() if coins),
        key=lambda row: (-row[1], row[2]),
    )
    assert [(row.user, row.coins, row.reached_seq) for row in board.top(100)] == best_first
    assert len(board) == len(best_first)
    for place, (user, coins, _) in enumerate(best_first, 1):
        assert (board.rank_of(user), board.coins_of(user)) == (place, coins)
        above = best_first[place - 2][1] if place > 1 else None
        assert board.to_next(user) == (None if above is None else above - coins + 1)
