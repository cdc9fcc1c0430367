"""Everything that can be asked of the books, and everything they can answer.

A command is what the journal keeps: with the ones before it, it determines its outcome completely.
`actor` and `key` name it for ever; the same pair with the same content gets the first answer again.
"""

import hashlib
from typing import Literal

import msgspec

from rules.catalogue import Catalogue


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """The operator's settings that money depends on. They live in the books, not beside them."""

    catalogue: Catalogue
    rate_permille: int = 500
    """Millidiamonds that a creator earns per coin."""
    combo_window_ms: int = 3_000
    require_adult: bool = True


class Command(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", omit_defaults=True):
    actor: str
    """`user:<id>`, `backend` or `operator`."""
    key: str


class SetPolicy(Command, frozen=True, kw_only=True, tag="set_policy"):
    policy: Policy


class OpenRoom(Command, frozen=True, kw_only=True, tag="open_room"):
    room: str
    title: str
    creator: str
    creator_name: str
    epoch: str


class CloseRoom(Command, frozen=True, kw_only=True, tag="close_room"):
    room: str


class Grant(Command, frozen=True, kw_only=True, tag="grant"):
    user: str
    coins: int
    reason: str


class SendGift(Command, frozen=True, kw_only=True, tag="gift"):
    sender: str
    name: str
    adult: bool = False
    room: str
    gift: str
    quantity: int = 1
    to: str | None = None
    price: int | None = None
    message: str | None = None
    visibility: Literal["public", "anonymous"] = "public"


class RetractGift(Command, frozen=True, kw_only=True, tag="retract_gift"):
    gift_id: str
    reason: str


class HideGift(Command, frozen=True, kw_only=True, tag="hide_gift"):
    gift_id: str


class RenewEpochs(Command, frozen=True, kw_only=True, tag="renew_epochs"):
    """The books were restored from a backup: their logs are no longer the ones viewers saw."""

    salt: str


AnyCommand = (
    SetPolicy | OpenRoom | CloseRoom | Grant | SendGift | RetractGift | HideGift | RenewEpochs
)


class Outcome(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", omit_defaults=True):
    pass


class ComboShown(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    count: int
    coins: int
    ends_ms: int


class GiftAccepted(Outcome, frozen=True, kw_only=True, tag="gift_accepted"):
    room: str
    seq: int
    gift: str
    quantity: int
    coins: int
    balance_coins: int
    total_coins: int
    combo: ComboShown | None = None
    at_ms: int
    millidiamonds: int
    """What the creator earned; frozen here, and for no viewer to see."""


class PolicySet(Outcome, frozen=True, kw_only=True, tag="policy_set"):
    catalogue: str


class RoomOpened(Outcome, frozen=True, kw_only=True, tag="room_opened"):
    room: str
    epoch: str


class RoomClosed(Outcome, frozen=True, kw_only=True, tag="room_closed"):
    room: str
    seq: int


class Granted(Outcome, frozen=True, kw_only=True, tag="granted"):
    user: str
    coins: int
    balance_coins: int


class GiftRetracted(Outcome, frozen=True, kw_only=True, tag="gift_retracted"):
    gift_id: str
    room: str
    seq: int
    coins: int
    millidiamonds: int


class GiftHidden(Outcome, frozen=True, kw_only=True, tag="gift_hidden"):
    gift_id: str
    room: str
    seq: int


class EpochsRenewed(Outcome, frozen=True, kw_only=True, tag="epochs_renewed"):
    rooms: int


class Refused(Outcome, frozen=True, kw_only=True, tag="refused"):
    """An expected no. `message` is a sentence for a person; `details` are numbers to act on."""

    code: str
    message: str
    details: dict[str, int | str] | None = None


AnyOutcome = (
    GiftAccepted
    | PolicySet
    | RoomOpened
    | RoomClosed
    | Granted
    | GiftRetracted
    | GiftHidden
    | EpochsRenewed
    | Refused
)

STORED_REFUSALS = frozenset(
    {
        "insufficient_coins",
        "limit_per_gift",
        "limit_daily",
        "limit_weekly",
        "limit_monthly",
        "gifting_paused",
        "not_of_age",
        "account_frozen",
        "room_closed",
        "gift_unavailable",
    }
)
"""Refusals that depend on the state of the books. They are kept under the key, which is spent; any
other refusal says that the request is wrong, moves nothing and leaves no trace."""

read_command = msgspec.json.Decoder(AnyCommand).decode
read_outcome = msgspec.json.Decoder(AnyOutcome).decode
write = msgspec.json.Encoder().encode


def fingerprint(command: AnyCommand) -> str:
    """The content of a command as 32 hex digits: what a retry must repeat.

    Left out is all that may differ between two tries of one wish: the key itself, the giver's
    display name and age claim (they come with the token), and the epoch that the server draws.
    """
    match command:
        case SendGift():
            content: tuple[object, ...] = (
                "gift",
                command.sender,
                command.room,
                command.gift,
                command.quantity,
                command.to,
                command.price,
                command.message,
                command.visibility,
            )
        case OpenRoom():
            content = (
                "open_room",
                command.room,
                command.title,
                command.creator,
                command.creator_name,
            )
        case _:
            content = (command,)
    return hashlib.blake2b(write(content), digest_size=16).hexdigest()
