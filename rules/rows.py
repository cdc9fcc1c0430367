"""The rows of the books: what storage keeps, and what a batch works on.

History (journal, transfers, events, marks) is only added to. Everything else says how things stand
now, and replaying the journal gives the same. What a person's row keeps as JSON has names here and
is an array there (`array_like`), for it is read and written with every gift.
"""

from typing import Literal, NamedTuple

import msgspec

from rules.combos import Combo
from rules.lifecycles import (
    CorrectionStatus,
    PayoutStatus,
    PurchaseStatus,
    RefundStatus,
    RoomStatus,
)
from rules.outcomes import AnyOutcome, Lots


class Room(msgspec.Struct, gc=False):
    id: str
    title: str
    creator: str
    creator_name: str
    status: RoomStatus
    epoch: str
    seq: int
    total_coins: int
    opened_ms: int


class Bucket(msgspec.Struct, array_like=True, gc=False):
    """What was spent in one hour, or on one UTC day."""

    unit: int
    """Which hour or day, since 1970."""
    coins: int
    bought_coins: int
    """Those of them that were bought."""


class Lot(msgspec.Struct, array_like=True, gc=False):
    """What is left of the coins of one purchase."""

    purchase: str
    coins: int


class LimitRaise(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A limit that rises at a moment."""

    coins: int | None
    """To what; None for none of their own."""
    at_ms: int


class User(msgspec.Struct, gc=False):
    """A person as a spender."""

    id: str
    name: str
    gifted_coins: int
    """Coins gifted publicly and not taken back, over all rooms: what the gifter level is made of. A
    level that rose with an anonymous gift would name its giver."""
    since_ms: int
    """When coins first came to them; −1 until then. An account cannot be aged for nothing."""
    frozen: bool = False
    paused_until_ms: int = 0
    level_hidden: bool = False
    limits: dict[str, int] = {}
    """Limits of their own: `daily`, `weekly`, `monthly`, `per_gift`."""
    raises: dict[str, LimitRaise] = {}
    hours: list[Bucket] = []
    """What was spent, by the hour: the last 25."""
    days: list[Bucket] = []
    """The same by UTC day: the last 31."""
    lots: list[Lot] = []
    """What was bought and is left, oldest first; all else was granted."""


class Member(msgspec.Struct, gc=False):
    """A user in a room: what the board and the combos need."""

    room: str
    user: str
    name: str
    coins: int
    """Coins gifted publicly here and not taken back. Anonymous gifts are on no board."""
    reached_seq: int
    """When the sum became what it is: ties go to who was there first."""
    combo: Combo | None = None
    anonymous_combo: Combo | None = None


class PendingDay(msgspec.Struct, array_like=True, gc=False):
    """What was earned on one UTC day and is pending still."""

    day: int
    millidiamonds: int


class Rate(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A creator's own rate, from a moment on."""

    from_ms: int
    until_ms: int | None
    permille: int


class Creator(msgspec.Struct, gc=False):
    """A person as an earner."""

    id: str
    pending: list[PendingDay] = []
    """Oldest first."""
    rates: list[Rate] = []
    """In the order in which they were set."""
    payout: str = ""
    """The one that is open."""
    payouts_paid: int = 0


class GiftRecord(msgspec.Struct, frozen=True, gc=False):
    """A gift of the past, as a retraction needs it."""

    room: str
    seq: int
    sender: str
    recipient: str
    recipient_name: str
    gift: str
    quantity: int
    coins: int
    millidiamonds: int
    anonymous: bool
    at_ms: int
    lots: Lots


class Purchase(msgspec.Struct, gc=False):
    """Coins that were ordered; once paid, a lot."""

    id: str
    user: str
    status: PurchaseStatus
    provider: str
    bundle: str
    coins: int
    price_minor: int
    currency: str
    started_ms: int
    checkout: str = ""
    url: str = ""
    payment: str = ""
    paid_ms: int = 0
    first_transfer: int = 0
    """Gifts that spent it have later ones."""
    refunded_coins: int = 0
    refunded_minor: int = 0
    clawback: str = ""
    """By which policy creators lost what they earned from it: see policy.CLAWBACKS."""
    parked: str = ""
    """Charged back before it was paid, as messages may overtake each other: why."""


class Refund(msgspec.Struct, gc=False):
    id: str
    purchase: str
    user: str
    coins: int
    amount_minor: int
    status: RefundStatus
    at_ms: int


class Payout(msgspec.Struct, gc=False):
    id: str
    creator: str
    status: PayoutStatus
    millidiamonds: int
    amount_minor: int
    currency: str
    requested_ms: int
    decided_ms: int = 0
    reference: str = ""
    """The bank's name for it, or why it was rejected."""
    flags: list[str] = []


class Suspense(msgspec.Struct, gc=False):
    """Something that the books could not place."""

    id: int
    subject: str
    why: str
    note: str
    at_ms: int
    settled_by: str = ""
    settled_note: str = ""


class Correction(msgspec.Struct, gc=False):
    id: int
    user: str
    account: str
    amount: int
    reason: str
    status: CorrectionStatus
    proposed_by: str
    at_ms: int
    decided_by: str = ""


class Endpoint(msgspec.Struct, gc=False):
    """Where webhooks go. Its secret is derived from `version` and is not in the books."""

    id: str
    url: str
    kinds: list[str]
    """Wanted event types; none means all."""
    enabled: bool
    reason: str
    """Why it is disabled."""
    version: int
    rotated_ms: int
    since: int
    """The command from which on it is told."""


class Link(msgspec.Struct, gc=False):
    """The overlay link of a room."""

    id: str
    """The room."""
    token_id: str
    expires_ms: int
    issued_ms: int


FOREVER = 0
"""An `expires_ms` that never comes."""


class Revocation(msgspec.Struct, gc=False):
    """A token that is refused."""

    id: str
    """The token's `jti`."""
    expires_ms: int
    """From then on the token is refused by itself; FOREVER when nobody knows."""
    reason: str
    at_ms: int
    command: int
    """The one that revoked it last: nodes ask for what is newer than what they know."""


class Spent(NamedTuple):
    """What a key was used for, and the answer it got."""

    fingerprint: str
    outcome: AnyOutcome


class JournalRow(NamedTuple):
    """A command that the books keep, with its outcome."""

    id: int
    actor: str
    key: str
    kind: str
    fingerprint: str
    body: bytes
    outcome: bytes
    said: bytes | None = None
    """What a person said in it, which is not sealed: it can be forgotten (see commands.py)."""


MarkKind = Literal["retracted", "hidden"]


class Mark(NamedTuple):
    """Something that may happen to a gift once."""

    room: str
    gift_seq: int
    kind: MarkKind
    seq: int


class CreatorDay(msgspec.Struct, gc=False):
    """What a batch adds to a creator's board of one UTC day."""

    creator: str
    day: int
    user: str
    name: str
    coins: int
    reached: int
    """The command that made the sum what it is: ties go to who was there first."""


class Earning(msgspec.Struct, gc=False):
    """What a batch adds to a creator's earnings of one UTC day by one kind of gift."""

    creator: str
    day: int
    gift: str
    gifts: int
    coins: int
    millidiamonds: int
