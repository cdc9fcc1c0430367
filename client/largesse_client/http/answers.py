"""What the API answers, as docs/protocol.md (section 2) names it. Unknown fields are skipped.

Coins and millidiamonds are whole numbers, money is in the currency's minor unit, times are Unix
milliseconds.
"""

from typing import Any

import msgspec

from largesse_client.messages import Person


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A value of the API."""


# Rooms and gifts


class RoomState(Answer, frozen=True, kw_only=True):
    id: str
    title: str
    creator: str
    creator_name: str
    status: str
    epoch: str
    seq: int
    total_coins: int
    viewers: int


class BoardPlace(Answer, frozen=True, kw_only=True):
    rank: int
    user: Person
    coins: int


class BoardPage(Answer, frozen=True, kw_only=True):
    as_of: int
    window: str
    top: list[BoardPlace]


class Overlay(Answer, frozen=True, kw_only=True):
    token: str
    url: str


class RevokedToken(Answer, frozen=True, kw_only=True):
    jti: str
    expires_ms: int | None
    """Until when it is remembered; None for ever."""


class CatalogueGift(Answer, frozen=True, kw_only=True):
    id: str
    name: str
    coins: int
    combo: bool
    animation: str
    ttl_ms: int
    enabled: bool


class Catalogue(Answer, frozen=True, kw_only=True):
    version: str
    currency: str
    gifts: list[CatalogueGift]


class Retracted(Answer, frozen=True, kw_only=True):
    gift_id: str
    room: str
    seq: int
    coins: int
    millidiamonds: int
    debt_paid_coins: int = 0
    replayed: bool = False


class Hidden(Answer, frozen=True, kw_only=True):
    gift_id: str
    room: str
    seq: int
    replayed: bool = False


# Users


class Granted(Answer, frozen=True, kw_only=True):
    user: str
    coins: int
    balance_coins: int
    debt_paid_coins: int
    replayed: bool


class LimitWindow(Answer, frozen=True, kw_only=True):
    """`limit_coins` None: no limit. `source` is `own`, `default` or `first_day`."""

    limit_coins: int | None
    source: str | None
    own_coins: int | None
    spent_coins: int
    left_coins: int | None
    frees_ms: int | None


class LimitRaise(Answer, frozen=True, kw_only=True):
    """A higher limit that counts from `at_ms` on; `coins` None: none of one's own."""

    limit: str
    coins: int | None
    at_ms: int


class Limits(Answer, frozen=True, kw_only=True):
    daily: LimitWindow
    weekly: LimitWindow
    monthly: LimitWindow
    per_gift_coins: int | None
    raises: list[LimitRaise]
    paused_until_ms: int | None


class Wallet(Answer, frozen=True, kw_only=True):
    coins: int
    millidiamonds_pending: int
    millidiamonds_available: int
    millidiamonds_reserved: int
    diamond_debt_millidiamonds: int
    coin_debt: int
    level: int
    level_hidden: bool
    frozen: bool
    spent_today: int
    limits: Limits


class UserState(Wallet, frozen=True, kw_only=True):
    user: str
    name: str
    since_ms: int | None
    gifted_coins: int


class UserLine(Answer, frozen=True, kw_only=True):
    user: str
    name: str
    frozen: bool
    since_ms: int | None
    gifted_coins: int
    paused_until_ms: int | None


class StatementLine(Answer, frozen=True, kw_only=True):
    """A transfer that touched an account; `amount` is below zero when it left."""

    id: int
    at_ms: int
    account: str
    currency: str
    amount: int
    balance_after: int
    reason: str
    gift_id: str | None = None
    gift: str | None = None
    quantity: int | None = None
    note: str | None = None


class Paused(Answer, frozen=True, kw_only=True):
    user: str
    until_ms: int


class Frozen(Answer, frozen=True, kw_only=True):
    user: str
    frozen: bool


class LevelShown(Answer, frozen=True, kw_only=True):
    user: str
    hidden: bool


class Erased(Answer, frozen=True, kw_only=True):
    user: str


class ReversedOfCreator(Answer, frozen=True, kw_only=True):
    creator: str
    gifts: int
    coins: int
    millidiamonds: int


class ReversedOfRoom(Answer, frozen=True, kw_only=True):
    room: str
    gifts: int
    coins: int


class ConcernedPayout(Answer, frozen=True, kw_only=True):
    payout: str
    creator: str
    status: str


