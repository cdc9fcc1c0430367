"""What the fields of a body may hold: ids, texts for people, whole numbers, switches."""

import re
from typing import Any

from litestar import Request

from protocol.codec import UNSEEN_CHARACTERS
from server.api.errors import ApiError
from server.auth import USER_ID

ID = re.compile(USER_ID)

NOTE_CHARACTERS_MAX = 500
"""Of what came of an entry, or why a balance is corrected: an auditor reads it years later."""


def checked_id(value: str, name: str) -> str:
    """An id as tokens have them. Raises ApiError `invalid`."""
    if not ID.fullmatch(value):
        raise ApiError(
            "invalid", f"`{name}` must be 1 to 64 of A-Z a-z 0-9 _ . : and -", {"field": name}
        )
    return value


def checked_text(value: str, name: str, characters_max: int) -> str:
    """A text for people. Raises ApiError `invalid`."""
    if not 1 <= len(value) <= characters_max or UNSEEN_CHARACTERS.search(value):
        sentence = f"`{name}` must be 1 to {characters_max} characters without control characters"
        raise ApiError("invalid", sentence, {"field": name})
    return value


async def checked_whole(request: Request[Any, Any, Any], name: str) -> int:
    """A whole number of the body, as it was sent: Litestar itself would take "5" and 5.0 for 5.

    Raises ApiError `malformed`.
    """
    value = (await request.json())[name]
    if type(value) is not int:
        raise ApiError("malformed", f"`{name}` must be a whole number", {"field": name})
    return value


async def maybe_whole(request: Request[Any, Any, Any], name: str, most: int) -> int | None:
    """As `checked_whole`, from 0 on; None for what was left out or is null.

    Raises ApiError `malformed`, `invalid`.
    """
    if (await request.json()).get(name) is None:
        return None
    value = await checked_whole(request, name)
    if not 0 <= value <= most:
        raise ApiError("invalid", f"`{name}` must be from 0 to {most}", {"field": name})
    return value


async def checked_switch(request: Request[Any, Any, Any], name: str) -> bool:
    """A switch of the body, as it was sent and false when it was not: Litestar itself would take 1
    and "yes" for true.

    Raises ApiError `malformed`.
    """
    value = (await request.json()).get(name, False)
    if type(value) is not bool:
        raise ApiError("malformed", f"`{name}` must be true or false", {"field": name})
    return value
