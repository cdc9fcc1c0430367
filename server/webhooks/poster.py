"""One POST and what became of it; it knows nothing of deliveries.

Spoken directly with httpcore: it follows no redirects, reads no proxy from the environment and
keeps no cookies, because it cannot. Only the status of the response counts. Its body is read a
little, so that the connection can be used again, and forgotten: showing it would let whoever sets
an endpoint read what the server can reach.
"""

import asyncio
import ssl
from types import TracebackType
from typing import NamedTuple, Self

import httpcore
import httpx

from server.clock import steady_ms
from server.webhooks.guard import Guard

TIMEOUT_S = 15.0
"""For everything: resolving, connecting, sending, and the response's head."""
BODY_TIMEOUT_S = 1.0
BODY_BYTES_MAX = 16_384
IDLE_S = 2.0
"""Receivers keep a connection open longer (Node.js: 5 s); else we would write into closed ones."""
ERROR_CHARACTERS_MAX = 300
HEADERS = {"Content-Type": "application/json", "User-Agent": "largesse-webhooks/1"}


class Answer(NamedTuple):
    """`status` of the response, or the `error` that there was instead of one."""

    status: int | None
    error: str | None
    duration_ms: int

    @property
    def delivered(self) -> bool:
        return self.status is not None and 200 <= self.status <= 299


class Poster:
    """An async context manager: leaving it closes the connections."""

    def __init__(
        self, guard: Guard, *, timeout_s: float = TIMEOUT_S, tls: ssl.SSLContext | None = None
    ) -> None:
        self._guard = guard
        self._timeout_s = timeout_s
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls or httpx.create_ssl_context(),
            max_connections=None,  # the worker counts its posts
            keepalive_expiry=IDLE_S,
            network_backend=guard,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._pool.aclose()

    async def post(self, url: str, headers: dict[str, str], payload: bytes) -> Answer:
        """Send it once. Never raises but when it is cancelled."""
        began_ms = steady_ms()
        try:
            async with asyncio.timeout(self._timeout_s) as limit:
                status = await self._post(url, headers, payload, limit)
        except TimeoutError:
            error = f"There was no answer within {self._timeout_s:g} seconds."
            return Answer(None, error, steady_ms() - began_ms)
        except Exception as failed:
            error = f"{failed}".strip() or type(failed).__name__
            return Answer(None, error[:ERROR_CHARACTERS_MAX], steady_ms() - began_ms)
        return Answer(status, _verdict(status), steady_ms() - began_ms)

    async def _post(
        self, url: str, headers: dict[str, str], payload: bytes, limit: asyncio.Timeout
    ) -> int:
        wrong = self._guard.check_spelling(url)
        if wrong:
            raise httpcore.ConnectError(wrong)
        target = httpx.URL(url)
        request = self._pool.stream(
            "POST",
            httpcore.URL(
                scheme=target.raw_scheme,
                host=target.raw_host,
                port=target.port,
                target=target.raw_path,
            ),
            headers=list((HEADERS | headers).items()),
            content=payload,
        )
        status: int | None = None
        try:
            async with request as response:
                status = response.status
                limit.reschedule(None)  # the answer is there; its body has a limit of its own
                async with asyncio.timeout(BODY_TIMEOUT_S):
                    await _skim(response)
        except Exception:
            if status is None:
                raise
        assert status is not None
        return status


async def _skim(response: httpcore.Response) -> None:
    left = BODY_BYTES_MAX
    async for piece in response.aiter_stream():
        left -= len(piece)
        if left <= 0:
            return


def _verdict(status: int) -> str | None:
    if 200 <= status <= 299:
        return None
    if 300 <= status <= 399:
        return f"It answered {status}: redirects are not followed; set the endpoint's final URL."
    return f"It answered {status}; only 2xx counts as delivered."
