"""Buying coins over HTTP: what they cost, ordering, giving back."""

import re
import secrets
from typing import Annotated

import msgspec
from litestar import Router, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from rules.commands import ChargeBack, RefundPurchase, StartPurchase
from rules.lifecycles import PurchaseStatus
from rules.outcomes import PurchaseStarted, Suspended, TakenBack
from rules.refusals import RefusalCode
from rules.rows import Purchase
from server.api.access import anybody, backend, check_is, somebody
from server.api.answers import booked, shaped
from server.api.errors import ApiCode, ApiError
from server.api.fields import Amount, Id, Reason, checked_id
from server.api.lists import CursorText, Limit, Page
from server.api.lookup import find_purchase
from server.api.request import Asker, BaseUrl, InContext, Key
from server.payments import ProviderRefused, checkouts

STATES = tuple(PurchaseStatus)

MaybeUser = Annotated[
    str | None, QueryParameter(description="Only of this user; with a token, always of its user.")
]
MaybeStatus = Annotated[
    str | None,
    QueryParameter(description=f"One of {', '.join(STATES)}.", schema_extra={"enum": list(STATES)}),
]
BundleId = Annotated[
    str, msgspec.Meta(max_length=40, description="the id of a bundle", examples=["small"])
]

_CURSOR = re.compile(r"([0-9]{1,16})_(.+)")


class PurchaseWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A bundle, or an exact amount."""

    user: Id | None = None
    """With a token, always its user."""
    bundle: BundleId | None = None
    coins: Amount | None = None


class RefundWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: Reason
    coins: Amount | None = None
    """Without it, all that are unspent."""


class ChargebackNews(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: Reason


class BundleBody(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    coins: int
    price_minor: int
    currency: str


class ShopBody(msgspec.Struct, frozen=True, kw_only=True):
    bundles: list[BundleBody]
    coin_price_micros: int
    """What a coin of an exact amount costs, in millionths of the currency's major unit."""
    minimum_coins: int
    maximum_coins: int
    currency: str
    minor_digits: int


class PurchaseBody(msgspec.Struct, frozen=True, kw_only=True):
    purchase: str
    user: str
    status: PurchaseStatus
    checkout_url: str | None
    """Where to pay; null while the provider is down."""
    bundle: str | None
    coins: int
    price_minor: int
    currency: str
    provider: str
    payment: str | None
    """The provider's name for it."""
    started_ms: int
    paid_ms: int | None
    refunded_coins: int
    refunded_minor: int


class PurchasePage(Page[PurchaseBody], frozen=True):
    """Newest first."""


class RefundBody(msgspec.Struct, frozen=True, kw_only=True):
    purchase: str
    refund: str
    user: str
    coins: int
    amount_minor: int
    currency: str
    balance_coins: int
    debt_coins: int
    """The part of the coins that had been spent, and that the user owes now."""


class ChargebackBody(msgspec.Struct, frozen=True, kw_only=True):
    purchase: str
    user: str
    coins: int
    amount_minor: int
    currency: str
    balance_coins: int
    debt_coins: int
    taken: tuple[TakenBack, ...]
    """From the creators who got gifts for these coins."""


