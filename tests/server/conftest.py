"""What the server's tests share: the contract as a table, a server per file, and a bare socket.

`CONTRACT` is section 1.2 of protocol.md and nothing else. Every message that a client of a `Stage`
hears is held against it, whatever the test was about.
"""

import asyncio
import contextlib
import itertools
import json
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
import pytest_asyncio
from websockets.frames import Frame, Opcode

from serving import Client, Live, live, token

# --- the contract --------------------------------------------------------------------------------


def whole(value: Any) -> bool:
    return type(value) is int and 0 <= value <= 2**53 - 1


def positive(value: Any) -> bool:
    return whole(value) and value > 0


def text(value: Any) -> bool:
    return type(value) is str and value != ""


def string(value: Any) -> bool:
    return type(value) is str and len(value) <= 64


def truth(value: Any) -> bool:
    return type(value) is bool


def anything(value: Any) -> bool:
    return True


def one_of(*values: str) -> Callable[[Any], bool]:
    return lambda value: value in values


def nothing(value: Any) -> bool:
    return value is None


def fits(value: Any, shape: Any, where: str = "") -> None:
    """Assert that a JSON value has a shape: a predicate, a dict of exactly these fields (`?` marks
    one that may be absent), a list of one shape, or a tuple of alternatives."""
    match shape:
        case dict():
            assert isinstance(value, dict), (where, value)
            optional = {name.rstrip("?") for name in shape if name.endswith("?")}
            known = {name.rstrip("?"): part for name, part in shape.items()}
            assert known.keys() - optional <= value.keys() <= known.keys(), (where, value)
            for name, part in value.items():
                fits(part, known[name], f"{where}.{name}")
        case [part]:
            assert isinstance(value, list), (where, value)
            for number, each in enumerate(value):
                fits(each, part, f"{where}[{number}]")
        case tuple():
            problems = []
            for part in shape:
                try:
                    return fits(value, part, where)
                except AssertionError as problem:
                    problems.append(problem)
            raise AssertionError((where, value, problems))
        case _:
            assert shape(value), (where, value, getattr(shape, "__name__", shape))


PERSON = {"id": text, "name": text}
GIVER = ({"id": text, "name": text, "level": whole}, {"anonymous": one_of(True)})
COMBO = {"id": text, "count": positive, "coins": positive, "ends_ms": positive}
ME = {"coins": whole, "rank": (positive, nothing)}
PLACE = {"rank": positive, "user": PERSON, "coins": positive}
BOARD = {"room": text, "as_of": whole, "window": one_of("session"), "top": [PLACE]}
FIX = "malformed unknown_type too_large not_joined unknown_room unknown_gift bad_quantity"
FIX += " bad_recipient price_changed key_reused forbidden self_gift"
SAME = "rate_limited busy unavailable"
NEW = "insufficient_coins limit_per_gift limit_daily limit_weekly limit_monthly gifting_paused"
NEW += " not_of_age account_frozen room_closed gift_unavailable"
RETRY = {
    code: retry
    for codes, retry in ((FIX, "fix"), (SAME, "same"), (NEW, "new"))
    for code in codes.split()
}

EVENTS = {
    "gift": {
        "kind": text,
        "seq": positive,
        "id": text,
        "at_ms": positive,
        "from": GIVER,
        "to": PERSON,
        "gift": text,
        "name": text,
        "animation": text,
        "quantity": positive,
        "coins": positive,
        "from_total?": positive,
        "combo": (COMBO, nothing),
        "message?": text,
        "merged": positive,
    },
    "gift_retracted": {
        "kind": text,
        "seq": positive,
        "id": text,
        "at_ms": positive,
        "gift_id": text,
        "gift_seq": positive,
        "from": GIVER,
        "to": PERSON,
        "gift": text,
        "coins": positive,
        "from_total?": whole,
        "reason": text,
    },
    "gift_hidden": {
        "kind": text,
        "seq": positive,
        "at_ms": positive,
        "gift_id": text,
        "gift_seq": positive,
    },
    "room_closed": {"kind": text, "seq": positive, "at_ms": positive},
}


