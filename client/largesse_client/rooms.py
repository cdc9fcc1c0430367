"""The life of one room on the client. Pure but for its own memory.

    asked ──joined──▶ following ──gap, or behind for 2 s──▶ asked (with resume)
                          └──────the sums do not add up──▶ asked (without: a new start)

While we have asked and not been answered, `events` frames are dropped: the server sends the same
entries again after `joined`, from the seq that we named. Applying them at once and hoping that the
catch-up is cut at the same places was the alternative; merged frames make that hope vain.
"""

from collections.abc import Callable

from largesse_client.backoff import bound_ms
from largesse_client.effects import Effect, Reply, Send, Tell, Timer
from largesse_client.log import Log, Problem, read_frame
from largesse_client.messages import (
    Board,
    BoardTop,
    Events,
    Join,
    Joined,
    Me,
    Person,
    ResumePoint,
    RoomClosed,
    Standing,
    Viewers,
)
from largesse_client.news import Gap, Mismatch

BEHIND_MS = 2_000
"""A heartbeat may overtake a frame that is on its way; this is how long we believe that."""

RESUMES_MAX = 3
"""After so many questions in a row that led nowhere, only a new start can help."""

NewId = Callable[[], str]


class Room:
    """A room that is followed, or about to be. Read what you like; only the session writes.

    `log` is None before the first `joined`. `joined` is true between `joined` and the next
    question or the end of the connection. `board`, `me`, `viewers` are the latest that was told.
    """

    __slots__ = (
        "asked_id",
        "behind_at_seq",
        "board",
        "creator",
        "fruitless",
        "head_seq",
        "joined",
        "log",
        "me",
        "mismatches",
        "name",
        "status",
        "title",
        "viewers",
        "wants_snapshot",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.log: Log | None = None
        self.joined = False
        self.title = ""
        self.creator: Person | None = None
        self.status = ""
        self.board: BoardTop | None = None
        self.me: Me | None = None
        self.viewers = 0
        self.mismatches = 0
        self.asked_id: str | None = None
        self.wants_snapshot = False
        self.head_seq = 0
        self.behind_at_seq = 0
        self.fruitless = 0

    @property
    def seq(self) -> int:
        """The last entry of the log that was told; 0 before the first `joined`."""
        return self.log.seq if self.log else 0

    @property
    def total_coins(self) -> int:
        """The coins given in the room, up to `seq`."""
        return self.log.total_coins if self.log else 0

    @property
    def verified(self) -> int:
        """How many entries were seen to follow without a gap and to add up."""
        return self.log.verified if self.log else 0

    def ask(self, new_id: NewId) -> list[Effect]:
        """Ask to join: from where we left off when there is such a place, else for a new start."""
        resume = None
        if self.log is not None and not self.wants_snapshot:
            resume = ResumePoint(epoch=self.log.epoch, seq=self.log.seq)
        self.joined = False
        self.asked_id = new_id()
        return [Send(Join(room=self.name, resume=resume, id=self.asked_id))]

    def line_broke(self) -> None:
        """The log stays; what belonged to the connection goes."""
        self.joined = False
        self.asked_id = None
        self.head_seq = 0

    def hear_joined(self, message: Joined, new_id: NewId) -> list[Effect]:
        """Either our log goes on (`recovered`), or a new one starts here."""
        if message.id is not None and message.id != self.asked_id:
            return []  # the answer to an older question; the latest will be answered too
        goes_on = message.recovered and self.log is not None and not self.wants_snapshot
        if goes_on and self.log is not None and message.seq < self.log.seq:
            shrank = f"the log ends at {message.seq}, and we have had {self.log.seq}"
            return self._start_again(shrank, new_id)
        if not goes_on or self.log is None:
            self.log = Log(message.epoch, message.seq, message.total_coins, self.verified)
        self.joined, self.asked_id, self.wants_snapshot = True, None, False
        self.head_seq, self.behind_at_seq = message.seq, self.log.seq
        self.title, self.creator, self.status = message.title, message.creator, message.status
        self.board, self.me, self.viewers = message.board, message.me, message.viewers
        told: list[Effect] = [Reply(("join", self.name), message), Tell(message)]
        if message.seq > self.log.seq:
            told.append(Timer("behind", BEHIND_MS, self.name))
        return told

    def hear_frame(self, message: Events, new_id: NewId) -> list[Effect]:
        """Told only when it is the next frame and adds up. Raises Unreadable."""
        if not self.joined or self.log is None:
            return []
        frame, entries = read_frame(message)
        problem = self.log.follow(frame)
        if problem is not None:
            return self._cannot_follow(problem, message.first, new_id)
        self.fruitless = 0
        if any(isinstance(entry, RoomClosed) for entry in entries):
            self.status = "closed"
        return [*map(Tell, entries), Tell(frame)]

    def hear_state(self, message: Board | Standing | Viewers) -> None:
        """States that are told as they are now, and need no proof."""
        match message:
            case Board():
                self.board = message
            case Standing():
                self.me = Me(coins=message.coins, rank=message.rank)
            case Viewers():
                self.viewers = message.count

    def hear_head(self, head_seq: int) -> list[Effect]:
        """A heartbeat: remember the head, and look again in 2 s when we are behind it."""
        if not self.joined or head_seq <= self.seq:
            return []
        waits_already = self.head_seq > self.seq
        self.head_seq = max(head_seq, self.head_seq)
        if waits_already:
            return []  # restarted by every heartbeat, the timer might never ring
        self.behind_at_seq = self.seq
        return [Timer("behind", BEHIND_MS, self.name)]

    def look_behind(self, new_id: NewId) -> list[Effect]:
        """The 2 s are over: who is still behind, and has not moved, asks for what is missing."""
        if not self.joined or self.head_seq <= self.seq:
            return []
        if self.seq > self.behind_at_seq:
            # A long catch-up is under way; asking again would only start it anew.
            self.behind_at_seq = self.seq
            return [Timer("behind", BEHIND_MS, self.name)]
        return self._resume(self.head_seq, new_id)

    def _cannot_follow(self, problem: Problem, first: int, new_id: NewId) -> list[Effect]:
        match problem.what:
            case "repeat":
                return []
            case "gap" | "overlap" | "epoch":
                return self._resume(first, new_id)
            case "total_before" | "frame":
                return self._start_again(problem.message, new_id)

    def _resume(self, first: int, new_id: NewId) -> list[Effect]:
        self.fruitless += 1
        self.wants_snapshot = self.wants_snapshot or self.fruitless > RESUMES_MAX
        gap = Gap(room=self.name, expected=self.seq + 1, first=first)
        return [Tell(gap), *self._ask_patiently(new_id)]

    def _start_again(self, message: str, new_id: NewId) -> list[Effect]:
        self.mismatches += 1
        self.fruitless += 1
        self.wants_snapshot = True
        wrong = Mismatch(room=self.name, message=message, mismatches=self.mismatches)
        return [Tell(wrong), *self._ask_patiently(new_id)]

    def _ask_patiently(self, new_id: NewId) -> list[Effect]:
        """The first question goes out at once; a server that is always wrong waits ever longer."""
        if self.fruitless <= 1:
            return self.ask(new_id)
        self.joined = False
        return [Timer("ask", bound_ms(self.fruitless), self.name)]
