"""The live top-gifter board of one room: a fold over its events, the same on every node.

Events carry the giver's sum, not a step, so applying one twice changes nothing and nothing can
drift. Ties go to who reached the sum first, in commit order. Anonymous gifts are on no board.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from sortedcontainers import SortedList


class Standing(NamedTuple):
    """Sorts best first."""

    minus_coins: int
    reached_seq: int
    user: str
    name: str

    @property
    def coins(self) -> int:
        return -self.minus_coins


class Board:
    """Who gave how much in a room, best first."""

    def __init__(self, standings: Iterable[tuple[str, str, int, int]] = (), as_of: int = 0) -> None:
        """`standings` are (user, name, coins, reached_seq)."""
        self.as_of = as_of
        rows = [
            Standing(-coins, seq, user, name) for user, name, coins, seq in standings if coins > 0
        ]
        self._by_user = {row.user: row for row in rows}
        self._ranked: SortedList = SortedList(rows)

    def __len__(self) -> int:
        return len(self._by_user)

    def apply(self, seq: int, event: dict[str, Any]) -> None:
        """Take one decoded event of the room's log."""
        self.as_of = seq
        if "from_total" not in event:
            return
        source = event["from"]
        self.put(source["id"], source["name"], event["from_total"], seq)

    def put(self, user: str, name: str, coins: int, seq: int) -> None:
        """Set a user's sum, reached at `seq`. A sum of 0 takes them off the board."""
        old = self._by_user.pop(user, None)
        if old is not None:
            self._ranked.remove(old)
        if coins > 0:
            row = self._by_user[user] = Standing(-coins, seq, user, name)
            self._ranked.add(row)

    def top(self, limit: int) -> list[Standing]:
        return list(self._ranked[:limit])

    def coins_of(self, user: str) -> int:
        row = self._by_user.get(user)
        return row.coins if row else 0

    def rank_of(self, user: str) -> int | None:
        """1 is the best; None for who is not on the board."""
        row = self._by_user.get(user)
        return self._ranked.index(row) + 1 if row else None

    def to_next(self, user: str) -> int | None:
        """Coins that are missing to pass the next one up; None at the top."""
        row = self._by_user.get(user)
        above = self._ranked.index(row) - 1 if row else len(self._ranked) - 1
        if above < 0:
            return None
        coins = row.coins if row else 0
        return int(self._ranked[above].coins - coins + 1)
