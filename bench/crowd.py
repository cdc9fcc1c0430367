"""The load, in a process of its own: many viewers that only read, and senders that never wait.

One epoll, one large buffer, no asyncio: once a viewer is in, a read costs two system calls' worth
of Python and nothing is parsed. Connecting keeps at most `WINDOW` handshakes open, which is as
fast as a server takes them without losing SYNs from a full backlog: a lost SYN costs a second and
would measure the kernel. A crowd is as slow as Python; `connected` figures are of both sides.
"""

import os
import select
import socket
import time
from typing import Any

import orjson

from bench.control import Line
from bench.house import SECRET, sender
from bench.pump import pump
from largesse_client import make_token
from loadtest.frames import masked_text

WINDOW = 500
LIMIT_S = 90.0
CONTROL = 0
TOKEN_S = 3_600
BIND_ADDRESS_NO_PORT = 24
"""Lets the kernel choose the port at connect: then many addresses share the range."""


class Peer:
    __slots__ = ("heard", "inside", "request", "socket", "upgraded")

    def __init__(self, request: bytes) -> None:
        self.request = request
        self.socket: socket.socket | None = None
        self.heard = b""
        self.upgraded = False
        self.inside = False


class Crowd:
    """Answers one command at a time, and reads whatever the server sends meanwhile."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.epoll = select.epoll()
        self.epoll.register(CONTROL, select.EPOLLIN)
        self.peers: dict[int, Peer] = {}
        self.waiting: list[Peer] = []
        self.buffer = bytearray(1 << 18)
        self.typed = b""
        self.bytes = self.recovered = self.lost = 0

    def run(self) -> None:
        while True:
            for fd, _ in self.epoll.poll(-1, 1_024):
                if fd != CONTROL:
                    self._drain(fd)
                elif not self._listen():
                    return

    def _listen(self) -> bool:
        data = os.read(CONTROL, 65_536)
        self.typed += data
        *lines, self.typed = self.typed.split(b"\n")
        for line in lines:
            command = orjson.loads(line)
            try:
                self.line.say(**self._obey(command.pop("do"), command))
            except (OSError, RuntimeError) as error:
                self.line.say(error=repr(error))
        return bool(data)

    def _obey(self, do: str, given: dict[str, Any]) -> dict[str, Any]:
        match do:
            case "make":
                return self._make(**given)
            case "open":
                return self._open(**given)
            case "pump":
                return pump([p.socket for p in self.peers.values() if p.socket], **given)
            case "leave":
                return self._leave()
        return {"bytes": self.bytes, "lost": self.lost, "open": len(self.peers)}

    def _make(self, count: int, users: str | None) -> dict[str, Any]:
        """Write the upgrade requests; with `users` each has the token of a user of its own."""
        self.waiting = []
        for number in range(count):
            name = sender(number) if users == "senders" else f"{users}{number}"
            bearer = (
                f"Authorization: Bearer {make_token(SECRET, name, adult=True, ttl_s=TOKEN_S)}\r\n"
            )
            self.waiting.append(Peer(_upgrade(bearer if users else "")))
        return {"made": count}

    def _open(
        self, port: int, join: dict[str, Any] | None = None, until: str = "", address: int = 1
    ) -> dict[str, Any]:
        """Connect everybody who was made. With `join`, send it after the welcome; a viewer is in
        when it has heard `until`. Times are of the monotonic clock, which all processes share."""
        wish = masked_text(orjson.dumps(join)) if join else b""
        todo, door = iter(self.waiting), (port, f"127.0.0.{address}")
        want, inside, upgraded, at = len(self.waiting), 0, 0, {"began": time.monotonic()}
        self.recovered, open_now = 0, 0
        while inside < want:
            if time.monotonic() - at["began"] > LIMIT_S:
                raise RuntimeError(f"only {inside} of {want} are in; {self._stuck()}")
            while open_now - inside < WINDOW and (peer := next(todo, None)):
                self._dial(peer, *door)
                open_now += 1
            for fd, _ in self.epoll.poll(0.1, 1_024):
                if fd == CONTROL:
                    raise RuntimeError("told something else while connecting")
                peer = self.peers[fd]
                if peer.inside:
                    self._drain(fd)
                    continue
                first = not peer.upgraded
                inside += self._advance(peer, wish, until.encode())
                upgraded += first and peer.upgraded
                if first and upgraded == want:
                    at["connected"] = time.monotonic()
        at["inside"] = time.monotonic()
        return at | {"recovered": self.recovered}

    def _stuck(self) -> str:
        heard = [peer.heard for peer in self.peers.values() if not peer.inside]
        return f"one of {len(heard)} last heard {heard[0][-300:]!r}" if heard else "nobody dials"

    def _dial(self, peer: Peer, port: int, address: str) -> None:
        peer.socket = dialling = socket.socket()
        dialling.setsockopt(socket.IPPROTO_IP, BIND_ADDRESS_NO_PORT, 1)
        dialling.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        dialling.bind((address, 0))
        dialling.settimeout(10)
        dialling.connect(("127.0.0.1", port))
        dialling.sendall(peer.request)
        dialling.setblocking(False)
        self.peers[dialling.fileno()] = peer
        self.epoll.register(dialling, select.EPOLLIN)

    def _advance(self, peer: Peer, wish: bytes, until: bytes) -> bool:
        """Take what the server said on the way in; True when the viewer is in by it."""
        assert peer.socket is not None
        data = peer.socket.recv(len(self.buffer))
        if not data:
            raise RuntimeError(f"closed on the way in: {peer.heard[-300:]!r}")
        heard = peer.heard = peer.heard + data
        if not peer.upgraded:
            if b"\r\n\r\n" not in heard:
                return False
            if not heard.startswith(b"HTTP/1.1 101"):
                raise RuntimeError(f"refused at the door: {heard[:300]!r}")
            peer.upgraded = True
        if wish and b'"welcome"' in heard:
            peer.socket.sendall(wish)
            heard = peer.heard = heard.partition(b'"welcome"')[2]
        if b'"refused"' in heard:
            raise RuntimeError(f"not let in: {heard[-300:]!r}")
        if wish and not (b'"joined"' in heard and until in heard):
            return False
        self.recovered += b'"recovered":true' in heard
        peer.heard, peer.inside = b"", True
        return True

    def _drain(self, fd: int) -> None:
        peer = self.peers[fd].socket
        assert peer is not None
        try:
            got = peer.recv_into(self.buffer)
        except BlockingIOError:
            return
        except ConnectionError:
            got = 0
        self.bytes += got
        if not got:
            self.lost += 1
            self._close(fd)

    def _close(self, fd: int) -> None:
        peer = self.peers.pop(fd)
        self.epoll.unregister(fd)
        if peer.socket is not None:
            peer.socket.close()

    def _leave(self) -> dict[str, Any]:
        """Drop everybody; `make` them again before the next `open`."""
        for fd in tuple(self.peers):
            self._close(fd)
        self.bytes = self.lost = 0
        return {"open": 0}


def _upgrade(more: str) -> bytes:
    return (
        "GET /v1/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        f"{more}\r\n"
    ).encode()


if __name__ == "__main__":
    Crowd(Line()).run()
