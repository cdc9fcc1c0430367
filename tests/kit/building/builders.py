"""Commands for tests: each builder gives a valid one, and every field may be overridden by keyword.

A key is made for each command unless the test names one, so that only tests about keys see keys.
"""

from itertools import count
from typing import Any, TypeVar

import msgspec

from rules.catalogue import Gift, make_catalogue
from rules.commands import (
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
from rules.policy import UNBOUNDED, PayoutRules, Policy, ReviewRules, SpendingLimits
from rules.review import PayoutFacts
from rules.shop import Bundle, Shop

Row = TypeVar("Row", bound=msgspec.Struct)

ROSE = Gift(id="rose", name="Rose", coins=1, combo=True)
CAKE = Gift(id="cake", name="Cake", coins=25, combo=True)
LION = Gift(id="lion", name="Lion", coins=500, animation="full")
GHOST = Gift(id="ghost", name="Ghost", coins=5, enabled=False)
CATALOGUE = make_catalogue((ROSE, CAKE, LION, GHOST))
SHOP = Shop(bundles=(Bundle(id="small", coins=100, price_minor=95),), minimum_coins=1)
NO_LIMITS = SpendingLimits(daily_coins=0, weekly_coins=0, monthly_coins=0, first_day_coins=0)

_GROUPS = {
    "limits": SpendingLimits(),
    "payouts": PayoutRules(),
    "shop": SHOP,
    "bounds": UNBOUNDED,
    "review": ReviewRules(),
}
"""Policy fields that have fields of their own."""

_numbers = count(1)


def _key() -> str:
    return f"key-{next(_numbers)}"


def set_policy(**fields: Any) -> SetPolicy:
    """Policy fields (`rate_permille`, `hold_days`, …) and `actor`, `key` in one; those with
    fields of their own may be dictionaries of what differs from the default."""
    actor, key = fields.pop("actor", "operator"), fields.pop("key", None) or _key()
    for name, default in _GROUPS.items():
        if isinstance(given := fields.get(name), dict):
            fields[name] = msgspec.structs.replace(default, **given)
    defaults = {"catalogue": CATALOGUE, "shop": SHOP}
    return SetPolicy(actor=actor, key=key, policy=Policy(**defaults | fields))


def open_room(room: str = "r1", creator: str = "cleo", **fields: Any) -> OpenRoom:
    defaults = {
        "actor": "backend",
        "key": _key(),
        "title": "Morning show",
        "creator_name": creator.title(),
        "epoch": f"epoch-{room}",
    }
    return OpenRoom(room=room, creator=creator, **defaults | fields)


def close_room(room: str = "r1", **fields: Any) -> CloseRoom:
    return CloseRoom(room=room, **{"actor": "backend", "key": _key()} | fields)


def grant(user: str = "ada", coins: int = 1_000, **fields: Any) -> Grant:
    defaults = {"actor": "backend", "key": _key(), "reason": "test"}
    return Grant(user=user, coins=coins, **defaults | fields)


def gift(sender: str = "ada", gift: str = "rose", **fields: Any) -> SendGift:
    plain = SendGift(
        actor=f"user:{sender}",
        key=_key(),
        sender=sender,
        name=sender.title(),
        adult=True,
        room="r1",
        gift=gift,
    )
    return again(plain, **fields)


def retract(gift_id: str = "r1:1", **fields: Any) -> RetractGift:
    defaults = {"actor": "operator", "key": _key(), "reason": "chargeback"}
    return RetractGift(gift_id=gift_id, **defaults | fields)


def reverse_gifts(user: str = "ada", gifts: Any = ("r1:1",), **fields: Any) -> ReverseGifts:
    defaults = {"actor": "operator", "key": _key(), "reason": "stolen card"}
    return ReverseGifts(user=user, gifts=tuple(gifts), **defaults | fields)


def hide(gift_id: str = "r1:1", **fields: Any) -> HideGift:
    return HideGift(gift_id=gift_id, **{"actor": "operator", "key": _key()} | fields)


def renew_epochs(salt: str = "salt", **fields: Any) -> RenewEpochs:
    return RenewEpochs(salt=salt, **{"actor": "operator", "key": _key()} | fields)


# Coins for money


def start_purchase(
    user: str = "ada", coins: int | None = None, purchase: str = "p1", **fields: Any
) -> StartPurchase:
    """A purchase of so many coins, or of `bundle`, which is the small one by default."""
    if coins is None:
        fields.setdefault("bundle", "small")
    plain = StartPurchase(
        actor=f"user:{user}",
        key=_key(),
        user=user,
        adult=True,
        purchase=purchase,
        provider="sandbox",
        coins=coins,
    )
    return again(plain, **fields)


def attach_checkout(purchase: str = "p1", **fields: Any) -> AttachCheckout:
    defaults = {"checkout": f"checkout-{purchase}", "url": f"https://pay.example/{purchase}"}
    return AttachCheckout(purchase=purchase, **_provider() | defaults | fields)


def settle_purchase(purchase: str = "p1", amount_minor: int = 95, **fields: Any) -> SettlePurchase:
    """Paid with the price of the small bundle."""
    defaults = {"payment": f"payment-{purchase}", "currency": "USD"}
    return SettlePurchase(
        purchase=purchase, amount_minor=amount_minor, **_provider() | defaults | fields
    )


def fail_purchase(purchase: str = "p1", **fields: Any) -> FailPurchase:
    return FailPurchase(purchase=purchase, **_provider() | {"reason": "declined"} | fields)


def refund_purchase(
    purchase: str = "p1", coins: int | None = None, refund: str | None = None, **fields: Any
) -> RefundPurchase:
    refund = refund or f"refund-{next(_numbers)}"
    defaults = _backend() | {"reason": "asked for"}
    return RefundPurchase(refund=refund, purchase=purchase, coins=coins, **defaults | fields)


def refund_sent(refund: str = "f1", **fields: Any) -> RefundSent:
    return RefundSent(refund=refund, **_provider() | fields)


def see_refund(purchase: str | None = "p1", refunded_minor: int = 19, **fields: Any) -> SeeRefund:
    """The provider gave back the price of 20 coins of the small bundle."""
    defaults = _provider() | {
        "refund": f"refund-{next(_numbers)}",
        "payment": f"payment-{purchase}",
        "currency": "USD",
        "reason": "refunded at the provider",
    }
    return SeeRefund(purchase=purchase, refunded_minor=refunded_minor, **defaults | fields)


def charge_back(purchase: str | None = "p1", **fields: Any) -> ChargeBack:
    return ChargeBack(purchase=purchase, **_provider() | {"reason": "fraudulent"} | fields)


def win_chargeback(purchase: str | None = "p1", **fields: Any) -> WinChargeback:
    defaults = _provider() | {"payment": f"payment-{purchase}"}
    return WinChargeback(purchase=purchase, **defaults | fields)


def suspend(subject: str = "payment x", why: str = "unknown", **fields: Any) -> Suspend:
    return Suspend(subject=subject, why=why, **_provider() | {"note": "95 USD"} | fields)


def settle_suspense(entry: int = 1, **fields: Any) -> SettleSuspense:
    return SettleSuspense(entry=entry, **_operator() | {"note": "looked into"} | fields)


def propose_correction(
    user: str = "ada", account: Any = "coins", amount: int = 5, **fields: Any
) -> ProposeCorrection:
    defaults = {"actor": "user:root", "key": _key(), "reason": "a mistake"}
    return ProposeCorrection(user=user, account=account, amount=amount, **defaults | fields)


def decide_correction(correction: int = 1, approve: bool = True, **fields: Any) -> DecideCorrection:
    defaults = {"actor": "user:boss", "key": _key()}
    return DecideCorrection(correction=correction, approve=approve, **defaults | fields)


# People


def set_limits(user: str = "ada", **fields: Any) -> SetLimits:
    return SetLimits(user=user, **{"actor": f"user:{user}", "key": _key()} | fields)


def pause(user: str = "ada", days: int = 1, **fields: Any) -> PauseGifting:
    return PauseGifting(user=user, days=days, **{"actor": f"user:{user}", "key": _key()} | fields)


def freeze(user: str = "ada", **fields: Any) -> Freeze:
    return Freeze(user=user, **_backend() | {"reason": "suspicious"} | fields)


def unfreeze(user: str = "ada", **fields: Any) -> Unfreeze:
    return Unfreeze(user=user, **_backend() | fields)


def hide_level(user: str = "ada", hidden: bool = True, **fields: Any) -> HideLevel:
    defaults = {"actor": f"user:{user}", "key": _key()}
    return HideLevel(user=user, hidden=hidden, **defaults | fields)


def erase(user: str = "ada", **fields: Any) -> EraseUser:
    return EraseUser(user=user, **_backend() | fields)


# Creators


def set_rate(creator: str = "cleo", rate_permille: int = 600, **fields: Any) -> SetRate:
    return SetRate(creator=creator, rate_permille=rate_permille, **_backend() | fields)


def release(creator: str = "cleo", **fields: Any) -> ReleaseDiamonds:
    return ReleaseDiamonds(creator=creator, **_operator() | fields)


def request_payout(
    creator: str = "cleo", millidiamonds: int = 5_000_000, **fields: Any
) -> RequestPayout:
    """`facts` may be a dictionary of what differs from nothing, as of the first command."""
    if isinstance(facts := fields.get("facts"), dict):
        fields["facts"] = again(PayoutFacts(as_of=1, from_day=0), **facts)
    defaults = {"actor": f"user:{creator}", "key": _key()}
    return RequestPayout(creator=creator, millidiamonds=millidiamonds, **defaults | fields)


def approve_payout(payout: str, **fields: Any) -> ApprovePayout:
    """Payouts are named after the command that asked for them."""
    return ApprovePayout(payout=payout, **_backend() | fields)


def pay_payout(payout: str, **fields: Any) -> PayPayout:
    return PayPayout(payout=payout, **_backend() | fields)


def reject_payout(payout: str, **fields: Any) -> RejectPayout:
    return RejectPayout(payout=payout, **_backend() | {"reason": "account closed"} | fields)


def payout_result(payout: str, paid: bool = True, **fields: Any) -> RecordPayoutResult:
    defaults = _backend() | {"reference": "bank-1"}
    return RecordPayoutResult(payout=payout, paid=paid, **defaults | fields)


# Webhooks out


def set_endpoint(endpoint: str = "shop", **fields: Any) -> SetEndpoint:
    defaults = _backend() | {"url": f"https://{endpoint}.example/hook"}
    return SetEndpoint(endpoint=endpoint, **defaults | fields)


def rotate_endpoint(endpoint: str = "shop", **fields: Any) -> RotateEndpoint:
    return RotateEndpoint(endpoint=endpoint, **_backend() | fields)


def disable_endpoint(endpoint: str = "shop", **fields: Any) -> DisableEndpoint:
    return DisableEndpoint(endpoint=endpoint, **_backend() | {"reason": "gone"} | fields)


# Tokens


def issue_link(room: str = "r1", token_id: str = "t1", **fields: Any) -> IssueLink:
    defaults = _backend() | {"expires_ms": 10**9}
    return IssueLink(room=room, token_id=token_id, **defaults | fields)


def revoke_token(token_id: str = "t1", **fields: Any) -> RevokeToken:
    return RevokeToken(token_id=token_id, **_backend() | {"reason": "leaked"} | fields)


def _backend() -> dict[str, Any]:
    return {"actor": "backend", "key": _key()}


def _operator() -> dict[str, Any]:
    return {"actor": "operator", "key": _key()}


def _provider() -> dict[str, Any]:
    return {"actor": "provider:sandbox", "key": _key()}


def again(command: Row, **changes: Any) -> Row:
    """The same command once more, under the same key, with what a careless client changes."""
    return msgspec.structs.replace(command, **changes)
