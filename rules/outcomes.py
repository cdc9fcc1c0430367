"""Everything that the books can answer: one struct for each thing that can come of a command."""

import msgspec

from rules.lifecycles import CorrectionStatus, PayoutStatus
from rules.refusals import RefusalCode


class Outcome(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", omit_defaults=True):
    again: bool = False
    """It was so before this command, which moved nothing."""


class Refused(Outcome, frozen=True, kw_only=True, tag="refused"):
    """An expected no. `message` is a sentence for a person; `details` are numbers to act on."""

    code: RefusalCode
    message: str
    details: dict[str, int | str | None] | None = None


class PolicySet(Outcome, frozen=True, kw_only=True, tag="policy_set"):
    catalogue: str


# Rooms and gifts


class RoomOpened(Outcome, frozen=True, kw_only=True, tag="room_opened"):
    room: str
    epoch: str


class RoomClosed(Outcome, frozen=True, kw_only=True, tag="room_closed"):
    room: str
    seq: int


class ComboShown(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    count: int
    coins: int
    ends_ms: int


Lots = tuple[tuple[str, int], ...]
"""(purchase, coins) for each lot that coins were taken from; granted coins are in none."""


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
    creator: str
    millidiamonds: int
    """What the creator earned; frozen here, and for no viewer to see."""
    lots: Lots = ()


class TakenBack(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where diamonds were taken from, in millidiamonds."""

    creator: str
    pending: int = 0
    available: int = 0
    debt: int = 0
    """Had been paid out; the creator owes it."""
    borne: int = 0
    """Had been paid out; the platform bears it, and no diamonds move."""

    @property
    def millidiamonds(self) -> int:
        """From wherever."""
        return self.pending + self.available + self.debt + self.borne


class GiftRetracted(Outcome, frozen=True, kw_only=True, tag="gift_retracted"):
    gift_id: str
    room: str
    seq: int
    coins: int
    millidiamonds: int
    taken: TakenBack
    debt_paid_coins: int = 0


class GiftsReversed(Outcome, frozen=True, kw_only=True, tag="gifts_reversed"):
    user: str
    gifts: tuple[tuple[str, int], ...]
    """(gift id, seq of its retraction) of what was reversed now."""
    coins: int
    taken: tuple[TakenBack, ...]
    debt_paid_coins: int = 0


class GiftHidden(Outcome, frozen=True, kw_only=True, tag="gift_hidden"):
    gift_id: str
    room: str
    seq: int


class EpochsRenewed(Outcome, frozen=True, kw_only=True, tag="epochs_renewed"):
    rooms: int


# Coins and money


class Granted(Outcome, frozen=True, kw_only=True, tag="granted"):
    user: str
    coins: int
    balance_coins: int
    debt_paid_coins: int = 0


class PurchaseStarted(Outcome, frozen=True, kw_only=True, tag="purchase_started"):
    purchase: str
    user: str
    coins: int
    price_minor: int
    currency: str


class CheckoutAttached(Outcome, frozen=True, kw_only=True, tag="checkout_attached"):
    purchase: str


class PurchasePaid(Outcome, frozen=True, kw_only=True, tag="purchase_paid"):
    purchase: str
    user: str
    coins: int
    price_minor: int
    currency: str
    balance_coins: int
    debt_paid_coins: int = 0


class PurchaseFailed(Outcome, frozen=True, kw_only=True, tag="purchase_failed"):
    purchase: str
    user: str
    reason: str


class PurchaseRefunded(Outcome, frozen=True, kw_only=True, tag="purchase_refunded"):
    purchase: str
    refund: str
    user: str
    coins: int
    amount_minor: int
    currency: str
    balance_coins: int
    debt_coins: int = 0
    """The part of `coins` that had been spent, and that the user owes now."""


class RefundMarkedSent(Outcome, frozen=True, kw_only=True, tag="refund_marked_sent"):
    refund: str


class PurchaseChargedBack(Outcome, frozen=True, kw_only=True, tag="purchase_charged_back"):
    purchase: str
    user: str
    coins: int
    amount_minor: int
    currency: str
    balance_coins: int
    debt_coins: int = 0
    taken: tuple[TakenBack, ...] = ()


class Suspended(Outcome, frozen=True, kw_only=True, tag="suspended"):
    entry: int
    subject: str
    why: str


class SuspenseSettled(Outcome, frozen=True, kw_only=True, tag="suspense_settled"):
    entry: int


class CorrectionProposed(Outcome, frozen=True, kw_only=True, tag="correction_proposed"):
    correction: int


class CorrectionDecided(Outcome, frozen=True, kw_only=True, tag="correction_decided"):
    correction: int
    status: CorrectionStatus
    user: str
    account: str
    amount: int


# People


class LimitsSet(Outcome, frozen=True, kw_only=True, tag="limits_set"):
    user: str
    limits: dict[str, int]
    raises: dict[str, tuple[int | None, int]]


class GiftingPaused(Outcome, frozen=True, kw_only=True, tag="gifting_paused"):
    user: str
    until_ms: int


class AccountFrozen(Outcome, frozen=True, kw_only=True, tag="account_frozen"):
    user: str


class AccountUnfrozen(Outcome, frozen=True, kw_only=True, tag="account_unfrozen"):
    user: str


class LevelHidden(Outcome, frozen=True, kw_only=True, tag="level_hidden"):
    user: str
    hidden: bool


class UserErased(Outcome, frozen=True, kw_only=True, tag="user_erased"):
    user: str


# Creators


class RateSet(Outcome, frozen=True, kw_only=True, tag="rate_set"):
    creator: str
    rate_permille: int
    from_ms: int
    until_ms: int | None = None


class DiamondsReleased(Outcome, frozen=True, kw_only=True, tag="diamonds_released"):
    creator: str
    millidiamonds: int
    debt_paid_millidiamonds: int = 0
    through_day: int
    """All that was earned until the end of this UTC day (days since 1970) is released."""


class PayoutChanged(Outcome, frozen=True, kw_only=True, tag="payout"):
    """A payout as it stands after the command."""

    payout: str
    creator: str
    status: PayoutStatus
    millidiamonds: int
    amount_minor: int
    currency: str
    flags: tuple[str, ...] = ()


# Webhooks out


class EndpointSet(Outcome, frozen=True, kw_only=True, tag="endpoint"):
    endpoint: str
    enabled: bool
    version: int


# Tokens


class LinkIssued(Outcome, frozen=True, kw_only=True, tag="link_issued"):
    room: str
    token_id: str
    expires_ms: int


class TokenRevoked(Outcome, frozen=True, kw_only=True, tag="token_revoked"):
    token_id: str
    expires_ms: int | None = None
    """Until when it is remembered; None for ever."""


AnyOutcome = (
    Refused
    | PolicySet
    | RoomOpened
    | RoomClosed
    | GiftAccepted
    | GiftRetracted
    | GiftsReversed
    | GiftHidden
    | EpochsRenewed
    | Granted
    | PurchaseStarted
    | CheckoutAttached
    | PurchasePaid
    | PurchaseFailed
    | PurchaseRefunded
    | RefundMarkedSent
    | PurchaseChargedBack
    | Suspended
    | SuspenseSettled
    | CorrectionProposed
    | CorrectionDecided
    | LimitsSet
    | GiftingPaused
    | AccountFrozen
    | AccountUnfrozen
    | LevelHidden
    | UserErased
    | RateSet
    | DiamondsReleased
    | PayoutChanged
    | EndpointSet
    | LinkIssued
    | TokenRevoked
)

read_outcome = msgspec.json.Decoder(AnyOutcome).decode
