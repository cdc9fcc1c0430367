"""The sandbox's checkout page: what it says, and that nothing in it is markup by accident."""

from html.parser import HTMLParser

import pytest

from web import STATIC
from web.checkout import checkout_page, price_text


class Seen(HTMLParser):
    """The tags of a page, with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def page(**changed: object) -> str:
    given = {"purchase": "p1", "coins": 1_500, "price": "USD 15.00", "status": "pending"}
    return checkout_page(**(given | changed))  # type: ignore[arg-type]


def test_a_pending_purchase_can_be_paid_or_declined() -> None:
    seen = Seen(page())
    assert seen.of("form") == [{"method": "post"}]
    answers = [(button["name"], button["value"]) for button in seen.of("button")]
    assert answers == [("answer", "pay"), ("answer", "decline")]


def test_it_says_what_is_bought_for_how_much_and_that_no_money_moves() -> None:
    html = page()
    assert "1,500 coins" in html and "USD 15.00" in html and "p1" in html
    assert "sandbox: no real money" in html


@pytest.mark.parametrize(
    ("status", "word"),
    [
        ("paid", "Paid"),
        ("failed", "Declined"),
        ("refunded", "Refunded"),
        ("charged_back", "Taken back"),
        ("something new", "not waiting"),
    ],
)
def test_a_settled_purchase_is_not_asked_about_again(status: str, word: str) -> None:
    html = page(status=status)
    assert not Seen(html).of("form")
    assert word in html


@pytest.mark.parametrize("status", ["pending", "paid"])
def test_nothing_that_is_said_becomes_markup(status: str) -> None:
    evil = "\"'><script>alert(1)</script>"
    html = page(purchase=evil, price=evil, status=status)
    assert not Seen(html).of("script")
    assert "<script" not in html


@pytest.mark.parametrize("status", ["pending", "paid"])
def test_it_holds_to_the_content_security_policy(status: str) -> None:
    seen = Seen(page(status=status))
    assert not seen.of("script") and not seen.of("style")
    assert not [attributes for _, attributes in seen.tags if "style" in attributes]
    for link in seen.of("link"):
        assert (STATIC / str(link["href"]).removeprefix("/static/")).is_file()


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (999, "USD", "USD 9.99"),
        (5, "EUR", "EUR 0.05"),
        (123_456_789, "USD", "USD 1,234,567.89"),
        (1_500, "JPY", "JPY 1,500"),
        (1_005, "KWD", "KWD 1.005"),
        (-250, "USD", "USD -2.50"),
        (0, "USD", "USD 0.00"),
    ],
)
def test_money_is_written_with_the_digits_of_its_currency(
    minor: int, currency: str, text: str
) -> None:
    assert price_text(minor, currency) == text
