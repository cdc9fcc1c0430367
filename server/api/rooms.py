"""Rooms over HTTP: opening and closing, the log, the board, the catalogue."""

import secrets
from typing import Annotated

import msgspec
from litestar import Response, Router, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from protocol.messages import MONEY_MAX, Event
from rules.commands import CloseRoom, OpenRoom
from rules.events import Event as LoggedEvent
from rules.lifecycles import RoomStatus
from rules.refusals import RefusalCode
from rules.rows import Room
from server.api.access import anybody, backend, backend_or_creator
from server.api.answers import booked, settled, shaped
from server.api.boards import BoardBody, board_body
from server.api.context import Context
from server.api.errors import ApiError
from server.api.fields import Id, Name, RoomId, Title
from server.api.lists import LIST_MAX, CursorText, Limit, Page
from server.api.lookup import find_room
from server.api.request import Asker, InContext, Key

EVENTS_MAX = 1_000
"""The raw log is read by programs that want all of it."""

EventsLimit = Annotated[
    int, QueryParameter(ge=1, le=EVENTS_MAX, description=f"How many at once, {EVENTS_MAX} at most.")
]
Seq = Annotated[
    int, QueryParameter(ge=0, le=MONEY_MAX, description="Only events with a larger seq.")
]
MaybeSeq = Annotated[
    int | None,
    QueryParameter(ge=0, le=MONEY_MAX, description="The board after this seq; now without it."),
]
RoomWindow = Annotated[
    str,
    QueryParameter(description="Only `session` for a room.", schema_extra={"enum": ["session"]}),
]


class RoomOpening(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: RoomId
    title: Title
    creator: Id
    creator_name: Name | None = None


class RoomBody(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    title: str
    creator: str
    creator_name: str
    status: RoomStatus
    epoch: str
    """Names the room's log; another one after a restore."""
    seq: int
    """Of the newest event."""
    total_coins: int
    viewers: int
    """Who is watching now."""


class RoomPage(Page[RoomBody], frozen=True):
    """Rooms in order of id."""


class EventLog(msgspec.Struct, frozen=True):
    events: list[Event]
    head: int
    """The newest seq of the room."""


class CatalogueGift(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    coins: int
    combo: bool
    animation: str
    ttl_ms: int
    enabled: bool


class CatalogueBody(msgspec.Struct, frozen=True):
    version: str
    currency: str
    gifts: list[CatalogueGift]


def _body(room: Room, context: Context) -> RoomBody:
    return shaped(RoomBody, room, viewers=context.viewers(room.id))


@post(
    "/rooms",
    guards=[backend],
    status_code=201,
    answers={200: RoomBody},
    refuses=["room_exists"],
)
async def open_room(
    context: InContext, caller: Asker, key: Key, data: JSONBody[RoomOpening]
) -> Response[RoomBody]:
    """Open a room: 201, or 200 when it was opened with the same content before."""
    command = OpenRoom(
        actor=caller.actor,
        key=key,
        room=data.id,
        title=data.title,
        creator=data.creator,
        creator_name=data.creator_name or data.creator,
        epoch=secrets.token_hex(8),
    )
    result = await settled(context, command)
    body = _body(await find_room(context, data.id), context)
    return Response(body, status_code=200 if result.replayed else 201)


@get("/rooms", guards=[anybody])
async def list_rooms(context: InContext, cursor: CursorText = "", limit: Limit = 50) -> RoomPage:
    """Rooms in order of id."""
    rooms = await context.store.rooms(cursor, limit)
    items = [_body(room, context) for room in rooms]
    return RoomPage(items, rooms[-1].id if len(rooms) == limit else None)


@get("/rooms/{room:str}", guards=[anybody], refuses=["unknown_room"])
async def show_room(context: InContext, room: FromPath[str]) -> RoomBody:
    """One room."""
    return _body(await find_room(context, room), context)


@post(
    "/rooms/{room:str}/close",
    guards=[backend_or_creator],
    status_code=200,
    refuses=["unknown_room"],
)
async def close_room(context: InContext, caller: Asker, key: Key, room: FromPath[str]) -> RoomBody:
    """End the stream: logs `room_closed`, and later gifts are refused."""
    await booked(context, CloseRoom(actor=caller.actor, key=key, room=room))
    return _body(await find_room(context, room), context)


@get(
    "/rooms/{room:str}/events",
    guards=[anybody],
    answers={200: EventLog},
    refuses=["unknown_room"],
)
async def list_events(
    context: InContext, room: FromPath[str], after: Seq = 0, limit: EventsLimit = LIST_MAX
) -> Response[bytes]:
    """The raw log after a seq: every entry by itself, never merged, nothing left out."""
    found = await find_room(context, room)
    events: list[LoggedEvent] = await context.store.events(room, after, limit)
    head = max(found.seq, events[-1].seq if events else 0)
    body = b'{"events":[' + b",".join(event.body for event in events)
    return Response(body + b'],"head":%d}' % head, media_type="application/json")


@get("/rooms/{room:str}/board", guards=[anybody], refuses=["unknown_room", "invalid"])
async def show_board(
    context: InContext,
    room: FromPath[str],
    window: RoomWindow = "session",
    limit: Limit = 10,
    as_of: MaybeSeq = None,
) -> BoardBody:
    """The room's top gifters, now or as of any seq of its log."""
    if window != "session":
        raise ApiError(
            RefusalCode.INVALID, "A room's board has the window `session`.", {"field": "window"}
        )
    found = await find_room(context, room)
    if as_of is None or as_of >= found.seq:
        as_of, lines = await context.store.current_board(room, limit)
    else:
        lines = await context.store.board(room, as_of, limit)
    return board_body(as_of, window, lines)


@get("/catalogue", guards=[anybody])
async def show_catalogue(context: InContext) -> CatalogueBody:
    """The gifts that can be sent, as the books have them now."""
    catalogue = context.policy.catalogue
    gifts = msgspec.convert(catalogue.gifts, list[CatalogueGift], from_attributes=True)
    return CatalogueBody(catalogue.version, catalogue.currency, gifts)


rooms_router = Router(
    path="/v1",
    route_handlers=[
        open_room,
        list_rooms,
        show_room,
        close_room,
        list_events,
        show_board,
        show_catalogue,
    ],
    tags=["rooms"],
)
