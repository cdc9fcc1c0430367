"""Where connections come in: who may, what each may ask, and how all of them are sent away.

The node's side of the door (see `door`). It knows everybody who is connected, visits them on two
wheels (heartbeats with the look at their token, pings), stops reading from who is too much for us,
and in the end sends everybody away in paced steps.
"""

import asyncio
import logging
import random
import secrets
from collections import deque
from collections.abc import Collection
from typing import Final, NamedTuple

import structlog

from protocol import CloseCode, Code, Phase, encode
from protocol.messages import (
    PROTOCOL_VERSION,
    AskStanding,
    Heartbeat,
    Join,
    Notice,
    Person,
    Welcome,
)
from rules.commands import AnyCommand, SendGift
from rules.results import Result
from server.auth import Identity, TokenFault, TokenVerifier
from server.clock import Clock, steady_ms
from server.in_force import InForce
from server.live.admission import Admission
from server.live.answers import gift_answer
from server.live.door import Guest, NotNow, too_fast
from server.live.hub import Hub
from server.live.joins import Joins
from server.live.wheel import Wheel
from server.settlement import Settlement

log = structlog.get_logger()

DRAIN_STEP_MS = 50
"""Connections are closed in steps, so that their reconnects arrive in steps."""

LET_GO_MS = 20

BUSY = "The server is busy; nothing was charged, the same key may be sent again."


class Seat(NamedTuple):
    """Where an admitted connection is counted."""

    address: str
    heartbeats: int
    pings: int


