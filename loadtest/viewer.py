"""One viewer: an asyncio.Protocol and a ledger, no task, no queue, no timer of its own.

Life cycle of a connection: the crowd dials; `connection_made` sends the upgrade; `OPENING` until
the 101; then `WELCOMED` by the server, `join` is sent (with `resume` when there is a ledger), and
`joined` makes it `JOINED`. When the connection is lost the crowd decides whether it comes back;
the object and its ledger stay. websockets' sans-I/O ClientProtocol does the handshake and every
unusual frame (ping, close, fragments); complete text frames are cut here and never reach it,
which is legal because a whole data frame does not change its state.
"""

import asyncio
import logging
import time
from typing import TYPE_CHECKING, cast

from websockets.client import ClientProtocol
from websockets.frames import Opcode
from websockets.protocol import OPEN

from largesse_client.messages import (
    Join,
    Joined,
    Notice,
    Refused,
    ResumePoint,
    ServerMessage,
    Welcome,
)
from largesse_client.wire import encode
from loadtest.frames import TEXT, Summary, frame_bytes, frame_end, masked_text
from loadtest.ledger import Ledger

if TYPE_CHECKING:
    from loadtest.crowd import Crowd

HANDSHAKE_BYTES_MAX = 16 * 1024
RECEIVE_BUFFER_BYTES = 4 * 1024
"""The socket buffer of a slow viewer: small, so that the server feels at once that nobody reads."""

OFF, OPENING, WELCOMED, JOINED = range(4)

QUIET = logging.getLogger("loadtest.websockets")
QUIET.addHandler(logging.NullHandler())
QUIET.propagate = False
QUIET.setLevel(logging.CRITICAL)


