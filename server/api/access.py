"""Who is asking, and who may: each route names exactly one of the guards here.

A guard looks at the caller before anything of the body is read, and leaves it for the handler. A
rule that needs more than the path (a purchase's buyer, a payout's creator) begins as `somebody`,
and its handler ends it with `check_is`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from rules.events import split_gift_id
from rules.refusals import RefusalCode
from server.api.context import Context
from server.api.errors import ApiCode, ApiError
from server.api.lookup import find_room
from server.auth import Identity, same_secret

Connection = ASGIConnection[Any, Any, Any, Any]
Guard = Callable[[Connection, BaseRouteHandler], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Caller:
    """`identity` None is the backend."""

    identity: Identity | None

    @property
    def actor(self) -> str:
        return f"user:{self.identity.user}" if self.identity else "backend"

    @property
    def user(self) -> str:
        """Of a person; empty for the backend."""
        return self.identity.user if self.identity else ""


# The guards


async def anybody(connection: Connection, route: BaseRouteHandler) -> None:
    """What everybody may know. There is no caller, and no token is looked at."""


async def somebody(connection: Connection, route: BaseRouteHandler) -> None:
    """The backend, or whoever has a token; the handler says which of them. Raises ApiError."""
    _identify(connection)


async def backend(connection: Connection, route: BaseRouteHandler) -> None:
    """The backend, and nobody else. Raises ApiError."""
    if _identify(connection).identity is not None:
        raise ApiError(RefusalCode.FORBIDDEN, "Only the backend may do this; use the api key.")


async def backend_or_user(connection: Connection, route: BaseRouteHandler) -> None:
    """The backend, or the user whom the path names. Raises ApiError."""
    check_is(_identify(connection), connection.path_params["user"])


async def user_alone(connection: Connection, route: BaseRouteHandler) -> None:
    """The user whom the path names, and not even the backend. Raises ApiError."""
    caller = _identify(connection)
    check_is(caller, connection.path_params["user"])
    if caller.identity is None:
        raise ApiError(RefusalCode.FORBIDDEN, "Only the user may do this; use the user's token.")


async def creator_alone(connection: Connection, route: BaseRouteHandler) -> None:
    """A person, for the diamonds that are theirs; not the backend. Raises ApiError."""
    identity = _identify(connection).identity
    if identity is None or identity.role == "overlay":
        raise ApiError(
            RefusalCode.FORBIDDEN, "This is for a creator alone; use the creator's token."
        )


async def backend_or_creator(connection: Connection, route: BaseRouteHandler) -> None:
    """The backend, or the creator of the room that the path names, or that its gift was sent in.
    Raises ApiError."""
    caller = _identify(connection)
    room = connection.path_params.get("room")
    if room is None:
        gift = connection.path_params["gift"]
        place = split_gift_id(gift)
        if place is None:
            raise ApiError(RefusalCode.UNKNOWN_GIFT, f"There is no gift {gift}.")
        room = place[0]
    found = await find_room(connection.app.state.context, room)
    check_is(caller, found.creator, found.id)


async def backend_or_admin(connection: Connection, route: BaseRouteHandler) -> None:
    """The backend, or a person who is an admin. Raises ApiError."""
    caller = _identify(connection)
    if caller.identity is not None and caller.identity.role != "admin":
        raise ApiError(RefusalCode.FORBIDDEN, "Only the backend and admins may do this.")


async def admin(connection: Connection, route: BaseRouteHandler) -> None:
    """A person who is an admin, by a token of their own. Raises ApiError."""
    await backend_or_admin(connection, route)
    if connection.user.identity is None:
        sentence = (
            "A correction takes two persons, and the api key is none: use the token of an admin."
        )
        raise ApiError(RefusalCode.FORBIDDEN, sentence)


class Access(NamedTuple):
    """What a guard says of its routes to who reads the description."""

    who: str
    schemes: tuple[str, ...]


API_KEY, TOKEN = "api_key", "token"

ACCESS: dict[Guard, Access] = {
    anybody: Access("anybody", ()),
    somebody: Access("the backend, and users for what is theirs", (API_KEY, TOKEN)),
    backend: Access("the backend", (API_KEY,)),
    backend_or_user: Access("the backend and that user", (API_KEY, TOKEN)),
    user_alone: Access("that user", (TOKEN,)),
    creator_alone: Access("a creator", (TOKEN,)),
    backend_or_creator: Access("the backend and the room's creator", (API_KEY, TOKEN)),
    backend_or_admin: Access("the backend and admins", (API_KEY, TOKEN)),
    admin: Access("an admin", (TOKEN,)),
}


def check_is(caller: Caller, user: str, room: str | None = None) -> None:
    """See to it that the caller is the backend, or this user with a token that is good for this
    room. Raises ApiError `forbidden`."""
    identity = caller.identity
    if identity is None:
        return
    if identity.user != user or identity.role == "overlay":
        raise ApiError(RefusalCode.FORBIDDEN, f"Only the backend and {user} may do this.")
    if room is not None and identity.rooms is not None and room not in identity.rooms:
        raise ApiError(RefusalCode.FORBIDDEN, f"This token is not for the room {room}.")


def _identify(connection: Connection) -> Caller:
    """Who sent this request; kept in it for the handler. Raises ApiError `unauthorized`,
    `rate_limited`."""
    context: Context = connection.app.state.context
    caller = _caller(context, connection.headers.get("Authorization", ""))
    connection.scope["user"] = caller
    if caller.identity is not None and connection.scope.get("method") != "GET":
        if context.too_fast(caller.identity.user):
            raise ApiError(
                ApiCode.RATE_LIMITED, "That is too fast; try again in a second, same key."
            )
    return caller


def _caller(context: Context, authorization: str) -> Caller:
    scheme, _, secret = authorization.partition(" ")
    secret = secret.strip()
    if scheme.lower() != "bearer" or not secret:
        raise ApiError(
            ApiCode.UNAUTHORIZED, "Send `Authorization: Bearer` with the api key or a token."
        )
    if context.settings.api_key and same_secret(secret, context.settings.api_key):
        return Caller(None)
    identity = context.verifier.verify(secret, context.clock())
    if not isinstance(identity, Identity):
        raise ApiError(ApiCode.UNAUTHORIZED, _unknown(secret, identity.message))
    return Caller(identity)


def _unknown(secret: str, fault: str) -> str:
    """A token has two dots; who sends none meant the api key."""
    if "." in secret:
        return fault
    return "This is neither the server's api key nor a token; check that it was copied whole."
