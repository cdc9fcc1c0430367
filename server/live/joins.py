"""Joining and resuming: the only part of a connection's life that has to ask the ledger.

Joins wait in one list (`unread`), and one task takes all of them at once: it reads the rooms that
are not in memory, then the balances of all users that are not known, in one question each. After a
restart that turns ten thousand resumes into a handful of reads.

A resume is all or nothing. When the log still has everything since the client's seq, the client is
`catching`: it gets frames from there on, as fast as it reads and never more than its buffer takes,
until it has reached what the others were sent; then it is a viewer like them. The ring in memory
serves the recent past, the ledger what is older.

The same task reads whatever else the node misses: what was lost between nodes, what may have been,
and the name of a log whose room nobody follows here.
"""

from collections.abc import Coroutine
from functools import partial
from typing import Any

import structlog

from protocol import Code, Phase, encode_refusal
from protocol.messages import Join
from rules.events import Event
from server.clock import steady_ms
from server.live.door import Guest
from server.live.hall import Hall
from server.live.hub import Hub
from server.live.letters import user_channel
from server.live.post import Post
from server.live.room import Room, plain_frame
from server.live.unread import Unread, Wanted
from storage import Store, StoreUnavailable

log = structlog.get_logger()

CATCH_UP_EVENTS = 200
"""Events of one frame to a client that catches up: some 60 KB."""


