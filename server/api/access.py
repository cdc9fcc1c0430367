"""Who is asking: the host platform's backend, a user with a token, or nobody."""

from dataclasses import dataclass
from typing import Any

from litestar import Request

from server.api.context import Context
from server.api.errors import ApiError
from server.auth import Identity, same_secret


@dataclass(frozen=True, slots=True)
class Caller:
    """`identity` None is the backend."""

    identity: Identity | None

    @property
    def actor(self) -> str:
        return f"user:{self.identity.user}" if self.identity else "backend"


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


def check_is(caller: Caller, user: str) -> None:
    """See to it that the caller is the backend, or this user. Raises ApiError `forbidden`."""
    identity = caller.identity
    if identity is not None and (identity.user != user or identity.role == "overlay"):
        raise ApiError("forbidden", f"Only the backend and {user} may do this.")


def admin_or_backend(request: Request[Any, Any, Any], shell: Context) -> Caller:
    """The backend, or a person who is an admin. Raises ApiError `unauthorized`, `forbidden`."""
    caller = caller_of(request, shell)
    if caller.identity is not None and caller.identity.role != "admin":
        raise ApiError("forbidden", "Only the backend and admins may do this.")
    return caller
