"""What the fields of bodies and paths may hold: ids, texts for people, amounts.

A struct that names one of these types has its field checked when the body is read, and described
to programs. Amounts are any whole number here where the rules decide which of them they take.
"""

import re
from typing import Annotated, Final

from litestar.params import PathParameter
from msgspec import Meta

from protocol.codec import UNSEEN_CHARACTERS
from protocol.messages import MONEY_MAX
from rules.refusals import RefusalCode
from server.api.errors import ApiError
from server.auth import USER_ID, USER_ID_TOLD

ID = re.compile(USER_ID)

_ID: Final = rf"\A{USER_ID}\Z"
_SEEN: Final = rf"\A[^{UNSEEN_CHARACTERS.pattern[1:-1]}]*\Z"

NAME_CHARACTERS_MAX = 64
REASON_CHARACTERS_MAX = 200
NOTE_CHARACTERS_MAX = 500
"""Of what came of an entry, or why a balance is corrected: an auditor reads it years later."""

_UP_TO_REASON = f"1 to {REASON_CHARACTERS_MAX} characters without control characters"
_UP_TO_NOTE = f"1 to {NOTE_CHARACTERS_MAX} characters without control characters"
_UP_TO_NAME = f"at most {NAME_CHARACTERS_MAX} characters, without control characters"

Id = Annotated[str, Meta(pattern=_ID, description=USER_ID_TOLD, examples=["ada"])]
RoomId = Annotated[str, Meta(pattern=_ID, description=USER_ID_TOLD, examples=["evening"])]
Title = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=REASON_CHARACTERS_MAX,
        pattern=_SEEN,
        description=_UP_TO_REASON,
        examples=["Ada, live"],
    ),
]
Name = Annotated[
    str,
    Meta(
        max_length=NAME_CHARACTERS_MAX,
        pattern=_SEEN,
        description=_UP_TO_NAME,
        examples=["Ada"],
    ),
]
Reason = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=REASON_CHARACTERS_MAX,
        pattern=_SEEN,
        description=_UP_TO_REASON,
        examples=["welcome gift"],
    ),
]
Note = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=NOTE_CHARACTERS_MAX,
        pattern=_SEEN,
        description=_UP_TO_NOTE,
        examples=["paid back by hand"],
    ),
]
MaybeText = Annotated[
    str,
    Meta(
        max_length=REASON_CHARACTERS_MAX,
        pattern=_SEEN,
        description=f"at most {REASON_CHARACTERS_MAX} characters, without control characters",
    ),
]
"""A text that may be empty."""

Moment = Annotated[
    int,
    Meta(
        ge=0,
        le=MONEY_MAX,
        description=f"Unix milliseconds, from 0 to {MONEY_MAX}",
        examples=[1_790_000_000_000],
    ),
]

Amount = Annotated[
    int,
    Meta(
        description="a whole number above 0",
        examples=[500],
        extra_json_schema={"minimum": 1, "maximum": MONEY_MAX},
    ),
]
"""An amount of which the rules say whether they take it; described here and refused there."""

UserInPath = Annotated[str, PathParameter(pattern=_ID, description=f"The user: {USER_ID_TOLD}.")]
Number = Annotated[int, PathParameter(ge=1, le=MONEY_MAX)]
EndpointInPath = Annotated[str, PathParameter(pattern=_ID, description=USER_ID_TOLD)]


def checked_id(value: str, name: str) -> str:
    """An id of the query, or one that the caller stands for. Raises ApiError `invalid`."""
    if not ID.fullmatch(value):
        raise ApiError(RefusalCode.INVALID, f"`{name}` must be {USER_ID_TOLD}", {"field": name})
    return value
