"""The checkout's own pages: plain HTML that works without a script.

It is written here and not in a static file because it says what is being bought. It refuses to know
where a purchase is kept and what its answer does: values in, text out.
"""

from html import escape

from rules.shop import MINOR_DIGITS

MINOR_DIGITS_USUAL = 2

_ENDS = {
    "confirming": ("Thank you", "The payment is being confirmed; the coins come by themselves."),
    "paid": ("Paid", "The coins are in the wallet. You can close this page."),
    "failed": ("Declined", "Nothing was bought. You can close this page."),
    "refunded": ("Refunded", "This purchase was paid and has been refunded."),
    "charged_back": ("Taken back", "This payment was taken back."),
}
_UNKNOWN_END = ("Done", "This purchase is not waiting for a payment.")

_SANDBOX = '<p class="sandbox">This is a sandbox: no real money moves.</p>'

_FORM = """<p class="price">{price}</p>
      <p>for {coins}</p>
      <form method="post">
        <button class="main-button" name="answer" value="pay">Pay</button>
        <button name="answer" value="decline">Decline</button>
      </form>"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="referrer" content="no-referrer">
  <meta name="color-scheme" content="light dark">
  <title>{title} · largesse</title>
  <link rel="icon" href="/static/icon.svg" type="image/svg+xml">
  <link rel="stylesheet" href="/static/page.css">
</head>
<body>
  <main class="checkout">
    <div class="paper">
      <h1>{title}</h1>
      {note}
      {body}
      <p class="purchase soft">Purchase <bdi>{purchase}</bdi></p>
      <p><a href="/">Back to the stream</a></p>
    </div>
  </main>
</body>
</html>
"""


def checkout_page(
    *, purchase: str, coins: int, price: str, status: str, sandbox: bool = True
) -> str:
    """The page for a purchase in this status: a form while it is pending, else what happened."""
    amount = f"{coins:,} {'coin' if coins == 1 else 'coins'}"
    if status == "pending":
        title, body = "Pay for coins", _FORM.format(price=escape(price), coins=amount)
    else:
        title, sentence = _ENDS.get(status, _UNKNOWN_END)
        body = f"<p>{amount} for {escape(price)}.</p>\n      <p>{escape(sentence)}</p>"
    note = _SANDBOX if sandbox else ""
    return _PAGE.format(title=escape(title), note=note, body=body, purchase=escape(purchase))


def price_text(amount_minor: int, currency: str) -> str:
    """An amount of money with its currency: `USD 9.99`, `JPY 1,500`."""
    digits = MINOR_DIGITS.get(currency, MINOR_DIGITS_USUAL)
    whole, part = divmod(abs(amount_minor), 10**digits)
    sign = "-" if amount_minor < 0 else ""
    return f"{currency} {sign}{whole:,}" + (f".{part:0{digits}}" if digits else "")
