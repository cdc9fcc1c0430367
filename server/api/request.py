"""What a request brings along, given to each handler that names it: the server that it is for, who
asks, the key under which it is done once, and the address under which this server is known.
"""

import secrets
from typing import Annotated, Any

from litestar import Request
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.params import HeaderParameter

from protocol.codec import UNSEEN_CHARACTERS
from protocol.messages import KEY_CHARACTERS_MAX
from server.api.access import Caller
from server.api.context import Context
from server.api.errors import ApiCode, ApiError

InContext = NamedDependency[Context]
Asker = NamedDependency[Caller]
Key = NamedDependency[str]
BaseUrl = NamedDependency[str]

KeyHeader = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        required=False,
        schema_extra={"min_length": 1, "max_length": KEY_CHARACTERS_MAX},
        description=(
            f"1 to {KEY_CHARACTERS_MAX} printable characters, yours to choose. The same key with"
            " the same content gets the first answer again and is done once; with other content it"
            " is refused with `key_reused`. Without a key each request is a wish of its own."
        ),
    ),
]


def context_of(state: State) -> Context:
    context: Context = state.context
    return context


# Each of these names the one before it. Litestar gives what does not depend on each other a task
# of its own, in a task group: a tenth of a request's time for reading a header.


def caller_of(request: Request[Caller, Any, Any], context: InContext) -> Caller:
    """Whom the route's guard let in."""
    return request.user


def idempotency_key(caller: Asker, given: KeyHeader = None) -> str:
    """The client's key, or one of ours: without a key each request is a wish of its own.

    Raises ApiError `malformed`.
    """
    return f"http-{secrets.token_hex(16)}" if given is None else checked_key(given)


def checked_key(given: str) -> str:
    """A key that a client chose. Raises ApiError `malformed`."""
    if not 1 <= len(given) <= KEY_CHARACTERS_MAX or UNSEEN_CHARACTERS.search(given):
        sentence = f"`Idempotency-Key` must have 1 to {KEY_CHARACTERS_MAX} printable characters."
        raise ApiError(ApiCode.MALFORMED, sentence)
    return given


def base_url_of(request: Request[Any, Any, Any], context: InContext) -> str:
    """The address under which the one who asks knows this server, without a slash at its end."""
    if context.settings.public_url:
        return context.settings.public_url.rstrip("/")
    base = str(request.base_url).rstrip("/")
    peer = request.client.host if request.client else ""
    if (
        peer in context.settings.trusted_proxies
        and request.headers.get("X-Forwarded-Proto") == "https"
    ):
        base = base.replace("http://", "https://", 1)
    return base


DEPENDENCIES = {
    "context": Provide(context_of, sync_to_thread=False),
    "caller": Provide(caller_of, sync_to_thread=False),
    "key": Provide(idempotency_key, sync_to_thread=False),
    "base_url": Provide(base_url_of, sync_to_thread=False),
}
