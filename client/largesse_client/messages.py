"""What a live connection says and hears: every message of the contract as a frozen struct.

The names and fields are those of docs/protocol.md, section 1; a field of a later version is
skipped. Amounts are whole numbers of coins, times Unix milliseconds. Two fields are this library's
own and never on the wire: an entry's `room`, and `local` of a refusal that no server has said.
"""

import msgspec

PROTOCOL = 1


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A value inside a message."""


class Message(Part, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """A whole frame."""


# What a client says. There is no `hello`: the token goes into the header of the upgrade.


class ResumePoint(Part, frozen=True, kw_only=True):
    """The last entry of a room's log that the client has."""

    epoch: str
    seq: int


class Join(Message, frozen=True, kw_only=True, tag="join"):
    room: str
    resume: ResumePoint | None = None
    id: str | None = None


class Leave(Message, frozen=True, kw_only=True, tag="leave"):
    room: str
    id: str | None = None


class Gift(Message, frozen=True, kw_only=True, tag="gift"):
    """A wish to give. Said again with the same `key` it is the same wish."""

    key: str
    room: str
    gift: str
    quantity: int = 1
    to: str | None = None
    price: int | None = None
    message: str | None = None
    visibility: str = "public"


class AskStanding(Message, frozen=True, kw_only=True, tag="standing"):
    room: str
    id: str | None = None


class Shown(Message, frozen=True, kw_only=True, tag="shown"):
    room: str
    seq: int


class Ping(Message, frozen=True, kw_only=True, tag="ping"):
    id: str | None = None


ClientMessage = Join | Leave | Gift | AskStanding | Shown | Ping


# Parts of what a server says


class Person(Part, frozen=True, kw_only=True):
    id: str
    name: str


class Giver(Part, frozen=True, kw_only=True):
    """Who gave; of an anonymous gift only that it is one. Who hides their level has 0."""

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
    """One's own place on a room's board."""

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


# The entries of a room's log


class GiftEvent(Part, frozen=True, kw_only=True, tag_field="kind", tag="gift"):
    """A gift that was given, or `merged` equal ones in a row of one sender."""

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
    room: str = ""


class GiftRetracted(Part, frozen=True, kw_only=True, tag_field="kind", tag="gift_retracted"):
    """A gift's money went back: `coins` have left the room's total."""

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
    room: str = ""


class GiftHidden(Part, frozen=True, kw_only=True, tag_field="kind", tag="gift_hidden"):
    """Stop showing that gift. No money moved."""

    seq: int
    at_ms: int
    gift_id: str
    gift_seq: int
    room: str = ""


class RoomClosed(Part, frozen=True, kw_only=True, tag_field="kind", tag="room_closed"):
    """The stream is over: later gifts are refused."""

    seq: int
    at_ms: int
    room: str = ""


class OtherEntry(Part, frozen=True, kw_only=True):
    """An entry of a kind that came after this version; it moves no coins."""

    kind: str
    seq: int
    at_ms: int = 0
    room: str = ""


KnownEntry = GiftEvent | GiftRetracted | GiftHidden | RoomClosed
Entry = KnownEntry | OtherEntry


# What a server says


class Welcome(Message, frozen=True, kw_only=True, tag="welcome"):
    protocol: int
    session: str
    user: Person
    role: str
    now_ms: int
    heartbeat_ms: int
    catalogue: str


class Joined(Message, frozen=True, kw_only=True, tag="joined"):
    """`recovered`: everything since the last entry that one had follows; otherwise this is a new
    start, and what was missed is not told."""

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
    """The gift is booked: durable, counted, on its way to everybody."""

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
    """A no, with a sentence for a person. `retry` is `fix` (the wish is wrong), `same` (say it
    again unchanged) or `new` (the key is spent). `local`: it never left this client."""

    key: str | None = None
    id: str | None = None
    code: str
    message: str
    retry: str
    retry_after_ms: int | None = None
    details: dict[str, int | str | None] | None = None
    room: str | None = None
    local: bool = False


class Events(Message, frozen=True, kw_only=True, tag="events"):
    """A frame of a room's log as it comes; `log.read_frame` reads the entries."""

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


class LevelUp(Message, frozen=True, kw_only=True, tag="level_up"):
    room: str
    user: Person
    level: int


class Balance(Message, frozen=True, kw_only=True, tag="balance"):
    balance_coins: int
    reason: str


class Heartbeat(Message, frozen=True, kw_only=True, tag="heartbeat"):
    now_ms: int
    rooms: dict[str, int]


class Pong(Message, frozen=True, kw_only=True, tag="pong"):
    id: str | None = None


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
