"""Which rows a batch needs, so that storage can fetch them with few questions.

They are named in three steps: by the commands themselves, then by the rooms, gifts, purchases and
payouts that were found, then by the people who were found. Asking for a row too many costs a little
time; asking for one too few would make two batches differ from one.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, assert_never

from rules.book import Book
from rules.commands import (
    AnyCommand,
    ApprovePayout,
    AttachCheckout,
    ChargeBack,
    CloseRoom,
    DecideCorrection,
    DisableEndpoint,
    EraseUser,
    FailPurchase,
    Freeze,
    Grant,
    HideGift,
    HideLevel,
    IssueLink,
    MoneyCommand,
    OpenRoom,
    PauseGifting,
    PayPayout,
    ProposeCorrection,
    RecordPayoutResult,
    RefundPurchase,
    RefundSent,
    RejectPayout,
    ReleaseDiamonds,
    RenewEpochs,
    RequestPayout,
    RetractGift,
    ReverseGifts,
    RevokeToken,
    RotateEndpoint,
    SeeRefund,
    SendGift,
    SetEndpoint,
    SetLimits,
    SetPolicy,
    SetRate,
    SettlePurchase,
    SettleSuspense,
    StartPurchase,
    Suspend,
    Unfreeze,
    WinChargeback,
)
from rules.events import split_gift_id
from rules.ledger import AccountCode
from rules.policy import Policy, bounds_of

_WALLET = (AccountCode.COINS, AccountCode.COIN_DEBT)
_EARNED = (AccountCode.DIAMONDS_PENDING, AccountCode.DIAMONDS_AVAILABLE, AccountCode.DIAMOND_DEBT)
_PAID = (AccountCode.DIAMONDS_AVAILABLE, AccountCode.DIAMONDS_RESERVED, AccountCode.DIAMOND_DEBT)


class Touched(NamedTuple):
    """The rows to load before settling."""

    keys: set[tuple[str, str]]
    rooms: set[str]
    gifts: set[tuple[str, int]]
    users: set[str]
    accounts: set[tuple[str, str]]
    members: set[tuple[str, str]]
    rare: set[tuple[str, str | int]]
    """(table, id) of purchases, payouts and the like."""
    lots: set[str]
    """Purchases whose gifts are needed."""
    payments: set[str]
    """Payments whose purchases are needed; nobody says which these are."""
    charged: set[str]
    """Those of them whose purchases' gifts are needed."""
    buyers: set[str]
    """Users whose purchases that wait for a payment are counted: see `waiting_max`."""
    whole: set[str]
    """Tables that are needed whole, for the same reason; none of them may be long."""

    def wallet(self, user: str) -> None:
        self.users.add(user)
        self.accounts.update((user, code) for code in _WALLET)

    def earner(self, creator: str) -> None:
        self.rare.add(("creator", creator))
        self.accounts.update((creator, code) for code in _EARNED)

    def payee(self, creator: str) -> None:
        self.users.add(creator)
        self.rare.add(("creator", creator))
        self.accounts.update((creator, code) for code in _PAID)


def nothing() -> Touched:
    return Touched(*(set() for _ in Touched._fields))


def touches_at_first(commands: Iterable[AnyCommand]) -> Touched:
    """The rows that are named by the commands themselves."""
    touched = nothing()
    for command in commands:
        touched.keys.add((command.actor, command.key))
        match command:
            case SendGift():
                touched.rooms.add(command.room)
                touched.wallet(command.sender)
                touched.members.add((command.room, command.sender))
            case OpenRoom():
                touched.rooms.add(command.room)
                # The next gift of this batch may be for the new room; its creator is not new.
                touched.earner(command.creator)
            case CloseRoom():
                touched.rooms.add(command.room)
            case RetractGift() | HideGift():
                _touch_gift(touched, command.gift_id)
            case ReverseGifts():
                touched.wallet(command.user)
                for gift_id in command.gifts:
                    _touch_gift(touched, gift_id)
            case SetPolicy() | RenewEpochs():
                pass
            case SetLimits() | PauseGifting() | Freeze() | Unfreeze() | HideLevel() | EraseUser():
                touched.users.add(command.user)
            case SetEndpoint():
                touched.whole.add("endpoint")
            case RotateEndpoint() | DisableEndpoint():
                touched.rare.add(("endpoint", command.endpoint))
            case IssueLink():
                touched.rooms.add(command.room)
                touched.rare.add(("link", command.room))
            case RevokeToken():
                touched.rare.add(("revocation", command.token_id))
            case _:
                _touch_money(touched, command)
    return touched