class Viewer(asyncio.Protocol):
    """`crowd` is told when the viewer has joined and when it has lost its connection."""

    __slots__ = (
        "back_after_ms",
        "close_code",
        "crowd",
        "dialled_s",
        "feed",
        "frames",
        "head_at_join",
        "index",
        "ledger",
        "missing",
        "name",
        "parts",
        "slow",
        "state",
        "status",
        "tail",
        "timed",
        "transport",
        "tries",
        "ws",
    )

    def __init__(self, crowd: "Crowd", index: int, name: str) -> None:
        self.crowd = crowd
        self.feed = crowd.feed
        self.index = index
        self.name = name
        self.ledger = Ledger()
        self.transport: asyncio.Transport | None = None
        self.ws: ClientProtocol | None = None
        self.state = OFF
        self.status = 0
        self.close_code = 0
        self.back_after_ms: int | None = None
        self.tail = b""
        self.parts: list[bytes] = []
        self.missing = 0
        self.tries = 0
        self.dialled_s = 0.0
        self.frames = 0
        self.head_at_join = 0
        self.timed = True
        self.slow = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.state = OPENING
        self.status = 0
        self.close_code = 0
        self.back_after_ms = None
        self.tail = b""
        self.parts.clear()
        self.ws = ClientProtocol(self.crowd.uri, logger=QUIET, max_size=None)
        request = self.ws.connect()
        request.headers["Authorization"] = f"Bearer {self.crowd.token(self.name)}"
        self.ws.send_request(request)
        self.transport.write(b"".join(self.ws.data_to_send()))

    def connection_lost(self, error: Exception | None) -> None:
        self.transport = None
        self.state = OFF
        self.crowd.lost(self)

    def data_received(self, data: bytes) -> None:
        seen = self.feed.expected.get(self.ledger.seq)
        if seen is not None and seen.frame == data and not self.tail and self.state == JOINED:
            self._follow(seen)
            return
        if self.state == OPENING:
            data = self._handshake(data)
            if not data:
                return
        elif self.parts or self.tail:
            data = self._gather(data)
            if not data:
                return
        start = 0
        try:
            while self.state > OPENING and (end := frame_end(data, start)):
                self._take(data[start:end])
                start = end
        except ValueError as error:
            self._break_off(str(error))
        self.tail = data[start:]
        self.flush()

    def _gather(self, data: bytes) -> bytes:
        """Collect the pieces of a long frame; empty until it is complete (never quadratic)."""
        if not self.parts:
            self.parts.append(self.tail)
            self.missing = frame_bytes(self.tail) - len(self.tail)
        self.parts.append(data)
        self.missing -= len(data)
        if self.missing > 0:
            return b""
        data = b"".join(self.parts)
        self.parts.clear()
        return data

    def flush(self) -> None:
        """Called after each read; gifters send here what they had to say."""

    def drop(self) -> None:
        """Be gone at once, without a word, as a phone in a tunnel is."""
        if self.transport is not None:
            self.transport.abort()

    def leave(self) -> None:
        """Close politely, at the end of a run."""
        if self.transport is not None and self.ws is not None:
            if self.ws.state is OPEN:
                self.ws.send_close(1000)
                self.transport.write(b"".join(self.ws.data_to_send()))
            self.transport.close()

    def _handshake(self, data: bytes) -> bytes:
        """Give the server's answer to the library; what follows it is returned."""
        assert self.ws is not None
        data = self.tail + data
        self.tail = b""
        end = data.find(b"\r\n\r\n") + 4
        if end < 4 or not data.startswith(b"HTTP/1.1 101"):
            self._refused_at_the_door(data, end)
            return b""
        self.ws.receive_data(data[:end])
        self.ws.events_received()
        if self.ws.state is not OPEN:
            self._break_off(f"bad handshake: {self.ws.handshake_exc}")
            return b""
        self.state = WELCOMED
        return data[end:]

    def _refused_at_the_door(self, data: bytes, end: int) -> None:
        if end < 4 and len(data) <= HANDSHAKE_BYTES_MAX:
            self.tail = data
            return
        line, _, rest = data[:end].decode("latin-1").partition("\r\n")
        digits = line[9:12]
        self.status = int(digits) if digits.isdigit() else 599
        for header in rest.split("\r\n"):
            name, _, value = header.partition(":")
            if name.lower() == "retry-after" and value.strip().isdigit():
                self.back_after_ms = int(value) * 1000
        self.drop()

    def _take(self, frame: bytes) -> None:
        if frame[0] != TEXT:
            self._unusual(frame)
            return
        feed = self.feed
        seen = feed.known(frame, self.ledger.seq)
        if seen is None:
            if feed.skip(frame):
                return
            message = feed.read(frame)
            if not isinstance(message, Summary):
                if message is not None:
                    self.hear(message)
                return
            seen = message
        if self.state == JOINED:
            self._follow(seen)
        else:
            self.ledger.fault("events before joined")

    def _follow(self, seen: Summary) -> None:
        self.ledger.book(seen.read)
        self.frames += 1
        if self.timed:
            now_ms = int(time.time() * 1000)
            arrivals = seen.arrivals
            arrivals[now_ms] = arrivals.get(now_ms, 0) + 1
        elif not self.slow and self.ledger.seq >= self.head_at_join:
            self.timed = True

    def hear(self, message: ServerMessage) -> None:
        """What was said to this viewer alone."""
        match message:
            case Welcome():
                self._join()
            case Joined():
                self._joined(message)
            case Notice(reconnect_after_ms=after) if after is not None:
                self.back_after_ms = after
            case Refused(code=code) if self.state != JOINED:
                self._break_off(f"join refused: {code}: {message.message}")

    def _join(self) -> None:
        if self.transport is None:
            return
        place = self.ledger
        resume = ResumePoint(epoch=place.epoch, seq=place.seq) if place.started else None
        self.transport.write(masked_text(encode(Join(room=self.crowd.room, resume=resume))))

    def _joined(self, message: Joined) -> None:
        self.feed.snapshots.extend((message.seq, message.total_coins))
        if self.ledger.started and message.recovered:
            self.ledger.recover(message.epoch, message.seq)
            self.crowd.recovered += 1
        else:
            if message.recovered:
                self.ledger.fault("recovered without resume")
            if self.ledger.started:
                self.crowd.snapshots += 1
            self.ledger.begin(message.epoch, message.seq, message.total_coins)
        self.head_at_join = message.seq
        self.timed = not self.slow and self.ledger.seq >= message.seq
        self.state = JOINED
        self.tries = 0
        self.crowd.joined(self)

    def _unusual(self, frame: bytes) -> None:
        assert self.ws is not None
        self.ws.receive_data(frame)
        for event in self.ws.events_received():
            if getattr(event, "opcode", None) not in (Opcode.PING, Opcode.PONG, Opcode.CLOSE):
                self._break_off(f"not one complete text frame: {frame[:40]!r}")
                return
        if self.ws.close_rcvd is not None:
            self.close_code = self.ws.close_rcvd.code
        if self.transport is not None:
            self.transport.write(b"".join(self.ws.data_to_send()))
            if self.ws.state is not OPEN:
                self.state = OFF
                self.transport.close()

    def _break_off(self, sentence: str) -> None:
        self.feed.fault(f"{self.name}: {sentence}")
        self.drop()
        self.state = OFF
