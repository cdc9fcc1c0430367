"""A hall: a room and those who follow it on this node, with the pace of its frames.

A connection is in `viewers` (gets every frame), in `catching` (is being brought up to date first)
or in `waiting` (joins at the next frame boundary, so that its snapshot and the frames fit).

Lines of the log come from several nodes and in no order between them. One that comes too early is
`held` until those before it are here; when they do not come in HOLD_MS, the ledger has them.
"""

from collections.abc import Callable, Iterable

from rules.events import Event
from server.live.door import Guest
from server.live.room import Room

BOARD_MS = 250
"""Boards and viewer counts are states: only the latest matters, so they are sent less often."""
VIEWERS_MS = 1_000
TICK_MS_MAX = 1_000
IDLE_MS = 60_000
"""A room that nobody follows is kept for as long as a reload of the page takes, and then some."""
HOLD_MS = 250
"""How long a line may be missing: longer than the letters of two nodes overtake each other."""
HELD_MAX = 1_000
"""Lines that are held; the ledger has those that are not."""


class Hall:
    __slots__ = (
        "__weakref__",
        "_behind_ms",
        "_board_ms",
        "_heard",
        "_held",
        "_viewers_ms",
        "_viewers_sent",
        "_writes",
        "catching",
        "due_ms",
        "elsewhere",
        "foreign",
        "idle_since_ms",
        "room",
        "sent_ms",
        "tick_ms",
        "viewers",
        "waiting",
    )

    def __init__(self, room: Room, tick_ms: int, now_ms: int) -> None:
        self.room = room
        self.viewers: dict[Guest, None] = {}
        self.catching: dict[Guest, int] = {}
        """With the last seq that each was sent."""
        self.waiting: list[tuple[Guest, Callable[[], None]]] = []
        """With what admits each."""
        self.tick_ms = tick_ms
        self.due_ms = 0
        self.sent_ms = 0
        self.idle_since_ms = now_ms
        self.elsewhere = 0
        """Viewers on other nodes."""
        self.foreign = ""
        """The last epoch of which another node has spoken, and that is not ours."""
        self._held: dict[int, Event] = {}
        self._heard = 0
        """The last seq that is known to be in the log."""
        self._behind_ms = 0
        """Since when the line after `head` is missing."""
        self._board_ms = 0
        self._viewers_ms = 0
        self._viewers_sent = 0
        self._writes: list[Callable[[bytes], None]] | None = None

    def count(self) -> int:
        return len(self.viewers) + len(self.catching)

    def audience(self) -> int:
        """Viewers on all nodes."""
        return len(self.viewers) + len(self.catching) + self.elsewhere

    # The log

    def take(self, events: Iterable[Event], now_ms: int) -> None:
        """Show what is next, hold what is too early, drop what has been shown."""
        room, before = self.room, self.room.head
        for event in events:
            if event.seq == room.head + 1:
                room.apply(event)
            elif event.seq > room.head:
                self._hold(event, now_ms)
        if self._held:
            self._take_held(before, now_ms)

    def _hold(self, event: Event, now_ms: int) -> None:
        if len(self._held) < HELD_MAX:
            self._held[event.seq] = event
        self.heard_of(event.seq, now_ms)

    def _take_held(self, before: int, now_ms: int) -> None:
        room = self.room
        while event := self._held.pop(room.head + 1, None):
            room.apply(event)
        if room.head >= self._heard:
            self._held.clear()  # they were shown before
        elif room.head > before:
            self._behind_ms = now_ms

    def heard_of(self, seq: int, now_ms: int) -> None:
        """The log is known to have come so far."""
        if self.room.head >= self._heard:
            self._behind_ms = now_ms
        self._heard = max(self._heard, seq)

    def behind(self) -> bool:
        return self._heard > self.room.head

    def too_long_behind(self, now_ms: int) -> bool:
        """Whether the ledger has to be asked for what is missing; not again for some time."""
        if not self.behind() or now_ms - self._behind_ms < HOLD_MS:
            return False
        self._behind_ms = now_ms
        return True

    def read_to_end(self, now_ms: int) -> None:
        """The ledger was read: beyond this there is what came meanwhile, and nothing else."""
        self._held = {seq: event for seq, event in self._held.items() if seq > self.room.head}
        self._heard = max(self._held, default=0)
        self._take_held(self.room.head, now_ms)

    # Those who follow

    def follow(self, guest: Guest) -> None:
        """It has everything up to `sent`: from now on it gets every frame."""
        self.catching.pop(guest, None)
        self.viewers[guest] = None
        self._writes = None

    def remove(self, guest: Guest) -> bool:
        """True when nobody is left. Whoever still waits finds the connection closed."""
        self.viewers.pop(guest, None)
        self.catching.pop(guest, None)
        self._writes = None
        return not self.count()

    def writes(self) -> list[Callable[[bytes], None]]:
        """How to write to each viewer: kept, because looking it up costs a tenth of a write."""
        if self._writes is None:
            self._writes = [viewer.write for viewer in self.viewers]
        return self._writes

    def everyone(self) -> list[Guest]:
        """All who follow, or wait to."""
        return [*self.viewers, *self.catching, *(guest for guest, _ in self.waiting)]

    def take_states(self, now_ms: int) -> list[bytes]:
        """The latest board and viewer count, where they changed and it is time."""
        payloads: list[bytes] = []
        if now_ms - self._board_ms >= BOARD_MS and (board := self.room.take_board()):
            self._board_ms = now_ms
            payloads += board
        count = self.audience()
        if count != self._viewers_sent and now_ms - self._viewers_ms >= VIEWERS_MS:
            self._viewers_ms, self._viewers_sent = now_ms, count
            payloads.append(self.room.viewers_message(count))
        return payloads

    def tell_again(self) -> None:
        """Send board and viewer count once more: somebody who was catching up missed the last."""
        self._viewers_sent = -1
        self.room.board_sent = None

    def admit_waiting(self) -> None:
        """Let those join who waited for a frame boundary: nothing is pending now."""
        waiting, self.waiting = self.waiting, []
        for _, admit in waiting:
            admit()

    def adapt(self, flush_ms: float, tick_ms: int) -> None:
        """A tick twice as long as the flush leaves half of the time for everything else."""
        if flush_ms > self.tick_ms / 2:
            self.tick_ms = min(TICK_MS_MAX, int(flush_ms * 2) + 1)
        else:
            self.tick_ms = max(tick_ms, self.tick_ms * 9 // 10)

    def quiet(self) -> bool:
        """Whether there is nothing left that a later tick has to send."""
        return bool(
            not self.room.pending
            and not self.room.combos
            and not self.waiting
            and self.viewers
            and self.audience() == self._viewers_sent
            and not self.behind()
            and not self.room.board_changed()
        )

    def abandoned(self, now_ms: int) -> bool:
        return (
            not self.count()
            and not self.waiting
            and not self.room.pending
            and now_ms - self.idle_since_ms > IDLE_MS
        )