def event(value: Any) -> bool:
    fits(value, EVENTS[value["kind"]], value["kind"])
    if value["kind"] == "gift":
        assert ("from_total" in value) != ("anonymous" in value["from"]), value
    return True


CONTRACT: dict[str, dict[str, Any]] = {
    "welcome": {
        "protocol": one_of(1),
        "session": text,
        "user": PERSON,
        "role": one_of("viewer", "creator", "overlay", "admin"),
        "now_ms": positive,
        "heartbeat_ms": positive,
        "catalogue": text,
    },
    "joined": {
        "id?": string,
        "room": text,
        "title": text,
        "creator": PERSON,
        "status": one_of("open", "closed"),
        "epoch": text,
        "seq": whole,
        "recovered": truth,
        "total_coins": whole,
        "viewers": positive,
        "board": BOARD,
        "me": ME,
        "balance_coins": whole,
    },
    "left": {"id?": string, "room": text},
    "accepted": {
        "key": text,
        "room": text,
        "seq": positive,
        "gift": text,
        "quantity": positive,
        "coins": positive,
        "balance_coins": whole,
        "total_coins": whole,
        "me": ME,
        "combo": (COMBO, nothing),
        "at_ms": positive,
        "replayed": truth,
    },
    "refused": {
        "key?": string,
        "id?": string,
        "code": one_of(*RETRY),
        "message": text,
        "retry": one_of("fix", "same", "new"),
        "retry_after_ms?": positive,
        "details?": anything,
    },
    "events": {
        "room": text,
        "epoch": text,
        "first": positive,
        "last": positive,
        "total_before": whole,
        "total_coins": whole,
        "events": [event],
        "omitted": {"gifts": whole, "coins": whole},
    },
    "board": BOARD,
    "standing": {
        "id?": string,
        "room": text,
        "as_of": whole,
        "coins": whole,
        "rank": (positive, nothing),
        "to_next_coins": (positive, nothing),
    },
    "viewers": {"room": text, "count": whole},
    "combo_ended": {
        "room": text,
        "combo": {"id": text, "count": positive, "coins": positive},
        "from": GIVER,
        "gift": text,
    },
    "balance": {"balance_coins": whole, "reason": text},
    "heartbeat": {"now_ms": positive, "rooms": anything},
    "pong": {"id?": string},
    "notice": {"code": text, "message": text, "reconnect_after_ms?": positive},
}


def check_message(message: dict[str, Any]) -> None:
    """Assert that a message of the server is exactly what the contract says."""
    kind = message["type"]
    fits(message, {"type": text} | CONTRACT[kind], kind)
    if kind == "refused":
        assert message["retry"] == RETRY[message["code"]], message
        assert (message["retry"] == "same") == ("retry_after_ms" in message), message
        assert re.search(r"[.…]$", message["message"]), "a sentence for a person"
        assert len(message["message"]) < 400
    if kind == "events":
        check_frame(message)


def check_frame(frame: dict[str, Any]) -> None:
    """Assert what one `events` frame promises by itself."""
    events = frame["events"]
    seqs = [each["seq"] for each in events]
    assert seqs == sorted(set(seqs)) and frame["first"] <= frame["last"], frame
    assert not seqs or (frame["first"] <= seqs[0] and seqs[-1] <= frame["last"]), frame
    shown = sum(each.get("merged", 1) for each in events)
    assert shown + frame["omitted"]["gifts"] == frame["last"] - frame["first"] + 1, frame
    gifts = sum(each["coins"] for each in events if each["kind"] == "gift")
    back = sum(each["coins"] for each in events if each["kind"] == "gift_retracted")
    total = frame["total_before"] + gifts + frame["omitted"]["coins"] - back
    assert total == frame["total_coins"], frame


