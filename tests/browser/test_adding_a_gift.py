"""docs/adding.md, section "A gift", done as it says: the table in a catalogue, the symbol in the
sheet of pictures."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Route, expect

from kit.servers.pages import LivePages, live_pages

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]


def block(language: str) -> str:
    """The section's only block in this language."""
    section = (ROOT / "docs" / "adding.md").read_text("utf-8").partition("## A gift\n")[2]
    [found] = re.findall(rf"```{language}\n(.*?)```", section.partition("\n## ")[0], re.S)
    return str(found)


UNDRAWN = """
[[gift]]
id = "plain"
name = "Plain"
coins = 3
combo = false
animation = "tray"
ttl_s = 20
"""


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePages]:
    """A server whose catalogue is a copy of the built-in one, with the table added."""
    folder = tmp_path_factory.mktemp("harp")
    built_in = (ROOT / "rules" / "catalogue.toml").read_text("utf-8")
    catalogue = folder / "catalogue.toml"
    catalogue.write_text(built_in + block("toml") + UNDRAWN)
    with (
        pytest.MonkeyPatch.context() as patch,
        live_pages(folder, patch, catalogue=catalogue) as pages,
    ):
        yield pages


async def test_a_gift_with_its_drawing_is_added_as_the_guide_says(
    browser: Browser, live: LivePages
) -> None:
    page = await browser.new_page()
    tiles_are_there = asyncio.Event()

    async def add_the_drawing(route: Route) -> None:
        """The sheet with the symbol, and later than the tiles: they are drawn without it."""
        await tiles_are_there.wait()
        sheet = (ROOT / "web" / "static" / "show" / "gifts.svg").read_text("utf-8")
        drawn = sheet.replace("</svg>", f"{block('svg')}</svg>")
        await route.fulfill(body=drawn, content_type="image/svg+xml")

    await page.route("**/show/gifts.svg", add_the_drawing)
    token = live.viewer_token("hanna", "Hanna")
    await page.goto(f"{live.url}/?room={live.room}#token={token}")
    tile = page.locator('[data-gift="harp"]')
    await expect(tile).to_contain_text("Harp")
    tiles_are_there.set()
    await expect(tile.locator("use")).to_have_attribute("href", "#picture-harp")
    box = await page.locator("#picture-harp path").evaluate("path => path.getTotalLength()")
    assert box > 0, "the symbol is in the page, and is a path"
    undrawn = page.locator('[data-gift="plain"] use')
    await expect(undrawn).to_have_attribute("href", "#picture-gift")
    await tile.click()
    await page.locator(".send-button").click()
    flying = page.locator(".act use").first
    await expect(flying).to_have_attribute("href", "#picture-harp", timeout=20_000)
