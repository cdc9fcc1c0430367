"""Where the server sends webhooks, and what became of them."""

from collections.abc import AsyncIterator, Iterable

from largesse_client.http.answers import Attempt, Delivery, Endpoint, Replayed
from largesse_client.http.asking import Asking, at


class Endpoints:
    """`backend.endpoints`"""

    def __init__(self, asking: Asking) -> None:
        self._ask = asking

    async def set(
        self, endpoint: str, *, url: str, events: Iterable[str] = (), key: str | None = None
    ) -> Endpoint:
        """Send these events (none: all) there; the answer has the `secret` that signs them."""
        body = {"url": url, "events": list(events)}
        path = at("webhook-endpoints", endpoint)
        return await self._ask.change(Endpoint, "PUT", path, body, key=key)

    async def show(self, endpoint: str) -> Endpoint:
        return await self._ask.get(Endpoint, at("webhook-endpoints", endpoint))

    def all(self) -> AsyncIterator[Endpoint]:
        """Without their secrets."""
        return self._ask.pages(Endpoint, at("webhook-endpoints"))

    async def remove(self, endpoint: str, *, key: str | None = None) -> Endpoint:
        """Send nothing more there until it is set again."""
        path = at("webhook-endpoints", endpoint)
        return await self._ask.change(Endpoint, "DELETE", path, key=key)

    async def rotate(self, endpoint: str, *, key: str | None = None) -> Endpoint:
        """A new secret; for a day the old one signs too."""
        path = at("webhook-endpoints", endpoint, "rotate")
        return await self._ask.change(Endpoint, "POST", path, key=key)

    def deliveries(self, endpoint: str, *, state: str | None = None) -> AsyncIterator[Delivery]:
        """Newest first; `state` is `pending`, `delivered` or `exhausted`."""
        path = at("webhook-endpoints", endpoint, "deliveries")
        return self._ask.pages(Delivery, path, state=state)

    def attempts(self, endpoint: str, delivery: int) -> AsyncIterator[Attempt]:
        """Every try of a delivery, oldest first."""
        path = at("webhook-endpoints", endpoint, "deliveries", delivery, "attempts")
        return self._ask.pages(Attempt, path)

    async def replay(
        self,
        endpoint: str,
        *,
        deliveries: Iterable[int] | None = None,
        since_ms: int | None = None,
    ) -> Replayed:
        """Send again: those deliveries, or everything since."""
        path = at("webhook-endpoints", endpoint, "replay")
        body: dict[str, object] = {}
        if deliveries is not None:
            body["deliveries"] = list(deliveries)
        if since_ms is not None:
            body["since_ms"] = since_ms
        return await self._ask.change(Replayed, "POST", path, body)
