"""What came of a command, as the API answers with it."""

from typing import Any, TypeVar

import msgspec

from rules.commands import AnyCommand
from rules.outcomes import AnyOutcome, Refused
from rules.results import Result
from server.api.context import Context
from server.api.errors import refused

T = TypeVar("T", bound=msgspec.Struct)


async def settled(context: Context, command: AnyCommand) -> Result:
    """What came of a command that the books took, and whether they had taken it before.

    Raises ApiError for a refusal.
    """
    result = await context.settlement.ask(command)
    outcome_of(result)
    return result


def outcome_of(result: Result) -> AnyOutcome:
    """What came of it. Raises ApiError for a refusal."""
    if isinstance(result.outcome, Refused):
        raise refused(result.outcome)
    return result.outcome


async def booked(context: Context, command: AnyCommand) -> AnyOutcome:
    """What came of a command that the books took. Raises ApiError for a refusal."""
    return (await settled(context, command)).outcome


def shaped(kind: type[T], row: object, **more: Any) -> T:
    """An answer with the row's fields of the same names, and those that the row does not have."""
    names = [name for name in kind.__struct_fields__ if name not in more]
    return kind(**{name: getattr(row, name) for name in names}, **more)
