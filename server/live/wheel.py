"""A timing wheel: visits each of many connections once a period, evenly spread, from one task.

A timer or a task per connection would cost more than the connection. Adding and removing is O(1).
"""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

import structlog

log = structlog.get_logger()

T = TypeVar("T")

SLOTS = 64


class Wheel(Generic[T]):
    def __init__(self, period_ms: int, visit: Callable[[T], None]) -> None:
        self._slots: list[set[T]] = [set() for _ in range(SLOTS)]
        self._period_ms = period_ms
        self._visit = visit
        self._next = 0
        self._at = 0

    def add(self, item: T) -> int:
        """The slot, to be given back to `remove`. The first visit is at most a period away."""
        self._next = (self._next + 1) % SLOTS
        self._slots[self._next].add(item)
        return self._next

    def remove(self, item: T, slot: int) -> None:
        self._slots[slot].discard(item)

    def turn(self) -> None:
        """Visit the next slot. What a visit adds or removes does not disturb it."""
        self._at = (self._at + 1) % SLOTS
        for item in tuple(self._slots[self._at]):
            try:
                self._visit(item)
            except Exception:
                log.exception("wheel.visit_failed")  # one connection's trouble is not the others'

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._period_ms / 1000 / SLOTS)
            self.turn()
