"""What a live connection tells: the server's messages, checked log entries, and its own state."""

import msgspec

from largesse_client.log import Frame
from largesse_client.messages import (
    Accepted,
    Balance,
    Board,
    ComboEnded,
    Entry,
    Joined,
    Left,
    LevelUp,
    Notice,
    Refused,
    Standing,
    Viewers,
    Welcome,
)


class Disconnected(msgspec.Struct, frozen=True, kw_only=True):
    """The connection has ended. `reconnect_in_ms` None: it will not come back as it is.

    `code` is a close code of the contract, 1006 for a line that broke, or the HTTP status with
    which the connection was refused.
    """

    code: int
    message: str
    reconnect_in_ms: int | None


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """Entries from `expected` on had not come when `first` came; they are being fetched."""

    room: str
    expected: int
    first: int


class Mismatch(msgspec.Struct, frozen=True, kw_only=True):
    """What was told does not add up; nothing of it was shown, and a new start is asked for.

    `mismatches` counts them in this room. The server is wrong, or somebody between.
    """

    room: str
    message: str
    mismatches: int


class Delayed(msgspec.Struct, frozen=True, kw_only=True):
    """A gift was refused with `retry: same`, and will be sent again by itself."""

    key: str
    room: str
    code: str
    message: str
    retry_in_ms: int


class Misread(msgspec.Struct, frozen=True, kw_only=True):
    """A frame that breaks the contract was passed over. What it held is noticed as a gap."""

    message: str


class Missed(msgspec.Struct, frozen=True, kw_only=True):
    """So much news was dropped here, oldest first, because nobody took it in time.

    The session has seen and checked all of it; only the telling is lost.
    """

    count: int


class Unknown(msgspec.Struct, frozen=True, kw_only=True):
    """No answer to a gift came, and none will: it may or may not have been booked.

    To learn which, give it again with that key and the same fields: if it was booked, the first
    answer comes again (`replayed`); if not, it is booked now, once.
    """

    key: str
    message: str


News = (
    Entry
    | Frame
    | Welcome
    | Joined
    | Left
    | Accepted
    | Refused
    | Board
    | Standing
    | Viewers
    | ComboEnded
    | LevelUp
    | Balance
    | Notice
    | Disconnected
    | Gap
    | Mismatch
    | Delayed
    | Misread
    | Missed
)