# --- a room of its own on a shared server --------------------------------------------------------

_numbers = itertools.count(1)


class Stage:
    """A room that only one test uses, with clients whose every message is checked at the end.

    Users are named with the room's number, so that no test sees another one's wallets.
    """

    def __init__(self, server: Live) -> None:
        self.server = server
        self.number = next(_numbers)
        self.room = f"r{self.number}"
        self.creator = self.user("cara")
        self.clients: list[Client] = []

    def user(self, name: str) -> str:
        return f"{name}-{self.number}"

    async def open(self) -> None:
        await self.server.room(self.room, self.creator)

    async def connect(self, name: str, **claims: Any) -> Client:
        client = await self.server.connect(self.user(name), **claims)
        self.clients.append(client)
        return client

    async def silent(self) -> Client:
        """A connection that has said nothing."""
        client = await self.server.connect()
        self.clients.append(client)
        return client

    async def join(self, name: str, coins: int = 0, **claims: Any) -> Client:
        """A client in the room; with coins when the test gives it some."""
        if coins:
            await self.server.grant(self.user(name), coins)
        client = await self.connect(name, **claims)
        await client.ask("joined", type="join", room=self.room)
        return client

    async def gift(self, client: Client, key: str, **fields: Any) -> dict[str, Any]:
        return await client.gift(key, **({"room": self.room} | fields))

    async def post(self, path: str, body: Any = None, **headers: str) -> dict[str, Any]:
        answer = await self.server.http.post(f"/v1/{path}", json=body, headers=headers)
        result: dict[str, Any] = answer.raise_for_status().json()
        return result

    async def get(self, path: str, **query: Any) -> dict[str, Any]:
        answer = await self.server.http.get(f"/v1/{path}", params=query)
        result: dict[str, Any] = answer.raise_for_status().json()
        return result

    async def books(self) -> dict[str, Any]:
        return await self.get(f"rooms/{self.room}")

    async def coins(self, name: str) -> int:
        wallet = await self.get(f"users/{self.user(name)}/wallet")
        return int(wallet["coins"])

    async def frame_with(self, client: Client, seq: int) -> dict[str, Any]:
        """The client's frame of its room that holds this seq, heard already or still to come."""
        for message in client.heard:
            if self._holds(message, seq):
                return message
        while not self._holds(message := await client.hear("events"), seq):
            pass
        return message

    def _holds(self, message: dict[str, Any], seq: int) -> bool:
        kind, room = message["type"], message.get("room")
        return (kind, room) == ("events", self.room) and message["first"] <= seq <= message["last"]

    async def event(self, client: Client, seq: int) -> dict[str, Any]:
        """The entry of that seq, as the client saw it."""
        frame = await self.frame_with(client, seq)
        [event] = [each for each in frame["events"] if each["seq"] == seq]
        assert isinstance(event, dict)
        return event

    async def settled(self, client: Client) -> list[dict[str, Any]]:
        """Everything that the client was sent until now: a ping is answered after it."""
        await client.ask("pong", type="ping", id=f"mark-{next(_numbers)}")
        return client.heard

    async def close(self) -> None:
        for client in self.clients:
            await client.socket.close()
            for message in client.heard:
                check_message(message)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[Live]:
    """One server for all tests of a file that ask for it."""
    async with live(heartbeat_ms=300, combo_window_ms=400) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def stage(server: Live) -> AsyncIterator[Stage]:
    stage = Stage(server)
    await stage.open()
    yield stage
    await stage.close()


@pytest.fixture(scope="session")
def stage_on() -> Callable[[Live], Awaitable[Stage]]:
    """A stage on a server that the test has started with settings of its own."""

    async def opened(server: Live) -> Stage:
        stage = Stage(server)
        await stage.open()
        return stage

    return opened


@pytest.fixture(scope="session")
def checked() -> Callable[[dict[str, Any]], None]:
    return check_message


