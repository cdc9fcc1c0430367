"""Several servers of this event loop on one ledger, each of which can be stopped by itself."""

import contextlib
from typing import Any

from fanout.local import LocalBus
from kit.servers.described import asking
from kit.servers.serving import BACKEND, Live, settings
from server.app import serving
from storage import Store


class Nodes:
    def __init__(self, store: Store) -> None:
        self.store = store
        self._bus = LocalBus()
        self._stacks: dict[Live, contextlib.AsyncExitStack] = {}

    async def start(self, store: Store | None = None, **changed: Any) -> Live:
        """A node; `changed` are settings. Another `store` is a way of its own to the same books."""
        stack = contextlib.AsyncExitStack()
        node = serving(settings(**changed), store or self.store, fanout=self._bus.join())
        app = await stack.enter_async_context(node)
        http = asking(app.url, BACKEND)
        live = Live(app.url, await stack.enter_async_context(http), app)
        stack.push_async_callback(live.close)
        self._stacks[live] = stack
        return live

    async def stop(self, node: Live) -> None:
        await self._stacks.pop(node).aclose()

    async def stop_all(self) -> None:
        for node in list(self._stacks):
            await self.stop(node)
