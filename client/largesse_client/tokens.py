"""Tokens for users, made by whoever holds the server's `token_secret` (docs/protocol.md, 1.3)."""

import time
from collections.abc import Iterable
from typing import Any, Literal

import jwt

Role = Literal["viewer", "creator", "overlay", "admin"]

TTL_S = 3_600


def make_token(
    secret: str,
    user: str,
    *,
    name: str | None = None,
    role: Role = "viewer",
    adult: bool = False,
    rooms: Iterable[str] | None = None,
    ttl_s: int = TTL_S,
    avatar: str | None = None,
    jti: str | None = None,
    algorithm: str = "HS256",
    now_s: int | None = None,
) -> str:
    """A token of `user` for `ttl_s` seconds from `now_s` (now) on.

    `secret` is the server's `token_secret`, or a private key in PEM with its `algorithm` (EdDSA,
    RS256, ES256; needs `cryptography`). `adult`: may gift and buy. `rooms`: only these (an overlay
    needs them). `jti`: a name under which it may be revoked. Raises ValueError for an overlay
    without rooms.
    """
    if role == "overlay" and rooms is None:
        raise ValueError("an overlay's token is for certain rooms; name them")
    claims: dict[str, Any] = {
        "sub": user,
        "name": name if name is not None else user,
        "role": role,
        "exp": (int(time.time()) if now_s is None else now_s) + ttl_s,
    }
    if adult:
        claims["adult"] = True
    if rooms is not None:
        claims["rooms"] = list(rooms)
    if avatar is not None:
        claims["avatar"] = avatar
    if jti is not None:
        claims["jti"] = jti
    return jwt.encode(claims, secret, algorithm=algorithm)
