"""The post: letters out over the fan-out, and letters in to whom they concern.

Who wants a kind of letter says so once, with `on`; a letter that nobody wants is dropped, and so is
one that cannot be read, because a newer node may write what we do not know yet.
"""

from collections.abc import Callable, Collection
from itertools import count
from typing import Any, Final, TypeVar

import msgspec
import structlog

from fanout import Fanout
from server.live.letters import ALL, AnyLetter, read_letter, write_letter

log = structlog.get_logger()

L = TypeVar("L", bound=AnyLetter)


class Post:
    """`node` is this node's name: unlike any other's, and another one after a restart."""

    def __init__(self, fanout: Fanout, node: str) -> None:
        self.node: Final = node
        self._numbers = count(1)
        self._fanout = fanout
        self._wanted: dict[type, Callable[[Any], None]] = {}

    @property
    def alone(self) -> bool:
        """While nobody is there to read, letters need not be written."""
        return self._fanout.alone

    @property
    def dropped(self) -> int:
        """Letters that could not be carried."""
        return self._fanout.dropped

    def number(self) -> int:
        """The next letter's: higher than that of any letter before it."""
        return next(self._numbers)

    def on(self, kind: type[L], take: Callable[[L], None]) -> None:
        """Have this called with each letter of this kind."""
        self._wanted[kind] = take

    def send(self, channel: str, letter: AnyLetter) -> None:
        if not self._fanout.alone:
            self._fanout.publish(channel, write_letter(letter))

    async def open(self) -> None:
        """Hear what is for every node."""
        await self.listen([ALL])

    async def listen(self, channels: Collection[str]) -> None:
        await self._fanout.listen(channels, self._hear)

    def ignore(self, channel: str) -> None:
        self._fanout.ignore(channel)

    def _hear(self, channel: str, payload: bytes) -> None:
        try:
            letter = read_letter(payload)
        except msgspec.MsgspecError as error:
            log.warning("post.unreadable", channel=channel, error=str(error))
            return
        take = self._wanted.get(type(letter))
        if take is not None:
            take(letter)