class SuspendedBody(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing moved: the books cannot place it, and a person has to."""

    entry: int
    """On the suspense list."""
    subject: str
    why: str


def _body(row: Purchase) -> PurchaseBody:
    return shaped(
        PurchaseBody,
        row,
        purchase=row.id,
        checkout_url=row.url or None,
        bundle=row.bundle or None,
        payment=row.payment or None,
        paid_ms=row.paid_ms or None,
    )


@get("/bundles", guards=[anybody])
async def list_bundles(context: InContext) -> ShopBody:
    """What coins cost: bundles, and the price of an exact amount."""
    shop = context.policy.shop
    bundles = [shaped(BundleBody, bundle, currency=shop.currency) for bundle in shop.bundles]
    return shaped(ShopBody, shop, bundles=bundles)


@post(
    "/purchases",
    guards=[somebody],
    status_code=201,
    refuses=["account_frozen", "not_of_age", "payment_refused", "wrong_state"],
)
async def start_purchase(
    context: InContext,
    caller: Asker,
    key: Key,
    base_url: BaseUrl,
    data: JSONBody[PurchaseWish],
) -> PurchaseBody:
    """Order coins: a bundle, or an exact amount. With the same key it goes on where it stopped."""
    user = checked_id(data.user or caller.user, "user")
    check_is(caller, user)
    command = StartPurchase(
        actor=caller.actor,
        key=key,
        purchase=f"pur_{secrets.token_hex(12)}",
        user=user,
        adult=caller.identity.adult if caller.identity else True,
        provider=context.provider.name,
        bundle=data.bundle,
        coins=data.coins,
    )
    outcome = await booked(context, command)
    assert isinstance(outcome, PurchaseStarted)
    purchase = await find_purchase(context, outcome.purchase)
    if purchase.status is PurchaseStatus.PENDING and not purchase.checkout:
        try:
            await checkouts.start(purchase, base_url, context.provider, context.settlement)
        except ProviderRefused as error:
            sentence = f"The payment provider refused: {error}"
            raise ApiError(ApiCode.PAYMENT_REFUSED, sentence, {"purchase": purchase.id}) from error
        purchase = await find_purchase(context, purchase.id)
    return _body(purchase)


@get("/purchases/{purchase:str}", guards=[somebody], refuses=["unknown_purchase"])
async def show_purchase(context: InContext, caller: Asker, purchase: FromPath[str]) -> PurchaseBody:
    """One purchase, for its buyer and the backend."""
    found = await find_purchase(context, purchase)
    check_is(caller, found.user)
    return _body(found)


@get("/purchases", guards=[somebody], refuses=["invalid"])
async def list_purchases(
    context: InContext,
    caller: Asker,
    user: MaybeUser = None,
    status: MaybeStatus = None,
    cursor: CursorText = "",
    limit: Limit = 50,
) -> PurchasePage:
    """Purchases, newest first; a user sees their own."""
    if caller.identity is not None:
        user = user or caller.identity.user
        check_is(caller, user)
    if status is not None and status not in STATES:
        raise ApiError(
            RefusalCode.INVALID, f"`status` is one of {', '.join(STATES)}.", {"field": "status"}
        )
    place = _CURSOR.fullmatch(cursor)
    if cursor and place is None:
        raise ApiError(RefusalCode.INVALID, "`cursor` is not one of ours.", {"field": "cursor"})
    before = (int(place[1]), place[2]) if place else None
    found = await context.store.money.purchases(user, status, before, limit)
    last = f"{found[-1].started_ms}_{found[-1].id}" if len(found) == limit else None
    return PurchasePage([_body(row) for row in found], last)


@post(
    "/purchases/{purchase:str}/refund",
    guards=[backend],
    status_code=200,
    refuses=["unknown_purchase", "nothing_to_refund", "refund_too_large", "wrong_state"],
)
async def refund_purchase(
    context: InContext, caller: Asker, key: Key, purchase: FromPath[str], data: JSONBody[RefundWish]
) -> RefundBody:
    """Give money back: for the unspent coins, or for as many as asked; what is spent is owed."""
    command = RefundPurchase(
        actor=caller.actor,
        key=key,
        refund=f"ref_{secrets.token_hex(12)}",
        purchase=purchase,
        coins=data.coins,
        reason=data.reason,
    )
    return shaped(RefundBody, await booked(context, command))


@post(
    "/purchases/{purchase:str}/chargeback",
    guards=[backend],
    status_code=200,
    refuses=["unknown_purchase", "wrong_state"],
)
async def charge_back(
    context: InContext,
    caller: Asker,
    key: Key,
    purchase: FromPath[str],
    data: JSONBody[ChargebackNews],
) -> ChargebackBody | SuspendedBody:
    """The payer's bank took the money back, and the provider did not tell us itself. Of a purchase
    that was refunded before it goes to the suspense list."""
    await find_purchase(context, purchase)
    command = ChargeBack(actor=caller.actor, key=key, purchase=purchase, reason=data.reason)
    outcome = await booked(context, command)
    if isinstance(outcome, Suspended):
        return shaped(SuspendedBody, outcome)
    return shaped(ChargebackBody, outcome)


purchases_router = Router(
    path="/v1",
    route_handlers=[
        list_bundles,
        start_purchase,
        show_purchase,
        list_purchases,
        refund_purchase,
        charge_back,
    ],
    tags=["purchases"],
)
