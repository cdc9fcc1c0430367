"""Chromium, and the server that the pages are tested against: a process that can be killed."""

import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from kit.servers.serving import BACKEND, ServerProcess, token
from kit.servers.tools import need

COINS = 3_000
"""Enough for one dear gift and some small ones, little enough to spend in a test."""

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One Chromium for the tests of a file; each page has a context of its own."""
    path = need("chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        await browser.close()


class LivePages:
    """A room called `kitchen`, tokens for it, and a server that can be killed under it."""

    room = "kitchen"

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self.url = server.url
        body = {"id": self.room, "title": "Kitchen concert", "creator": "cleo"}
        self._post("/v1/rooms", body | {"creator_name": "Cleo"})

    def viewer_token(self, user: str, name: str) -> str:
        self._post("/v1/grants", {"user": user, "coins": COINS, "reason": "pages"})
        return token(user, name=name)

    def overlay_token(self) -> str:
        return str(self._post("/v1/overlays", {"room": self.room})["token"])

    def restart(self) -> None:
        """kill −9, and the same books on the same port."""
        self._server.restart()

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = BACKEND | {"Idempotency-Key": secrets.token_hex(16)}
        answer = httpx.post(self.url + path, json=body, headers=headers, timeout=20)
        found: dict[str, Any] = answer.raise_for_status().json()
        return found


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LivePages]:
    """A server for one test, which may kill it."""
    with monkeypatch.context() as patch:
        yield from _live(tmp_path, patch)


@pytest.fixture(scope="module")
def shared_live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePages]:
    """One server for the tests of a file; each brings users of its own."""
    with pytest.MonkeyPatch.context() as patch:
        yield from _live(tmp_path_factory.mktemp("live"), patch)


def _live(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[LivePages]:
    need("chromium")
    # `serve` takes every LARGESSE_* for a setting, and this one is for test_pictures.py.
    patch.delenv("LARGESSE_SCREENSHOTS", raising=False)
    server = ServerProcess(folder)
    server.start()
    yield LivePages(server)
    server.kill()
