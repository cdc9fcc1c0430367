"""Everything that can be asked of the books.

A command is what the journal keeps: with the ones before it, it determines its outcome completely.
`actor` and `key` name it for ever; the same pair with the same content gets the first answer again.
What each one answers is in rules/outcomes.py.
"""

import hashlib
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from rules.policy import Policy
from rules.review import PayoutFacts


class Command(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", omit_defaults=True):
    actor: str
    """`user:<id>`, `backend`, `operator` or `provider:<name>`."""
    key: str


class SetPolicy(Command, frozen=True, kw_only=True, tag="set_policy"):
    policy: Policy


# Rooms and gifts


class OpenRoom(Command, frozen=True, kw_only=True, tag="open_room"):
    room: str
    title: str
    creator: str
    creator_name: str
    epoch: str


class CloseRoom(Command, frozen=True, kw_only=True, tag="close_room"):
    room: str


class SendGift(Command, frozen=True, kw_only=True, tag="gift"):
    sender: str
    name: str = ""
    adult: bool = False
    room: str
    gift: str
    quantity: int = 1
    to: str | None = None
    price: int | None = None
    message: str | None = None
    message_digest: str | None = None
    """Only in the journal, which keeps the message apart: what a retry must repeat of it."""
    visibility: Literal["public", "anonymous"] = "public"


class RetractGift(Command, frozen=True, kw_only=True, tag="retract_gift"):
    gift_id: str
    reason: str


class ReverseGifts(Command, frozen=True, kw_only=True, tag="reverse_gifts"):
    """Retract many gifts of one sender; those that were retracted before are passed over."""

    user: str
    gifts: tuple[str, ...]
    reason: str


class HideGift(Command, frozen=True, kw_only=True, tag="hide_gift"):
    gift_id: str


class RenewEpochs(Command, frozen=True, kw_only=True, tag="renew_epochs"):
    """The books were restored from a backup: their logs are no longer the ones viewers saw."""

    salt: str


# Coins and money


class Grant(Command, frozen=True, kw_only=True, tag="grant"):
    user: str
    coins: int
    reason: str


class StartPurchase(Command, frozen=True, kw_only=True, tag="start_purchase"):
    purchase: str
    """The id, drawn by the server; a retry of the wish gets the first one."""
    user: str
    adult: bool = False
    provider: str
    bundle: str | None = None
    coins: int | None = None

    @property
    def own(self) -> bool:
        """Asked for by the buyer, and not by the backend for them."""
        return self.actor == f"user:{self.user}"


class AttachCheckout(Command, frozen=True, kw_only=True, tag="attach_checkout"):
    purchase: str
    checkout: str
    """The provider's name for the checkout."""
    url: str


class SettlePurchase(Command, frozen=True, kw_only=True, tag="settle_purchase"):
    """The provider says that it has the money."""

    purchase: str
    payment: str
    amount_minor: int
    currency: str


class FailPurchase(Command, frozen=True, kw_only=True, tag="fail_purchase"):
    purchase: str
    reason: str


class RefundPurchase(Command, frozen=True, kw_only=True, tag="refund_purchase"):
    """Give money back: `coins` None means what is unspent of this purchase."""

    refund: str
    """The id, drawn by the server."""
    purchase: str
    coins: int | None = None
    reason: str
    sent: bool = False
    """The provider has paid it back already: this only books it."""


class RefundSent(Command, frozen=True, kw_only=True, tag="refund_sent"):
    refund: str


class SeeRefund(Command, frozen=True, kw_only=True, tag="see_refund"):
    """The provider says what it has given back of a payment in all; some of it may be news."""

    refund: str
    """The id, drawn by the server."""
    purchase: str | None = None
    """None where the provider does not say: it is found by the payment."""
    payment: str
    refunded_minor: int
    currency: str
    reason: str


class ChargeBack(Command, frozen=True, kw_only=True, tag="charge_back"):
    """The payer's bank took the money back: all of it, or it is not settled here."""

    purchase: str | None = None
    """None where the provider does not say: it is found by the payment."""
    payment: str | None = None
    """None where the operator says it."""
    reason: str
    amount_minor: int | None = None
    currency: str | None = None


class WinChargeback(Command, frozen=True, kw_only=True, tag="win_chargeback"):
    """The bank gave the money of a chargeback back; a person has to undo what followed from it."""

    purchase: str | None = None
    payment: str


class Suspend(Command, frozen=True, kw_only=True, tag="suspend"):
    """Something from outside that the books cannot place: a person has to look at it."""

    subject: str
    why: str
    note: str


class SettleSuspense(Command, frozen=True, kw_only=True, tag="settle_suspense"):
    entry: int
    note: str


class ProposeCorrection(Command, frozen=True, kw_only=True, tag="propose_correction"):
    user: str
    account: Literal["coins", "coin_debt", "diamonds_available", "diamond_debt"]
    amount: int
    """What the balance should change by; a debt is below zero."""
    reason: str


class DecideCorrection(Command, frozen=True, kw_only=True, tag="decide_correction"):
    """Approve or reject what somebody else proposed."""

    correction: int
    approve: bool


# People


class SetLimits(Command, frozen=True, kw_only=True, tag="set_limits"):
    """None takes a limit of one's own away; what is left out stays as it is."""

    user: str
    daily_coins: int | UnsetType | None = UNSET
    weekly_coins: int | UnsetType | None = UNSET
    monthly_coins: int | UnsetType | None = UNSET
    per_gift_coins: int | UnsetType | None = UNSET


class PauseGifting(Command, frozen=True, kw_only=True, tag="pause_gifting"):
    user: str
    days: int


class Freeze(Command, frozen=True, kw_only=True, tag="freeze"):
    user: str
    reason: str


class Unfreeze(Command, frozen=True, kw_only=True, tag="unfreeze"):
    user: str


class HideLevel(Command, frozen=True, kw_only=True, tag="hide_level"):
    user: str
    hidden: bool


class EraseUser(Command, frozen=True, kw_only=True, tag="erase_user"):
    """Forget who somebody is; what they gave and got stays booked under their id."""

    user: str


# Creators


class SetRate(Command, frozen=True, kw_only=True, tag="set_rate"):
    """A rate of the creator's own from a moment on, never for what was earned before."""

    creator: str
    rate_permille: int
    from_ms: int | None = None
    until_ms: int | None = None


class ReleaseDiamonds(Command, frozen=True, kw_only=True, tag="release_diamonds"):
    """Make available what has been pending for `hold_days`."""

    creator: str


class RequestPayout(Command, frozen=True, kw_only=True, tag="request_payout"):
    creator: str
    millidiamonds: int
    facts: PayoutFacts | None = None
    """What the flags are found from."""
    flags: tuple[str, ...] = ()
    """Under a policy without review rules: what the server found by itself."""


class ApprovePayout(Command, frozen=True, kw_only=True, tag="approve_payout"):
    payout: str


class PayPayout(Command, frozen=True, kw_only=True, tag="pay_payout"):
    payout: str
    reference: str = ""


class RejectPayout(Command, frozen=True, kw_only=True, tag="reject_payout"):
    payout: str
    reason: str


class RecordPayoutResult(Command, frozen=True, kw_only=True, tag="record_payout_result"):
    """A line of the bank's answer; what contradicts the books goes to the suspense list."""

    payout: str
    paid: bool
    reference: str


# Webhooks out


class SetEndpoint(Command, frozen=True, kw_only=True, tag="set_endpoint"):
    endpoint: str
    url: str
    kinds: tuple[str, ...] = ()


class RotateEndpoint(Command, frozen=True, kw_only=True, tag="rotate_endpoint"):
    endpoint: str


class DisableEndpoint(Command, frozen=True, kw_only=True, tag="disable_endpoint"):
    endpoint: str
    reason: str
    url: str | None = None
    """Only if this is where it is told: the address that said that it wants no more."""


# Tokens


class IssueLink(Command, frozen=True, kw_only=True, tag="issue_link"):
    """A new overlay link for a room, in the place of the one before it."""

    room: str
    token_id: str
    """Of the token in it; drawn by the server. A retry of the wish gets the first one."""
    expires_ms: int


class RevokeToken(Command, frozen=True, kw_only=True, tag="revoke_token"):
    token_id: str
    expires_ms: int | None = None
    """When the token ends by itself; None when nobody knows."""
    reason: str


MoneyCommand = (
    Grant
    | StartPurchase
    | AttachCheckout
    | SettlePurchase
    | FailPurchase
    | RefundPurchase
    | RefundSent
    | SeeRefund
    | ChargeBack
    | WinChargeback
    | Suspend
    | SettleSuspense
    | ProposeCorrection
    | DecideCorrection
    | SetRate
    | ReleaseDiamonds
    | RequestPayout
    | ApprovePayout
    | PayPayout
    | RejectPayout
    | RecordPayoutResult
)
"""What coins cost and what creators earn."""

AnyCommand = (
    SendGift
    | RetractGift
    | ReverseGifts
    | HideGift
    | SetPolicy
    | OpenRoom
    | CloseRoom
    | RenewEpochs
    | SetLimits
    | PauseGifting
    | Freeze
    | Unfreeze
    | HideLevel
    | EraseUser
    | SetEndpoint
    | RotateEndpoint
    | DisableEndpoint
    | IssueLink
    | RevokeToken
    | MoneyCommand
)
"""A new command is added here or to one of the parts above; then mypy names every place that has to
say something about it."""

write = msgspec.json.Encoder().encode
_read = msgspec.json.Decoder(AnyCommand).decode
_read_said = msgspec.json.Decoder(tuple[str, str | None]).decode

FORGOTTEN = write(("", None))


def write_command(command: AnyCommand) -> tuple[bytes, bytes | None]:
    """A command as the journal keeps it, and beside it what a person said in it: the name that they
    go by and their message. The first is for ever; the second may be forgotten when they ask."""
    if not isinstance(command, SendGift):
        return write(command), None
    said = write((command.name, command.message))
    digest = command.message_digest or _digest(command.message)
    body = msgspec.structs.replace(command, name="", message=None, message_digest=digest)
    return write(body), said


def read_command(body: bytes | str, said: bytes | str | None = None) -> AnyCommand:
    """The command of a journal row. Raises msgspec.DecodeError."""
    command: AnyCommand = _read(body)
    if said is None or not isinstance(command, SendGift):
        return command
    name, message = _read_said(said)
    digest = command.message_digest if message is None else None
    return msgspec.structs.replace(command, name=name, message=message, message_digest=digest)


def _digest(message: str | None) -> str | None:
    if message is None:
        return None
    return hashlib.blake2b(message.encode(), digest_size=8).hexdigest()


def fingerprint(command: AnyCommand) -> str:
    """The content of a command as 32 hex digits: what a retry must repeat.

    Left out is all that may differ between two tries of one wish: the key itself, the display name
    and the age claim (they come with the token), and what the server draws or finds out.
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
                command.message_digest or _digest(command.message),
                command.visibility,
            )
        case OpenRoom():
            content = (msgspec.structs.replace(command, key="", epoch=""),)
        case IssueLink():
            content = (msgspec.structs.replace(command, key="", token_id="", expires_ms=0),)
        case StartPurchase():
            content = (msgspec.structs.replace(command, key="", purchase="", adult=False),)
        case RefundPurchase() | SeeRefund():
            content = (msgspec.structs.replace(command, key="", refund=""),)
        case RequestPayout():
            content = (msgspec.structs.replace(command, key="", facts=None, flags=()),)
        case _:
            content = (command,)
    return hashlib.blake2b(write(content), digest_size=16).hexdigest()
