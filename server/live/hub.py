"""The hub: from durable results to what everybody sees.

The life of a batch, once it is committed: `deliver` applies each event to its room, flushes the
rooms whose tick has come, and answers the senders. A flush builds one frame for all viewers of a
room and writes the same bytes to every transport: no task, no queue and no copy per viewer. A quiet
room's event goes out at once; a busy room sends one frame a tick, and its tick grows when a flush
takes more than half of it. Viewers who cannot keep up are closed and resume; nobody waits for them.

Where there are other nodes, what is settled here goes to them as letters, and theirs come in as if
they had been settled here (`hall.take` puts them in order). With every beat the nodes compare how
far each room's log has come, and every few beats each compares with the ledger: so a letter that
was lost, or a node that died before it wrote one, is found without another gift.

Everything here runs on the event loop's thread and never blocks; what must be read from the ledger
is noted in `unread`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import structlog

from protocol import CloseCode
from protocol.frames import text_frame
from protocol.messages import Me
from rules.events import Event
from rules.outcomes import GiftAccepted, UserErased
from rules.results import Balance, Result
from server.clock import Clock, seconds, steady_ms
from server.live.beats import Beats
from server.live.door import Guest
from server.live.hall import Hall
from server.live.letters import ALL, Batch, Beat, Stopped, room_channel
from server.live.post import Post
from server.live.room import Room
from server.live.unread import Unread
from server.live.users import Users
from server.metrics import Metrics
from server.settings.table import Settings
from server.settlement import Order

log = structlog.get_logger()

SWEEP_MS = 250
IDLE_HALLS_MAX = 200
BEAT_MS = 1_000
"""From one word to the other nodes to the next; more often where heartbeats are."""
LEDGER_EVERY = 10
"""Beats from one comparison with the ledger to the next."""


class Loading:
    """A room that is being read, and what became known of it since that began."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Event]] = []
        """With the epoch of another node's; what is settled here has ours."""
        self.outdated = False
        """Somebody was forgotten: what was read may still name them."""


