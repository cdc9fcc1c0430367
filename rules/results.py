"""What became of a command: the outcome, and what the server has to tell others about it."""

from typing import NamedTuple

from rules.events import Event
from rules.outcomes import AnyOutcome, Refused
from rules.refusals import RefusalCode


class Balance(NamedTuple):
    """A wallet that changed, for those who are looking at it."""

    user: str
    coins: int
    command: int
    """The number of the command that changed it: of two, in whatever order, the higher counts."""


class Reminder(NamedTuple):
    """A gift that brought its sender past a part of a limit."""

    user: str
    limit: str
    percent: int
    limit_coins: int
    spent_coins: int


class Result(NamedTuple):
    outcome: AnyOutcome
    replayed: bool = False
    """It had been done before, and this is the answer it got then."""
    events: tuple[Event, ...] = ()
    """The lines that it added to the rooms' logs."""
    balance: Balance | None = None
    reminder: Reminder | None = None


def refuse(code: RefusalCode, message: str, **details: int | str | None) -> Result:
    """An expected no. Nothing moved."""
    return Result(Refused(code=code, message=message, details=details or None))