class Joins:
    def __init__(self, hub: Hub, post: Post, unread: Unread, store: Store) -> None:
        self._hub = hub
        self._users = hub.users
        self._post = post
        self._unread = unread
        self._store = store
        self._settings = hub.settings
        self._metrics = hub.metrics

    # What others ask for

    def join(self, guest: Guest, message: Join) -> None:
        guest.session.joining(message.room)
        hall = self._hub.halls.get(message.room)
        if hall is not None and guest.identity is not None:
            if self._users.balance(guest.identity.user) is not None:
                self._enter(guest, message, hall)
                return
        self._unread.join(guest, message)

    def continue_catching(self, guest: Guest) -> None:
        """The client has read what it was sent."""
        for room in tuple(guest.session.rooms):
            hall = self._hub.halls.get(room)
            if hall is not None and guest in hall.catching:
                self._catch_up(guest, hall)

    # The task

    async def run(self) -> None:
        await self._post.open()
        while True:
            wanted = await self._unread.take()
            if wanted.users:  # before their balances are read: what changes later is heard
                await self._post.listen([user_channel(user) for user in wanted.users])
                self._users.listens(wanted.users)
            await self._let_in(wanted.joins)
            await self._or_later(self._tell_of_passing(wanted.untold))
            await self._or_later(self._look_up(wanted))
            for hall in wanted.gaps:
                await self._or_give_up(self._read_gap(hall), hall)
            for guest, hall in wanted.catching:
                await self._or_give_up(self._read_older(guest, hall), hall)

    async def _let_in(self, joins: list[tuple[Guest, Join]]) -> None:
        try:
            await self._load(joins)
        except Exception as error:
            log.exception("joins.failed", joins=len(joins))
            if len(joins) > 1 and not isinstance(error, StoreUnavailable):
                for one in joins:  # what keeps one of them out is not to keep out the others
                    await self._let_in([one])
                return
            for guest, message in joins:
                self._refuse(guest, message, Code.UNAVAILABLE, "Try again shortly.")
            return
        for guest, message in joins:
            try:
                self._enter_or_refuse(guest, message)
            except Exception:
                log.exception("joins.failed", joins=1)

    async def _or_later(self, reading: Coroutine[Any, Any, None]) -> None:
        """What is asked for again anyhow, with a later beat, may fail."""
        try:
            await reading
        except Exception:
            log.exception("joins.reading_failed")

    async def _or_give_up(self, reading: Coroutine[Any, Any, None], hall: Hall) -> None:
        """When a room cannot be read, its viewers come back for it; others do not notice."""
        try:
            await reading
        except Exception:
            self._hub.give_up(hall.room.id)

    def _enter_or_refuse(self, guest: Guest, message: Join) -> None:
        hall = self._hub.halls.get(message.room)
        if hall is None:
            sentence = f"There is no room {message.room}."
            self._refuse(guest, message, Code.UNKNOWN_ROOM, sentence)
        else:
            self._enter(guest, message, hall)

    async def _load(self, joins: list[tuple[Guest, Join]]) -> None:
        hub, ring_events = self._hub, self._settings.ring_events
        for room in {message.room for _, message in joins} - hub.halls.keys():
            async with hub.loading_room(room) as loading:
                loading.outdated = True
                while loading.outdated:
                    loading.outdated = False
                    state = await self._store.room(room, ring_events)
                if state is not None:
                    hub.open_hall(Room(state, ring_events))
        unknown = self._users.unknown(g.identity.user for g, _ in joins if g.identity)
        if unknown:
            self._users.read(await self._store.balances(unknown))

    async def _tell_of_passing(self, untold: list[tuple[str, list[Event]]]) -> None:
        """Tell the other nodes what was settled here in rooms that are not in memory."""
        heads = await self._store.heads({room for room, _ in untold}) if untold else {}
        for room, events in untold:
            self._hub.publish_passing(room, heads[room].epoch, events)

    async def _look_up(self, wanted: Wanted) -> None:
        """Compare what we show with the ledger; here is found what no letter told us."""
        if wanted.balances:
            self._users.read(await self._store.balances(wanted.balances))
        if wanted.heads and self._hub.halls:
            for room, head in (await self._store.heads(self._hub.halls)).items():
                hall = self._hub.halls.get(room)
                if hall is not None and head.epoch != hall.room.epoch:
                    self._hub.send_away(hall)
                elif hall is not None:
                    self._hub.compare(hall, *head)

    async def _read_gap(self, hall: Hall) -> None:
        """Read what a room has missed; or have it read anew, when its log is another one by now."""
        if not self._lives(hall):
            return
        room, most = hall.room, self._settings.ring_events
        head = (await self._store.heads([room.id])).get(room.id)
        if head is None or head.epoch != room.epoch:
            log.warning("room.other_log", room=room.id, epoch=room.epoch)
            if self._lives(hall):
                self._hub.send_away(hall)
            return
        before = room.head
        while True:
            events = await self._store.events(room.id, room.head, most)
            for event in events:
                if event.seq == room.head + 1:
                    room.apply(event)
            if len(events) < most:
                break
        hall.read_to_end(steady_ms())
        self._metrics.healed.inc(room.head > before)
        if self._lives(hall):
            self._hub.flush_if_due(hall, 0)

    def _lives(self, hall: Hall) -> bool:
        """Whether it has not been given up while something was read for it."""
        return self._hub.halls.get(hall.room.id) is hall

    async def _read_older(self, guest: Guest, hall: Hall) -> None:
        """One frame of what the ring no longer has."""
        after = hall.catching.get(guest)
        if after is None:
            return
        events = await self._store.events(hall.room.id, after, CATCH_UP_EVENTS)
        events = [event for event in events if event.seq <= hall.room.sent]
        if hall.catching.get(guest) != after or not self._lives(hall):
            return  # it has left, or joined again from somewhere else, while the ledger was read
        if events:
            hall.catching[guest] = events[-1].seq
            guest.send(plain_frame(hall.room.id, hall.room.epoch, events))
        self._catch_up(guest, hall)

    # Entering

    def _enter(self, guest: Guest, message: Join, hall: Hall) -> None:
        """Join at a frame boundary, so that the snapshot and the next frame fit together."""
        if not hall.room.pending:
            self._admit(guest, message, hall)
            return
        hall.waiting.append((guest, partial(self._admit, guest, message, hall)))
        self._hub.restless.add(hall)

    def _admit(self, guest: Guest, message: Join, hall: Hall) -> None:
        room, session, identity = hall.room, guest.session, guest.identity
        if session.phase is not Phase.OPEN or identity is None or not session.in_room(room.id):
            return
        balance_coins = 0 if session.role == "overlay" else self._users.balance(identity.user)
        if balance_coins is None:  # in doubt once more since it was read
            return self._unread.join(guest, message)
        hall.remove(guest)
        after = self._resume_from(message, room)
        hall.catching[guest] = after if after is not None else room.sent
        session.joined(room.id)
        guest.send(
            room.joined(
                id=message.id,
                user=identity.user,
                recovered=after is not None,
                balance_coins=balance_coins,
                viewers=hall.audience(),
            )
        )
        self._hub.restless.add(hall)
        self._catch_up(guest, hall, at_once=True)

    def _resume_from(self, message: Join, room: Room) -> int | None:
        """The seq to go on from, or None when the client has to start from the snapshot."""
        resume = message.resume
        if resume is None:
            return None
        possible = (
            resume.epoch == room.epoch
            and resume.seq <= room.sent
            and room.sent - resume.seq <= self._settings.resume_events_max
        )
        self._metrics.resumes.labels("recovered" if possible else "snapshot").inc()
        return resume.seq if possible else None

    def _catch_up(self, guest: Guest, hall: Hall, *, at_once: bool = False) -> None:
        """Send what is missing for as long as the client's buffer takes it.

        `at_once`: nothing can have happened since its `joined`.
        """
        room, paused = hall.room, self._hub.paused
        while (after := hall.catching.get(guest)) is not None and guest not in paused:
            if after + 1 < room.oldest() and after < room.sent:
                self._unread.older(guest, hall)
                return
            step = room.resume_frame(after, CATCH_UP_EVENTS)
            if step is None:
                hall.follow(guest)
                if not at_once:
                    hall.tell_again()
                    self._hub.restless.add(hall)
                return
            payload, hall.catching[guest] = step
            guest.send(payload)

    def _refuse(self, guest: Guest, message: Join, code: Code, sentence: str) -> None:
        guest.session.not_joined(message.room)
        retry_after_ms = 1_000 if code is Code.UNAVAILABLE else None
        self._metrics.refusals.labels(code.value).inc()
        guest.send(encode_refusal(code, sentence, id=message.id, retry_after_ms=retry_after_ms))
