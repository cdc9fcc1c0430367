"""Rooms over HTTP: opening and closing, the log, the board, the catalogue."""

import secrets
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.datastructures import State
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from protocol.messages import MONEY_MAX
from rules.commands import CloseRoom, OpenRoom
from rules.events import Event
from rules.outcomes import Refused
from rules.rows import Room
from server.api.access import backend, backend_or
from server.api.context import Context
from server.api.errors import ApiError, refused
from server.api.fields import checked_id, checked_text
from server.api.lists import LIST_MAX, Limit
from server.api.request import idempotency_key, shell_of

EVENTS_MAX = 1_000
"""The raw log is read by programs that want all of it."""

EventsLimit = Annotated[int, QueryParameter(ge=1, le=EVENTS_MAX)]
Seq = Annotated[int, QueryParameter(ge=0, le=MONEY_MAX)]
MaybeSeq = Annotated[int | None, QueryParameter(ge=0, le=MONEY_MAX)]


class RoomOpening(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    title: str
    creator: str
    creator_name: str | None = None


def room_body(room: Room, viewers: int) -> dict[str, Any]:
    return {
        "id": room.id,
        "title": room.title,
        "creator": room.creator,
        "creator_name": room.creator_name,
        "status": room.status,
        "epoch": room.epoch,
        "seq": room.seq,
        "total_coins": room.total_coins,
        "viewers": viewers,
    }


async def find_room(shell: Context, id: str) -> Room:
    """The room as the ledger has it. Raises ApiError `unknown_room`."""
    found = await shell.store.find_room(id)
    if found is None:
        raise ApiError("unknown_room", f"There is no room {id}.")
    return found


@post("/rooms", status_code=201)
async def open_room(
    state: State, request: Request[Any, Any, Any], data: JSONBody[RoomOpening]
) -> Response[dict[str, Any]]:
    """Open a room: 201, or 200 when it was opened with the same content before."""
    shell = shell_of(state)
    caller = backend(request, shell)
    checked_id(data.creator, "creator")
    command = OpenRoom(
        actor=caller.actor,
        key=idempotency_key(request),
        room=checked_id(data.id, "id"),
        title=checked_text(data.title, "title", 200),
        creator=data.creator,
        creator_name=checked_text(data.creator_name or data.creator, "creator_name", 64),
        epoch=secrets.token_hex(8),
    )
    result = await shell.settlement.ask(command)
    if isinstance(result.outcome, Refused):
        raise refused(result.outcome)
    room = await find_room(shell, data.id)
    body = room_body(room, shell.viewers(room.id))
    return Response(body, status_code=200 if result.replayed else 201)


@get("/rooms")
async def list_rooms(
    state: State, cursor: FromQuery[str] = "", limit: Limit = 50
) -> dict[str, Any]:
    """Rooms in order of id."""
    shell = shell_of(state)
    rooms = await shell.store.rooms(cursor, limit)
    items = [room_body(room, shell.viewers(room.id)) for room in rooms]
    return {"items": items, "next_cursor": rooms[-1].id if len(rooms) == limit else None}


@get("/rooms/{room:str}")
async def show_room(state: State, room: FromPath[str]) -> dict[str, Any]:
    """One room."""
    shell = shell_of(state)
    return room_body(await find_room(shell, room), shell.viewers(room))


@post("/rooms/{room:str}/close", status_code=200)
async def close_room(
    state: State, request: Request[Any, Any, Any], room: FromPath[str]
) -> dict[str, Any]:
    """End the stream: logs `room_closed`, and later gifts are refused."""
    shell = shell_of(state)
    found = await find_room(shell, room)
    caller = backend_or(request, shell, found.creator)
    command = CloseRoom(actor=caller.actor, key=idempotency_key(request), room=room)
    result = await shell.settlement.ask(command)
    if isinstance(result.outcome, Refused):
        raise refused(result.outcome)
    return room_body(await find_room(shell, room), shell.viewers(room))


@get("/rooms/{room:str}/events")
async def show_events(
    state: State, room: FromPath[str], after: Seq = 0, limit: EventsLimit = LIST_MAX
) -> Response[bytes]:
    """The raw log after a seq: every entry by itself, never merged, nothing left out."""
    shell = shell_of(state)
    found = await find_room(shell, room)
    events: list[Event] = await shell.store.events(room, after, limit)
    head = max(found.seq, events[-1].seq if events else 0)
    body = b'{"events":[' + b",".join(event.body for event in events)
    return Response(body + b'],"head":%d}' % head, media_type="application/json")


@get("/rooms/{room:str}/board")
async def show_board(
    state: State,
    room: FromPath[str],
    window: FromQuery[str] = "session",
    limit: Limit = 10,
    as_of: MaybeSeq = None,
) -> dict[str, Any]:
    """The room's top gifters, now or as of any seq of its log."""
    shell = shell_of(state)
    if window != "session":
        raise ApiError("invalid", "A room's board has the window `session`.", {"field": "window"})
    found = await find_room(shell, room)
    if as_of is None or as_of >= found.seq:
        as_of, lines = await shell.store.current_board(room, limit)
    else:
        lines = await shell.store.board(room, as_of, limit)
    return {
        "as_of": as_of,
        "window": window,
        "top": [
            {"rank": rank, "user": {"id": line.user, "name": line.name}, "coins": line.coins}
            for rank, line in enumerate(lines, 1)
        ],
    }


@get("/catalogue")
async def show_catalogue(state: State) -> dict[str, Any]:
    """The gifts that can be sent, as the books have them now."""
    catalogue = shell_of(state).policy.catalogue
    return {
        "version": catalogue.version,
        "currency": catalogue.currency,
        "gifts": [msgspec.structs.asdict(gift) for gift in catalogue.gifts],
    }


rooms_router = Router(
    path="/v1",
    route_handlers=[
        open_room,
        list_rooms,
        show_room,
        close_room,
        show_events,
        show_board,
        show_catalogue,
    ],
    tags=["rooms"],
)
