"""What the session asks of whoever holds the socket. Plain values: nothing else leaves it."""

import msgspec

from largesse_client.messages import (
    Accepted,
    ClientMessage,
    Joined,
    Pong,
    Refused,
    Standing,
)
from largesse_client.news import News, Unknown

Answer = Accepted | Refused | Unknown | Joined | Standing | Pong

Question = tuple[str, str]
"""Whose answer it is: `("gift", key)`, `("join", room)` or `("ask", id)`."""


class Connect(msgspec.Struct, frozen=True):
    """Open a connection."""


class Send(msgspec.Struct, frozen=True):
    message: ClientMessage


class Drop(msgspec.Struct, frozen=True):
    """Give the connection up at once, and report it as closed with this code."""

    code: int
    reason: str


class Timer(msgspec.Struct, frozen=True):
    """Ring once. A timer of the same name and room is replaced."""

    name: str
    in_ms: int
    room: str = ""


class CancelTimers(msgspec.Struct, frozen=True):
    """They belong to a connection that is gone."""


class Tell(msgspec.Struct, frozen=True):
    """Something to be told to whoever listens."""

    news: News


class Reply(msgspec.Struct, frozen=True):
    """The final answer to a question."""

    question: Question
    answer: Answer


Effect = Connect | Send | Drop | Timer | CancelTimers | Tell | Reply
