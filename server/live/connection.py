"""One WebSocket: bytes in, typed messages on; payloads in, frames out.

uvicorn hands every upgrade to this class. websockets' sans-I/O protocol does the handshake, control
frames, closing and the parsing of what comes in; room frames go past it, straight to the transport
(`write`), which is sound because a data frame changes none of its state. There is no task here and
no queue: what a slow peer has not read is in the transport's buffer, and the hub looks at its size.
What it asks of the rest of the node goes through the door (`door.Door`).
"""

import asyncio
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any, assert_never, cast
from urllib.parse import parse_qs, urlsplit

from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed, InvalidState
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol

from protocol import CloseCode, Code, Fault, Phase, Session, decode, encode, encode_refusal
from protocol.codes import CLOSE_REASONS
from protocol.frames import PING, text_frame
from protocol.messages import (
    PROTOCOL_VERSION,
    AskStanding,
    ClientMessage,
    Gift,
    Hello,
    Join,
    Leave,
    Left,
    Ping,
    Pong,
    Shown,
)
from rules.commands import AnyCommand, SendGift
from rules.limits import TokenBucket, full_bucket
from rules.results import Result
from server.auth import Identity, TokenFault
from server.clock import steady_ms
from server.live.admission import address_of, origin_allowed
from server.live.door import Door, NotNow, too_fast

PATH = "/v1/ws"
FRAME_BYTES_MAX = 64 * 1024
"""Above 16 KiB a message is refused with `too_large`; above this the connection is closed."""
FRAGMENTS_MAX = 1_024
"""Pieces of one message; 16 KiB in pieces of 16 bytes."""
REASON_CHARACTERS_MAX = 120
"""A close frame holds 123 bytes; our sentences are ASCII."""
HIGH_WATER_BYTES = 64 * 1024
LOW_WATER_BYTES = 16 * 1024
"""Always set: uvloop's own low-water mark is 16 bytes."""
TOO_FAST_MS = 500
"""How long we do not read from who is above `message_rate`. What was read already, at most one
buffer of the event loop, is still answered."""
CLOSE_WAIT_S = 5.0
"""How long a peer may take to finish the closing handshake before the socket is dropped."""

_ENDING = (State.CLOSING, State.CLOSED)