@pytest.fixture(scope="session")
def fitting() -> Callable[[Any, Any], None]:
    return fits


# --- a socket without a library ------------------------------------------------------------------


class RawSocket:
    """A WebSocket by hand: sends what no library would, and reads only when it is told to."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.buffer = b""

    @classmethod
    async def open(
        cls, url: str, user: str | None, receive_bytes: int = 0, **claims: Any
    ) -> "RawSocket":
        host, port = url.removeprefix("http://").split(":")
        sock = socket.socket()
        if receive_bytes:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, (host, int(port)))
        raw = cls(sock)
        secret = f"Authorization: Bearer {token(user, **claims)}\r\n" if user else ""
        await raw.send_bytes(
            (
                f"GET /v1/ws HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
                "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                f"Sec-WebSocket-Version: 13\r\n{secret}\r\n"
            ).encode()
        )
        while b"\r\n\r\n" not in raw.buffer:
            await raw._more()
        head, _, raw.buffer = raw.buffer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), head
        return raw

    async def send_bytes(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def send(self, *frames: tuple[Opcode, bytes] | tuple[Opcode, bytes, bool]) -> None:
        """Several frames in one write; a third value False means that more fragments follow."""
        data = b"".join(
            Frame(frame[0], frame[1], fin=frame[2] if len(frame) > 2 else True).serialize(mask=True)
            for frame in frames
        )
        await self.send_bytes(data)

    async def say(self, *messages: dict[str, Any]) -> None:
        await self.send(*((Opcode.TEXT, json.dumps(message).encode()) for message in messages))

    async def _more(self, within_s: float = 5.0) -> None:
        async with asyncio.timeout(within_s):
            data = await asyncio.get_running_loop().sock_recv(self.sock, 65_536)
        if not data:
            raise EOFError
        self.buffer += data

    async def frame(self) -> tuple[int, bytes]:
        """The next frame: opcode and payload. Raises EOFError, ConnectionResetError."""
        while (parsed := self._parse()) is None:
            await self._more()
        return parsed

    def _parse(self) -> tuple[int, bytes] | None:
        data = self.buffer
        if len(data) < 2:
            return None
        assert not data[1] & 0x80, "a server never masks"
        length, start = data[1] & 0x7F, 2
        if length >= 126:
            size = 2 if length == 126 else 8
            start = 2 + size
            if len(data) < start:
                return None
            length = int.from_bytes(data[2:start], "big")
        if len(data) < start + length:
            return None
        self.buffer = data[start + length :]
        assert data[0] & 0x80, "a server's frame is one complete message"
        return data[0] & 0x0F, data[start : start + length]

    async def hear(self, *types: str) -> dict[str, Any]:
        while True:
            opcode, payload = await self.frame()
            if opcode == Opcode.TEXT:
                message: dict[str, Any] = json.loads(payload)
                if message["type"] in types:
                    return message

    async def until_close(self) -> list[tuple[int, bytes]]:
        """All frames up to the close frame."""
        frames = [await self.frame()]
        while frames[-1][0] != Opcode.CLOSE:
            frames.append(await self.frame())
        return frames

    async def rest(self) -> list[tuple[int, bytes]]:
        """All frames until the server lets go of the connection."""
        frames = []
        with contextlib.suppress(EOFError, ConnectionResetError):
            while True:
                frames.append(await self.frame())
        return frames

    def vanish(self) -> None:
        self.sock.close()


@pytest.fixture
def raw() -> Iterator[Callable[..., Awaitable[RawSocket]]]:
    """Opens bare connections; all are let go of at the end."""
    opened: list[RawSocket] = []

    async def opening(server: Live, user: str | None, **how: Any) -> RawSocket:
        made = await RawSocket.open(server.url, user, **how)
        opened.append(made)
        return made

    yield opening
    for each in opened:
        each.sock.close()
