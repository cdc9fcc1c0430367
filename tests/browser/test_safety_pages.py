"""What viewers see of the money, in Chromium against a server that runs: prices, buying in the
sandbox, limits, pauses."""

import re
from itertools import count
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

DESK = (1400, 900)
PHONE = (320, 700)
SIZES = pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])


class Visitor:
    """One person's browser: a context of their own, and what its pages complained of."""

    def __init__(self, context: BrowserContext, live: Any, token: str | None) -> None:
        self.context, self.live, self.token = context, live, token
        self.complaints: list[str] = []

    async def open(self, path: str, **query: str) -> Page:
        page = await self.context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._hear)
        fragment = f"#token={self.token}" if self.token else ""
        await page.goto(f"{self.live.url}{path}?{urlencode(query)}{fragment}")
        return page

    def _hear(self, said: Any) -> None:
        # A refused request is a line in the console too; what the page makes of it is tested.
        if said.type == "error" and not said.text.startswith("Failed to load resource"):
            self.complaints.append(said.text)

    async def safety(self) -> Page:
        page = await self.open("/safety")
        await expect(page.locator("#own")).to_be_visible()
        return page

    async def stream(self) -> Page:
        page = await self.open("/", room=self.live.room)
        await expect(page.locator("#balance")).to_contain_text("coin")
        await expect(page.locator(".get-coins-button")).to_be_visible()
        return page


_people = count(1)


async def visitor(
    browser: Browser, live: Any, user: str | None, size: tuple[int, int] = DESK
) -> Visitor:
    token = live.viewer_token(f"{user}-{next(_people)}", user.title()) if user else None
    context = await browser.new_context(viewport={"width": size[0], "height": size[1]})
    return Visitor(context, live, token)


async def coins_of(page: Page) -> int:
    return int(re.sub(r"\D", "", await page.locator("#balance").inner_text()))


async def set_limit(page: Page, key: str, coins: str, *, saved: bool = True) -> None:
    await page.locator(f"#{key}").fill(coins)
    await page.get_by_role("button", name="Save limits").click()
    if saved:
        await expect(page.locator("limit-form .said.good")).to_be_visible()


async def pause(page: Page, days: int) -> None:
    await page.locator(f'[data-days="{days}"]').click()
    question = page.locator("dialog[open]")
    await expect(question).to_contain_text("cannot be undone early")
    await question.get_by_role("button", name="Pause for").click()
    await expect(page.locator("pause-choice .said")).to_contain_text("Paused until")


async def buy(visited: Visitor, page: Page, coins: int) -> Page:
    """Go from the dialog to the checkout; the checkout's page."""
    await page.locator(".get-coins-button").click()
    await page.locator('dialog[open] [name="amount"]').fill(str(coins))
    await page.locator('dialog[open] [value="exact"]').check()
    await expect(page.locator(".sum")).to_contain_text(f"{coins:,} coins for $")
    async with visited.context.expect_page() as opening:
        await page.get_by_role("button", name="Continue to payment").click()
    checkout = await opening.value
    await expect(checkout.locator("h1")).to_have_text("Pay for coins")
    return checkout


# Buying


async def test_coins_bought_in_the_sandbox_arrive_by_themselves(
    browser: Browser, live: Any
) -> None:
    ann = await visitor(browser, live, "ann")
    page = await ann.stream()
    had_coins = await coins_of(page)
    checkout = await buy(ann, page, 275)
    await expect(page.locator(".awaiting")).to_contain_text("Waiting for the payment: 275 coins")
    await expect(checkout.locator("body")).to_contain_text("USD 2.75")
    assert await coins_of(page) == had_coins
    await checkout.get_by_role("button", name="Pay").click()
    await expect(checkout.locator("h1")).to_have_text("Paid")
    await expect(page.locator("#balance")).to_have_text(f"{had_coins + 275:,} coins")
    await expect(page.locator(".awaiting")).to_contain_text("Paid: 275 coins for $2.75")
    assert ann.complaints == []


