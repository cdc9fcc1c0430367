"""Checks that a handler calls by itself; routes with a guard and typed fields need none of them."""

import secrets
from typing import Any

from litestar import Request
from litestar.datastructures import State

from protocol.codec import UNSEEN_CHARACTERS
from protocol.messages import KEY_CHARACTERS_MAX
from server.api.access import Caller, check_is
from server.api.context import Context
from server.api.errors import ApiError
from server.api.fields import ID
from server.auth import Identity, same_secret


def caller_of(request: Request[Any, Any, Any], shell: Context) -> Caller:
    """Who sent this request. Raises ApiError `unauthorized`."""
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    secret = secret.strip()
    if scheme.lower() != "bearer" or not secret:
        raise ApiError("unauthorized", "Send `Authorization: Bearer` with the api key or a token.")
    if shell.settings.api_key and same_secret(secret, shell.settings.api_key):
        return Caller(None)
    identity = shell.verifier.verify(secret, shell.clock())
    if not isinstance(identity, Identity):
        raise ApiError("unauthorized", identity.message)
    if request.method != "GET" and shell.too_fast(identity.user):
        raise ApiError("rate_limited", "That is too fast; try again in a second, same key.")
    return Caller(identity)


def backend(request: Request[Any, Any, Any], shell: Context) -> Caller:
    """The backend, and nobody else. Raises ApiError `unauthorized`, `forbidden`."""
    caller = caller_of(request, shell)
    if caller.identity is not None:
        raise ApiError("forbidden", "Only the backend may do this; use the api key.")
    return caller


def backend_or(request: Request[Any, Any, Any], shell: Context, user: str) -> Caller:
    """The backend, or this user. Raises ApiError `unauthorized`, `forbidden`."""
    caller = caller_of(request, shell)
    check_is(caller, user)
    return caller


def admin_or_backend(request: Request[Any, Any, Any], shell: Context) -> Caller:
    """The backend, or a person who is an admin. Raises ApiError `unauthorized`, `forbidden`."""
    caller = caller_of(request, shell)
    if caller.identity is not None and caller.identity.role != "admin":
        raise ApiError("forbidden", "Only the backend and admins may do this.")
    return caller


def idempotency_key(request: Request[Any, Any, Any]) -> str:
    """The client's key, or one of ours: without a key each request is a wish of its own.

    Raises ApiError `malformed`.
    """
    key: str | None = request.headers.get("Idempotency-Key")
    if key is None:
        return f"http-{secrets.token_hex(16)}"
    if not 1 <= len(key) <= KEY_CHARACTERS_MAX or UNSEEN_CHARACTERS.search(key):
        sentence = f"`Idempotency-Key` must have 1 to {KEY_CHARACTERS_MAX} printable characters."
        raise ApiError("malformed", sentence)
    return key


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


def base_url(request: Request[Any, Any, Any], shell: Context) -> str:
    """The address under which the one who asks knows this server, without a slash at its end."""
    if shell.settings.public_url:
        return shell.settings.public_url.rstrip("/")
    base = str(request.base_url).rstrip("/")
    peer = request.client.host if request.client else ""
    if (
        peer in shell.settings.trusted_proxies
        and request.headers.get("X-Forwarded-Proto") == "https"
    ):
        base = base.replace("http://", "https://", 1)
    return base


def shell_of(state: State) -> Context:
    context: Context = state.context
    return context
