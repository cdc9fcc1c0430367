"""What nodes tell each other: the letters, their channels, and their bytes.

A letter to a room is about its log, one to a user about their connections and their wallet, and one
to all about the nodes themselves. Any of them may be late, come twice or be lost (fanout/contract);
so each says how things are, or of which command or log it speaks, and none is the only way in which
a node may learn something.
"""

from typing import TypeAlias

import msgspec

from rules.events import Event

ALL = "all"
"""The channel that every node listens to."""


def room_channel(room: str) -> str:
    return f"room:{room}"


def user_channel(user: str) -> str:
    return f"user:{user}"


class Letter(msgspec.Struct, frozen=True, array_like=True, tag=True, gc=False):
    pass


# To a room


class Batch(Letter, frozen=True):
    """Lines of a room's log, in order of seq and without a gap; not empty."""

    room: str
    epoch: str
    events: list[Event]


# To a user


class Here(Letter, frozen=True):
    """How a user is connected to a node, and how much of their gift rate is left there."""

    node: str
    number: int
    """Of this node's letters; an older one that comes later says nothing new."""
    user: str
    since_ms: list[int]
    """When each connection came, the oldest first; nothing when the last one has left."""
    millitokens: int


class Gave(Letter, frozen=True):
    """A user has sent a gift through another node: count it against the rate."""

    user: str


class Wallet(Letter, frozen=True):
    """A user's balance as of a command."""

    user: str
    coins: int
    command: int
    reason: str


class Reminded(Letter, frozen=True):
    """A user has come past a part of a limit."""

    user: str
    limit: str
    percent: int
    limit_coins: int
    spent_coins: int


# To all


class Beat(Letter, frozen=True):
    """A sign of life, and what a node has to say of its rooms."""

    node: str
    number: int
    whole: bool
    """Whether these are all of its rooms, or only those where something has changed."""
    rooms: dict[str, tuple[str, int, int]]
    """Epoch, head and viewers by room."""
    erased: list[str]
    """Users who were forgotten lately."""


class Stopped(Letter, frozen=True):
    """A node has stopped."""

    node: str


class Asked(Letter, frozen=True):
    """A user has wished for a change over HTTP: count it against the rate."""

    user: str


class Look(Letter, frozen=True):
    """What is in force has changed in the books: look there now, and not only the next time."""


AnyLetter: TypeAlias = Batch | Here | Gave | Wallet | Reminded | Beat | Stopped | Asked | Look

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(AnyLetter)


def write_letter(letter: AnyLetter) -> bytes:
    return _encoder.encode(letter)


def read_letter(payload: bytes) -> AnyLetter:
    """Raises msgspec.MsgspecError for what is no letter of ours."""
    letter: AnyLetter = _decoder.decode(payload)
    return letter