async def test_a_declined_payment_is_told_and_buys_nothing(browser: Browser, live: Any) -> None:
    ann = await visitor(browser, live, "ann")
    page = await ann.stream()
    had_coins = await coins_of(page)
    checkout = await buy(ann, page, 100)
    await checkout.get_by_role("button", name="Decline").click()
    await expect(checkout.locator("h1")).to_have_text("Declined")
    await expect(page.locator(".awaiting")).to_contain_text("did not go through")
    assert await coins_of(page) == had_coins


async def test_the_sandbox_checkout_needs_no_script(browser: Browser, live: Any) -> None:
    ann = await visitor(browser, live, "ann")
    page = await ann.stream()
    had_coins, address = await coins_of(page), (await buy(ann, page, 60)).url
    context = await browser.new_context(java_script_enabled=False)
    plain = await context.new_page()
    await plain.goto(address)
    await plain.get_by_role("button", name="Pay").click()
    await expect(plain.locator("h1")).to_have_text("Paid")
    await plain.goto(address)
    await expect(plain.locator("form")).to_have_count(0)
    await expect(page.locator("#balance")).to_have_text(f"{had_coins + 60:,} coins")


async def test_a_purchase_whose_answer_was_lost_is_sent_again_and_made_once(
    browser: Browser, live: Any
) -> None:
    ann = await visitor(browser, live, "ann")
    page = await ann.stream()
    made: list[tuple[str, Any]] = []

    async def lose_the_first(route: Any) -> None:
        answer = await route.fetch()
        made.append((route.request.headers["idempotency-key"], (await answer.json())["purchase"]))
        if len(made) == 1:
            await route.abort()
        else:
            await route.fulfill(response=answer)

    await page.route("**/v1/purchases", lose_the_first)
    await page.locator(".get-coins-button").click()
    await page.locator('dialog[open] [name="what"]').first.check()
    await page.get_by_role("button", name="Continue to payment").click()
    await expect(page.locator("get-coins .shop-refusal")).to_contain_text("could not be reached")

    await page.reload()
    await page.locator(".get-coins-button").click()
    await expect(page.locator("get-coins .shop-refusal")).to_contain_text("made only once")
    await page.get_by_role("button", name="Continue to payment").click()
    await expect(page.locator(".awaiting")).to_contain_text("Waiting for the payment")
    assert len(made) == 2 and made[0] == made[1]


async def test_an_amount_that_cannot_be_bought_is_not_asked_for(
    browser: Browser, live: Any
) -> None:
    ann = await visitor(browser, live, "ann")
    page = await ann.stream()
    await page.locator(".get-coins-button").click()
    await page.get_by_role("button", name="Continue to payment").click()
    await expect(page.locator("get-coins .shop-refusal")).to_contain_text("Choose")
    await page.locator('dialog[open] [name="amount"]').fill("1")
    await page.get_by_role("button", name="Continue to payment").click()
    await expect(page.locator("get-coins .shop-refusal")).to_contain_text(
        "whole number from 50 coins"
    )
    await expect(page.locator('dialog[open] [name="amount"]')).to_be_focused()


async def test_gifts_show_what_they_cost_in_money(browser: Browser, live: Any) -> None:
    page = await (await visitor(browser, live, "ann")).stream()
    await expect(page.locator('[data-gift="kite"] .gift-price')).to_have_text("$0.30")
    await page.locator('[data-gift="kite"]').click()
    await page.locator('[data-quantity="10"]').click()
    await expect(page.locator(".send-button")).to_have_text("Send Kite × 10 · 300 coins ($3.00)")


# Limits and pauses


async def test_a_limit_set_here_refuses_the_gift_with_a_sentence(
    browser: Browser, live: Any
) -> None:
    ann = await visitor(browser, live, "ann")
    safety = await ann.safety()
    await set_limit(safety, "daily_coins", "100")
    said = safety.locator("limit-form .said")
    await expect(said).to_contain_text("Your limit for 24 hours is now 100 coins ($1.00)")
    day = safety.locator('[data-window="Last 24 hours"]')
    await expect(day).to_contain_text("100 coins ($1.00) left of 100 coins ($1.00)")

    stream = await ann.stream()
    had_coins = await coins_of(stream)
    await stream.locator('[data-gift="kite"]').click()
    await stream.locator('[data-quantity="10"]').click()
    await stream.locator(".send-button").click()
    refusal = stream.locator("gift-panel .refusal")
    await expect(refusal).to_contain_text("100 coins")
    await expect(refusal.locator('a[href="/safety"]')).to_be_visible()
    assert await coins_of(stream) == had_coins
    assert ann.complaints == []


