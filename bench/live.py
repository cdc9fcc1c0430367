"""`largesse serve` as an operator starts it, for the figures that go through its sockets."""

import http.client
import socket
import time
from collections.abc import Iterable
from typing import Any

import httpx

from bench.house import API_KEY, COINS, ROOM, SETTINGS
from bench.processes import BenchFailed, Child, Workshop

READY_S = 30.0
POLL_S = 0.005


class Server:
    """One database and one port; may be killed and started again."""

    def __init__(self, shop: Workshop, name: str) -> None:
        self._shop = shop
        self.database = shop.folder / f"{name}.db"
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> float:
        """Start and wait until it is ready; how many seconds that took."""
        flags = SETTINGS | {"port": self.port, "database": f"sqlite:///{self.database}"}
        pairs = [(f"--{name.replace('_', '-')}", str(value)) for name, value in flags.items()]
        began = time.monotonic()
        self.child = self._shop.start("server.cli", "serve", *(word for p in pairs for word in p))
        while not self._ready():
            if self.child.process.poll() is not None or time.monotonic() - began > READY_S:
                raise BenchFailed(f"the server did not start: {self.child.log.read_text()}")
            time.sleep(POLL_S)
        return time.monotonic() - began

    def _ready(self) -> bool:
        asking = http.client.HTTPConnection("127.0.0.1", self.port, timeout=1)
        try:
            asking.request("GET", "/readyz")
            return asking.getresponse().status == 200
        except OSError:
            return False
        finally:
            asking.close()

    def furnish(self, users: Iterable[str]) -> None:
        """Open the room and give these users coins."""
        headers = {"Authorization": f"Bearer {API_KEY}"}
        with httpx.Client(base_url=self.url, headers=headers, trust_env=False) as http:
            room = {"id": ROOM, "title": "Bench", "creator": "c", "creator_name": "C"}
            http.post("/v1/rooms", json=room).raise_for_status()
            for user in users:
                grant = {"user": user, "coins": COINS, "reason": "bench"}
                http.post("/v1/grants", json=grant).raise_for_status()

    def room(self) -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(f"{self.url}/v1/rooms/{ROOM}", trust_env=False).json()
        return found


def joining(crowd: Child, port: int, count: int, users: str) -> None:
    """Have a crowd connect and join the room."""
    crowd.ask("make", count=count, users=users)
    crowd.ask("open", 120.0, port=port, join={"type": "join", "room": ROOM})


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])
