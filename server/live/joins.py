"""Joining and resuming: the only part of a connection's life that has to ask the ledger.

Joins wait in one list, and one task takes all of them at once: it reads the rooms that are not
in memory, then the balances of all users that are not known, in one question each. After a restart
that turns ten thousand resumes into a handful of reads.

A resume is all or nothing. When the log still has everything since the client's seq, the client is
`catching`: it gets frames from there on, as fast as it reads and never more than its buffer takes,
until it has reached what the others were sent; then it is a viewer like them. The ring in memory
serves the recent past, the ledger what is older.
"""

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from protocol import Code, Phase, encode_refusal
from protocol.messages import Join
from server.live.hall import Hall
from server.live.room import Room, plain_frame

if TYPE_CHECKING:
    from server.live.connection import Connection
    from server.shell import Shell

log = structlog.get_logger()

CATCH_UP_EVENTS = 200
"""Events of one frame to a client that catches up: some 60 KB."""


class Joins:
    def __init__(self, shell: "Shell") -> None:
        self._shell = shell
        self._waiting: list[tuple[Connection, Join]] = []
        self._catching: list[tuple[Connection, Hall]] = []
        self._healing: list[Hall] = []
        self._wake = asyncio.Event()

    # What others ask for

    def join(self, connection: "Connection", message: Join) -> None:
        here = connection.here
        connection.session.joining(message.room)
        hall = self._shell.hub.halls.get(message.room)
        if hall is not None and here is not None and here.balance is not None:
            self._enter(connection, message, hall)
            return
        self._waiting.append((connection, message))
        self._wake.set()

    def heal(self, hall: Hall) -> None:
        """A room missed events of another node: read them."""
        self._healing.append(hall)
        self._wake.set()

    def continue_catching(self, connection: "Connection") -> None:
        """The client has read what it was sent."""
        for room in tuple(connection.session.rooms):
            hall = self._shell.hub.halls.get(room)
            if hall is not None and connection in hall.catching:
                self._catch_up(connection, hall)

    # The task

    async def run(self) -> None:
        while True:
            self._wake.clear()
            if not (self._waiting or self._catching or self._healing):
                await self._wake.wait()
            waiting, self._waiting = self._waiting, []
            catching, self._catching = self._catching, []
            healing, self._healing = self._healing, []
            try:
                await self._load(waiting)
                for connection, message in waiting:
                    self._enter_or_refuse(connection, message)
            except Exception:
                log.exception("joins.failed", joins=len(waiting))
                for connection, message in waiting:
                    self._refuse(connection, message, Code.UNAVAILABLE, "Try again shortly.")
            for hall in healing:
                await self._or_give_up(self._read_gap(hall), hall)
            for connection, hall in catching:
                await self._or_give_up(self._read_older(connection, hall), hall)

    async def _or_give_up(self, reading: Coroutine[Any, Any, None], hall: Hall) -> None:
        """When a room cannot be read, its viewers come back for it; others do not notice."""
        try:
            await reading
        except Exception:
            self._shell.hub.give_up(hall.room.id)

    def _enter_or_refuse(self, connection: "Connection", message: Join) -> None:
        hall = self._shell.hub.halls.get(message.room)
        if hall is None:
            sentence = f"There is no room {message.room}."
            self._refuse(connection, message, Code.UNKNOWN_ROOM, sentence)
        elif connection.here is not None:
            self._enter(connection, message, hall)

    async def _load(self, waiting: "list[tuple[Connection, Join]]") -> None:
        hub, store = self._shell.hub, self._shell.store
        for room in {message.room for _, message in waiting} - hub.halls.keys():
            with hub.loading_room(room):
                state = await store.room(room, self._shell.settings.ring_events)
                if state is not None:
                    hub.open_hall(Room(state, self._shell.settings.ring_events))
        unknown = {c.here.id for c, _ in waiting if c.here and c.here.balance is None}
        if unknown:
            balances = await store.balances(unknown)
            for user, coins in balances.items():
                here = hub.users.get(user)
                if here is not None and here.balance is None:
                    here.balance = coins  # a result that came meanwhile is newer than this read

    async def _read_gap(self, hall: Hall) -> None:
        if not self._lives(hall):
            return
        self._shell.metrics.healed.inc()
        room, most = hall.room, self._shell.settings.ring_events
        while True:
            events = await self._shell.store.events(room.id, room.head, most)
            for event in events:
                if event.seq == room.head + 1:
                    room.apply(event)
            if len(events) < most:
                break
        if self._lives(hall):
            self._shell.hub.flush_if_due(hall, 0)

    def _lives(self, hall: Hall) -> bool:
        """Whether it has not been given up while something was read for it."""
        return self._shell.hub.halls.get(hall.room.id) is hall

    async def _read_older(self, connection: "Connection", hall: Hall) -> None:
        """One frame of what the ring no longer has."""
        after = hall.catching.get(connection)
        if after is None:
            return
        events = await self._shell.store.events(hall.room.id, after, CATCH_UP_EVENTS)
        events = [event for event in events if event.seq <= hall.room.sent]
        if hall.catching.get(connection) != after or not self._lives(hall):
            return  # it has left, or joined again from somewhere else, while the ledger was read
        if events:
            hall.catching[connection] = events[-1].seq
            connection.send(plain_frame(hall.room.id, hall.room.epoch, events))
        self._catch_up(connection, hall)

    # Entering

    def _enter(self, connection: "Connection", message: Join, hall: Hall) -> None:
        """Join at a frame boundary, so that the snapshot and the next frame fit together."""
        if not hall.room.pending:
            self._admit(connection, message, hall)
            return
        hall.waiting.append((connection, partial(self._admit, connection, message, hall)))
        self._shell.hub.restless.add(hall)

    def _admit(self, connection: "Connection", message: Join, hall: Hall) -> None:
        here, room, session = connection.here, hall.room, connection.session
        if session.phase is not Phase.OPEN or here is None or not session.in_room(room.id):
            return
        hall.remove(connection)
        after = self._resume_from(message, room)
        hall.catching[connection] = after if after is not None else room.sent
        session.joined(room.id)
        connection.send(
            room.joined(
                id=message.id,
                user=here.id,
                recovered=after is not None,
                balance_coins=0 if session.role == "overlay" else here.balance or 0,
                viewers=hall.count(),
            )
        )
        self._shell.hub.restless.add(hall)
        self._catch_up(connection, hall, at_once=True)

    def _resume_from(self, message: Join, room: Room) -> int | None:
        """The seq to go on from, or None when the client has to start from the snapshot."""
        resume = message.resume
        if resume is None:
            return None
        possible = (
            resume.epoch == room.epoch
            and resume.seq <= room.sent
            and room.sent - resume.seq <= self._shell.settings.resume_events_max
        )
        self._shell.metrics.resumes.labels("recovered" if possible else "snapshot").inc()
        return resume.seq if possible else None

    def _catch_up(self, connection: "Connection", hall: Hall, *, at_once: bool = False) -> None:
        """Send what is missing for as long as the client's buffer takes it.

        `at_once`: nothing can have happened since its `joined`.
        """
        room, paused = hall.room, self._shell.hub.paused
        while (after := hall.catching.get(connection)) is not None and connection not in paused:
            if after + 1 < room.oldest() and after < room.sent:
                self._catching.append((connection, hall))
                self._wake.set()
                return
            step = room.resume_frame(after, CATCH_UP_EVENTS)
            if step is None:
                hall.follow(connection)
                if not at_once:
                    hall.tell_again()
                    self._shell.hub.restless.add(hall)
                return
            payload, hall.catching[connection] = step
            connection.send(payload)

    def _refuse(self, connection: "Connection", message: Join, code: Code, sentence: str) -> None:
        connection.session.not_joined(message.room)
        retry_after_ms = 1_000 if code is Code.UNAVAILABLE else None
        self._shell.metrics.refusals.labels(code.value).inc()
        connection.send(
            encode_refusal(code, sentence, id=message.id, retry_after_ms=retry_after_ms)
        )
