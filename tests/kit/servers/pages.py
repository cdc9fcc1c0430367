"""A server for the browser tests: a process that can be killed, with a room and tokens for it."""

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from kit.servers.serving import BACKEND, ServerProcess, server_process, token
from kit.servers.tools import need
from kit.waiting import PATIENCE_S

COINS = 3_000
"""Enough for one dear gift and some small ones, little enough to spend in a test."""


class LivePages:
    """A room, tokens for it, and a server that can be killed under it."""

    def __init__(self, server: ServerProcess, room: str = "kitchen") -> None:
        self._server = server
        self.url = server.url
        self.room = room
        body = {"id": self.room, "title": "Kitchen concert", "creator": "cleo"}
        self._post("/v1/rooms", body | {"creator_name": "Cleo"})

    def viewer_token(self, user: str, name: str) -> str:
        self._post("/v1/grants", {"user": user, "coins": COINS, "reason": "pages"})
        return token(user, name=name)

    def overlay_token(self) -> str:
        return str(self._post("/v1/overlays", {"room": self.room})["token"])

    def another_room(self) -> "LivePages":
        """The same server with a room that nobody has used."""
        return LivePages(self._server, f"kitchen-{secrets.token_hex(4)}")

    def restart(self) -> None:
        """kill −9, and the same books on the same port."""
        self._server.restart()

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = BACKEND | {"Idempotency-Key": secrets.token_hex(16)}
        answer = httpx.post(
            self.url + path, json=body, headers=headers, timeout=PATIENCE_S, verify=False
        )
        found: dict[str, Any] = answer.raise_for_status().json()
        return found


@contextlib.contextmanager
def live_pages(folder: Path, patch: pytest.MonkeyPatch, **flags: Any) -> Iterator[LivePages]:
    """Start such a server, and end it whatever comes."""
    need("chromium")
    # `serve` takes every LARGESSE_* for a setting, and this one is for test_pictures.py.
    patch.delenv("LARGESSE_SCREENSHOTS", raising=False)
    with server_process(folder, **flags) as server:
        yield LivePages(server)
