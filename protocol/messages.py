"""Every message of protocol version 1 as a frozen struct, both ways.

The `type` tag chooses the struct. A field without a default is always on the wire (it may be
null); a field with a default may be absent. Units are in the names; amounts are integers.
"""

from typing import Annotated, Literal

import msgspec

PROTOCOL_VERSION = 1
CLIENT_FRAME_BYTES_MAX = 16 * 1024
MONEY_MAX = 2**53 - 1
"""The largest integer that JSON in a browser carries exactly."""

KEY_CHARACTERS_MAX = 64
ID_CHARACTERS_MAX = 64
NAME_CHARACTERS_MAX = 64
MESSAGE_CHARACTERS_MAX = 200
TOKEN_CHARACTERS_MAX = 4096

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=ID_CHARACTERS_MAX)]
Key = Annotated[str, msgspec.Meta(min_length=1, max_length=KEY_CHARACTERS_MAX)]
Echo = Annotated[str, msgspec.Meta(max_length=ID_CHARACTERS_MAX)]
Text = Annotated[str, msgspec.Meta(max_length=MESSAGE_CHARACTERS_MAX)]
Seq = Annotated[int, msgspec.Meta(ge=0, le=MONEY_MAX)]
Price = Annotated[int, msgspec.Meta(ge=0, le=MONEY_MAX)]


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A value inside a message."""


class Message(Part, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """A whole frame."""


# From the client


class ResumePoint(Part, frozen=True, kw_only=True):
    epoch: Annotated[str, msgspec.Meta(max_length=64)]
    seq: Seq


class Hello(Message, frozen=True, kw_only=True, tag="hello"):
    token: Annotated[str, msgspec.Meta(max_length=TOKEN_CHARACTERS_MAX)]
    protocol: int = PROTOCOL_VERSION


class Join(Message, frozen=True, kw_only=True, tag="join"):
    room: Id
    resume: ResumePoint | None = None
    id: Echo | None = None


class Leave(Message, frozen=True, kw_only=True, tag="leave"):
    room: Id
    id: Echo | None = None


class Gift(Message, frozen=True, kw_only=True, tag="gift"):
    """`quantity` is any integer here; the rules refuse what is out of range with `bad_quantity`."""

    key: Key
    room: Id
    gift: Id
    quantity: int = 1
    to: Id | None = None
    price: Price | None = None
    message: Text | None = None
    visibility: Literal["public", "anonymous"] = "public"


class AskStanding(Message, frozen=True, kw_only=True, tag="standing"):
    room: Id
    id: Echo | None = None


class Shown(Message, frozen=True, kw_only=True, tag="shown"):
    room: Id
    seq: Seq


class Ping(Message, frozen=True, kw_only=True, tag="ping"):
    id: Echo | None = None


ClientMessage = Hello | Join | Leave | Gift | AskStanding | Shown | Ping


# Parts of what the server says


class Person(Part, frozen=True, kw_only=True):
    id: str
    name: str


class Giver(Part, frozen=True, kw_only=True):
    """Who gave: a person with a gifter level, or nobody that can be told apart."""

    id: str | None = None
    name: str | None = None
    level: int | None = None
    anonymous: bool = False


class Combo(Part, frozen=True, kw_only=True):
    id: str
    count: int
    coins: int
    ends_ms: int


class EndedCombo(Part, frozen=True, kw_only=True):
    id: str
    count: int
    coins: int


class Place(Part, frozen=True, kw_only=True):
    rank: int
    user: Person
    coins: int


class Me(Part, frozen=True, kw_only=True):
    coins: int
    rank: int | None


class BoardTop(Part, frozen=True, kw_only=True):
    room: str
    as_of: int
    window: str
    top: tuple[Place, ...]


class Omitted(Part, frozen=True, kw_only=True):
    gifts: int
    coins: int


class GiftEvent(Part, frozen=True, kw_only=True, tag_field="kind", tag="gift"):
    seq: int
    id: str
    at_ms: int
    from_: Giver = msgspec.field(name="from")
    to: Person
    gift: str
    name: str
    animation: str
    quantity: int
    coins: int
    combo: Combo | None
    merged: int
    from_total: int | None = None
    message: str | None = None
    level_up: int | None = None
    """The gifter level that the sender reached with this gift."""


class GiftRetracted(Part, frozen=True, kw_only=True, tag_field="kind", tag="gift_retracted"):
    """A gift's money went back: `coins` leave the room's total."""

    seq: int
    id: str
    at_ms: int
    gift_id: str
    gift_seq: int
    from_: Giver = msgspec.field(name="from")
    to: Person
    gift: str
    coins: int
    from_total: int | None = None


class GiftHidden(Part, frozen=True, kw_only=True, tag_field="kind", tag="gift_hidden"):
    """Display only: stop showing that gift. No money moved."""

    seq: int
    at_ms: int
    gift_id: str
    gift_seq: int


class RoomClosed(Part, frozen=True, kw_only=True, tag_field="kind", tag="room_closed"):
    seq: int
    at_ms: int


Event = GiftEvent | GiftRetracted | GiftHidden | RoomClosed


# From the server


class Welcome(Message, frozen=True, kw_only=True, tag="welcome"):
    protocol: int
    session: str
    user: Person
    role: str
    now_ms: int
    heartbeat_ms: int
    catalogue: str


class Joined(Message, frozen=True, kw_only=True, tag="joined"):
    id: str | None = None
    room: str
    title: str
    creator: Person
    status: str
    epoch: str
    seq: int
    recovered: bool
    total_coins: int
    viewers: int
    board: BoardTop
    me: Me
    balance_coins: int


class Left(Message, frozen=True, kw_only=True, tag="left"):
    id: str | None = None
    room: str


class Accepted(Message, frozen=True, kw_only=True, tag="accepted"):
    key: str
    room: str
    seq: int
    gift: str
    quantity: int
    coins: int
    balance_coins: int
    total_coins: int
    me: Me
    combo: Combo | None
    at_ms: int
    replayed: bool


class Refused(Message, frozen=True, kw_only=True, tag="refused"):
    key: str | None = None
    id: str | None = None
    code: str
    message: str
    retry: str
    retry_after_ms: int | None = None
    details: dict[str, int | str] | None = None


class Events(Message, frozen=True, kw_only=True, tag="events"):
    """`events` are entries of the log as they were written; a client skips unknown kinds."""

    room: str
    epoch: str
    first: int
    last: int
    total_before: int
    total_coins: int
    events: tuple[msgspec.Raw, ...]
    omitted: Omitted


class Board(BoardTop, frozen=True, kw_only=True, tag_field="type", tag="board"):
    pass


class Standing(Message, frozen=True, kw_only=True, tag="standing"):
    id: str | None = None
    room: str
    as_of: int
    coins: int
    rank: int | None
    to_next_coins: int | None


class Viewers(Message, frozen=True, kw_only=True, tag="viewers"):
    room: str
    count: int


class ComboEnded(Message, frozen=True, kw_only=True, tag="combo_ended"):
    room: str
    combo: EndedCombo
    from_: Giver = msgspec.field(name="from")
    gift: str


class Balance(Message, frozen=True, kw_only=True, tag="balance"):
    balance_coins: int
    reason: str


class Heartbeat(Message, frozen=True, kw_only=True, tag="heartbeat"):
    now_ms: int
    rooms: dict[str, int]


class Pong(Message, frozen=True, kw_only=True, tag="pong"):
    id: str | None = None


class LevelUp(Message, frozen=True, kw_only=True, tag="level_up"):
    room: str
    user: Person
    level: int


class Notice(Message, frozen=True, kw_only=True, tag="notice"):
    code: str
    message: str
    reconnect_after_ms: int | None = None
    details: dict[str, int | str | None] | None = None


ServerMessage = (
    Welcome
    | Joined
    | Left
    | Accepted
    | Refused
    | Events
    | Board
    | Standing
    | Viewers
    | ComboEnded
    | LevelUp
    | Balance
    | Heartbeat
    | Pong
    | Notice
)
