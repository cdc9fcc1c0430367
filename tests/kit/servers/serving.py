"""Real servers for tests: one in this event loop, or one in a process that can be killed."""

import asyncio
import contextlib
import dataclasses
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import websockets

from kit.servers import children
from kit.servers.described import asking
from kit.waiting import PATIENCE_S
from largesse_client import make_token
from server.app import running
from server.settings.table import Settings

SECRET = "a secret of the tests, 32 bytes or more"
API_KEY = "the-api-key-of-the-tests"
READY_S = 90.0
"""A server is ready in a second; on a machine with ten times more to do than it can, in twenty."""
BACKEND = {"Authorization": f"Bearer {API_KEY}"}


def token(user: str, *, secret: str = SECRET, **claims: Any) -> str:
    """A token as the host platform would issue it; an adult viewer's by default."""
    given: dict[str, Any] = {"name": user.title(), "adult": True}
    return make_token(secret, user, **(given | claims))


def settings(database: str = "sqlite:///:memory:", **changed: Any) -> Settings:
    plain = Settings(
        port=0,
        database=database,
        token_secret=SECRET,
        api_key=API_KEY,
        drain_ms=50,
        gift_rate=100_000,
        gift_burst=100_000,
        message_rate=100_000,
        message_burst=100_000,
        http_rate=100_000,
        http_burst=100_000,
        max_connections_per_user=5_000,
        log_level="error",
    )
    return dataclasses.replace(plain, **changed)


