"""One clock for the whole run: every few milliseconds it sends what is due, and nothing more.

A task per gifter would be a thousand timers that all fire late; one loop is late once and says by
how much. What a gifter cannot take (not connected, too many unanswered, or the loop itself late)
is held back and counted, never sent in a burst afterwards: the offered load stays what was planned.
"""

import asyncio
import heapq
import random
import time

from loadtest.answers import Answers
from loadtest.crowd import Crowd
from loadtest.gifter import Gifter, Menu
from loadtest.plan import LATE_S_MAX, Plan, Schedule, due, slow_window_s
from loadtest.viewer import JOINED

TICK_S = 0.003


class Driver:
    """Sends, sends again, drops and slows down. `sending` until the time is up."""

    def __init__(
        self, plan: Plan, schedule: Schedule, menu: Menu, answers: Answers, dice: random.Random
    ) -> None:
        self.plan = plan
        self.schedule = schedule
        self.menu = menu
        self.answers = answers
        self.closed_loop = plan.closed_loop > 0
        self.gifters: list[Gifter] = []
        self.sending = False
        self.dropped = 0
        self.paused = 0
        self.late_ms_max = 0.0
        self._dice = dice
        self._retries: list[tuple[float, int, Gifter, str, str]] = []
        self._order = 0
        self._next = 0
        self._drops_due = 0

    def later(self, gifter: Gifter, key: str, after_ms: int, why: str) -> None:
        """Send that key again after a while."""
        self._order += 1
        due_s = time.perf_counter() + after_ms / 1000
        heapq.heappush(self._retries, (due_s, self._order, gifter, key, why))

    def top_up(self, gifter: Gifter) -> None:
        """Closed loop: keep that many gifts in flight."""
        while self.sending and len(gifter.sent) < self.plan.closed_loop:
            if not gifter.offer(self.answers.next(gifter.index)):
                return

    async def send(self, crowd: Crowd) -> None:
        """The run itself, from its first gift to its last."""
        self.sending = True
        start = last = time.perf_counter()
        if self.closed_loop:
            for gifter in self.gifters:
                gifter.flush()
        slow = _Slow(self.plan, crowd, self)
        while (elapsed := time.perf_counter() - start) < self.plan.duration_s:
            self.late_ms_max = max(self.late_ms_max, (start + elapsed - last - TICK_S) * 1000)
            last = start + elapsed
            self._offer(elapsed)
            self.resend()
            self._drop(crowd, elapsed)
            slow.turn(elapsed)
            await asyncio.sleep(TICK_S)
        self._offer(self.plan.duration_s)
        self.sending = False
        slow.turn(float("inf"))

    def resend(self) -> None:
        """Send again what has waited long enough."""
        now = time.perf_counter()
        touched = set()
        while self._retries and self._retries[0][0] <= now:
            _, _, gifter, key, why = heapq.heappop(self._retries)
            gifter.again(key, why)
            touched.add(gifter)
        for gifter in touched:
            gifter.flush()

    def _offer(self, elapsed_s: float) -> None:
        target = due(self.plan, elapsed_s)
        too_late = (elapsed_s - LATE_S_MAX) * self.plan.rate
        touched = set()
        while self._next < target:
            sender = self.schedule.sender(self._next)
            n = self.answers.next(sender)
            gifter = self.gifters[sender]
            if self._next >= too_late and gifter.offer(n):
                touched.add(gifter)
            else:
                self.answers.held_back += 1
            self._next += 1
        for gifter in touched:
            gifter.flush()

    def _drop(self, crowd: Crowd, elapsed_s: float) -> None:
        """Random viewers lose their connection, as many as are due by now."""
        while self._drops_due < int(elapsed_s * self.plan.reconnects):
            self._drops_due += 1
            viewer = self._dice.choice(crowd.viewers)
            if viewer.state == JOINED and not viewer.slow:
                self.dropped += 1
                viewer.drop()


class _Slow:
    """The viewers that stop reading for a while, and read again."""

    def __init__(self, plan: Plan, crowd: Crowd, driver: Driver) -> None:
        self._window = slow_window_s(plan)
        self._viewers = [viewer for viewer in crowd.viewers if viewer.slow]
        self._driver = driver
        self._reading = True

    def turn(self, elapsed_s: float) -> None:
        begin, end = self._window
        if self._reading and begin <= elapsed_s < end:
            self._reading = False
            for viewer in self._viewers:
                if viewer.transport is not None:
                    viewer.transport.pause_reading()
                    self._driver.paused += 1
        elif not self._reading and elapsed_s >= end:
            self._reading = True
            for viewer in self._viewers:
                if viewer.transport is not None and not viewer.transport.is_closing():
                    viewer.transport.resume_reading()
