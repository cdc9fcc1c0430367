"""Rooms, their logs and boards, and the gifts in them."""

from collections.abc import AsyncIterator

import msgspec

from largesse_client.http.answers import (
    BoardPage,
    Catalogue,
    Hidden,
    Overlay,
    Retracted,
    RoomState,
)
from largesse_client.http.asking import Asking, at
from largesse_client.messages import Entry
from largesse_client.wire import decode_entry

LOG_PAGE_MAX = 1_000


class LogPage(msgspec.Struct, frozen=True):
    """A part of a room's raw log, and the last seq that the room has."""

    events: tuple[Entry, ...]
    head: int


class _RawPage(msgspec.Struct):
    events: list[msgspec.Raw]
    head: int


class Rooms:
    """`backend.rooms`"""

    def __init__(self, asking: Asking) -> None:
        self._ask = asking

    async def open(
        self,
        room: str,
        *,
        title: str,
        creator: str,
        creator_name: str | None = None,
        key: str | None = None,
    ) -> RoomState:
        """Open a room, or find it as it was opened; ApiError `room_exists` when it is another."""
        body = {"id": room, "title": title, "creator": creator}
        if creator_name is not None:
            body["creator_name"] = creator_name
        return await self._ask.change(RoomState, "POST", at("rooms"), body, key=key)

    async def show(self, room: str) -> RoomState:
        return await self._ask.get(RoomState, at("rooms", room))

    def all(self) -> AsyncIterator[RoomState]:
        """In order of id."""
        return self._ask.pages(RoomState, at("rooms"))

    async def close(self, room: str, *, key: str | None = None) -> RoomState:
        """End the stream: later gifts are refused."""
        return await self._ask.change(RoomState, "POST", at("rooms", room, "close"), key=key)

    async def log(self, room: str, *, after: int = 0, limit: int = LOG_PAGE_MAX) -> LogPage:
        """The raw log after a seq: every entry by itself, never merged. Raises Unreadable."""
        page = await self._ask.get(_RawPage, at("rooms", room, "events"), after=after, limit=limit)
        entries = tuple(decode_entry(body) for body in page.events)
        for entry in entries:
            msgspec.structs.force_setattr(entry, "room", room)
        return LogPage(entries, page.head)

    async def events(self, room: str, *, after: int = 0) -> AsyncIterator[Entry]:
        """Every entry of the raw log after a seq, up to its present head."""
        while True:
            page = await self.log(room, after=after)
            for entry in page.events:
                yield entry
                after = entry.seq
            if not page.events or after >= page.head:
                return

    async def board(self, room: str, *, limit: int = 10, as_of: int | None = None) -> BoardPage:
        """Who gave most, now or as of any seq of the log."""
        return await self._ask.get(BoardPage, at("rooms", room, "board"), limit=limit, as_of=as_of)

    async def overlay(self, room: str, *, key: str | None = None) -> Overlay:
        """A link for a browser source in OBS. The one that was made before stops working."""
        return await self._ask.change(Overlay, "POST", at("overlays"), {"room": room}, key=key)


class Gifts:
    """`backend.gifts`"""

    def __init__(self, asking: Asking) -> None:
        self._ask = asking

    async def catalogue(self) -> Catalogue:
        """The gifts that can be given, and their prices."""
        return await self._ask.get(Catalogue, at("catalogue"))

    async def retract(self, gift: str, *, reason: str, key: str | None = None) -> Retracted:
        """Take a gift back: coins to the sender, diamonds from the creator. `gift` is its id."""
        path, body = at("gifts", gift, "retract"), {"reason": reason}
        return await self._ask.change(Retracted, "POST", path, body, key=key)

    async def hide(self, gift: str, *, key: str | None = None) -> Hidden:
        """Stop showing a gift. No money moves."""
        return await self._ask.change(Hidden, "POST", at("gifts", gift, "hide"), key=key)
