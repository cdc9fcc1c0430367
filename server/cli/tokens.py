"""The verb that revokes a token: by its id, or by the token or overlay link itself."""

import base64
import json
from typing import Annotated, Any
from urllib.parse import parse_qs, urlsplit

import typer

from server.cli.asking import Reason, Remote, at, change, tell
from server.cli.output import NO, fail


def revoke(
    ctx: typer.Context,
    token: Annotated[
        str,
        typer.Argument(metavar="TOKEN", help="The token, its id (jti), or an overlay's link."),
    ],
    reason: Reason,
) -> None:
    """Refuse a token from now on, on all nodes, and close who is connected with it.

    Example: largesse revoke overlay-3f9a61c0de77aa10 --reason "the link was shown on screen"
    """
    remote: Remote = ctx.obj
    body = named(token) | {"reason": reason}
    answer = change(remote, "POST", at("tokens", "revoke"), body)
    tell(remote, answer, f"The token {body['jti']} is refused from now on.")


def named(text: str) -> dict[str, Any]:
    """`jti`, and `expires_ms` where it can be read, of what an operator has in hand. Ends the
    command with 1 for a token without an id."""
    [text] = parse_qs(urlsplit(text).query).get("token", [text])[:1]
    claims = _claims(text)
    if claims is None:
        return {"jti": text}
    if not claims.get("jti"):
        fail(NO, "This token has no id (jti): it ends by itself, or with the key that signs it.")
    found = {"jti": claims["jti"]}
    if isinstance(claims.get("exp"), int | float) and claims["exp"] > 0:
        found["expires_ms"] = int(claims["exp"] * 1_000)
    return found


def _claims(text: str) -> dict[str, Any] | None:
    """What a JWT says of itself, unverified; None when it is none."""
    parts = text.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return None
    return claims if isinstance(claims, dict) else None
