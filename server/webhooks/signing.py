"""Signing as Standard Webhooks says, with secrets that are kept nowhere.

An endpoint's secret is derived from the server's own and the endpoint's version, so the books,
which hold the version, can be copied and audited without giving anything away. After a rotation
the secret before it signs too, for a day: a receiver changes over whenever it likes in between.
"""

import base64
import hashlib
import hmac
from datetime import UTC, datetime

from standardwebhooks import Webhook

from rules.days import DAY_MS
from rules.rows import Endpoint

OVERLAP_MS = DAY_MS
"""How long the secret before a rotation goes on signing."""


def secret_of(root: str, endpoint: str, version: int) -> str:
    """The secret to give to who receives: `whsec_` and 32 bytes in base64."""
    message = f"webhook {endpoint} {version}".encode()
    key = hmac.new(root.encode(), message, hashlib.sha256).digest()
    return "whsec_" + base64.b64encode(key).decode()


def secrets_of(root: str, endpoint: Endpoint, now_ms: int) -> list[str]:
    """The secrets that sign now, the newest first."""
    versions = [endpoint.version]
    if endpoint.version > 1 and now_ms - endpoint.rotated_ms < OVERLAP_MS:
        versions.append(endpoint.version - 1)
    return [secret_of(root, endpoint.id, version) for version in versions]


def headers(secrets: list[str], id: str, payload: bytes, now_ms: int) -> dict[str, str]:
    """What goes with the payload; the moment is that of the try and not that of the event."""
    at_s = now_ms // 1000
    moment = datetime.fromtimestamp(at_s, UTC)
    signatures = [Webhook(secret).sign(id, moment, payload.decode()) for secret in secrets]
    return {
        "webhook-id": id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": " ".join(signatures),
    }
