"""How long tests wait for what has to come: on a busy machine everything takes ten times as long.

A wait ends as soon as its condition holds, so patience costs nothing but the time of a test that
fails. No test asks how long something took.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable

PATIENCE_S = 60.0


async def until(holds: Callable[[], bool | Awaitable[bool]], within_s: float = PATIENCE_S) -> None:
    """Look again and again until it holds. Raises TimeoutError."""
    async with asyncio.timeout(within_s):
        while True:
            found = holds()
            if await found if inspect.isawaitable(found) else found:
                return
            await asyncio.sleep(0.005)  # not 0: a spinning loop starves the ledger's thread
