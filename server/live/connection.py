"""One WebSocket: bytes in, typed messages on; payloads in, frames out.

uvicorn hands every upgrade to this class. websockets' sans-I/O protocol does the handshake, control
frames, closing and the parsing of what comes in; room frames go past it, straight to the transport
(`write`), which is sound because a data frame changes none of its state. There is no task here and
no queue: what a slow peer has not read is in the transport's buffer, and the hub looks at its size.
"""

import asyncio
import secrets
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, assert_never, cast
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
    Person,
    Ping,
    Pong,
    Shown,
    Welcome,
)
from rules.commands import SendGift
from rules.limits import TokenBucket, full_bucket
from server.auth import Identity, TokenFault
from server.clock import steady_ms
from server.live.admission import origin_allowed
from server.live.users import UserHere

if TYPE_CHECKING:
    from server.shell import Shell

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
CLOSE_WAIT_S = 5.0
"""How long a peer may take to finish the closing handshake before the socket is dropped."""

_ENDING = (State.CLOSING, State.CLOSED)


class Connection(asyncio.Protocol):
    """Opened by uvicorn with a transport; ends with `connection_lost`."""

    __slots__ = (
        "__weakref__",
        "_bucket",
        "_fragments",
        "_out",
        "_timer",
        "address",
        "held_back",
        "here",
        "identity",
        "paused_ms",
        "protocol",
        "seen",
        "session",
        "shell",
        "slots",
        "transport",
        "uvicorn_connections",
        "write",
    )

    def __init__(self, shell: "Shell", *, config: Any, server_state: Any, app_state: Any) -> None:
        self.shell = shell
        self.session = Session()
        self.identity: Identity | None = None
        self.here: UserHere | None = None
        self.address = ""
        self.paused_ms = 0
        self.seen = True
        self.held_back = False
        """We do not read from it for now; its silence means nothing."""
        self.transport: asyncio.Transport
        self.write: Callable[[bytes], None] = _nowhere
        self.protocol = ServerProtocol(max_size=FRAME_BYTES_MAX, logger=shell.quiet)
        self.uvicorn_connections: set[Any] = server_state.connections
        self._bucket: TokenBucket | None = None
        self._fragments: list[bytes] = []
        self._out: list[bytes] = []
        self.slots: tuple[int, int] | None = None
        """Where the two wheels keep this connection; None while it is not admitted."""
        self._timer: asyncio.TimerHandle | None = None

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not inherit from asyncio's.
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(HIGH_WATER_BYTES, LOW_WATER_BYTES)
        self.write = self.transport.write
        self.uvicorn_connections.add(self)

    def data_received(self, data: bytes) -> None:
        self.seen = True
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
            self.shell.metrics.count_close(None)
        self.session.close()
        self.shell.forget(self)

    def pause_writing(self) -> None:
        self.paused_ms = steady_ms()
        self.shell.hub.paused.add(self)

    def resume_writing(self) -> None:
        self.shell.hub.paused.discard(self)
        self.shell.joins.continue_catching(self)

    def shutdown(self) -> None:
        """uvicorn's call when it stops; ours have been drained by then."""
        self.close(CloseCode.DRAINING)

    # Handshake

    def _handshake(self, request: Request) -> None:
        shell = self.shell
        self.address = shell.address_of(self.transport, request.headers)
        url = urlsplit(request.path)
        if url.path != PATH:
            return self._reject(HTTPStatus.NOT_FOUND, f"The WebSocket is at {PATH}.")
        origin, host = request.headers.get("Origin"), request.headers.get("Host", "")
        if not origin_allowed(origin, host, shell.settings.allowed_origins):
            return self._reject(HTTPStatus.FORBIDDEN, "This origin is not on the allow-list.")
        identity = self._identify(request.headers, url.query)
        if isinstance(identity, TokenFault):
            return self._reject(HTTPStatus.UNAUTHORIZED, identity.message)
        response = self.protocol.accept(request)
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            return self._turn_away(response)
        retry_after_s = shell.admission.enter(self.address, steady_ms())
        if retry_after_s:
            return self._reject(
                HTTPStatus.SERVICE_UNAVAILABLE, "Too many connections.", retry_after_s
            )
        self.slots = shell.watch(self)
        self.protocol.send_response(response)
        self._count("accepted")
        settings = shell.settings
        self._bucket = full_bucket(settings.message_rate, settings.message_burst, steady_ms())
        loop = asyncio.get_running_loop()
        if identity is not None:
            # uvicorn points the transport at us only after this call: write the welcome later.
            loop.call_soon(self._open, identity)
        else:
            delay_s = shell.settings.hello_timeout_ms / 1000
            self._timer = loop.call_later(delay_s, self.close, CloseCode.NOT_AUTHENTICATED)

    def _identify(self, headers: Headers, query: str) -> Identity | TokenFault | None:
        """Who the upgrade says it is; None when it leaves that to `hello`."""
        scheme, _, token = headers.get("Authorization", "").partition(" ")
        if scheme:
            if scheme.lower() != "bearer":
                return _bad_token("Use `Authorization: Bearer <token>`.")
            return self.shell.verify(token.strip())
        given = parse_qs(query).get("token")
        if not given:
            return None
        identity = self.shell.verify(given[0])
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
        self.shell.metrics.handshakes.labels(result).inc()

    def _open(self, identity: Identity) -> None:
        """The token was accepted: say welcome."""
        if self.session.phase is not Phase.NEW:
            return
        self._cancel_timer()
        here = self.shell.hub.enter(self, identity.user)
        if here is None:
            return self.close(CloseCode.TOO_MANY_CONNECTIONS)
        self.here, self.identity = here, identity
        self.session.open(identity.role, identity.rooms)
        welcome = Welcome(
            protocol=PROTOCOL_VERSION,
            session=secrets.token_hex(8),
            user=Person(id=identity.user, name=identity.name),
            role=identity.role,
            now_ms=self.shell.clock(),
            heartbeat_ms=self.shell.settings.heartbeat_ms,
            catalogue=self.shell.catalogue_version(),
        )
        self.send(encode(welcome))

    # Messages

    def _frame(self, frame: Frame) -> None:
        """Text and its continuations are ours; the library has answered the rest already."""
        opcode = frame.opcode
        if opcode is Opcode.TEXT and frame.fin:
            return self._message(bytes(frame.data))
        if self._bucket is not None and self._bucket.take(steady_ms()):
            self.shell.hold_for_a_while(self)
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
        self.shell.metrics.count_message(str(message.__struct_config__.tag))
        if self._bucket is not None and (wait_ms := self._bucket.take(steady_ms())):
            self.shell.hold_for_a_while(self)
            return self._too_fast(message, wait_ms)
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
                self.shell.joins.join(self, message)
            case Hello():
                self._hello(message)
            case Ping():
                self.queue(encode(Pong(id=message.id)))
            case AskStanding():
                self._standing(message)
            case Leave():
                self.shell.hub.leave_room(self, message.room)
                self.queue(encode(Left(id=message.id, room=message.room)))
            case Shown():
                pass
            case _:
                assert_never(message)

    def _hello(self, message: Hello) -> None:
        if message.protocol != PROTOCOL_VERSION:
            return self.close(CloseCode.PROTOCOL_VERSION)
        identity = self.shell.verify(message.token)
        if isinstance(identity, TokenFault):
            return self.close(CloseCode(identity.close_code), identity.message)
        self._open(identity)

    def _gift(self, message: Gift) -> None:
        identity, here = self.identity, self.here
        assert identity is not None and here is not None
        if not self.shell.still_valid(identity):
            return self.close(CloseCode.TOKEN_EXPIRED)
        if wait_ms := here.bucket.take(steady_ms()):
            return self._too_fast(message, wait_ms)
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
        if not self.shell.settlement.submit(command, self):
            sentence = "The server is busy; nothing was charged, the same key may be sent again."
            self._refuse_same(Code.BUSY, sentence, message, self.shell.hold_back(self))

    def _too_fast(self, message: ClientMessage, wait_ms: int) -> None:
        sentence = "Too fast; nothing was done, send the same again a little later."
        self._refuse_same(Code.RATE_LIMITED, sentence, message, wait_ms)

    def _refuse_same(
        self, code: Code, sentence: str, message: ClientMessage, retry_after_ms: int
    ) -> None:
        self.shell.metrics.refusals.labels(code.value).inc()
        key, id = getattr(message, "key", None), getattr(message, "id", None)
        self.queue(encode_refusal(code, sentence, key=key, id=id, retry_after_ms=retry_after_ms))

    def _standing(self, message: AskStanding) -> None:
        hall = self.shell.hub.halls.get(message.room)
        if hall is not None and self.here is not None:
            self.queue(hall.room.standing(message.id, self.here.id))

    def _refuse(self, fault: Fault, *, broken: bool = True) -> None:
        """Refuse; what breaks the protocol is counted, and too much of it ends the connection."""
        self.shell.metrics.refusals.labels(fault.code.value).inc()
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

    def check(self) -> None:
        """Is the token still good?"""
        identity = self.identity
        if identity is not None and not self.shell.still_valid(identity):
            self.close(CloseCode.TOKEN_EXPIRED)

    def ping(self) -> None:
        """A visit of the ping wheel: a peer that was silent for a whole turn is gone."""
        if not self.seen and not self.held_back:
            return self.close(CloseCode.NO_HEARTBEAT)
        self.seen = False
        if self.protocol.state is State.OPEN:
            self.write(PING)

    def close(self, code: CloseCode, reason: str = "") -> None:
        """Close with a code, after what was already written. Safe to call twice."""
        if self.session.phase is Phase.CLOSED:
            return
        self.session.close()
        self._cancel_timer()
        self.shell.metrics.count_close(code)
        self.shell.hub.leave(self)
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
        self.shell.metrics.count_close(self.protocol.close_code)
        self.shell.hub.leave(self)
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
