"""What nodes tell each other of their rooms: how many watch, and how far each log has come.

Every beat a node says what has changed in its rooms, and every few beats, or when somebody new was
heard, all of it: so a beat that was lost is made good by a later one. From the others' beats comes
how many watch a room elsewhere. A node that was silent for too long watches nothing any more. No
clock is read here and nothing is sent: the hub does both.
"""

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

from server.live.letters import Beat

RoomNow: TypeAlias = tuple[str, int, int]
"""Epoch, head and viewers."""

WHOLE_EVERY = 5
"""Beats from one that says everything to the next."""
SILENT_BEATS = 10
"""After so many beats without a word a node is taken for dead. A busy one may be late."""


class Neighbour:
    """What one other node has told."""

    def __init__(self) -> None:
        self.number = 0
        self.heard_ms = 0
        self.rooms: dict[str, int] = {}
        """Viewers by room, where there are any."""


class News(NamedTuple):
    """What is different after a beat was heard."""

    recounted: set[str]
    """Rooms whose viewers elsewhere have changed."""
    erased: set[str]
    """Users of whom this is the first we hear."""


class Beats:
    def __init__(self, node: str, beat_ms: int) -> None:
        self.beat_ms = beat_ms
        self._node = node
        self._told: dict[str, RoomNow] = {}
        self._until_whole = 0
        self._others: dict[str, Neighbour] = {}
        self._passing: dict[str, tuple[RoomNow, int]] = {}
        """Rooms that nobody watches here and in which something was settled here, until when."""
        self._erased: dict[str, tuple[bool, int]] = {}
        """Users who were forgotten: whether it is ours to tell, and until when."""

    # Telling

    def settled(self, room: str, epoch: str, head: int, now_ms: int) -> None:
        """Something was settled here in a room that nobody watches here: tell its head as well."""
        self._passing[room] = ((epoch, head, 0), now_ms + self._silent_ms())

    def forgot(self, users: Iterable[str], now_ms: int) -> None:
        """These users were forgotten here: tell the others, more than once."""
        for user in users:
            self._erased[user] = (True, now_ms + self._silent_ms())

    def tell(self, rooms: dict[str, RoomNow], number: int, now_ms: int) -> Beat:
        """The next beat; `rooms` are those that are watched here."""
        self._drop_old(now_ms)
        rooms = {room: passing for room, (passing, _) in self._passing.items()} | rooms
        whole = self._until_whole <= 0
        self._until_whole = WHOLE_EVERY if whole else self._until_whole - 1
        said = rooms if whole else {r: now for r, now in rooms.items() if self._told.get(r) != now}
        self._told = rooms
        erased = [user for user, (ours, _) in self._erased.items() if ours]
        return Beat(self._node, number, whole, said, erased)

    def _drop_old(self, now_ms: int) -> None:
        self._passing = {r: kept for r, kept in self._passing.items() if kept[1] > now_ms}
        self._erased = {u: kept for u, kept in self._erased.items() if kept[1] > now_ms}

    # Hearing

    def hear(self, beat: Beat, now_ms: int) -> News:
        known = self._others.get(beat.node)
        if known is None:
            known = self._others[beat.node] = Neighbour()
            self._until_whole = 0  # it has not heard of us either
        if beat.number <= known.number:
            return News(set(), set())
        known.number, known.heard_ms = beat.number, now_ms
        before = known.rooms
        told = {room: viewers for room, (_, _, viewers) in beat.rooms.items()}
        after = told if beat.whole else before | told
        known.rooms = {room: viewers for room, viewers in after.items() if viewers}
        recounted = {room for room, _ in before.items() ^ known.rooms.items()}
        erased = set(beat.erased) - self._erased.keys()
        self._erased |= dict.fromkeys(erased, (False, now_ms + 2 * self._silent_ms()))
        return News(recounted, erased)

    def left(self, node: str) -> set[str]:
        """A node has stopped; the rooms to count again."""
        gone = self._others.pop(node, None)
        return set(gone.rooms) if gone else set()

    def forget_silent(self, now_ms: int) -> set[str]:
        """Take who has been silent for too long for dead; the rooms to count again."""
        since_ms = now_ms - self._silent_ms()
        silent = [node for node, known in self._others.items() if known.heard_ms < since_ms]
        return set().union(*(self.left(node) for node in silent)) if silent else set()

    def viewers(self, room: str) -> int:
        """How many watch a room on the other nodes."""
        return sum(known.rooms.get(room, 0) for known in self._others.values())

    def _silent_ms(self) -> int:
        return SILENT_BEATS * self.beat_ms