async def test_spending_is_shown_with_what_is_left(browser: Browser, live: Any) -> None:
    ann = await visitor(browser, live, "ann")
    stream = await ann.stream()
    had_coins = await coins_of(stream)
    safety = await ann.safety()
    await set_limit(safety, "weekly_coins", "200")
    await stream.locator('[data-gift="kite"]').click()
    await stream.locator(".send-button").click()
    await expect(stream.locator("#balance")).to_have_text(f"{had_coins - 30:,} coins")
    await safety.reload()
    week = safety.locator('[data-window="Last 7 days"]')
    await expect(week).to_contain_text("30 coins ($0.30) spent")
    await expect(week).to_contain_text("170 coins ($1.70) left of 200 coins ($2.00)")
    await expect(week).to_contain_text("More is free again from")


async def test_nearing_a_limit_is_said_gently_with_the_way_to_this_page(
    browser: Browser, live: Any
) -> None:
    ann = await visitor(browser, live, "ann")
    await set_limit(await ann.safety(), "daily_coins", "50")
    stream = await ann.stream()
    await stream.locator('[data-gift="kite"]').click()
    await stream.locator(".send-button").click()
    reminder = stream.locator("#reminder")
    await expect(reminder.locator('a[href="/safety"]')).to_be_visible()
    await reminder.get_by_role("button", name="Close").click()
    await expect(reminder).to_be_empty()


async def test_a_raise_waits_and_can_be_given_up(browser: Browser, live: Any) -> None:
    page = await (await visitor(browser, live, "ann")).safety()
    await set_limit(page, "daily_coins", "100")
    await set_limit(page, "daily_coins", "200")
    raises = page.locator("limit-form ul.state")
    await expect(raises).to_contain_text("rises to 200 coins ($2.00) on")
    await expect(page.locator("#daily_coins")).to_have_value("100")
    await raises.get_by_role("button", name="Do not raise it").click()
    await expect(raises).to_be_hidden()


async def test_what_is_no_number_is_not_sent(browser: Browser, live: Any) -> None:
    page = await (await visitor(browser, live, "ann")).safety()
    await set_limit(page, "monthly_coins", "lots", saved=False)
    await expect(page.locator("limit-form .said")).to_contain_text("whole coins in digits")
    await expect(page.locator("#monthly_coins")).to_be_focused()
    await expect(page.locator("#monthly_coins")).to_have_attribute("aria-invalid", "true")


async def test_a_limit_above_the_operators_is_refused_in_the_servers_words(
    browser: Browser, live: Any
) -> None:
    page = await (await visitor(browser, live, "ann")).safety()
    await set_limit(page, "daily_coins", "999999999", saved=False)
    await expect(page.locator("limit-form .said.bad")).to_contain_text("daily_coins")


async def test_a_pause_asks_first_and_then_refuses_gifts(browser: Browser, live: Any) -> None:
    ann = await visitor(browser, live, "ann")
    safety = await ann.safety()
    await safety.locator('[data-days="1"]').click()
    await safety.get_by_role("button", name="Do not pause").click()
    await expect(safety.locator("pause-choice .said")).to_be_empty()
    await pause(safety, 1)
    await expect(safety.locator("spending-view .state")).to_contain_text("taking a break")

    stream = await ann.stream()
    await stream.locator('[data-gift="spark"]').click()
    await stream.locator(".send-button").click()
    refusal = stream.locator("gift-panel .refusal")
    await expect(refusal.locator('a[href="/safety"]')).to_be_visible()


