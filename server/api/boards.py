"""Boards as the API answers with them: who gave most, in order."""

from collections.abc import Sequence

import msgspec

from protocol.messages import Person
from storage import BoardLine as Row


class BoardLine(msgspec.Struct, frozen=True):
    rank: int
    user: Person
    coins: int


class BoardBody(msgspec.Struct, frozen=True):
    as_of: int
    """A room's board: the seq after which it stood so. A creator's: a number that only grows."""
    window: str
    top: list[BoardLine]


def board_body(as_of: int, window: str, lines: Sequence[Row]) -> BoardBody:
    """Lines of a board in their order, with their ranks."""
    top = [
        BoardLine(rank, Person(id=line.user, name=line.name), line.coins)
        for rank, line in enumerate(lines, 1)
    ]
    return BoardBody(as_of, window, top)