class Hub:
    """All rooms of this node, and the pace of their frames."""

    def __init__(
        self,
        settings: Settings,
        post: Post,
        users: Users,
        unread: Unread,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.metrics = metrics
        self.users = users
        self.halls: dict[str, Hall] = {}
        self.loading: dict[str, Loading] = {}
        """Rooms that are being read from the ledger."""
        self.paused: dict[Guest, int] = {}
        """Connections whose buffer is full, and since when."""
        self.restless: set[Hall] = set()
        """Halls that have something to send at their next tick."""
        self._post = post
        self._beats = Beats(post.node, min(BEAT_MS, settings.heartbeat_ms))
        self._beat_ms = 0
        self._beats_until_ledger = LEDGER_EVERY
        self._unread = unread
        self._places: dict[tuple[str, str], Me] = {}
        """Where senders of the batch that is being answered stand, by room and user."""
        self._swept_ms = 0
        post.on(Batch, self._on_batch)
        post.on(Beat, self._on_beat)
        post.on(Stopped, self._on_stopped)

    def leave(self, guest: Guest) -> None:
        """Forget a connection in all its rooms. Safe to call twice."""
        self.paused.pop(guest, None)
        for room in tuple(guest.session.rooms):
            self.leave_room(guest, room)

    def leave_room(self, guest: Guest, room: str) -> None:
        guest.session.left(room)
        hall = self.halls.get(room)
        if hall is None:
            return
        if hall.remove(guest):
            hall.idle_since_ms = steady_ms()
        self.restless.add(hall)  # the others are told how many they are

    # Rooms

    @contextlib.asynccontextmanager
    async def loading_room(self, room: str) -> AsyncIterator[Loading]:
        """While the body reads a room from the ledger, what is settled in it is kept for it."""
        loading = self.loading[room] = Loading()
        await self._post.listen([room_channel(room)])
        try:
            yield loading
        finally:
            self.loading.pop(room, None)
            if room not in self.halls:
                self._post.ignore(room_channel(room))

    def open_hall(self, room: Room) -> Hall:
        """Take a room that was read from the ledger, and what was settled meanwhile."""
        now_ms = steady_ms()
        hall = self.halls[room.id] = Hall(room, self.settings.tick_ms, now_ms)
        hall.elsewhere = self._beats.viewers(room.id)
        loading = self.loading.pop(room.id, None)
        events = loading.events if loading else []
        hall.take((event for epoch, event in events if epoch in ("", room.epoch)), now_ms)
        self.metrics.rooms.set(len(self.halls))
        self.restless.add(hall)
        return hall

    def close_hall(self, hall: Hall) -> None:
        """Drop a room that nobody follows; the next one who joins reads it again."""
        self.restless.discard(hall)
        if self.halls.get(hall.room.id) is not hall:
            return  # it was given up before, and there is a new one
        self._post.ignore(room_channel(hall.room.id))
        self.halls.pop(hall.room.id)
        self.metrics.rooms.set(len(self.halls))

    def viewers(self, room: str) -> int:
        """How many follow a room, on all nodes."""
        hall = self.halls.get(room)
        return (hall.count() if hall else 0) + self._beats.viewers(room)

    # From the ledger

    def deliver(self, orders: Sequence[Order], results: Sequence[Result]) -> None:
        """Show a durable batch to everybody whom it concerns, then answer those who asked."""
        touched: dict[str, list[Event]] = {}
        for result in results:
            for event in result.events:
                touched.setdefault(event.room, []).append(event)
        now_ms = steady_ms()
        for room, events in touched.items():
            try:
                self._publish(room, events)
                self._take(room, events, now_ms)
            except Exception:
                self.give_up(room)
        try:
            self._heal_unseen(orders, results)
            self._forget_erased(results)
            self._tell(orders, results)
        except Exception:
            log.exception("hub.telling_failed", orders=len(orders))

    def _heal_unseen(self, orders: Sequence[Order], results: Sequence[Result]) -> None:
        """Find what is in the log and was never shown: a batch whose COMMIT raised and was found by
        its keys afterwards comes back as replayed, without its events."""
        for order, result in zip(orders, results, strict=True):
            seq = getattr(result.outcome, "seq", 0) if result.replayed else 0
            hall = self.halls.get(getattr(result.outcome, "room", "")) if seq else None
            if hall is not None and seq > hall.room.head:
                self._unread.gap(hall)
                self.users.doubt(getattr(order.command, "sender", ""))

    def _forget_erased(self, results: Sequence[Result]) -> None:
        erased = {r.outcome.user for r in results if isinstance(r.outcome, UserErased)}
        if erased:
            self._forget(erased)
            if not self._post.alone:
                self._beats.forgot(erased, steady_ms())
                self._tell_beat(steady_ms())

    def _forget(self, erased: set[str]) -> None:
        """Read the rooms anew in which somebody is shown who was forgotten. Their viewers come back
        and resume; the ledger does not know the name any more."""
        for loading in self.loading.values():
            loading.outdated = True
        for hall in tuple(self.halls.values()):
            if any(hall.room.shows(user) for user in erased):
                self.send_away(hall)

    def give_up(self, room: str) -> None:
        """A bug in showing one room: send its viewers away to read it anew; the others go on."""
        log.exception("hub.room_failed", room=room)
        hall = self.halls.get(room)
        if hall is not None:
            self.send_away(hall)

    def send_away(self, hall: Hall) -> None:
        """Close a room for those who follow it. They come back, and it is read anew."""
        self.close_hall(hall)
        for guest in hall.everyone():
            guest.close(CloseCode.SERVER_ERROR)

    def _take(self, room: str, events: list[Event], now_ms: int, epoch: str = "") -> None:
        loading = self.loading.get(room)
        if loading is not None:
            loading.events += ((epoch, event) for event in events)
        hall = self.halls.get(room)
        if hall is not None:
            hall.take(events, now_ms)
            self.flush_if_due(hall, now_ms)

    # With the other nodes

    def _publish(self, room: str, events: list[Event]) -> None:
        if self._post.alone:
            return
        hall = self.halls.get(room)
        if hall is not None:
            self._post.send(room_channel(room), Batch(room, hall.room.epoch, events))
        else:
            self._unread.untold(room, events)  # we do not know which log these are lines of

    def publish_passing(self, room: str, epoch: str, events: list[Event]) -> None:
        """Tell of what was settled in a room that was not in memory."""
        self._post.send(room_channel(room), Batch(room, epoch, events))
        self._beats.settled(room, epoch, events[-1].seq, steady_ms())

    def _on_batch(self, batch: Batch) -> None:
        """Another node settled something in a room that is followed here."""
        hall = self.halls.get(batch.room)
        if hall is not None and not self._is_our_log(hall, batch.epoch):
            return
        try:
            self._take(batch.room, batch.events, steady_ms(), batch.epoch)
        except Exception:
            self.give_up(batch.room)

    def _is_our_log(self, hall: Hall, epoch: str) -> bool:
        """Whether that epoch is our room's. If not, one of us is out of date: the ledger says who,
        and is asked once for each epoch that we hear of."""
        if epoch != hall.room.epoch and epoch != hall.foreign:
            hall.foreign = epoch
            self._unread.gap(hall)
        return epoch == hall.room.epoch

    def compare(self, hall: Hall, epoch: str, head: int) -> None:
        """Hold a room against what is known of its log; what is missing is waited for and read."""
        if self._is_our_log(hall, epoch) and head > hall.room.head:
            hall.heard_of(head, steady_ms())
            self.restless.add(hall)

    def _tell_beat(self, now_ms: int) -> None:
        rooms = {
            name: (hall.room.epoch, hall.room.head, hall.count())
            for name, hall in self.halls.items()
        }
        self._post.send(ALL, self._beats.tell(rooms, self._post.number(), now_ms))

    def _on_beat(self, beat: Beat) -> None:
        news = self._beats.hear(beat, steady_ms())
        self._recount(news.recounted)
        for room, (epoch, head, _) in beat.rooms.items():
            hall = self.halls.get(room)
            if hall is not None:
                self.compare(hall, epoch, head)
        if news.erased:
            self._forget(news.erased)

    def _on_stopped(self, letter: Stopped) -> None:
        self._recount(self._beats.left(letter.node))

    def _recount(self, rooms: set[str]) -> None:
        for room in rooms & self.halls.keys():
            hall = self.halls[room]
            hall.elsewhere = self._beats.viewers(room)
            self.restless.add(hall)

    def _beat(self, now_ms: int) -> None:
        """What is done with every beat. A node that is alone has nobody to compare with."""
        self._recount(self._beats.forget_silent(now_ms))
        if self._post.alone:
            return
        self._tell_beat(now_ms)
        self.metrics.dropped.set(self._post.dropped)
        self._beats_until_ledger -= 1
        if self._beats_until_ledger <= 0:
            self._beats_until_ledger = LEDGER_EVERY
            self._unread.heads()

    def say_goodbye(self) -> None:
        """This node stops: the others need not wait for its silence."""
        self._post.send(ALL, Stopped(self._post.node))

    # To users

    def _tell(self, orders: Sequence[Order], results: Sequence[Result]) -> None:
        """Tell users what has become of their wallets and limits. Who asked has the balance in its
        answer, which comes after this."""
        self._places.clear()
        coins = 0
        gifts = 0
        changed: dict[str, tuple[Balance, str]] = {}
        for order, result in zip(orders, results, strict=True):
            if isinstance(result.outcome, GiftAccepted) and not result.replayed:
                gifts += 1
                coins += result.outcome.coins
            if result.balance is not None:
                reason = order.command.__struct_config__.tag
                changed[result.balance.user] = (result.balance, str(reason))
            if result.reminder is not None:
                self.users.remind(result.reminder)
        self.metrics.gifts.inc(gifts)
        self.metrics.coins.inc(coins)
        askers = {order.asker for order in orders} if changed else set()
        for balance, reason in changed.values():
            self.users.settled(balance, reason, askers)

    def place(self, room: str, user: str) -> Me:
        """Where a user stands in a room; looked up once for all their gifts of one batch."""
        place = self._places.get((room, user))
        if place is None:
            hall = self.halls.get(room)
            place = hall.room.me(user) if hall else Me(coins=0, rank=None)
            self._places[room, user] = place
        return place

    # Sending

    def flush_if_due(self, hall: Hall, now_ms: int) -> None:
        if now_ms >= hall.due_ms:
            self.flush(hall, now_ms)
        else:
            self.restless.add(hall)

    def flush(self, hall: Hall, now_ms: int) -> None:
        """Send a room everything that it has to say now: one write per viewer."""
        started = seconds()
        room = hall.room
        frame = room.take_frame(self.settings.frame_events_max)
        payloads = frame.payloads + room.take_level_ups() + room.take_ended_combos()
        payloads += hall.take_states(now_ms)
        if payloads:
            self.metrics.merged.inc(frame.merged)
            self.metrics.omitted.inc(frame.omitted)
            self._write_all(hall, b"".join(map(text_frame, payloads)))
            hall.sent_ms = now_ms
        hall.admit_waiting()
        if payloads:
            spent = seconds() - started
            self.metrics.flush.observe(spent)
            hall.adapt(spent * 1000, self.settings.tick_ms)
            hall.due_ms = now_ms + hall.tick_ms
        if not hall.quiet():
            self.restless.add(hall)

    def _write_all(self, hall: Hall, data: bytes) -> None:
        writes = hall.writes()
        left = iter(writes)
        while True:
            try:
                for write in left:
                    write(data)
                break
            except Exception as error:
                # One transport that fails must not cost the others their frame: go on behind it.
                log.warning("hub.write_failed", error=repr(error))
                write.__self__.abort()  # type: ignore[attr-defined]
        self.metrics.frames.inc(len(writes))

    async def run(self) -> None:
        """The ticker: flushes what waits, ends combos, drops idle rooms, closes the too slow."""
        pause = max(self.settings.tick_ms, 5) / 2000
        expected = seconds() + pause
        while True:
            await asyncio.sleep(pause)
            self.metrics.lag.observe(max(0.0, seconds() - expected))
            self.tick(steady_ms(), self.clock())
            expected = seconds() + pause

    def tick(self, now_ms: int, wall_ms: int) -> None:
        for hall in tuple(self.restless):
            if now_ms < hall.due_ms:
                continue
            self.restless.discard(hall)
            try:
                hall.room.end_combos(wall_ms)
                if hall.too_long_behind(now_ms):
                    self._unread.gap(hall)
                if hall.abandoned(now_ms):
                    self.close_hall(hall)
                else:
                    self.flush(hall, now_ms)
            except Exception:
                self.give_up(hall.room.id)
        if now_ms - self._beat_ms >= self._beats.beat_ms:
            self._beat_ms = now_ms
            self._beat(now_ms)
        if now_ms - self._swept_ms >= SWEEP_MS:
            self._swept_ms = now_ms
            self._close_slow(now_ms)
            self.users.forget_absent(now_ms)
            self._close_idle()

    def _close_idle(self) -> None:
        """Keep only so many rooms that nobody follows: wandering through all fills no memory."""
        if len(self.halls) > IDLE_HALLS_MAX:
            idle = [hall for hall in self.halls.values() if not hall.everyone()]
            idle.sort(key=lambda hall: hall.idle_since_ms)
            for hall in idle[: max(0, len(idle) - IDLE_HALLS_MAX)]:
                self.close_hall(hall)

    def _close_slow(self, now_ms: int) -> None:
        for guest, since_ms in tuple(self.paused.items()):
            if (
                guest.buffered() > self.settings.slow_bytes
                or now_ms - since_ms > self.settings.slow_ms
            ):
                guest.close(CloseCode.TOO_SLOW)
