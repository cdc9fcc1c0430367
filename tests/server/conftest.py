"""What the server's tests share: a server per file, a room per test, and a bare socket.

Every message that a client of a `Stage` hears is held against `contract_table`.
"""

import asyncio
import contextlib
import itertools
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
import pytest_asyncio
from websockets.frames import Frame, Opcode

from kit.servers.serving import Client, Live, live, token
from kit.tables.contract_table import check_message, fits
from kit.waiting import PATIENCE_S
from server.clock import now_ms

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

    def let_combos_end(self) -> None:
        """As when a minute has gone by without a gift."""
        self.server.node.hub.clock = lambda: now_ms() + 60_001

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
        self.server.node.hub.clock = now_ms
        for client in self.clients:
            await client.socket.close()
            for message in client.heard:
                check_message(message)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[Live]:
    """One server for all tests of a file that ask for it."""
    async with live(heartbeat_ms=300, combo_window_ms=60_000) as running:
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

    async def _more(self, within_s: float = PATIENCE_S) -> None:
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
