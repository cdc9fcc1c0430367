"""The client's side of the protocol without a socket, a clock or chance: inputs in, effects out.

Every method is something that happened; it answers with what has to be done now (effects.py), in
order. `now_ms` counts from anywhere, `random` is in [0, 1). connection.py performs the effects
with asyncio; a test, or another event loop, may do so as well.

    idle ──start──▶ connecting ──opened──▶ greeting ──welcome──▶ live
                       ▲                                          │ closed, or silent too long
                       └────────── timer ────── waiting ◀─────────┤
                                                                  │ closed with 4500–4999, 401, 403
    closed ◀── stop (from anywhere)              refused ◀────────┘

A session that gets a fresh token for each connection comes back from the end of one, too (4502).
"""

from enum import StrEnum
from typing import assert_never

from largesse_client import backoff
from largesse_client.effects import (
    CancelTimers,
    Connect,
    Drop,
    Effect,
    Question,
    Reply,
    Send,
    Tell,
    Timer,
)
from largesse_client.messages import (
    Accepted,
    AskStanding,
    Balance,
    Board,
    ComboEnded,
    Events,
    Gift,
    Heartbeat,
    Joined,
    Leave,
    Left,
    LevelUp,
    Notice,
    Ping,
    Pong,
    Refused,
    ServerMessage,
    Shown,
    Standing,
    Viewers,
    Welcome,
)
from largesse_client.news import Delayed, Disconnected, Misread, Unknown
from largesse_client.pending import RETRY_DEFAULT_MS, Pending
from largesse_client.rooms import Room
from largesse_client.wire import Unreadable, decode

HEARTBEATS_MISSED_MAX = 2.5
"""Without a frame for so many heartbeats the line is dead, whatever TCP believes."""

HEARTBEAT_GUESS_MS = 4_000
"""Until `welcome` names the heartbeat: how long opening and greeting may take, in that measure."""

TOKEN_EXPIRED = 4502
"""The token that was good has expired, or was revoked."""

WORKED_MS = 10_000
"""A connection that lived so long had worked: the next one starts without back-off."""

PENDING_MAX = 100
"""More unanswered gifts, or questions, are refused here; a bug made them."""

ROOMS_MAX = 50
"""What the contract allows one connection to follow."""


class Phase(StrEnum):
    """Where a session is in its life; see the top of this file."""

    IDLE = "idle"
    CONNECTING = "connecting"
    GREETING = "greeting"
    LIVE = "live"
    WAITING = "waiting"
    REFUSED = "refused"
    CLOSED = "closed"


_OVER = (Phase.CLOSED, Phase.REFUSED)