class Lobby:
    """See `door.Door` for what connections ask; the rest is the node's."""

    def __init__(
        self,
        hub: Hub,
        joins: Joins,
        settlement: Settlement,
        verifier: TokenVerifier,
        in_force: InForce,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self.settings = hub.settings
        self.metrics = hub.metrics
        self.quiet = logging.getLogger("largesse.websocket")
        self.quiet.disabled = True
        self.admission = Admission(self.settings, steady_ms())
        self.guests: dict[Guest, Seat] = {}
        self._hub: Final = hub
        self._users: Final = hub.users
        self._joins: Final = joins
        self._settlement: Final = settlement
        self._verifier: Final = verifier
        self._in_force: Final = in_force
        self._clock: Final = clock
        self._rng: Final = rng
        self._held_back: deque[Guest] = deque()
        self._heartbeats: Wheel[Guest] = Wheel(self.settings.heartbeat_ms, self._heartbeat)
        self._pings: Wheel[Guest] = Wheel(self.settings.ping_ms, _ping)

    # Coming and going

    def admit(self, guest: Guest, address: str) -> int:
        retry_after_s = self.admission.enter(address, steady_ms())
        if not retry_after_s:
            self.guests[guest] = Seat(address, self._heartbeats.add(guest), self._pings.add(guest))
            self.metrics.connections.set(len(self.guests))
        return retry_after_s

    def verify(self, token: str) -> Identity | TokenFault:
        return self._verifier.verify(token, self._clock())

    def welcome(self, guest: Guest, identity: Identity) -> bytes | None:
        if not self._users.enter(guest, identity.user):
            return None
        return encode(
            Welcome(
                protocol=PROTOCOL_VERSION,
                session=secrets.token_hex(8),
                user=Person(id=identity.user, name=identity.name),
                role=identity.role,
                now_ms=self._clock(),
                heartbeat_ms=self.settings.heartbeat_ms,
                catalogue=self._in_force.policy.catalogue.version,
            )
        )

    def left(self, guest: Guest) -> None:
        self._hub.leave(guest)
        self._users.leave(guest)

    def gone(self, guest: Guest) -> None:
        self.left(guest)
        seat = self.guests.pop(guest, None)
        if seat is None:
            return
        self.metrics.connections.set(len(self.guests))
        self._heartbeats.remove(guest, seat.heartbeats)
        self._pings.remove(guest, seat.pings)
        self.admission.leave(seat.address)

    # Rooms

    def join(self, guest: Guest, message: Join) -> None:
        self._joins.join(guest, message)

    def leave(self, guest: Guest, room: str) -> None:
        self._hub.leave_room(guest, room)

    def standing(self, guest: Guest, message: AskStanding) -> bytes | None:
        hall = self._hub.halls.get(message.room)
        if hall is None or guest.identity is None:
            return None
        return hall.room.standing(message.id, guest.identity.user)

    # Gifts

    def give(self, guest: Guest, identity: Identity, gift: SendGift) -> NotNow | CloseCode | None:
        if not self._still_valid(identity):
            return CloseCode.TOKEN_EXPIRED
        if wait_ms := self._users.too_fast(identity.user):
            return too_fast(wait_ms)
        if not self._settlement.submit(gift, guest):
            return NotNow(Code.BUSY, BUSY, self._hold_back(guest))
        return None

    def answer(self, command: AnyCommand, result: Result) -> bytes:
        assert isinstance(command, SendGift)  # guests ask for nothing else
        return gift_answer(command, result, self._hub.place(command.room, command.sender))

    def _still_valid(self, identity: Identity) -> bool:
        """Whether a token that was good is good now: not expired and not revoked."""
        revoked = identity.token_id is not None and self._verifier.is_revoked(identity.token_id)
        return not revoked and self._clock() < identity.expires_ms

    # Too much at once

    def paused(self, guest: Guest) -> None:
        self._hub.paused[guest] = steady_ms()

    def drained(self, guest: Guest) -> None:
        self._hub.paused.pop(guest, None)
        self._joins.continue_catching(guest)

    def _hold_back(self, guest: Guest) -> int:
        """The queue is full: stop reading from who filled it, until there is room.

        Refusing costs nearly as much as queueing, so a server that only refuses has no time left to
        book; what is not read waits in the sender's own socket. Returns the milliseconds after
        which the refused gift may be sent again, different for everyone.
        """
        if guest.hold_back():
            self._held_back.append(guest)
        return self._rng.randrange(200, 1_000)

    async def _let_go(self) -> None:
        """Read again, from the first who was held back on, a few at a time while there is room."""
        while True:
            await asyncio.sleep(LET_GO_MS / 1000)
            count = len(self._held_back) // 25 + 8
            while self._held_back and count and self._settlement.half_empty():
                self._held_back.popleft().read_on()
                count -= 1

    # Visits

    def _heartbeat(self, guest: Guest) -> None:
        """Is its token good, and has it heard anything lately?"""
        identity = guest.identity
        if identity is not None and not self._still_valid(identity):
            guest.close(CloseCode.TOKEN_EXPIRED)
        if guest.session.phase is not Phase.OPEN or identity is None:
            return
        self._users.visit(identity.user)
        recently_ms = steady_ms() - self.settings.heartbeat_ms // 2
        rooms: dict[str, int] = {}
        for room in guest.session.rooms:
            hall = self._hub.halls.get(room)
            if hall is not None:
                if hall.sent_ms > recently_ms and guest in hall.viewers:
                    return
                rooms[room] = hall.room.sent
        guest.send(encode(Heartbeat(now_ms=self._clock(), rooms=rooms)))

    def turn_out(self, token_ids: Collection[str]) -> None:
        """Close who is connected with one of these tokens."""
        for guest in list(self.guests):
            if guest.identity is not None and guest.identity.token_id in token_ids:
                guest.close(CloseCode.TOKEN_EXPIRED)

    # Life

    async def run(self) -> None:
        """The live half's tasks, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._hub.run())
            tasks.create_task(self._joins.run())
            tasks.create_task(self._heartbeats.run())
            tasks.create_task(self._pings.run())
            tasks.create_task(self._let_go())

    async def send_away(self, *, at_once: bool) -> None:
        """Take nobody in any more, and send everybody away over `drain_ms`; or at once, without an
        answer to anybody, when the books are in doubt."""
        self.admission.draining = True
        leaving = list(self.guests)
        log.info("drain.started", connections=len(leaving))
        self._rng.shuffle(leaving)
        for guest in leaving:
            if guest.session.phase is Phase.OPEN:
                guest.send(self._farewell())
        if at_once:
            for guest in leaving:
                guest.close(CloseCode.SERVER_ERROR)
            return
        steps = max(1, self.settings.drain_ms // DRAIN_STEP_MS)
        size = max(1, -(-len(leaving) // steps))
        for start in range(0, len(leaving), size):
            for guest in leaving[start : start + size]:
                guest.close(CloseCode.DRAINING)
            await asyncio.sleep(DRAIN_STEP_MS / 1000)

    def _farewell(self) -> bytes:
        """Everyone gets another moment to come back at."""
        wait_ms = self._rng.randrange(500, 500 + max(1, self.settings.drain_ms))
        sentence = "The server is restarting; reconnect and resume."
        return encode(Notice(code="draining", message=sentence, reconnect_after_ms=wait_ms))


def _ping(guest: Guest) -> None:
    guest.ping()
