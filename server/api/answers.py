"""What came of a command, as the API answers with it."""

from typing import Any

import msgspec

from rules.commands import AnyCommand
from rules.outcomes import AnyOutcome, Refused
from server.api.context import Context
from server.api.errors import refused


async def booked(shell: Context, command: AnyCommand) -> AnyOutcome:
    """What came of a command that the books took. Raises ApiError for a refusal."""
    result = await shell.settlement.ask(command)
    if isinstance(result.outcome, Refused):
        raise refused(result.outcome)
    return result.outcome


def outcome_body(outcome: AnyOutcome) -> dict[str, Any]:
    """An outcome as the API answers with it."""
    fields = msgspec.structs.asdict(outcome)
    del fields["again"]
    return fields