class Reversed(Answer, frozen=True, kw_only=True):
    """`left`: there is more; ask again. With `dry_run` nothing has moved."""

    gifts: int
    coins: int
    creators: list[ReversedOfCreator]
    rooms: list[ReversedOfRoom]
    payouts: list[ConcernedPayout]
    left: bool
    dry_run: bool = False
    reversed_gifts: int = 0
    debt_paid_coins: int = 0


# Buying


class Bundle(Answer, frozen=True, kw_only=True):
    id: str
    coins: int
    price_minor: int
    currency: str


class Shop(Answer, frozen=True, kw_only=True):
    bundles: list[Bundle]
    coin_price_micros: int
    minimum_coins: int
    maximum_coins: int
    currency: str
    minor_digits: int


class Purchase(Answer, frozen=True, kw_only=True):
    """`checkout_url` is None while the payment provider is down: ask again with the same key."""

    purchase: str
    user: str
    status: str
    checkout_url: str | None
    bundle: str | None
    coins: int
    price_minor: int
    currency: str
    provider: str
    payment: str | None
    started_ms: int
    paid_ms: int | None
    refunded_coins: int
    refunded_minor: int


class Refund(Answer, frozen=True, kw_only=True):
    """`debt_coins`: what was spent already, and is owed."""

    purchase: str
    refund: str
    user: str
    coins: int
    amount_minor: int
    currency: str
    balance_coins: int
    debt_coins: int = 0


class ChargedBack(Answer, frozen=True, kw_only=True):
    purchase: str
    user: str
    coins: int
    amount_minor: int
    currency: str
    balance_coins: int
    debt_coins: int = 0


class Suspended(Answer, frozen=True, kw_only=True):
    """Nothing moved: it is on the suspense list, for a person."""

    entry: int
    subject: str
    why: str


class RefusedNotification(Answer, frozen=True, kw_only=True):
    at_ms: int
    why: str


# Earning


class Rate(Answer, frozen=True, kw_only=True):
    from_ms: int
    until_ms: int | None
    rate_permille: int


class Rates(Answer, frozen=True, kw_only=True):
    rate_permille: int
    rates: list[Rate]


class EarnedSum(Answer, frozen=True, kw_only=True):
    gifts: int
    coins: int
    millidiamonds: int


class EarnedByGift(EarnedSum, frozen=True, kw_only=True):
    gift: str


class EarnedDay(EarnedSum, frozen=True, kw_only=True):
    date: str
    by_gift: list[EarnedByGift]


class Earnings(Answer, frozen=True, kw_only=True):
    from_: str = msgspec.field(name="from")
    to: str
    days: list[EarnedDay]
    total: EarnedSum


class PayoutRequest(Answer, frozen=True, kw_only=True):
    payout: str
    status: str
    creator: str
    millidiamonds: int
    amount_minor: int
    currency: str
    flags: list[str]


class Payout(PayoutRequest, frozen=True, kw_only=True):
    requested_ms: int
    decided_ms: int | None
    reference: str | None
    reason: str | None


class SuspendedLine(Answer, frozen=True, kw_only=True):
    line: int
    payout: str
    entry: int
    why: str


class RefusedLine(Answer, frozen=True, kw_only=True):
    line: int
    payout: str
    code: str
    message: str
    retry: str


class BankResults(Answer, frozen=True, kw_only=True):
    resolved: int
    repeated: int
    suspended: list[SuspendedLine]
    refused: list[RefusedLine]


# The books


class SuspenseEntry(Answer, frozen=True, kw_only=True):
    entry: int
    subject: str
    why: str
    note: Any = None
    at_ms: int
    settled_by: str | None
    settled_note: str | None


class Correction(Answer, frozen=True, kw_only=True):
    correction: int
    status: str
    user: str
    account: str
    amount: int
    reason: str
    proposed_by: str
    at_ms: int
    decided_by: str | None


# Webhooks


class Endpoint(Answer, frozen=True, kw_only=True):
    """`events` empty: all. `reason`: why it was disabled. `secret` is not in lists."""

    id: str
    url: str
    events: list[str]
    enabled: bool
    reason: str | None
    rotated_ms: int | None
    secret: str | None = None


class Delivery(Answer, frozen=True, kw_only=True):
    delivery: int
    type: str
    state: str
    attempts: int
    next_ms: int | None
    changed_ms: int


class Attempt(Answer, frozen=True, kw_only=True):
    at_ms: int
    status: int | None
    error: str | None
    duration_ms: int


class Replayed(Answer, frozen=True, kw_only=True):
    replayed: int | None = None
    from_delivery: int | None = None
