"""The signature of a notification, as Stripe makes it and our sandbox does too.

A header `t=<seconds>,v1=<hex>`, where the hex is HMAC-SHA256 over `<seconds>.<body>`. While a
secret is being replaced there is one `v1` for each of the two; other schemes (`v0`) are skipped.
stripe's own `WebhookSignature.verify_header` is not used because it reads the clock itself, takes a
time stamp from the future, and raises other errors for bodies and headers that are not text; the
tests hold this module to what stripe's signer produces.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping

from server.payments.contract import BadNotification

TOLERANCE_MS = 300_000
"""A notification may be late by this much, or the clocks apart: Stripe's own default."""
HEADER_CHARACTERS_MAX = 2_048
"""Room for two dozen signatures; nobody sends more than two or three."""

_SECONDS = re.compile(r"[0-9]{1,12}")


def header_of(headers: Mapping[str, str], name: str) -> str:
    """The header whatever its case; empty when there is none."""
    return next((value for key, value in headers.items() if key.lower() == name.lower()), "")


def sign(secret: bytes, body: bytes, now_ms: int) -> str:
    """The header for a body that is sent now."""
    seconds = str(now_ms // 1_000)
    return f"t={seconds},v1={_signature(secret, seconds, body)}"


def verify(secret: bytes, header: str, body: bytes, now_ms: int) -> None:
    """See to it that somebody with the secret signed this body lately. Raises BadNotification."""
    seconds, signatures = _parts(header)
    expected = _signature(secret, seconds, body).encode()
    # Header text may hold any character; compare_digest takes only ASCII as text.
    if not any(hmac.compare_digest(expected, each.encode()) for each in signatures):
        raise BadNotification("The signature does not fit: is the secret the right one?")
    if abs(now_ms - int(seconds) * 1_000) > TOLERANCE_MS:
        raise BadNotification("The time stamp is more than five minutes away from our clock.")


def _parts(header: str) -> tuple[str, list[str]]:
    if not header:
        raise BadNotification("There is no signature.")
    if len(header) > HEADER_CHARACTERS_MAX:
        raise BadNotification("The signature is too long.")
    pairs = [part.partition("=") for part in header.split(",")]
    times = [value for name, _, value in pairs if name == "t"]
    signatures = [value for name, _, value in pairs if name == "v1"]
    if len(times) != 1 or not _SECONDS.fullmatch(times[0]) or not signatures:
        raise BadNotification("The signature must be `t=<seconds>,v1=<hex>`.")
    return times[0], signatures


def _signature(secret: bytes, seconds: str, body: bytes) -> str:
    return hmac.new(secret, b"%s.%s" % (seconds.encode(), body), hashlib.sha256).hexdigest()
