"""Overlay links: a read-only token for one room, to be pasted into OBS."""

import secrets
from typing import Any

import msgspec
from litestar import Request, Router, post
from litestar.datastructures import State
from litestar.params import JSONBody

from server.api.access import backend_or
from server.api.request import base_url, shell_of
from server.api.rooms import find_room
from server.auth import issue

OVERLAY_DAYS = 365
"""A scene is set up once and used for a season; a new link revokes the old one."""


class OverlayWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    room: str


@post("/overlays", status_code=201)
async def make_overlay(
    state: State, request: Request[Any, Any, Any], data: JSONBody[OverlayWish]
) -> dict[str, Any]:
    """A link for a browser source. The one that was made before for this room stops working."""
    shell = shell_of(state)
    room = await find_room(shell, data.room)
    backend_or(request, shell, room.creator)
    token_id = f"overlay-{secrets.token_hex(8)}"
    token = issue(
        shell.settings.token_secret,
        user=room.creator,
        name=room.creator_name,
        role="overlay",
        rooms=[room.id],
        adult=False,
        ttl_s=OVERLAY_DAYS * 86_400,
        now_ms=shell.clock(),
        jti=token_id,
    )
    old = shell.overlays.get(room.id)
    if old is not None:
        shell.verifier.revoke(old)
    shell.overlays[room.id] = token_id
    base = base_url(request, shell)
    return {"token": token, "url": f"{base}/overlay?room={room.id}&token={token}"}


overlays_router = Router(path="/v1", route_handlers=[make_overlay], tags=["overlays"])