async def test_the_level_can_be_hidden_and_stays_hidden(browser: Browser, live: Any) -> None:
    page = await (await visitor(browser, live, "ann")).safety()
    await page.get_by_label("Hide my gifter level").check()
    await expect(page.locator("#level-said")).to_contain_text("hidden")
    await page.reload()
    await expect(page.locator("#own")).to_be_visible()
    await expect(page.get_by_label("Hide my gifter level")).to_be_checked()


# Everybody


async def test_without_a_token_the_page_explains_and_shows_prices(
    browser: Browser, live: Any
) -> None:
    nobody = await visitor(browser, live, None)
    page = await nobody.open("/safety")
    await expect(page.locator("#per-coin")).to_have_text("One coin costs $0.01.")
    await expect(page.locator(".prices tbody tr").first).to_be_visible()
    await expect(page.locator("#no-token")).to_be_visible()
    await expect(page.locator("#own")).to_be_hidden()
    assert nobody.complaints == []


async def test_a_wrong_token_is_answered_with_a_sentence(browser: Browser, live: Any) -> None:
    page = await Visitor(await browser.new_context(), live, "a.eyJzdWIiOiJhbm4ifQ.c").open(
        "/safety"
    )
    await expect(page.locator("#own-trouble")).not_to_be_empty()
    await expect(page.locator("#own")).to_be_hidden()


async def test_limits_and_pauses_can_be_set_by_keyboard(browser: Browser, live: Any) -> None:
    page = await (await visitor(browser, live, "ann")).safety()
    keys = page.keyboard
    await tab_to(page, "#daily_coins")
    await keys.type("150")
    await keys.press("Enter")
    await expect(page.locator("limit-form .said")).to_contain_text("150 coins")
    await tab_to(page, '[data-days="7"]')
    await keys.press("Enter")
    await expect(page.get_by_role("button", name="Do not pause")).to_be_focused()
    await keys.press("Escape")
    await expect(page.locator("dialog[open]")).to_have_count(0)
    await expect(page.locator('[data-days="7"]')).to_be_focused()
    await tab_to(page, "#hide-level")
    await keys.press("Space")
    await expect(page.locator("#level-said")).to_contain_text("hidden")


async def test_coins_can_be_bought_by_keyboard(browser: Browser, live: Any) -> None:
    page = await (await visitor(browser, live, "ann")).stream()
    await tab_to(page, ".get-coins-button")
    await page.keyboard.press("Enter")
    await tab_to(page, '[name="amount"]')
    await page.keyboard.type("120")
    await page.keyboard.press("Enter")
    await expect(page.locator(".awaiting")).to_contain_text("120 coins for $1.20")


async def tab_to(page: Page, selector: str) -> None:
    """Press Tab until this has the focus."""
    for _ in range(60):
        await page.keyboard.press("Tab")
        if await page.evaluate("css => document.activeElement?.matches(css)", selector):
            return
    raise AssertionError(f"{selector} cannot be reached by Tab")


@SIZES
async def test_nothing_sticks_out_sideways(
    browser: Browser, live: Any, size: tuple[int, int]
) -> None:
    ann = await visitor(browser, live, "ann", size)
    stream = await ann.stream()
    checkout = await buy(ann, stream, 50)
    await checkout.set_viewport_size({"width": size[0], "height": size[1]})
    for page in (await ann.safety(), stream, checkout):
        width = await page.evaluate("document.documentElement.scrollWidth")
        assert width == size[0], page.url
    dialog = stream.locator("dialog[open]")
    assert await dialog.evaluate("d => d.scrollWidth <= d.clientWidth")


async def test_every_field_and_button_has_a_name(browser: Browser, live: Any) -> None:
    page = await (await visitor(browser, live, "ann")).safety()
    for key in ("daily_coins", "weekly_coins", "monthly_coins", "per_gift_coins"):
        assert await page.locator(f'label[for="{key}"]').inner_text()
    for meter in await page.locator("meter").all():
        assert await meter.get_attribute("aria-label")
    for button in await page.locator("button:visible").all():
        assert (await button.inner_text()).strip()
