"""The door between a connection and the rest of the node: what each may ask of the other.

A connection knows a `Door` and nothing behind it; the rooms and the wheels know a `Guest` and
nothing of sockets. So either side can be read, and tested, without the other.

The life of a guest, as the door sees it: `admit` (it may connect), `welcome` (we know who it is),
then any number of joins, gifts and leaves, `left` (its session is over) and `gone` (so is its
socket). `gone` may come without any of the others before it.
"""

import logging
from collections.abc import Callable
from typing import NamedTuple, Protocol

from protocol import CloseCode, Code, Session
from protocol.messages import AskStanding, Join
from rules.commands import AnyCommand, SendGift
from rules.results import Result
from server.auth import Identity, TokenFault
from server.metrics import Metrics
from server.settings.table import Settings
from server.settlement import Asker


class Guest(Asker, Protocol):
    """What may be asked of a connection; and it may be answered."""

    @property
    def session(self) -> Session:
        """What it may say, and the rooms that it follows."""

    @property
    def identity(self) -> Identity | None:
        """Who is there; None until the welcome."""

    @property
    def write(self) -> Callable[[bytes], None]:
        """Takes frames as they are; never raises after the peer is gone, and drops them."""

    def send(self, payload: bytes) -> None:
        """Frame a payload and write it, behind what is queued already."""

    def buffered(self) -> int:
        """Bytes that the peer has not taken yet."""

    def hold_back(self) -> bool:
        """Read no more from it; False when that was so already."""

    def read_on(self) -> None:
        """Read from it again."""

    def ping(self) -> None:
        """Ask whether it is there, or close it when it was silent since the last time."""

    def close(self, code: CloseCode, reason: str = "") -> None:
        """Close with a code, after what was already written. Safe to call twice."""


class NotNow(NamedTuple):
    """A wish that may be sent again as it is, after so many milliseconds."""

    code: Code
    sentence: str
    retry_after_ms: int


def too_fast(wait_ms: int) -> NotNow:
    """The answer to who wishes more than its rate allows."""
    sentence = "Too fast; nothing was done, send the same again a little later."
    return NotNow(Code.RATE_LIMITED, sentence, wait_ms)


class Door(Protocol):
    """What a connection may ask."""

    settings: Settings
    metrics: Metrics
    quiet: logging.Logger
    """For a library that would log every peer's trouble."""

    def admit(self, guest: Guest, address: str) -> int:
        """0 and it is counted, or the seconds after which it may try again."""

    def verify(self, token: str) -> Identity | TokenFault:
        """Who holds a token."""

    def welcome(self, guest: Guest, identity: Identity) -> bytes | None:
        """The welcome, once the user is counted; None when this user has too many connections."""

    def join(self, guest: Guest, message: Join) -> None:
        """Let it follow a room; the answer is sent to it, at once or when the ledger was read."""

    def leave(self, guest: Guest, room: str) -> None:
        """It follows the room no longer."""

    def standing(self, guest: Guest, message: AskStanding) -> bytes | None:
        """Where its user stands in a room; None when the room has just been given up."""

    def give(self, guest: Guest, identity: Identity, gift: SendGift) -> NotNow | CloseCode | None:
        """Queue a gift: None, and the guest is answered when it is settled; or what is in the
        way."""

    def answer(self, command: AnyCommand, result: Result) -> bytes:
        """What to say to who sent a gift."""

    def paused(self, guest: Guest) -> None:
        """Its buffer is full: it does not read as fast as it is written to."""

    def drained(self, guest: Guest) -> None:
        """It has read what was in its buffer."""

    def left(self, guest: Guest) -> None:
        """Its session is over. Safe to call twice."""

    def gone(self, guest: Guest) -> None:
        """Its socket is closed. Safe to call twice."""
