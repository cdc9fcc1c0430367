"""The viewer page and the overlay in Chromium, against a server that runs.

The fixture `live` (conftest.py) gives a room of its own on the file's server: `url`, `room`,
`viewer_token(user, name)` (an adult with at least 1,500 coins), `overlay_token()`; `own_live` has a
server of its own, and `restart()` kills it and starts it again on the same port and the same
database. What does something may be a coroutine.
"""

import inspect
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.async_api import Browser, Page, expect

DESK = (1400, 900)
PHONE = (400, 800)
pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]


@dataclass
class Opened:
    """A page and what it complained of."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    async def number(self, selector: str) -> int:
        return int(re.sub(r"\D", "", await self.page.locator(selector).inner_text()))

    async def give(self, gift: str, quantity: int = 1) -> None:
        await self.page.locator(f'[data-gift="{gift}"]').click()
        if quantity > 1:
            await self.page.locator(f'[data-quantity="{quantity}"]').click()
        await self.page.locator(".send-button").click()

    async def is_live(self) -> None:
        state = self.page.locator("connection-state")
        await expect(state).to_have_attribute("data-phase", "live")
        await expect(self.page.locator("#balance")).to_contain_text("coin")

    async def books_are_right(self, entries_min: int) -> None:
        books = self.page.locator("books-check")
        await expect(books).to_contain_text("✓")
        assert int(await books.get_attribute("data-verified") or 0) >= entries_min
        assert await books.get_attribute("data-mismatches") is None


async def opened(browser: Browser, url: str, size: tuple[int, int]) -> Opened:
    """A page of its own session: users share neither storage nor cookies."""
    context = await browser.new_context(viewport={"width": size[0], "height": size[1]})
    found = Opened(await context.new_page())
    found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
    found.page.on(
        "console",
        lambda said: found.complaints.append(said.text) if said.type == "error" else None,
    )
    await found.page.goto(url)
    return found


async def viewer(browser: Browser, live: Any, name: str, size: tuple[int, int] = DESK) -> Opened:
    token = await settled(live.viewer_token(name.lower(), name))
    page = await opened(browser, f"{live.url}/?room={live.room}#token={token}", size)
    await page.is_live()
    return page


async def overlay(browser: Browser, live: Any, **options: str) -> Opened:
    token = await settled(live.overlay_token())
    query = urlencode({"token": token, "room": live.room, **options})
    return await opened(browser, f"{live.url}/overlay?{query}", (800, 600))


async def settled(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


async def test_a_gift_flies_on_every_page_and_the_books_agree(browser: Browser, live: Any) -> None:
    ann = await viewer(browser, live, "Ann")
    ben = await viewer(browser, live, "Ben", PHONE)
    over = await overlay(browser, live, board="5")
    had_coins, total_coins = await ann.number("#balance"), await ann.number("#total")

    await ann.give("biscuit", 10)

    for page in (ann.page, ben.page):
        line = page.locator(".line", has_text="Ann").filter(has_text="Biscuit")
        await expect(line.last).to_contain_text("50 coins")
        await expect(page.locator("#total")).to_have_text(f"{total_coins + 50:,}")
        await expect(page.locator('live-board [data-user="ann"]')).to_be_visible()
    await expect(ann.page.locator("#balance")).to_have_text(f"{had_coins - 50:,} coins")
    await expect(ann.page.locator(".board-own")).to_contain_text("You are number")
    await expect(over.page.locator(".act")).to_contain_text("Ann sent Biscuit")
    await expect(over.page.locator("#board")).to_contain_text("Ann")
    for opened_page in (ann, ben):
        await opened_page.books_are_right(1)
    assert ann.complaints == ben.complaints == over.complaints == []


async def test_a_combo_grows_in_one_line(browser: Browser, live: Any) -> None:
    ann = await viewer(browser, live, "Ann")
    ben = await viewer(browser, live, "Ben")
    for _ in range(3):
        await ann.give("spark")
    lines = ben.page.locator(".line", has_text="Spark")
    await expect(lines.last).to_contain_text("× 3")
    assert await lines.count() == 1


async def test_a_big_gift_asks_first(browser: Browser, live: Any) -> None:
    ann = await viewer(browser, live, "Ann")
    had_coins = await ann.number("#balance")
    await ann.give("observatory")
    question = ann.page.locator("dialog[open]")
    await expect(question).to_contain_text("Observatory for 999 coins")
    await question.get_by_text("Not now").click()
    await expect(question).to_have_count(0)
    assert await ann.number("#balance") == had_coins
    await ann.give("observatory")
    await question.get_by_text("Send it").click()
    await expect(ann.page.locator("#balance")).to_have_text(f"{had_coins - 999:,} coins")
    await expect(ann.page.locator(".act-full")).to_contain_text("Observatory")


async def test_a_refusal_is_shown_in_the_servers_words(browser: Browser, live: Any) -> None:
    rita = await viewer(browser, live, "Rita")
    for _ in range(await rita.number("#balance") // 999 + 1):
        await rita.give("observatory")
        await rita.page.locator("dialog[open]").get_by_text("Send it").click()
    refusal = rita.page.locator(".refusal")
    await expect(refusal).to_be_visible()
    assert (await refusal.inner_text()).strip()


async def test_names_and_messages_are_text_and_never_markup(browser: Browser, live: Any) -> None:
    evil = "<img src=x onerror=document.title='owned'>"
    token = await settled(live.viewer_token("mallory", evil))
    address = f"{live.url}/?room={live.room}#token={token}"
    mallory = await opened(browser, address, DESK)
    await mallory.is_live()
    await mallory.page.locator('[data-gift="leaf"]').click()
    await mallory.page.locator(".message").fill(f"{evil} hello")
    await mallory.page.locator(".send-button").click()
    await expect(mallory.page.locator(".line q").last).to_have_text(f"{evil} hello")
    await expect(mallory.page.locator(".line .person").last).to_have_text(evil)
    assert await mallory.page.locator("img").count() == 0
    assert "owned" not in await mallory.page.title()


async def test_the_token_leaves_the_address_bar_and_survives_a_reload(
    browser: Browser, live: Any
) -> None:
    ann = await viewer(browser, live, "Ann")
    assert "token" not in ann.page.url
    await ann.page.reload()
    await ann.is_live()
    await expect(ann.page.locator("#me")).to_have_text("Ann")


async def test_a_wrong_token_is_answered_with_a_sentence_and_a_field(
    browser: Browser, live: Any
) -> None:
    page = await opened(browser, f"{live.url}/?room={live.room}#token=wrong", PHONE)
    await expect(page.page.locator("connection-state")).to_contain_text("Refused")
    await expect(page.page.locator("#entrance-why")).to_contain_text("token")
    await expect(page.page.locator("#entrance textarea")).to_be_visible()


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
async def test_nothing_sticks_out_sideways(
    browser: Browser, live: Any, size: tuple[int, int]
) -> None:
    ann = await viewer(browser, live, "Ann", size)
    width = await ann.page.evaluate("document.documentElement.scrollWidth")
    assert width == size[0]


async def test_the_overlay_is_transparent_and_quiet(browser: Browser, live: Any) -> None:
    over = await overlay(browser, live)
    await over.page.wait_for_timeout(500)
    script = (
        "[document.documentElement, document.body].map(e => getComputedStyle(e).backgroundColor)"
    )
    assert await over.page.evaluate(script) == ["rgba(0, 0, 0, 0)"] * 2
    assert await over.page.locator(".act").count() == 0
    assert await over.page.locator("#trouble").is_hidden()
    assert over.complaints == []


@pytest.mark.deep
async def test_pages_come_back_after_a_restart_and_totals_still_verify(
    browser: Browser, own_live: Any
) -> None:
    live = own_live
    ann = await viewer(browser, live, "Ann")
    ben = await viewer(browser, live, "Ben")
    over = await overlay(browser, live)
    had_coins, total_coins = await ann.number("#balance"), await ben.number("#total") + 5
    await ann.give("note")
    await expect(ann.page.locator("#balance")).to_have_text(f"{had_coins - 5:,} coins")
    # Ann's own answer may come before Ben's frame, and the kill must not fall between the two.
    await expect(ben.page.locator("#total")).to_have_text(f"{total_coins:,}")

    await settled(live.restart())
    # Given while the line may still be down: it waits, and goes out once, under its one key.
    await ben.give("clap")

    for page in (ann, ben):
        await page.is_live()
        total = page.page.locator("#total")
        await expect(total).to_have_text(f"{total_coins + 2:,}")
        await page.books_are_right(1)
    await expect(ben.page.locator(".waiting")).to_be_hidden()
    assert await ann.number("#balance") == had_coins - 5
    await expect(over.page.locator(".act", has_text="Clap")).to_be_visible()
