"""The pictures of the README, taken of the running thing; without being asked only looked at.

`LARGESSE_SCREENSHOTS=1 pytest tests/browser/test_pictures.py` writes them to docs/.
"""

import asyncio
import os
import struct
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from playwright.async_api import Browser, expect

from kit.servers import children
from kit.servers.serving import READY_S, free_port

pytestmark = [pytest.mark.deep, pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

ROOT = Path(__file__).parents[2]
WANTED = os.environ.get("LARGESSE_SCREENSHOTS") == "1"
LIFE_S = 8.0
"""So long the demo's gifters have been at it: there is a board, and lines in the tray."""
CHECKER = "repeating-conic-gradient(#c9ccd1 0 25%, #eef0f2 0 50%) 0 0 / 40px 40px"


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[str]:
    """`largesse demo` in a process of its own; its address."""
    port = free_port()
    command = [sys.executable, "-m", "server.cli", "demo", "--gifters", "12", "--port", str(port)]
    with (tmp_path / "demo.log").open("wb") as log:
        process = children.start(command, cwd=ROOT, stdout=log, stderr=log)
    try:
        wait_until_ready(f"http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}"
    finally:
        children.end(process)


def wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + READY_S
    while True:
        try:
            if httpx.get(f"{url}/readyz", timeout=1).status_code == 200:
                return
        except httpx.HTTPError:
            assert time.monotonic() < deadline, "the demo did not get ready"
        time.sleep(0.05)


def keep(picture: bytes, name: str) -> None:
    """Assert that something is on the picture; save it when the pictures were asked for."""
    assert distinct_rows(picture) > 100, "the picture is (almost) blank"
    if WANTED:
        (ROOT / "docs" / name).write_bytes(picture)


def distinct_rows(png: bytes) -> int:
    """How many different rows of pixels a picture has; a blank one has two, as PNG stores them."""
    place, packed, height = 8, b"", 1
    while place < len(png):
        (size,) = struct.unpack_from(">I", png, place)
        kind, body = png[place + 4 : place + 8], png[place + 8 : place + 8 + size]
        if kind == b"IHDR":
            (height,) = struct.unpack_from(">I", body, 4)
        elif kind == b"IDAT":
            packed += body
        place += size + 12
    pixels = zlib.decompress(packed)
    width = len(pixels) // height
    return len({pixels[row * width : (row + 1) * width] for row in range(height)})


async def test_the_viewer_page_of_the_demo(browser: Browser, demo: str) -> None:
    page = await browser.new_page(viewport={"width": 1280, "height": 800})
    await page.goto(f"{demo}/")
    await expect(page.locator("connection-state")).to_have_attribute("data-phase", "live")
    await asyncio.sleep(LIFE_S)
    await page.locator('[data-gift="kite"]').click()
    await page.locator(".send-button").click()
    await expect(page.locator(".line", has_text="Kite").last).to_be_visible()
    await expect(page.locator("books-check")).to_contain_text("✓")
    await asyncio.sleep(0.6)
    keep(await page.screenshot(), "viewer.png")


async def test_the_overlay_over_a_checker_board(browser: Browser, live: Any) -> None:
    page = await browser.new_page(viewport={"width": 1280, "height": 720})
    query = urlencode({"token": live.overlay_token(), "room": live.room, "board": "5"})
    await page.goto(f"{live.url}/overlay?{query}")
    # Not a style sheet: the page's content security policy refuses those of others.
    await page.evaluate("css => { document.documentElement.style.background = css }", CHECKER)
    for user, gift in (("ben", "biscuit"), ("cyd", "note"), ("ann", "observatory")):
        await give(browser, live, user, gift)
    await expect(page.locator(".act")).to_contain_text("Ann sent Observatory")
    await asyncio.sleep(0.8)
    keep(await page.screenshot(), "overlay.png")


async def give(browser: Browser, live: Any, user: str, gift: str) -> None:
    """One viewer comes, gives once by clicking, and goes."""
    page = await browser.new_page()
    token = live.viewer_token(user, user.title())
    await page.goto(f"{live.url}/?room={live.room}#token={token}")
    await expect(page.locator("#balance")).to_contain_text("coin")
    await page.locator(f'[data-gift="{gift}"]').click()
    await page.locator(".send-button").click()
    if gift == "observatory":
        await page.locator("dialog[open]").get_by_text("Send it").click()
    await expect(page.locator(".line").last).to_be_visible()
    await page.close()
