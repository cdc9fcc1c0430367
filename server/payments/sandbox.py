"""A provider without money: for trying things out, for demos and for tests.

The page where one pays or declines is on our own server; what it decides comes in through the same
signed notifications as a real provider's, so that the sandbox exercises the whole way.
"""

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import quote

import msgspec

from server.payments.contract import (
    BadNotification,
    Checkout,
    Declined,
    Notification,
    Paid,
    Wish,
)
from server.payments.signing import header_of, sign, verify

SIGNATURE_HEADER = "Sandbox-Signature"


class Sandbox:
    """Every payment and every refund succeeds as soon as somebody says so."""

    name = "sandbox"

    def __init__(self, secret: str) -> None:
        # A key of its own: whoever sees a signature learns nothing about what else the secret does.
        self._key = hmac.new(secret.encode(), b"largesse sandbox", hashlib.sha256).digest()
        self._decoder: msgspec.json.Decoder[Notification] = msgspec.json.Decoder(Notification)

    async def start(self, wish: Wish) -> Checkout:
        page = f"{wish.return_url.rstrip('/')}/checkout/sandbox/{quote(wish.purchase, safe='')}"
        return Checkout(reference=wish.purchase, url=page)

    async def refund(self, refund: str, payment: str, amount_minor: int, currency: str) -> None:
        """Nothing to do, and nothing that could fail."""

    async def look_up(self, reference: str) -> Paid | Declined | None:
        return None

    def notify(self, notification: Notification, now_ms: int) -> tuple[dict[str, str], bytes]:
        """The headers and the body with which a provider would send this."""
        body = msgspec.json.encode(notification)
        headers = {
            "Content-Type": "application/json",
            SIGNATURE_HEADER: sign(self._key, body, now_ms),
        }
        return headers, body

    def read(self, headers: Mapping[str, str], body: bytes, now_ms: int) -> Notification | None:
        verify(self._key, header_of(headers, SIGNATURE_HEADER), body, now_ms)
        try:
            return self._decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadNotification(f"The notification cannot be read: {error}.") from error

    async def close(self) -> None:
        """There is nothing to let go of."""
