"""Chromium, and the server that the pages are tested against: a process that can be killed."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright, expect

from kit.servers.pages import LivePages, live_pages
from kit.servers.tools import need
from kit.waiting import PATIENCE_S

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One Chromium for the tests of a file; each page has a context of its own."""
    path = need("chromium")
    expect.set_options(timeout=PATIENCE_S * 1000)
    async with async_playwright() as playwright:
        starting = playwright.chromium.launch(
            executable_path=path, args=FLAGS, timeout=PATIENCE_S * 1000
        )
        async with await starting as browser:
            yield browser


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def every_page_is_closed(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """A page that stays open goes on drawing, and makes the next test slower."""
    yield
    if "browser" in request.fixturenames:
        for context in request.getfixturevalue("browser").contexts:
            await context.close()


@pytest.fixture
def own_live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LivePages]:
    """A server for one test, which may kill it."""
    with monkeypatch.context() as patch, live_pages(tmp_path, patch) as pages:
        yield pages


@pytest.fixture
def live(shared_live: LivePages) -> LivePages:
    """A room of its own for each test, on one server for the tests of a file."""
    return shared_live.another_room()


@pytest.fixture(scope="module")
def shared_live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePages]:
    """One server for the tests of a file."""
    folder = tmp_path_factory.mktemp("live")
    with pytest.MonkeyPatch.context() as patch, live_pages(folder, patch) as pages:
        yield pages