class Client:
    """One WebSocket that remembers everything it was told."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self.socket = socket
        self.heard: list[dict[str, Any]] = []

    async def say(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    async def hear(
        self, *types: str, within_s: float = PATIENCE_S, **fields: Any
    ) -> dict[str, Any]:
        """The next message of one of these types with these fields; others are kept in `heard`."""
        async with asyncio.timeout(within_s):
            while True:
                message: dict[str, Any] = json.loads(await self.socket.recv())
                self.heard.append(message)
                if message["type"] in types and fields.items() <= message.items():
                    return message

    async def ask(self, *types: str, **message: Any) -> dict[str, Any]:
        await self.say(**message)
        return await self.hear(*types)

    async def gift(self, key: str, **fields: Any) -> dict[str, Any]:
        """Send a gift and wait for its answer."""
        wish = {"type": "gift", "room": "r", "gift": "spark", "key": key} | fields
        await self.say(**wish)
        return await self.hear("accepted", "refused", key=key)

    async def closed(self, within_s: float = PATIENCE_S) -> int:
        """Wait until the server closes; the code."""
        async with asyncio.timeout(within_s):
            with contextlib.suppress(websockets.ConnectionClosed):
                while True:
                    self.heard.append(json.loads(await self.socket.recv()))
        assert self.socket.close_code is not None
        return self.socket.close_code


class Live:
    """A server that listens, and the ways to it."""

    def __init__(self, url: str, http: httpx.AsyncClient, app: Any = None) -> None:
        self.url = url
        self.ws = url.replace("http", "ws") + "/v1/ws"
        self.http = http
        self.node = app and app.node
        self.context = app and app.context
        self._stack = contextlib.AsyncExitStack()

    async def room(self, id: str = "r", creator: str = "cara") -> dict[str, Any]:
        body = {"id": id, "title": "A room", "creator": creator, "creator_name": "Cara"}
        answer = await self.http.post("/v1/rooms", json=body)
        made: dict[str, Any] = answer.raise_for_status().json()
        return made

    async def grant(self, user: str, coins: int = 1_000) -> None:
        body = {"user": user, "coins": coins, "reason": "test"}
        (await self.http.post("/v1/grants", json=body)).raise_for_status()

    async def connect(self, user: str | None = None, **claims: Any) -> Client:
        """A connection; of a user with a token in the header, or one that has said nothing."""
        headers = {"Authorization": f"Bearer {token(user, **claims)}"} if user else {}
        connecting = websockets.connect(self.ws, additional_headers=headers, max_size=None)
        client = Client(await self._stack.enter_async_context(connecting))
        if user:
            await client.hear("welcome")
        return client

    async def join(self, user: str, room: str = "r", **claims: Any) -> Client:
        """A connection that has joined."""
        client = await self.connect(user, **claims)
        await client.ask("joined", type="join", room=room)
        return client

    async def close(self) -> None:
        await self._stack.aclose()


@contextlib.asynccontextmanager
async def live(database: str = "sqlite:///:memory:", **changed: Any) -> AsyncIterator[Live]:
    """A server in this event loop; `changed` are settings."""
    async with (
        running(settings(database, **changed)) as app,
        asking(app.url, BACKEND) as http,
    ):
        server = Live(app.url, http, app)
        try:
            yield server
        finally:
            await server.close()


def free_port() -> int:
    """A port below those that the kernel gives to connections: nobody takes it by chance."""
    while True:
        port = random.randrange(10_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


class ServerProcess:
    """`largesse serve` in a process of its own, on a port that stays the same over restarts."""

    def __init__(
        self,
        folder: Path,
        wrapper: list[str] | None = None,
        code: Path = Path(__file__).parents[3],
        **flags: Any,
    ) -> None:
        self.database = f"sqlite:///{folder / 'books.db'}"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.token_secret, self.api_key = SECRET, API_KEY
        self.log = folder / "server.log"
        self._wrapper = wrapper or []
        self._code = code
        self._flags = {"log-level": "warning", "drain-ms": 50} | flags
        self.process: subprocess.Popen[bytes] | None = None

    def set_flags(self, **flags: Any) -> None:
        """Settings for the next start."""
        self._flags |= flags

    def start(self, within_s: float = READY_S) -> float:
        """Start and wait until it is ready; the seconds that took."""
        began = time.monotonic()
        command = [*self._wrapper, sys.executable, "-m", "server.cli", "serve"]
        command += ["--port", str(self.port), "--database", self.database]
        for name, value in self._flags.items():
            command += [f"--{name}", str(value)]
        secrets = {"LARGESSE_TOKEN_SECRET": SECRET, "LARGESSE_API_KEY": API_KEY}
        with self.log.open("ab") as log:
            self.process = children.start(
                command,
                env=os.environ | secrets,
                stdout=log,
                stderr=log,
                cwd=self._code,
            )
        try:
            self._wait_until_ready(began + within_s)
        except BaseException:  # an interrupted or timed out test too
            self.kill()
            raise
        return time.monotonic() - began

    def _wait_until_ready(self, deadline_s: float) -> None:
        assert self.process is not None
        while time.monotonic() < deadline_s:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended: {self.log.read_text()[-2_000:]}")
            with contextlib.suppress(httpx.HTTPError):
                # With `verify`, httpx would read the certificates of the world each time.
                asked = httpx.get(f"{self.url}/readyz", timeout=5, verify=False)
                if asked.status_code == 200:
                    return
            time.sleep(0.01)
        raise RuntimeError("the server did not get ready")

    def kill(self) -> None:
        """kill -9: no goodbye, nothing flushed. It may have ended, and may never have begun."""
        if self.process is not None:
            children.end(self.process)

    def stop(self, within_s: float = READY_S) -> int:
        """SIGTERM; the exit code. One that does not end in time is killed, and the test fails."""
        assert self.process is not None
        try:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGTERM)
            return self.process.wait(within_s)
        finally:
            self.kill()

    def restart(self) -> float:
        self.kill()
        return self.start()


@contextlib.contextmanager
def server_process(folder: Path, **flags: Any) -> Iterator[ServerProcess]:
    """A server in a process of its own that does not outlive the test, however it ends."""
    server = ServerProcess(folder, **flags)
    try:
        server.start()
        yield server
    finally:
        server.kill()
