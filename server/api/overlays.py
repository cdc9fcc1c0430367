"""Overlay links: a read-only token for one room, to be pasted into OBS."""

import secrets

import msgspec
from litestar import Router, post
from litestar.params import JSONBody

from rules.commands import IssueLink
from rules.outcomes import LinkIssued
from server.api.access import check_is, somebody
from server.api.answers import booked
from server.api.fields import RoomId
from server.api.lookup import find_room
from server.api.request import Asker, BaseUrl, InContext, Key
from server.auth import issue

OVERLAY_S = 365 * 86_400
"""A scene is set up once and used for a season; a new link revokes the old one."""


class OverlayWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    room: RoomId


class OverlayBody(msgspec.Struct, frozen=True):
    token: str
    url: str
    """For a browser source. Whoever has it sees what the overlay sees."""


@post("/overlays", guards=[somebody], status_code=201, refuses=["unknown_room"])
async def create_overlay(
    context: InContext, caller: Asker, key: Key, base_url: BaseUrl, data: JSONBody[OverlayWish]
) -> OverlayBody:
    """A link for a browser source, for the backend and the room's creator. The one that was made
    before for this room stops working."""
    room = await find_room(context, data.room)
    check_is(caller, room.creator, room.id)
    now_s = -(-context.clock() // 1_000)
    outcome = await booked(
        context,
        IssueLink(
            actor=caller.actor,
            key=key,
            room=room.id,
            token_id=f"overlay-{secrets.token_hex(8)}",
            expires_ms=(now_s + OVERLAY_S) * 1_000,
        ),
    )
    assert isinstance(outcome, LinkIssued)
    await context.in_force.follow_now()
    # The key may be an old one: then this is the first token again, to the letter.
    token = issue(
        context.settings.token_secret,
        user=room.creator,
        name=room.creator_name,
        role="overlay",
        rooms=[room.id],
        adult=False,
        ttl_s=max(1, outcome.expires_ms // 1_000 - now_s),
        now_ms=now_s * 1_000,
        jti=outcome.token_id,
    )
    return OverlayBody(token, f"{base_url}/overlay?room={room.id}&token={token}")


overlays_router = Router(path="/v1", route_handlers=[create_overlay], tags=["overlays"])