def _touch_gift(touched: Touched, gift_id: str) -> None:
    if place := split_gift_id(gift_id):
        touched.gifts.add(place)
        touched.rooms.add(place[0])


def _touch_money(touched: Touched, command: MoneyCommand) -> None:
    match command:
        case Grant():
            touched.wallet(command.user)
        case StartPurchase():
            touched.wallet(command.user)
            touched.rare.add(("purchase", command.purchase))
            if command.own:
                touched.buyers.add(command.user)
        case AttachCheckout() | SettlePurchase() | FailPurchase() | RefundPurchase():
            touched.rare.add(("purchase", command.purchase))
        case ChargeBack():
            _touch_payment(touched, command.purchase, command.payment)
            if command.purchase is not None:
                touched.lots.add(command.purchase)
            elif command.payment is not None:
                touched.charged.add(command.payment)
        case SeeRefund() | WinChargeback():
            _touch_payment(touched, command.purchase, command.payment)
        case RefundSent():
            touched.rare.add(("refund", command.refund))
        case SettleSuspense():
            touched.rare.add(("suspense", command.entry))
        case ProposeCorrection():
            touched.wallet(command.user)
            touched.accounts.add((command.user, command.account))
        case DecideCorrection():
            touched.rare.add(("correction", command.correction))
        case SetRate() | ReleaseDiamonds():
            touched.earner(command.creator)
        case RequestPayout():
            touched.payee(command.creator)
        case ApprovePayout() | PayPayout() | RejectPayout() | RecordPayoutResult():
            touched.rare.add(("payout", command.payout))
        case Suspend():
            pass
        case _:
            assert_never(command)


def _touch_payment(touched: Touched, purchase: str | None, payment: str | None) -> None:
    if purchase is not None:
        touched.rare.add(("purchase", purchase))
    elif payment is not None:
        touched.payments.add(payment)


def waiting_max(policy: Policy | None, commands: Sequence[AnyCommand]) -> int:
    """So many of a buyer's purchases that wait are enough to know whether there are too many: as
    many as any policy of the batch allows, and one for each command, which may end one's waiting.
    0 when nobody counts. The backend may have made thousands of them."""
    policies = [policy, *(one.policy for one in commands if isinstance(one, SetPolicy))]
    most = max(bounds_of(one).pending_purchases_max for one in policies)
    return most and most + len(commands)


def touches_then(book: Book) -> Touched:
    """The rows that only the first ones name: creators of rooms, parties of old gifts."""
    touched = nothing()
    for room in book.rooms.values():
        touched.earner(room.creator)
    for gift in book.gifts.values():
        touched.wallet(gift.sender)
        touched.members.add((gift.room, gift.sender))
        touched.earner(gift.recipient)
    for purchase in book.purchases.values():
        touched.wallet(purchase.user)
    for payout in book.payouts.values():
        touched.payee(payout.creator)
    for correction in book.corrections.values():
        touched.wallet(correction.user)
        touched.accounts.add((correction.user, correction.account))
    return touched


def touches_at_last(book: Book, commands: Sequence[AnyCommand]) -> set[str]:
    """Purchases that coins may go back to: those that gifts were made from, when some come back.

    A gift of this very batch may be taken back in it, so what its sender has bought counts too.
    """
    if not any(isinstance(command, RetractGift | ReverseGifts) for command in commands):
        return set()
    used = {purchase for gift in book.gifts.values() for purchase, _ in gift.lots}
    return used | {lot.purchase for user in book.users.values() for lot in user.lots}
