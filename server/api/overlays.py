"""Overlay links: a read-only token for one room, to be pasted into OBS."""

import secrets

import msgspec
from litestar import Router, post
from litestar.params import JSONBody

from server.api.access import check_is, somebody
from server.api.lookup import find_room
from server.api.request import Asker, BaseUrl, InContext
from server.auth import issue

OVERLAY_DAYS = 365
"""A scene is set up once and used for a season; a new link revokes the old one."""


class OverlayWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    room: str


class OverlayBody(msgspec.Struct, frozen=True):
    token: str
    url: str
    """For a browser source. Whoever has it sees what the overlay sees."""


@post("/overlays", guards=[somebody], status_code=201, refuses=["unknown_room"])
async def create_overlay(
    context: InContext, caller: Asker, base_url: BaseUrl, data: JSONBody[OverlayWish]
) -> OverlayBody:
    """A link for a browser source, for the backend and the room's creator. The one that was made
    before for this room stops working."""
    room = await find_room(context, data.room)
    check_is(caller, room.creator, room.id)
    token_id = f"overlay-{secrets.token_hex(8)}"
    token = issue(
        context.settings.token_secret,
        user=room.creator,
        name=room.creator_name,
        role="overlay",
        rooms=[room.id],
        adult=False,
        ttl_s=OVERLAY_DAYS * 86_400,
        now_ms=context.clock(),
        jti=token_id,
    )
    old = context.overlays.get(room.id)
    if old is not None:
        context.verifier.revoke(old)
    context.overlays[room.id] = token_id
    return OverlayBody(token, f"{base_url}/overlay?room={room.id}&token={token}")


overlays_router = Router(path="/v1", route_handlers=[create_overlay], tags=["overlays"])
