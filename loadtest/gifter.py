"""A gifter: a viewer that also sends gifts, several in flight, each under a key of its own.

A key is sent until it has an outcome: again after `retry: same`, again after a lost connection,
always the same bytes. The time to the answer counts from the first time, so a server that says
`busy` does not look fast. Frames are built once; all that is due goes out in one write.
"""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from largesse_client.messages import Accepted, Gift, Joined, Refused, ServerMessage
from largesse_client.wire import encode
from loadtest.answers import Answers
from loadtest.frames import masked_text
from loadtest.plan import Plan, gift_key, gift_number
from loadtest.viewer import JOINED, Viewer

if TYPE_CHECKING:
    from loadtest.crowd import Crowd
    from loadtest.driver import Driver

RETRY_MS = 100
"""When the server does not say after how long to try again."""

MARK = "{key}"


class Menu:
    """The gifts of the plan, each with the bytes around its key and what it must cost."""

    __slots__ = ("around", "coins")

    def __init__(self, plan: Plan, prices: Mapping[str, int]) -> None:
        self.coins = {gift: prices[gift] * plan.quantity for gift in plan.gifts}
        self.around: dict[str, tuple[bytes, bytes]] = {}
        for gift in self.coins:
            sample = Gift(key=MARK, room=plan.room, gift=gift, quantity=plan.quantity)
            before, _, after = encode(sample).partition(MARK.encode())
            self.around[gift] = (before, after)

    def frame(self, gift: str, key: str) -> bytes:
        before, after = self.around[gift]
        return masked_text(before + key.encode() + after)


class Sent:
    """A gift without an answer yet."""

    __slots__ = ("first_s", "frame", "gift", "n")

    def __init__(self, n: int, gift: str, frame: bytes) -> None:
        self.n = n
        self.gift = gift
        self.frame = frame
        self.first_s = time.perf_counter()


class Gifter(Viewer):
    """`driver` says what to send and when; in a closed loop each answer asks for the next gift."""

    __slots__ = ("answers", "driver", "given", "out", "sent")

    def __init__(
        self, crowd: "Crowd", driver: "Driver", answers: Answers, index: int, name: str
    ) -> None:
        super().__init__(crowd, index, name)
        self.driver = driver
        self.answers = answers
        self.sent: dict[str, Sent] = {}
        self.out: list[bytes] = []
        self.given = 0

    def offer(self, n: int) -> bool:
        """Put gift `n` on its way; False when it must be held back."""
        driver = self.driver
        if self.state != JOINED or len(self.sent) >= driver.plan.in_flight_max:
            return False
        gift = driver.schedule.gift(self.index, self.given)
        key = gift_key(driver.plan, n)
        frame = driver.menu.frame(gift, key)
        self.sent[key] = Sent(n, gift, frame)
        self.given += 1
        self.answers.offer(n)
        self.out.append(frame)
        return True

    def again(self, key: str, why: str) -> None:
        """Send a key once more, when it still has no answer."""
        waiting = self.sent.get(key)
        if waiting is not None and self.state == JOINED:
            self.answers.again[why] += 1
            self.out.append(waiting.frame)

    def flush(self) -> None:
        if self.driver.closed_loop and self.state == JOINED:
            self.driver.top_up(self)
        if self.out:
            if self.transport is not None and self.state == JOINED:
                self.transport.write(b"".join(self.out))
            self.out.clear()

    def hear(self, message: ServerMessage) -> None:
        match message:
            case Accepted():
                self._accepted(message)
            case Refused(key=key) if key is not None:
                self._refused(key, message)
            case Joined():
                super().hear(message)
                self.out.clear()
                for key in self.sent:
                    self.again(key, "reconnected")
            case _:
                super().hear(message)

    def _accepted(self, message: Accepted) -> None:
        sent = self.sent.pop(message.key, None)
        if sent is not None:
            self.answers.acknowledge.add_ms((time.perf_counter() - sent.first_s) * 1000)
            self.answers.accept(sent.n, message, self.driver.menu.coins[sent.gift])
            return
        n = self._own(message.key)
        if n is not None:
            self.answers.accept(n, message, message.coins)

    def _refused(self, key: str, message: Refused) -> None:
        if message.retry == "same":
            if key in self.sent:
                self.driver.later(self, key, message.retry_after_ms or RETRY_MS, message.code)
            return
        sent = self.sent.pop(key, None)
        if sent is not None:
            self.answers.acknowledge.add_ms((time.perf_counter() - sent.first_s) * 1000)
        n = sent.n if sent is not None else self._own(key)
        if n is not None:
            self.answers.refuse(n, message.code)

    def _own(self, key: str) -> int | None:
        """The number of a key that was answered before; None, and a fault, for a stranger's."""
        n = gift_number(key)
        mine = n is not None and n < len(self.answers.sender)
        if n is None or not mine or self.answers.sender[n] != self.index:
            self.feed.fault(f"{self.name} got an answer for the key {key!r}")
            return None
        return n
