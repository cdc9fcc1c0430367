"""Tokens that are good no longer, though they have not expired."""

from typing import Annotated

import msgspec
from litestar import Router, post
from litestar.params import JSONBody
from msgspec import Meta

from protocol.messages import MONEY_MAX
from rules.commands import RevokeToken
from rules.outcomes import TokenRevoked
from server.api.access import backend
from server.api.answers import booked
from server.api.fields import Reason
from server.api.request import Asker, InContext, Key
from server.auth import TOKEN_ID_CHARACTERS_MAX

TokenId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=TOKEN_ID_CHARACTERS_MAX,
        description=f"the token's claim `jti`, 1 to {TOKEN_ID_CHARACTERS_MAX} characters",
        examples=["overlay-3f9a61c0de77aa10"],
    ),
]


Moment = Annotated[int, Meta(ge=1, le=MONEY_MAX, description="Unix milliseconds")]


class RevocationWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    jti: TokenId
    reason: Reason
    expires_ms: Moment | None = None
    """When the token expires by itself; until then it is refused. Left out: for ever."""


class RevocationBody(msgspec.Struct, frozen=True):
    jti: str
    expires_ms: int | None


@post("/tokens/revoke", guards=[backend], status_code=200)
async def revoke_token(
    context: InContext, caller: Asker, key: Key, data: JSONBody[RevocationWish]
) -> RevocationBody:
    """Refuse every token with this id from now on, on all nodes, and close who is connected with
    one. Doing it again changes nothing, unless a later end is named."""
    command = RevokeToken(
        actor=caller.actor,
        key=key,
        token_id=data.jti,
        expires_ms=data.expires_ms,
        reason=data.reason,
    )
    outcome = await booked(context, command)
    assert isinstance(outcome, TokenRevoked)
    await context.in_force.follow_now()
    return RevocationBody(outcome.token_id, outcome.expires_ms)


tokens_router = Router(path="/v1", route_handlers=[revoke_token], tags=["tokens"])
