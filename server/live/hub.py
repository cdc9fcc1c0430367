"""The hub: from durable results to what everybody sees.

The life of a batch, once it is committed: `deliver` applies each event to its room, flushes the
rooms whose tick has come, and answers the senders. A flush builds one frame for all viewers of a
room and writes the same bytes to every transport: no task, no queue and no copy per viewer. A quiet
room's event goes out at once; a busy room sends one frame a tick, and its tick grows when a flush
takes more than half of it. Viewers who cannot keep up are closed and resume; nobody waits for them.

Everything here runs on the event loop's thread and never blocks; what must be read from the ledger
is left to `joins`.
"""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence

import structlog

from fanout import Batch, Fanout
from protocol import CloseCode
from protocol.frames import text_frame
from protocol.messages import Me
from rules.events import Event
from rules.outcomes import GiftAccepted, UserErased
from rules.results import Balance, Result
from server.clock import Clock, seconds, steady_ms
from server.live.answers import balance_notice, reminder_notice
from server.live.door import Guest
from server.live.hall import Hall
from server.live.room import Room, decode_payload, encode_payload
from server.live.unread import Unread
from server.live.users import Users
from server.metrics import Metrics
from server.settings.table import Settings
from server.settlement import Asker, Order

log = structlog.get_logger()

SWEEP_MS = 250
IDLE_HALLS_MAX = 200


class Hub:
    """All rooms of this node, and the pace of their frames."""

    def __init__(
        self,
        settings: Settings,
        fanout: Fanout,
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
        self.loading: dict[str, list[Event]] = {}
        """Rooms that are being read from the ledger, with the events settled since that began."""
        self.paused: dict[Guest, int] = {}
        """Connections whose buffer is full, and since when."""
        self.restless: set[Hall] = set()
        """Halls that have something to send at their next tick."""
        self._fanout = fanout
        self._unread = unread
        self._places: dict[tuple[str, str], Me] = {}
        """Where senders of the batch that is being answered stand, by room and user."""
        self._swept_ms = 0

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

    @contextlib.contextmanager
    def loading_room(self, room: str) -> Iterator[None]:
        """While the body reads a room from the ledger, what is settled in it is kept for it."""
        self.loading[room] = []
        self._fanout.listen(room, self._on_batch)
        try:
            yield
        finally:
            self.loading.pop(room, None)
            if room not in self.halls:
                self._fanout.ignore(room)

    def open_hall(self, room: Room) -> Hall:
        """Take a room that was read from the ledger, and what was settled meanwhile."""
        hall = self.halls[room.id] = Hall(room, self.settings.tick_ms, steady_ms())
        for event in self.loading.pop(room.id, ()):
            if event.seq == room.head + 1:
                room.apply(event)
        self.metrics.rooms.set(len(self.halls))
        self.restless.add(hall)
        return hall

    def close_hall(self, hall: Hall) -> None:
        """Drop a room that nobody follows; the next one who joins reads it again."""
        self.restless.discard(hall)
        if self.halls.get(hall.room.id) is not hall:
            return  # it was given up before, and there is a new one
        self._fanout.ignore(hall.room.id)
        self.halls.pop(hall.room.id)
        self.metrics.rooms.set(len(self.halls))

    def viewers(self, room: str) -> int:
        hall = self.halls.get(room)
        return hall.count() if hall else 0

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
                self._take(room, events)
                self._publish(room, events)
                hall = self.halls.get(room)
                if hall is not None:
                    self.flush_if_due(hall, now_ms)
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
        """Read the rooms anew in which somebody is shown who was forgotten. Their viewers come back
        and resume; the ledger does not know the name any more."""
        erased = {r.outcome.user for r in results if isinstance(r.outcome, UserErased)}
        for hall in tuple(self.halls.values()) if erased else ():
            if any(hall.room.shows(user) for user in erased):
                self._send_away(hall)

    def give_up(self, room: str) -> None:
        """A bug in showing one room: send its viewers away to read it anew; the others go on."""
        log.exception("hub.room_failed", room=room)
        hall = self.halls.get(room)
        if hall is not None:
            self._send_away(hall)

    def _send_away(self, hall: Hall) -> None:
        self.close_hall(hall)
        for guest in hall.everyone():
            guest.close(CloseCode.SERVER_ERROR)

    def _take(self, room: str, events: list[Event]) -> None:
        if room in self.loading:
            self.loading[room].extend(events)
        hall = self.halls.get(room)
        if hall is None:
            return
        for event in events:
            if event.seq == hall.room.head + 1:
                hall.room.apply(event)
            elif event.seq > hall.room.head:
                self._unread.gap(hall)
                return

    def _publish(self, room: str, events: list[Event]) -> None:
        if self._fanout.alone:
            return
        hall = self.halls.get(room)
        epoch = hall.room.epoch if hall else ""
        payload = encode_payload(events)
        self._fanout.publish(Batch(room, epoch, events[0].seq, events[-1].seq, payload))

    def _on_batch(self, batch: Batch) -> None:
        """Another node settled something in a room that is followed here."""
        if batch.room in self.loading:
            self.loading[batch.room].extend(decode_payload(batch.room, batch.payload))
        hall = self.halls.get(batch.room)
        if hall is None or batch.last <= hall.room.head:
            return
        if batch.first > hall.room.head + 1 or batch.epoch not in ("", hall.room.epoch):
            self._unread.gap(hall)
            return
        self._take(
            batch.room,
            [e for e in decode_payload(batch.room, batch.payload) if e.seq > hall.room.head],
        )
        self.flush_if_due(hall, steady_ms())

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
                self.users.tell(result.reminder.user, reminder_notice(result.reminder))
        self.metrics.gifts.inc(gifts)
        self.metrics.coins.inc(coins)
        if changed:
            self._push_balances(changed, {order.asker for order in orders})

    def _push_balances(self, changed: dict[str, tuple[Balance, str]], askers: set[Asker]) -> None:
        for balance, reason in changed.values():
            if self.users.changed(balance, askers):
                self.users.tell(balance.user, balance_notice(balance.coins, reason), but=askers)

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
                if hall.abandoned(now_ms):
                    self.close_hall(hall)
                else:
                    self.flush(hall, now_ms)
            except Exception:
                self.give_up(hall.room.id)
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
