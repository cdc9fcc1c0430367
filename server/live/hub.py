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
from collections.abc import Callable, Iterator, Sequence

import msgspec
import structlog

from fanout import Batch, Fanout
from protocol import CloseCode, encode, encode_refusal
from protocol.frames import text_frame
from protocol.messages import Accepted, Balance, Combo, Me, Notice
from rules.commands import SendGift
from rules.events import Event
from rules.limits import full_bucket
from rules.outcomes import GiftAccepted, Refused, UserErased
from rules.results import Reminder, Result
from server.clock import Clock, seconds, steady_ms
from server.live.connection import Connection
from server.live.hall import Hall
from server.live.room import Room, decode_payload, encode_payload
from server.live.users import UserHere
from server.metrics import Metrics
from server.settings.table import Settings
from server.settlement import Order

log = structlog.get_logger()

SWEEP_MS = 250
IDLE_HALLS_MAX = 200
RETRY_UNAVAILABLE_MS = 100


class Hub:
    """All rooms, users and connections of this node."""

    def __init__(self, settings: Settings, fanout: Fanout, clock: Clock, metrics: Metrics) -> None:
        self.settings = settings
        self.clock = clock
        self.metrics = metrics
        self.halls: dict[str, Hall] = {}
        self.loading: dict[str, list[Event]] = {}
        """Rooms that are being read from the ledger, with the events settled since that began."""
        self.users: dict[str, UserHere] = {}
        self.paused: set[Connection] = set()
        self.restless: set[Hall] = set()
        """Halls that have something to send at their next tick."""
        self.heal: Callable[[Hall], None] = lambda hall: None
        self._fanout = fanout
        self._absent: dict[str, int] = {}
        """Users without a connection, oldest first. They are kept until their gift bucket is full
        again: reconnecting must not be a way around the rate."""
        self._swept_ms = 0

    # Users

    def enter(self, connection: Connection, user: str) -> UserHere | None:
        """Count a connection of a user; None when the user has too many."""
        here = self.users.get(user)
        if here is None:
            settings = self.settings
            bucket = full_bucket(settings.gift_rate, settings.gift_burst, steady_ms())
            here = self.users[user] = UserHere(user, bucket)
        if len(here.connections) >= self.settings.max_connections_per_user:
            return None
        here.connections.add(connection)
        self._absent.pop(user, None)
        return here

    def leave(self, connection: Connection) -> None:
        """Forget a connection everywhere. Safe to call twice."""
        self.paused.discard(connection)
        for room in tuple(connection.session.rooms):
            self.leave_room(connection, room)
        here, connection.here = connection.here, None
        if here is not None:
            here.connections.discard(connection)
            if not here.connections:
                self._absent[here.id] = steady_ms()

    def leave_room(self, connection: Connection, room: str) -> None:
        connection.session.left(room)
        hall = self.halls.get(room)
        if hall is None:
            return
        if hall.remove(connection):
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
            self._answer(orders, results)
        except Exception:
            log.exception("hub.answers_failed", orders=len(orders))  # their keys have the answers

    def _heal_unseen(self, orders: Sequence[Order], results: Sequence[Result]) -> None:
        """Find what is in the log and was never shown: a batch whose COMMIT raised and was found by
        its keys afterwards comes back as replayed, without its events."""
        for order, result in zip(orders, results, strict=True):
            seq = getattr(result.outcome, "seq", 0) if result.replayed else 0
            hall = self.halls.get(getattr(result.outcome, "room", "")) if seq else None
            if hall is not None and seq > hall.room.head:
                self.heal(hall)
                here = self.users.get(getattr(order.command, "sender", ""))
                if here is not None:
                    here.balance = None  # read again at the next join

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
        for connection in hall.everyone():
            connection.close(CloseCode.SERVER_ERROR)

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
                self.heal(hall)
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
            self.heal(hall)
            return
        self._take(
            batch.room,
            [e for e in decode_payload(batch.room, batch.payload) if e.seq > hall.room.head],
        )
        self.flush_if_due(hall, steady_ms())

    # Answers

    def _answer(self, orders: Sequence[Order], results: Sequence[Result]) -> None:
        booked = [
            result.outcome.coins
            for result in results
            if isinstance(result.outcome, GiftAccepted) and not result.replayed
        ]
        self.metrics.gifts.inc(len(booked))
        self.metrics.coins.inc(sum(booked))
        changed: dict[str, tuple[int, str]] = {}
        askers: set[Connection] = set()
        places: dict[tuple[str, str], Me] = {}
        for order, result in zip(orders, results, strict=True):
            if result.balance is not None:
                reason = order.command.__struct_config__.tag
                changed[result.balance.user] = (result.balance.coins, str(reason))
            if result.reminder is not None:
                self._remind(result.reminder)
            if isinstance(order.asker, Connection) and isinstance(order.command, SendGift):
                order.asker.queue(self._gift_answer(order.command, result, places))
                askers.add(order.asker)
        self._push_balances(changed, askers)
        for connection in askers:
            connection.flush()

    def _gift_answer(
        self, command: SendGift, result: Result, places: dict[tuple[str, str], Me]
    ) -> bytes:
        outcome = result.outcome
        if isinstance(outcome, Refused):
            return encode_refusal(
                outcome.code,
                outcome.message,
                key=command.key,
                retry_after_ms=RETRY_UNAVAILABLE_MS if outcome.code == "unavailable" else None,
                details=outcome.details,
            )
        assert isinstance(outcome, GiftAccepted)
        place = places.get((command.room, command.sender))
        if place is None:
            hall = self.halls.get(command.room)
            place = hall.room.me(command.sender) if hall else Me(coins=0, rank=None)
            places[command.room, command.sender] = place
        shown = outcome.combo
        combo = Combo(**msgspec.structs.asdict(shown)) if shown else None
        return encode(
            Accepted(
                key=command.key,
                room=outcome.room,
                seq=outcome.seq,
                gift=outcome.gift,
                quantity=outcome.quantity,
                coins=outcome.coins,
                balance_coins=outcome.balance_coins,
                total_coins=outcome.total_coins,
                me=place,
                combo=combo,
                at_ms=outcome.at_ms,
                replayed=result.replayed,
            )
        )

    def _push_balances(self, changed: dict[str, tuple[int, str]], askers: set[Connection]) -> None:
        """Tell a user's other connections; the one that asked has it in its answer."""
        for user, (coins, reason) in changed.items():
            here = self.users.get(user)
            if here is None:
                continue
            here.balance = coins
            payload = b""
            for connection in here.connections - askers:
                if connection.session.role == "overlay":
                    continue  # its link is shown to people: a wallet is nobody's business there
                payload = payload or encode(Balance(balance_coins=coins, reason=reason))
                connection.send(payload)

    def _remind(self, reminder: Reminder) -> None:
        """Tell a user how much of their limit is used up, wherever they are watching."""
        spent, limit = reminder.spent_coins, reminder.limit_coins
        sentence = f"You have spent {spent} of {limit} coins in 24 hours ({reminder.percent} %)."
        details = {"percent": reminder.percent, "limit_coins": limit, "spent_coins": spent}
        payload = encode(Notice(code="limit_reminder", message=sentence, details=dict(details)))
        here = self.users.get(reminder.user)
        for connection in here.connections if here else ():
            if connection.session.role != "overlay":
                connection.queue(payload)
                connection.flush()

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
            self._forget_absent(now_ms)
            self._close_idle()

    def _forget_absent(self, now_ms: int) -> None:
        refill_ms = self.settings.gift_burst * 1000 // self.settings.gift_rate + 1
        while self._absent:
            user, since_ms = next(iter(self._absent.items()))
            if now_ms - since_ms < refill_ms:
                break
            del self._absent[user]
            self.users.pop(user, None)

    def _close_idle(self) -> None:
        """Keep only so many rooms that nobody follows: wandering through all fills no memory."""
        if len(self.halls) > IDLE_HALLS_MAX:
            idle = [hall for hall in self.halls.values() if not hall.everyone()]
            idle.sort(key=lambda hall: hall.idle_since_ms)
            for hall in idle[: max(0, len(idle) - IDLE_HALLS_MAX)]:
                self.close_hall(hall)

    def _close_slow(self, now_ms: int) -> None:
        for connection in tuple(self.paused):
            if (
                connection.buffered() > self.settings.slow_bytes
                or now_ms - connection.paused_ms > self.settings.slow_ms
            ):
                connection.close(CloseCode.TOO_SLOW)
