"""What a request brings along: the server that it is for, its idempotency key, its address."""

import secrets
from typing import Any

from litestar import Request
from litestar.datastructures import State

from protocol.codec import UNSEEN_CHARACTERS
from protocol.messages import KEY_CHARACTERS_MAX
from server.api.context import Context
from server.api.errors import ApiError


def shell_of(state: State) -> Context:
    shell: Context = state.shell
    return shell


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