class Session:
    """Rooms that are wanted, gifts that wait, and what was told last. See the top of this file."""

    def __init__(self, *, fresh_tokens: bool = False) -> None:
        self.phase = Phase.IDLE
        self.rooms: dict[str, Room] = {}
        self.pending = Pending()
        self.welcome: Welcome | None = None
        self.balance_coins: int | None = None
        self._questions: dict[str, AskStanding | Ping] = {}
        self._ids = 0
        self._attempt = 0
        self._live_since_ms: int | None = None
        self._last_frame_ms = 0
        self._heartbeat_ms = HEARTBEAT_GUESS_MS
        self._reconnect_after_ms = 0
        self._fresh_tokens = fresh_tokens

    # The connection

    def start(self, now_ms: int) -> list[Effect]:
        """Connect, and stay connected until `stop` or a refusal."""
        if self.phase in (Phase.CONNECTING, Phase.GREETING, Phase.LIVE):
            return []
        self.phase = Phase.CONNECTING
        self._live_since_ms = None
        self._last_frame_ms = now_ms
        self._heartbeat_ms = HEARTBEAT_GUESS_MS
        return [CancelTimers(), Connect(), Timer("watchdog", self._silence_max_ms())]

    def opened(self) -> list[Effect]:
        """The connection is open, and the token was sent with it; `welcome` is to come."""
        self.phase = Phase.GREETING
        return []

    def closed(
        self, code: int, reason: str, now_ms: int, random: float, after_ms: int = 0
    ) -> list[Effect]:
        """The connection has ended, or could not be opened: `code` is its close code, 1006, or the
        HTTP status of a refused upgrade. `after_ms`: what a `Retry-After` said."""
        if self.phase in (Phase.CLOSED, Phase.REFUSED, Phase.WAITING):
            return []
        for room in self.rooms.values():
            room.line_broke()
        self.pending.line_broke()
        stranded = self._answer_stranded()
        # A token that was never good is not better the next time.
        outlived = code == TOKEN_EXPIRED and self._fresh_tokens and self._live_since_ms is not None
        worked = self._live_since_ms is not None and now_ms - self._live_since_ms >= WORKED_MS
        self._live_since_ms = None
        message = reason or backoff.close_sentence(code)
        if not (outlived or backoff.comes_back(code)):
            self.phase = Phase.REFUSED
            gone = Disconnected(code=code, message=message, reconnect_in_ms=None)
            return [CancelTimers(), *stranded, *self._give_up_all(message), Tell(gone)]
        attempt = 0 if worked else self._attempt
        floor_ms = max(self._reconnect_after_ms, after_ms)
        in_ms = backoff.reconnect_ms(attempt, random, floor_ms)
        self.phase, self._attempt, self._reconnect_after_ms = Phase.WAITING, attempt + 1, 0
        news = Disconnected(code=code, message=message, reconnect_in_ms=in_ms)
        return [CancelTimers(), Timer("reconnect", in_ms), *stranded, Tell(news)]

    def stop(self) -> list[Effect]:
        """Leave for good. What has no answer yet is answered here."""
        self.phase = Phase.CLOSED
        given_up = self._give_up_all("The connection was closed before the answer came.")
        return [CancelTimers(), Drop(1000, "closed by the client"), *given_up]

    def rang(self, name: str, room: str, now_ms: int) -> list[Effect]:
        """A timer."""
        match name:
            case "reconnect":
                return self.start(now_ms)
            case "watchdog":
                return self._watch(now_ms)
            case "resend":
                return self._send_due(now_ms)
        found = self.rooms.get(room)
        if found is None:
            return []
        return found.look_behind(self._new_id) if name == "behind" else found.ask(self._new_id)

    def _watch(self, now_ms: int) -> list[Effect]:
        """One long timer that looks at the last frame, and not one that every frame restarts."""
        left_ms = self._last_frame_ms + self._silence_max_ms() - now_ms
        return [Timer("watchdog", left_ms)] if left_ms > 0 else [Drop(4002, "")]

    def _silence_max_ms(self) -> int:
        return int(HEARTBEATS_MISSED_MAX * self._heartbeat_ms)

    def _new_id(self) -> str:
        self._ids += 1
        return f"c{self._ids}"

    # What the server says

    def heard(self, frame: bytes | str, now_ms: int, random: float) -> list[Effect]:
        """One text frame. What breaks the contract is told and passed over."""
        self._last_frame_ms = now_ms
        try:
            message = decode(frame)
            return [] if message is None else self._hear(message, now_ms, random)
        except Unreadable as error:
            return [Tell(Misread(message=str(error)))]

    def _hear(self, message: ServerMessage, now_ms: int, random: float) -> list[Effect]:
        match message:
            case Events():
                room = self.rooms.get(message.room)
                return room.hear_frame(message, self._new_id) if room else []
            case Board() | Viewers():
                if message.room in self.rooms:
                    self.rooms[message.room].hear_state(message)
                return [Tell(message)]
            case ComboEnded() | LevelUp() | Left():
                return [Tell(message)]
            case Heartbeat():
                return self._hear_heads(message)
            case Accepted() | Refused():
                return self._hear_answer(message, now_ms, random)
            case Joined():
                return self._hear_joined(message, now_ms)
            case Standing() | Pong():
                return self._hear_reply(message)
            case Balance():
                self.balance_coins = message.balance_coins
                return [Tell(message)]
            case Notice():
                if message.reconnect_after_ms is not None:
                    self._reconnect_after_ms = message.reconnect_after_ms
                return [Tell(message)]
            case Welcome():
                return self._hear_welcome(message, now_ms)
            case _:
                assert_never(message)

    def _hear_welcome(self, message: Welcome, now_ms: int) -> list[Effect]:
        self.phase, self.welcome = Phase.LIVE, message
        self._live_since_ms, self._reconnect_after_ms = now_ms, 0
        self._heartbeat_ms = message.heartbeat_ms
        effects: list[Effect] = [Timer("watchdog", self._silence_max_ms()), Tell(message)]
        for room in self.rooms.values():
            effects += room.ask(self._new_id)
        return effects + self._send_questions("")

    def _hear_joined(self, message: Joined, now_ms: int) -> list[Effect]:
        room = self.rooms.get(message.room)
        if room is None:
            return []  # left meanwhile
        effects = room.hear_joined(message, self._new_id)
        if not room.joined:
            return effects
        self.balance_coins = message.balance_coins
        return [*effects, *self._send_due(now_ms), *self._send_questions(room.name)]

    def _hear_heads(self, message: Heartbeat) -> list[Effect]:
        effects: list[Effect] = []
        for name, head_seq in message.rooms.items():
            if name in self.rooms:
                effects += self.rooms[name].hear_head(head_seq)
        return effects

    def _hear_reply(self, message: Standing | Pong) -> list[Effect]:
        effects: list[Effect] = []
        if message.id is not None and self._questions.pop(message.id, None) is not None:
            effects.append(Reply(("ask", message.id), message))
        if isinstance(message, Standing):
            if message.room in self.rooms:
                self.rooms[message.room].hear_state(message)
            effects.append(Tell(message))
        return effects

    # Gifts

    def gift(self, message: Gift, now_ms: int) -> list[Effect]:
        """Give: sent as soon as the room is joined, and again, unchanged, until it is answered."""
        key = message.key
        if self.phase in _OVER:
            return [_refusal(("gift", key), "not_connected", "There is no connection.", key=key)]
        if message.room not in self.rooms:
            return [_not_joined(("gift", key), key=key)]
        if key not in self.pending and len(self.pending) >= PENDING_MAX:
            sentence = "Too many gifts are still waiting for an answer."
            return [_refusal(("gift", key), "busy", sentence, key=key)]
        self.pending.keep(message)
        return self._send_due(now_ms)

    def give_up(self, key: str) -> list[Effect]:
        """Wait no longer for the answer to a gift: it is not sent again."""
        if self.pending.settle(key) is None:
            return []
        return [_unknown(key, "No answer came in time.")]

    def _hear_answer(self, message: Accepted | Refused, now_ms: int, random: float) -> list[Effect]:
        if isinstance(message, Accepted):
            self.pending.settle(message.key)
            self.balance_coins = message.balance_coins
            if message.room in self.rooms:
                self.rooms[message.room].me = message.me
            return [Reply(("gift", message.key), message), Tell(message)]
        if message.key is not None and message.key in self.pending:
            return self._gift_refused(message.key, message, now_ms, random)
        if message.id is not None and self._questions.pop(message.id, None) is not None:
            return [Reply(("ask", message.id), message), Tell(message)]
        for room in self.rooms.values():
            if message.id is not None and room.asked_id == message.id:
                return self._join_refused(room, message)
        return [Tell(message)]

    def _gift_refused(self, key: str, message: Refused, now_ms: int, random: float) -> list[Effect]:
        if message.retry != "same":
            self.pending.settle(key)
            return [Reply(("gift", key), message), Tell(message)]
        held = self.pending.hold(message, now_ms, random)
        if held.message.room not in self.rooms:
            return [Tell(message), *self._answer_stranded()]
        delayed = Delayed(
            key=key,
            room=held.message.room,
            code=message.code,
            message=message.message,
            retry_in_ms=held.retry_at_ms - now_ms,
        )
        return [Tell(delayed), *self._send_due(now_ms)]

    def _send_due(self, now_ms: int) -> list[Effect]:
        if self.phase is not Phase.LIVE:
            return []
        effects: list[Effect] = [*map(Send, self.pending.take_due(now_ms, self._is_joined))]
        due_ms = self.pending.next_retry_ms(self._is_joined)
        if due_ms is not None:
            effects.append(Timer("resend", max(0, due_ms - now_ms)))
        return effects

    def _is_joined(self, name: str) -> bool:
        return name in self.rooms and self.rooms[name].joined

    def _answer_stranded(self) -> list[Effect]:
        """Answer the gifts that can neither go out nor be answered by the server any more."""
        effects: list[Effect] = []
        for waiting in self.pending.take_stranded(self.rooms.__contains__):
            key = waiting.message.key
            sentence = "This room was left before the answer came."
            effects.append(
                _unknown(key, sentence) if waiting.was_sent else _not_joined(("gift", key), key=key)
            )
        return effects

    def _give_up_all(self, why: str) -> list[Effect]:
        effects: list[Effect] = []
        for waiting in self.pending.take_all():
            key = waiting.message.key
            effects.append(
                _unknown(key, why)
                if waiting.was_sent
                else _refusal(("gift", key), "not_connected", why, key=key)
            )
        effects += [_refusal(("ask", id), "not_connected", why, id=id) for id in self._questions]
        self._questions.clear()
        for name, room in self.rooms.items():
            if room.log is None:
                effects.append(_refusal(("join", name), "not_connected", why, room=name))
        return effects

    # Rooms and questions

    def join(self, name: str) -> list[Effect]:
        """Follow a room, now and after every reconnect."""
        question = ("join", name)
        if self.phase in _OVER:
            return [_refusal(question, "not_connected", "There is no connection.", room=name)]
        if name not in self.rooms and len(self.rooms) >= ROOMS_MAX:
            sentence = f"One connection follows at most {ROOMS_MAX} rooms."
            return [_refusal(question, "too_many_rooms", sentence, room=name)]
        if name in self.rooms and (self.rooms[name].asked_id or self.phase is not Phase.LIVE):
            return []
        room = self.rooms.setdefault(name, Room(name))
        return room.ask(self._new_id) if self.phase is Phase.LIVE else []

    def leave(self, name: str) -> list[Effect]:
        """Stop following a room. Gifts that were not sent yet are refused here."""
        if self.rooms.pop(name, None) is None:
            return []
        told: list[Effect] = [Send(Leave(room=name))] if self.phase is Phase.LIVE else []
        told += [_refusal(("join", name), "not_joined", "This room was left.", room=name)]
        for id, question in list(self._questions.items()):
            if isinstance(question, AskStanding) and question.room == name:
                del self._questions[id]
                told.append(_not_joined(("ask", id), id=id))
        return told + self._answer_stranded()

    def ask_standing(self, room: str) -> tuple[str, list[Effect]]:
        """Ask for the own place on a room's board; the id that its answer carries."""
        id = self._new_id()
        if room not in self.rooms:
            return id, [_not_joined(("ask", id), id=id)]
        return id, self._ask(id, AskStanding(room=room, id=id), self._is_joined(room))

    def ping(self) -> tuple[str, list[Effect]]:
        """Ask for a `pong`; the id that it carries."""
        id = self._new_id()
        return id, self._ask(id, Ping(id=id), True)

    def shown(self, room: str, seq: int) -> list[Effect]:
        """An overlay has shown everything up to `seq`."""
        return [Send(Shown(room=room, seq=seq))] if self._is_joined(room) else []

    def _ask(self, id: str, question: AskStanding | Ping, now: bool) -> list[Effect]:
        if self.phase in _OVER or len(self._questions) >= PENDING_MAX:
            sentence = "There is no connection, or too much has been asked."
            return [_refusal(("ask", id), "not_connected", sentence, id=id)]
        self._questions[id] = question
        return [Send(question)] if now and self.phase is Phase.LIVE else []

    def forget(self, question: Question) -> None:
        """Nobody waits for this answer any more."""
        if question[0] == "ask":
            self._questions.pop(question[1], None)

    def _send_questions(self, room: str) -> list[Effect]:
        """Those about a room after it is joined, the others ("") after the welcome."""
        return [
            Send(question)
            for question in self._questions.values()
            if (question.room if isinstance(question, AskStanding) else "") == room
        ]

    def _join_refused(self, room: Room, message: Refused) -> list[Effect]:
        """Busy servers are asked again; a room that is not there, or not for us, is given up."""
        told = _in_room(message, room.name)
        if message.retry == "same":
            in_ms = message.retry_after_ms or RETRY_DEFAULT_MS
            return [Timer("ask", in_ms, room.name), Tell(told)]
        del self.rooms[room.name]
        reply = Reply(("join", room.name), told)
        return [reply, Tell(told), *self._answer_stranded()]


def _in_room(message: Refused, room: str) -> Refused:
    return Refused(
        id=message.id,
        code=message.code,
        message=message.message,
        retry=message.retry,
        retry_after_ms=message.retry_after_ms,
        details=message.details,
        room=room,
    )


def _refusal(
    question: Question,
    code: str,
    sentence: str,
    *,
    key: str | None = None,
    id: str | None = None,
    room: str | None = None,
) -> Reply:
    """A refusal in the server's shape that never left this client: nothing was booked."""
    refused = Refused(
        key=key, id=id, room=room, code=code, message=sentence, retry="new", local=True
    )
    return Reply(question, refused)


def _not_joined(question: Question, *, key: str | None = None, id: str | None = None) -> Reply:
    return _refusal(question, "not_joined", "This room is not joined.", key=key, id=id)


def _unknown(key: str, sentence: str) -> Reply:
    return Reply(("gift", key), Unknown(key=key, message=sentence))
