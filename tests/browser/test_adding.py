"""docs/adding.md done as it says: a gift with its drawing; a setting and a page, in a copy of the
code that gets the guide's own lines."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Route, expect

from kit.servers.pages import LivePages, live_pages
from kit.servers.serving import server_process

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.browser
with_chromium = pytest.mark.asyncio(loop_scope="module")


def block(section: str, language: str) -> str:
    """The section's only block in this language."""
    text = (ROOT / "docs" / "adding.md").read_text("utf-8").partition(f"## {section}\n")[2]
    found = re.findall(rf"^( *)```{language}\n(.*?)```", text.partition("\n## ")[0], re.S | re.M)
    [(indent, lines)] = found
    return "".join(line.removeprefix(indent) for line in lines.splitlines(keepends=True))


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
    catalogue.write_text(built_in + block("A gift", "toml") + UNDRAWN)
    with (
        pytest.MonkeyPatch.context() as patch,
        live_pages(folder, patch, catalogue=catalogue) as pages,
    ):
        yield pages


@with_chromium
async def test_a_gift_with_its_drawing_is_added_as_the_guide_says(
    browser: Browser, live: LivePages
) -> None:
    page = await browser.new_page()
    tiles_are_there = asyncio.Event()

    async def add_the_drawing(route: Route) -> None:
        """The sheet with the symbol, and later than the tiles: they are drawn without it."""
        await tiles_are_there.wait()
        sheet = (ROOT / "web" / "static" / "show" / "gifts.svg").read_text("utf-8")
        drawn = sheet.replace("</svg>", f"{block('A gift', 'svg')}</svg>")
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
    await expect(flying).to_have_attribute("href", "#picture-harp")


def add(file: Path, lines: str, *, before: str) -> None:
    text = file.read_text("utf-8")
    assert text.count(before) == 1, f"{file.name}: where is {before!r}?"
    file.write_text(text.replace(before, lines + before), "utf-8")


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code with the guide's setting and the guide's page added."""
    copy = tmp_path_factory.mktemp("adding") / "largesse"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "*.egg-info", "node_modules"))
    settings, pages = (
        copy / "server" / "settings" / "table.py",
        copy / "server" / "api" / "pages.py",
    )
    add(settings, block("A setting", "python"), before="    ring_events: int")
    add(copy / "docs" / "operations.md", block("A setting", "md"), before="| `ring_events` |")
    (copy / "web" / "static" / "gifts.html").write_text(block("A page", "html"))
    (copy / "web" / "static" / "gifts-page.js").write_text(block("A page", "js"))
    add(pages, block("A page", "python") + "\n\n", before="PAGES = [")
    pages.write_text(pages.read_text("utf-8").replace("PAGES = [", "PAGES = [gifts_page, "))
    return copy


def ran(code: Path, *words: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, *words],
        cwd=code,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.deep
def test_a_setting_is_added_as_the_guide_says(code: Path) -> None:
    shown = json.loads(ran(code, "-m", "server.cli", "config", "--json", LARGESSE_QUIET_HOURS="5"))
    assert next(row for row in shown if row["name"] == "quiet_hours")["value"] == "5"
    assert "--quiet-hours" in ran(code, "-m", "server.cli", "serve", "--help")
    documented = "tests/server/test_config.py::test_the_operations_page_gives_every_setting"
    ran(code, "-m", "pytest", "-q", f"{documented}_with_its_default_and_meaning")


@pytest.mark.deep
@with_chromium
async def test_a_page_is_added_as_the_guide_says(
    browser: Browser, code: Path, tmp_path: Path
) -> None:
    with server_process(tmp_path, code=code) as server:
        page = await browser.new_page()
        complaints: list[str] = []
        page.on("console", lambda said: complaints.append(said.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto(f"{server.url}/gifts")
        await expect(page.locator("main")).to_contain_text("Lighthouse")
        assert not complaints
