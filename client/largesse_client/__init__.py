"""largesse_client: follow rooms, give gifts exactly once, run a backend.

`connect` opens a live connection, `Backend` the HTTP API, `make_token` makes a user's token. Under
them `Session` is the whole client side of the protocol without any I/O. This package knows the
public contract (docs/protocol.md) and nothing else of the server.
"""

from largesse_client.backend import Backend
from largesse_client.connection import Ended, Live, connect, new_key, websocket_url
from largesse_client.http.asking import ApiError, Unreachable
from largesse_client.http.creators import BankResult
from largesse_client.http.users import KEEP
from largesse_client.log import Frame, Log, Problem, read_frame
from largesse_client.messages import (
    Accepted,
    Balance,
    Board,
    ComboEnded,
    Entry,
    GiftEvent,
    GiftHidden,
    GiftRetracted,
    Joined,
    Left,
    LevelUp,
    Notice,
    OtherEntry,
    Pong,
    Refused,
    RoomClosed,
    Standing,
    Viewers,
    Welcome,
)
from largesse_client.news import (
    Delayed,
    Disconnected,
    Gap,
    Mismatch,
    Misread,
    Missed,
    News,
    Unknown,
)
from largesse_client.rooms import Room
from largesse_client.session import Phase, Session
from largesse_client.tokens import make_token
from largesse_client.wire import Unreadable

__all__ = [
    "KEEP",
    "Accepted",
    "ApiError",
    "Backend",
    "Balance",
    "BankResult",
    "Board",
    "ComboEnded",
    "Delayed",
    "Disconnected",
    "Ended",
    "Entry",
    "Frame",
    "Gap",
    "GiftEvent",
    "GiftHidden",
    "GiftRetracted",
    "Joined",
    "Left",
    "LevelUp",
    "Live",
    "Log",
    "Mismatch",
    "Misread",
    "Missed",
    "News",
    "Notice",
    "OtherEntry",
    "Phase",
    "Pong",
    "Problem",
    "Refused",
    "Room",
    "RoomClosed",
    "Session",
    "Standing",
    "Unknown",
    "Unreachable",
    "Unreadable",
    "Viewers",
    "Welcome",
    "connect",
    "make_token",
    "new_key",
    "read_frame",
    "websocket_url",
]
