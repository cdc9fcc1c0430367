"""News on its way to whoever iterates a connection: bounded, and never in anybody's way.

A bot that gives and never listens must not stop its own answers from coming, so a full inbox does
not hold the reader up. The oldest news is dropped, and one `Missed` says how much. Waiting with
the socket unread was the alternative: the server would close such a connection as too slow, and a
gift's answer would stand behind news that nobody takes.
"""

import asyncio
from collections import deque

from largesse_client.news import Missed, News


class Inbox:
    """`take` gives the oldest; None after `end`, when all of it was taken."""

    def __init__(self, items_max: int) -> None:
        self._items: deque[News] = deque()
        self._items_max = items_max
        self._missed = 0
        self._ended = False
        self._changed = asyncio.Event()

    def put(self, news: News) -> None:
        if len(self._items) >= self._items_max:
            self._items.popleft()
            self._missed += 1
        self._items.append(news)
        self._changed.set()

    def end(self) -> None:
        self._ended = True
        self._changed.set()

    async def take(self) -> News | None:
        while not self._items:
            if self._ended:
                return None
            self._changed.clear()
            await self._changed.wait()
        if self._missed:
            missed, self._missed = self._missed, 0
            return Missed(count=missed)
        return self._items.popleft()
