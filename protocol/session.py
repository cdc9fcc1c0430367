"""What one connection may say when: the state machine of a session, and nothing but it.

A session is NEW until a token was accepted, then OPEN, then CLOSED. Everything that depends on
the phase or on the role stands in the two tables below, and what stands in neither, nobody may say;
whether a room exists, or a gift can be paid, is somebody else's question.
"""

from enum import Enum
from typing import assert_never

from protocol.codec import Fault
from protocol.codes import CloseCode, Code
from protocol.messages import (
    AskStanding,
    ClientMessage,
    Gift,
    Hello,
    Join,
    Leave,
    Ping,
    Shown,
)

ROOMS_MAX = 50
"""Rooms that one connection may follow. An overlay needs one, a wall of streams a few dozen."""

FAULTS_MAX = 20
"""Messages that break the protocol before the connection is closed with 4500."""


class Phase(Enum):
    NEW = "new"
    OPEN = "open"
    CLOSED = "closed"


SAYABLE: dict[Phase, frozenset[type]] = {
    Phase.NEW: frozenset({Hello}),
    Phase.OPEN: frozenset({Join, Leave, Gift, AskStanding, Shown, Ping}),
    Phase.CLOSED: frozenset(),
}

ROLES: dict[str, frozenset[type]] = {
    "viewer": frozenset({Join, Leave, Gift, AskStanding, Ping}),
    "creator": frozenset({Join, Leave, Gift, AskStanding, Ping}),
    "admin": frozenset({Join, Leave, Gift, AskStanding, Ping}),
    "overlay": frozenset({Join, Leave, AskStanding, Shown, Ping}),
}


class Session:
    """Phase, role, joined rooms and faults of one connection. Opened by `open`, never reused."""

    __slots__ = ("_joining", "allowed_rooms", "faults", "phase", "role", "rooms")

    def __init__(self) -> None:
        self.phase = Phase.NEW
        self.role = ""
        self.allowed_rooms: frozenset[str] | None = None
        self.rooms: set[str] = set()
        """Changed by the methods below, and by nobody else."""
        self._joining: set[str] = set()
        """Rooms whose `joined` is on its way: a gift may follow its join at once."""
        self.faults = 0

    def open(self, role: str, allowed_rooms: frozenset[str] | None) -> None:
        self.phase = Phase.OPEN
        self.role = role
        self.allowed_rooms = allowed_rooms

    def close(self) -> None:
        self.phase = Phase.CLOSED

    def joining(self, room: str) -> None:
        """A join was asked for; its answer is on its way."""
        self._joining.add(room)

    def joined(self, room: str) -> None:
        self._joining.discard(room)
        self.rooms.add(room)

    def not_joined(self, room: str) -> None:
        """The join was refused; a room that was followed before is followed still."""
        self._joining.discard(room)

    def left(self, room: str) -> None:
        self._joining.discard(room)
        self.rooms.discard(room)

    def in_room(self, room: str) -> bool:
        """Whether it follows the room, or will when its join is answered."""
        return room in self.rooms or room in self._joining

    def judge(self, message: ClientMessage) -> Fault | CloseCode | None:
        """None when it may be said; a fault to refuse it with; or the code to close with."""
        kind = type(message)
        if kind not in SAYABLE[self.phase]:
            if self.phase is Phase.NEW:
                return CloseCode.NOT_AUTHENTICATED
            return _refuse(Code.FORBIDDEN, _out_of_turn(self.phase, message), message)
        if self.phase is Phase.OPEN and kind not in ROLES[self.role]:
            name = kind.__struct_config__.tag
            sentence = f"A token with the role {self.role} may not send `{name}`."
            return _refuse(Code.FORBIDDEN, sentence, message)
        match message:
            case Join(room=room):
                return self._judge_join(room, message)
            case Gift(room=room) | Leave(room=room):
                known = self.in_room(room)
            case AskStanding(room=room) | Shown(room=room):
                known = room in self.rooms
            case Hello() | Ping():
                return None
            case _:
                assert_never(message)
        return None if known else _refuse(Code.NOT_JOINED, f"Join the room {room} first.", message)

    def _judge_join(self, room: str, message: Join) -> Fault | None:
        if self.allowed_rooms is not None and room not in self.allowed_rooms:
            return _refuse(Code.FORBIDDEN, "This token is for other rooms.", message)
        if len((self.rooms | self._joining) - {room}) >= ROOMS_MAX:
            sentence = f"One connection may follow {ROOMS_MAX} rooms; leave one first."
            return _refuse(Code.FORBIDDEN, sentence, message)
        return None

    def count_fault(self) -> CloseCode | None:
        """One more message that broke the protocol; the code to close with when it is too many."""
        self.faults += 1
        return CloseCode.BAD_MESSAGES if self.faults >= FAULTS_MAX else None


def _out_of_turn(phase: Phase, message: ClientMessage) -> str:
    if phase is Phase.CLOSED:
        return "This connection is closed."
    if isinstance(message, Hello):
        return "This connection has already said hello."
    return f"Nobody may send `{message.__struct_config__.tag}` here."


def _refuse(code: Code, sentence: str, message: ClientMessage) -> Fault:
    return Fault(code, sentence, key=getattr(message, "key", None), id=getattr(message, "id", None))
