"""What became of a command: the outcome, and what the server has to tell others about it."""

from typing import NamedTuple

from rules.commands import AnyOutcome, Refused
from rules.events import Event


class Balance(NamedTuple):
    """A wallet that changed, for those who are looking at it."""

    user: str
    coins: int


class Result(NamedTuple):
    outcome: AnyOutcome
    replayed: bool = False
    """It had been done before, and this is the answer it got then."""
    event: Event | None = None
    """The line that it added to a room's log."""
    balance: Balance | None = None


def refuse(code: str, message: str, **details: int | str) -> Result:
    """An expected no. Nothing moved."""
    return Result(Refused(code=code, message=message, details=details or None))
