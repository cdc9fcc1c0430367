"""Buying coins over HTTP: what they cost, ordering, the providers' notifications, giving back."""

import re
import secrets
from typing import Annotated, Any

import msgspec
from litestar import Request, Router, get, post
from litestar.datastructures import State
from litestar.params import FromPath, FromQuery, JSONBody

from rules.commands import ChargeBack, RefundPurchase, StartPurchase
from rules.lifecycles import PurchaseStatus
from rules.outcomes import PurchaseStarted
from rules.rows import Purchase
from server.api.access import check_is
from server.api.answers import booked, outcome_body
from server.api.checks import (
    backend,
    base_url,
    caller_of,
    checked_id,
    checked_text,
    checked_whole,
    idempotency_key,
    shell_of,
)
from server.api.context import Context
from server.api.errors import ApiError
from server.api.lists import Limit
from server.payments import (
    BadNotification,
    ProviderRefused,
    checkouts,
    notifications,
)

STATES = tuple(PurchaseStatus)

_CURSOR = re.compile(r"([0-9]{1,16})_(.+)")


class PurchaseWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    user: str | None = None
    bundle: Annotated[str, msgspec.Meta(max_length=40)] | None = None
    coins: int | None = None


class RefundWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: str
    coins: int | None = None


class ChargebackNews(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: str


@get("/bundles")
async def show_bundles(state: State) -> dict[str, Any]:
    """What coins cost: bundles, and the price of an exact amount."""
    shop = shell_of(state).policy.shop
    bundles = [
        msgspec.structs.asdict(bundle) | {"currency": shop.currency} for bundle in shop.bundles
    ]
    return {
        "bundles": bundles,
        "coin_price_micros": shop.coin_price_micros,
        "minimum_coins": shop.minimum_coins,
        "maximum_coins": shop.maximum_coins,
        "currency": shop.currency,
        "minor_digits": shop.minor_digits,
    }


@post("/purchases", status_code=201)
async def start_purchase(
    state: State, request: Request[Any, Any, Any], data: JSONBody[PurchaseWish]
) -> dict[str, Any]:
    """Order coins: a bundle, or an exact amount. With the same key it goes on where it stopped."""
    shell = shell_of(state)
    caller = caller_of(request, shell)
    user = data.user or (caller.identity.user if caller.identity else "")
    check_is(caller, checked_id(user, "user"))
    command = StartPurchase(
        actor=caller.actor,
        key=idempotency_key(request),
        purchase=f"pur_{secrets.token_hex(12)}",
        user=user,
        adult=caller.identity.adult if caller.identity else True,
        provider=shell.provider.name,
        bundle=data.bundle,
        coins=None if data.coins is None else await checked_whole(request, "coins"),
    )
    outcome = await booked(shell, command)
    assert isinstance(outcome, PurchaseStarted)
    purchase = await find_purchase(shell, outcome.purchase)
    if purchase.status == "pending" and not purchase.checkout:
        try:
            await checkouts.start(
                purchase, base_url(request, shell), shell.provider, shell.settlement
            )
        except ProviderRefused as error:
            sentence = f"The payment provider refused: {error}"
            raise ApiError("payment_refused", sentence, {"purchase": purchase.id}) from error
        purchase = await find_purchase(shell, purchase.id)
    return _body(purchase)


@get("/purchases/{purchase:str}")
async def show_purchase(
    state: State, request: Request[Any, Any, Any], purchase: FromPath[str]
) -> dict[str, Any]:
    """One purchase, for its buyer and the backend."""
    shell = shell_of(state)
    caller = caller_of(request, shell)
    found = await find_purchase(shell, purchase)
    check_is(caller, found.user)
    return _body(found)


@get("/purchases")
async def list_purchases(
    state: State,
    request: Request[Any, Any, Any],
    user: FromQuery[str | None] = None,
    status: FromQuery[str | None] = None,
    cursor: FromQuery[str] = "",
    limit: Limit = 50,
) -> dict[str, Any]:
    """Purchases, newest first; a user sees their own."""
    shell = shell_of(state)
    caller = caller_of(request, shell)
    if caller.identity is not None:
        user = user or caller.identity.user
        check_is(caller, user)
    if status is not None and status not in STATES:
        raise ApiError("invalid", f"`status` is one of {', '.join(STATES)}.", {"field": "status"})
    place = _CURSOR.fullmatch(cursor)
    if cursor and place is None:
        raise ApiError("invalid", "`cursor` is not one of ours.", {"field": "cursor"})
    before = (int(place[1]), place[2]) if place else None
    found = await shell.store.money.purchases(user, status, before, limit)
    last = f"{found[-1].started_ms}_{found[-1].id}" if len(found) == limit else None
    return {"items": [_body(row) for row in found], "next_cursor": last}


@post("/purchases/{purchase:str}/refund", status_code=200)
async def refund(
    state: State,
    request: Request[Any, Any, Any],
    purchase: FromPath[str],
    data: JSONBody[RefundWish],
) -> dict[str, Any]:
    """Give money back: for the unspent coins, or for as many as asked; what is spent is owed."""
    shell = shell_of(state)
    caller = backend(request, shell)
    command = RefundPurchase(
        actor=caller.actor,
        key=idempotency_key(request),
        refund=f"ref_{secrets.token_hex(12)}",
        purchase=purchase,
        coins=None if data.coins is None else await checked_whole(request, "coins"),
        reason=checked_text(data.reason, "reason", 200),
    )
    return outcome_body(await booked(shell, command))


@post("/purchases/{purchase:str}/chargeback", status_code=200)
async def charge_back(
    state: State,
    request: Request[Any, Any, Any],
    purchase: FromPath[str],
    data: JSONBody[ChargebackNews],
) -> dict[str, Any]:
    """The payer's bank took the money back, and the provider did not tell us itself."""
    shell = shell_of(state)
    caller = backend(request, shell)
    await find_purchase(shell, purchase)
    reason = checked_text(data.reason, "reason", 200)
    key = idempotency_key(request)
    command = ChargeBack(actor=caller.actor, key=key, purchase=purchase, reason=reason)
    return outcome_body(await booked(shell, command))


@post("/webhooks/{provider:str}", status_code=200)
async def take_notification(
    state: State, request: Request[Any, Any, Any], provider: FromPath[str]
) -> dict[str, Any]:
    """What the payment provider says, signed. Saying it again changes nothing."""
    shell = shell_of(state)
    if provider != shell.provider.name:
        raise ApiError("not_found", f"There is no payment provider {provider} here.")
    await notify(shell, dict(request.headers), await request.body())
    return {"received": True}


async def notify(shell: Context, headers: dict[str, str], body: bytes) -> None:
    """Verify a notification and book it. Raises ApiError `bad_signature`, `unavailable`."""
    try:
        notification = shell.provider.read(headers, body, shell.clock())
    except BadNotification as error:
        shell.metrics.notifications.labels("refused").inc()
        shell.refused_notifications.append((shell.clock(), str(error)))
        raise ApiError("bad_signature", str(error)) from error
    shell.metrics.notifications.labels("taken" if notification else "ignored").inc()
    if notification is not None:
        try:
            await notifications.take(
                notification, shell.provider.name, shell.store, shell.settlement
            )
        except notifications.NotYet as error:
            raise ApiError("unavailable", str(error)) from error


@get("/notifications/refused")
async def show_refused(state: State, request: Request[Any, Any, Any]) -> dict[str, Any]:
    """Notifications that were not from the provider, too old or unreadable: the newest 200 since
    the start."""
    shell = shell_of(state)
    backend(request, shell)
    items = [{"at_ms": at_ms, "why": why} for at_ms, why in reversed(shell.refused_notifications)]
    return {"items": items, "next_cursor": None}


async def find_purchase(shell: Context, id: str) -> Purchase:
    found = await shell.store.money.purchase(id)
    if found is None:
        raise ApiError("unknown_purchase", f"There is no purchase {id}.")
    return found


def _body(row: Purchase) -> dict[str, Any]:
    return {
        "purchase": row.id,
        "user": row.user,
        "status": row.status,
        "checkout_url": row.url or None,
        "bundle": row.bundle or None,
        "coins": row.coins,
        "price_minor": row.price_minor,
        "currency": row.currency,
        "provider": row.provider,
        "payment": row.payment or None,
        "started_ms": row.started_ms,
        "paid_ms": row.paid_ms or None,
        "refunded_coins": row.refunded_coins,
        "refunded_minor": row.refunded_minor,
    }


purchases_router = Router(
    path="/v1",
    route_handlers=[
        show_bundles,
        start_purchase,
        show_purchase,
        list_purchases,
        refund,
        charge_back,
        take_notification,
        show_refused,
    ],
    tags=["purchases"],
)