class Connection(asyncio.Protocol):
    """Opened by uvicorn with a transport; ends with `connection_lost`."""

    __slots__ = (
        "__weakref__",
        "_bucket",
        "_fragments",
        "_held_back",
        "_out",
        "_seen",
        "_timer",
        "door",
        "identity",
        "protocol",
        "session",
        "transport",
        "uvicorn_connections",
        "write",
    )

    def __init__(self, door: Door, *, config: Any, server_state: Any, app_state: Any) -> None:
        self.door = door
        self.session = Session()
        self.identity: Identity | None = None
        self._seen = True
        self._held_back = False
        """We do not read from it for now; its silence means nothing."""
        self.transport: asyncio.Transport
        self.write: Callable[[bytes], None] = _nowhere
        self.protocol = ServerProtocol(max_size=FRAME_BYTES_MAX, logger=door.quiet)
        self.uvicorn_connections: set[Any] = server_state.connections
        self._bucket: TokenBucket | None = None
        self._fragments: list[bytes] = []
        self._out: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not inherit from asyncio's.
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(HIGH_WATER_BYTES, LOW_WATER_BYTES)
        self.write = self.transport.write
        self.uvicorn_connections.add(self)

    def data_received(self, data: bytes) -> None:
        self._seen = True
        protocol = self.protocol
        protocol.receive_data(data)
        for event in protocol.events_received():
            if isinstance(event, Frame):
                self._frame(event)
            elif isinstance(event, Request):
                self._handshake(event)
        self._flush_protocol()

    def eof_received(self) -> None:
        self.protocol.receive_eof()
        self._flush_protocol()

    def connection_lost(self, exc: Exception | None) -> None:
        self.uvicorn_connections.discard(self)
        self.write = _nowhere
        self._cancel_timer()
        if self.session.phase is not Phase.CLOSED:
            self.door.metrics.count_close(None)
        self.session.close()
        self.door.gone(self)

    def pause_writing(self) -> None:
        self.door.paused(self)

    def resume_writing(self) -> None:
        self.door.drained(self)

    def shutdown(self) -> None:
        """uvicorn's call when it stops; ours have been drained by then."""
        self.close(CloseCode.DRAINING)

    # Handshake

    def _handshake(self, request: Request) -> None:
        settings = self.door.settings
        url = urlsplit(request.path)
        if url.path != PATH:
            return self._reject(HTTPStatus.NOT_FOUND, f"The WebSocket is at {PATH}.")
        origin, host = request.headers.get("Origin"), request.headers.get("Host", "")
        if not origin_allowed(origin, host, settings.allowed_origins):
            return self._reject(HTTPStatus.FORBIDDEN, "This origin is not on the allow-list.")
        identity = self._identify(request.headers, url.query)
        if isinstance(identity, TokenFault):
            return self._reject(HTTPStatus.UNAUTHORIZED, identity.message)
        response = self.protocol.accept(request)
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            return self._turn_away(response)
        peer = self.transport.get_extra_info("peername")
        address = address_of(peer, request.headers, settings.trusted_proxies)
        retry_after_s = self.door.admit(self, address)
        if retry_after_s:
            return self._reject(
                HTTPStatus.SERVICE_UNAVAILABLE, "Too many connections.", retry_after_s
            )
        self.protocol.send_response(response)
        self._count("accepted")
        self._bucket = full_bucket(settings.message_rate, settings.message_burst, steady_ms())
        loop = asyncio.get_running_loop()
        if identity is not None:
            # uvicorn points the transport at us only after this call: write the welcome later.
            loop.call_soon(self._open, identity)
        else:
            delay_s = settings.hello_timeout_ms / 1000
            self._timer = loop.call_later(delay_s, self.close, CloseCode.NOT_AUTHENTICATED)

    def _identify(self, headers: Headers, query: str) -> Identity | TokenFault | None:
        """Who the upgrade says it is; None when it leaves that to `hello`."""
        scheme, _, token = headers.get("Authorization", "").partition(" ")
        if scheme:
            if scheme.lower() != "bearer":
                return _bad_token("Use `Authorization: Bearer <token>`.")
            return self.door.verify(token.strip())
        given = parse_qs(query).get("token")
        if not given:
            return None
        identity = self.door.verify(given[0])
        if isinstance(identity, Identity) and identity.role != "overlay":
            return _bad_token("Only overlay tokens may stand in the address.")
        return identity

    def _reject(self, status: HTTPStatus, sentence: str, retry_after_s: int = 0) -> None:
        response = self.protocol.reject(status, sentence + "\n")
        if retry_after_s:
            response.headers["Retry-After"] = str(retry_after_s)
        self._turn_away(response)

    def _turn_away(self, response: Response) -> None:
        """Answer the upgrade with an HTTP error; there never was a session."""
        self.protocol.send_response(response)
        self.session.close()
        self._count(str(response.status_code))

    def _count(self, result: str) -> None:
        self.door.metrics.handshakes.labels(result).inc()

    def _open(self, identity: Identity) -> None:
        """The token was accepted: say welcome."""
        if self.session.phase is not Phase.NEW:
            return
        self._cancel_timer()
        self.identity = identity
        welcome = self.door.welcome(self, identity)
        if welcome is None:
            return self.close(CloseCode.TOO_MANY_CONNECTIONS)
        self.session.open(identity.role, identity.rooms)
        self.send(welcome)

    # Messages

    def _frame(self, frame: Frame) -> None:
        """Text and its continuations are ours; the library has answered the rest already."""
        opcode = frame.opcode
        if opcode is Opcode.TEXT and frame.fin:
            return self._message(bytes(frame.data))
        if self._bucket is not None and self._bucket.take(steady_ms()):
            self._rest()
        if len(self._fragments) >= FRAGMENTS_MAX:
            return self.close(CloseCode.BAD_MESSAGES)
        if opcode is Opcode.TEXT or (opcode is Opcode.CONT and self._fragments):
            self._fragments.append(bytes(frame.data))
            if frame.fin:
                whole, self._fragments = b"".join(self._fragments), []
                self._message(whole)
        elif opcode is Opcode.BINARY:
            self._refuse(Fault(Code.MALFORMED, "Send text frames; binary ones are not read."))

    def _message(self, data: bytes) -> None:
        if self.session.phase is Phase.CLOSED:
            return
        message = decode(data)
        if isinstance(message, Fault):
            return self._refuse(message)
        self.door.metrics.count_message(str(message.__struct_config__.tag))
        if self._bucket is not None and (wait_ms := self._bucket.take(steady_ms())):
            self._rest()
            return self._not_now(message, too_fast(wait_ms))
        verdict = self.session.judge(message)
        if isinstance(verdict, CloseCode):
            return self.close(verdict)
        if verdict is not None:
            return self._refuse(verdict, broken=False)
        self._say(message)

    def _say(self, message: ClientMessage) -> None:
        match message:
            case Gift():
                self._gift(message)
            case Join():
                self.door.join(self, message)
            case Hello():
                self._hello(message)
            case Ping():
                self.queue(encode(Pong(id=message.id)))
            case AskStanding():
                self._standing(message)
            case Leave():
                self.door.leave(self, message.room)
                self.queue(encode(Left(id=message.id, room=message.room)))
            case Shown():
                pass
            case _:
                assert_never(message)

    def _hello(self, message: Hello) -> None:
        if message.protocol != PROTOCOL_VERSION:
            return self.close(CloseCode.PROTOCOL_VERSION)
        identity = self.door.verify(message.token)
        if isinstance(identity, TokenFault):
            return self.close(CloseCode(identity.close_code), identity.message)
        self._open(identity)

    def _gift(self, message: Gift) -> None:
        identity = self.identity
        assert identity is not None
        command = SendGift(
            actor=f"user:{identity.user}",
            key=message.key,
            sender=identity.user,
            name=identity.name,
            adult=identity.adult,
            room=message.room,
            gift=message.gift,
            quantity=message.quantity,
            to=message.to,
            price=message.price,
            message=message.message,
            visibility=message.visibility,
        )
        hindrance = self.door.give(self, identity, command)
        if hindrance is None:
            return
        if isinstance(hindrance, NotNow):
            self._not_now(message, hindrance)
        else:
            self.close(hindrance)

    def _not_now(self, message: ClientMessage, why: NotNow) -> None:
        code, sentence, retry_after_ms = why
        self.door.metrics.refusals.labels(code.value).inc()
        key, id = getattr(message, "key", None), getattr(message, "id", None)
        self.queue(encode_refusal(code, sentence, key=key, id=id, retry_after_ms=retry_after_ms))

    def answer(self, command: AnyCommand, result: Result) -> None:
        """Have the answer to a gift sent with the next `flush`."""
        self.queue(self.door.answer(command, result))

    def _standing(self, message: AskStanding) -> None:
        payload = self.door.standing(self, message)
        if payload is not None:
            self.queue(payload)

    def _refuse(self, fault: Fault, *, broken: bool = True) -> None:
        """Refuse; what breaks the protocol is counted, and too much of it ends the connection."""
        self.door.metrics.refusals.labels(fault.code.value).inc()
        self.queue(encode_refusal(fault.code, fault.message, key=fault.key, id=fault.id))
        if broken and (code := self.session.count_fault()):
            self.close(code)

    # Writing

    def queue(self, payload: bytes) -> None:
        """Have a payload written with the next `flush`: one write for many answers.

        Not after a close frame: RFC 6455 allows no data then, and a gift's key finds its answer.
        """
        if self.session.phase is not Phase.CLOSED:
            self._out.append(text_frame(payload))

    def flush(self) -> None:
        if self._out:
            out, self._out = self._out, []
            self.write(out[0] if len(out) == 1 else b"".join(out))

    def send(self, payload: bytes) -> None:
        self.queue(payload)
        self.flush()

    def _flush_protocol(self) -> None:
        """Write our answers and whatever the library wants to say: handshake, pong, close."""
        self.flush()
        for data in self.protocol.data_to_send():
            if data:
                self.write(data)
            elif self.transport.can_write_eof():
                self.write = _nowhere
                self.transport.write_eof()
        if self.protocol.state in _ENDING and self.session.phase is not Phase.CLOSED:
            self._peer_left()
        if self.protocol.close_expected():
            self._wait_for_close()
        if self.protocol.state is State.CLOSED and not self.transport.is_closing():
            self.transport.close()

    def buffered(self) -> int:
        """Bytes that the peer has not taken yet."""
        return self.transport.get_write_buffer_size()

    # Life

    def hold_back(self) -> bool:
        """Read no more from it; False when that was so already."""
        if self._held_back:
            return False
        self._held_back = True
        self.transport.pause_reading()
        return True

    def read_on(self) -> None:
        self._held_back = False
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def _rest(self) -> None:
        """It sends faster than its rate: a refusal each would be more work for us than for it."""
        if self.hold_back():
            asyncio.get_running_loop().call_later(TOO_FAST_MS / 1000, self.read_on)

    def ping(self) -> None:
        """A visit of the ping wheel: a peer that was silent for a whole turn is gone."""
        if not self._seen and not self._held_back:
            return self.close(CloseCode.NO_HEARTBEAT)
        self._seen = False
        if self.protocol.state is State.OPEN:
            self.write(PING)

    def close(self, code: CloseCode, reason: str = "") -> None:
        """Close with a code, after what was already written. Safe to call twice."""
        if self.session.phase is Phase.CLOSED:
            return
        self.session.close()
        self._cancel_timer()
        self.door.metrics.count_close(code)
        self.door.left(self)
        self.flush()
        try:
            self.protocol.send_close(code, (reason or CLOSE_REASONS[code])[:REASON_CHARACTERS_MAX])
        except (ConnectionClosed, InvalidState):
            return self.transport.abort()
        self._flush_protocol()
        self._wait_for_close()

    def _peer_left(self) -> None:
        """The peer said goodbye, or broke RFC 6455: nothing more is sent to it."""
        self.session.close()
        self.door.metrics.count_close(self.protocol.close_code)
        self.door.left(self)
        self.write = _nowhere

    def _wait_for_close(self) -> None:
        if self._timer is None and not self.transport.is_closing():
            abort = partial(self.transport.abort)
            self._timer = asyncio.get_running_loop().call_later(CLOSE_WAIT_S, abort)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _bad_token(sentence: str) -> TokenFault:
    return TokenFault(kind="invalid", message=sentence)


def _nowhere(data: bytes) -> None:
    """Where frames go after the peer is gone."""
