"""What the payment provider says over HTTP, and what somebody else said in its name."""

from typing import Any

import msgspec
from litestar import Request, Router, get, post
from litestar.params import FromPath

from rules.refusals import RefusalCode
from server.api.access import anybody, backend
from server.api.context import Context
from server.api.errors import ApiCode, ApiError
from server.api.lists import Page
from server.api.request import InContext
from server.payments import BadNotification
from server.payments.notifications import NotYet, take


class Received(msgspec.Struct, frozen=True):
    received: bool


class RefusedNotification(msgspec.Struct, frozen=True):
    at_ms: int
    why: str


class RefusedPage(Page[RefusedNotification], frozen=True):
    """Newest first."""


@post(
    "/webhooks/{provider:str}",
    guards=[anybody],
    status_code=200,
    takes={"application/json": dict[str, Any]},
    refuses=["not_found", "bad_signature"],
)
async def take_notification(
    context: InContext, request: Request[Any, Any, Any], provider: FromPath[str]
) -> Received:
    """What the payment provider says, signed. Saying it again changes nothing."""
    if provider != context.provider.name:
        raise ApiError(ApiCode.NOT_FOUND, f"There is no payment provider {provider} here.")
    await notify(context, dict(request.headers), await request.body())
    return Received(True)


async def notify(context: Context, headers: dict[str, str], body: bytes) -> None:
    """Verify a notification and book it. Raises ApiError `bad_signature`, `unavailable`."""
    try:
        notification = context.provider.read(headers, body, context.clock())
    except BadNotification as error:
        context.metrics.notifications.labels("refused").inc()
        context.refused_notifications.append((context.clock(), str(error)))
        raise ApiError(ApiCode.BAD_SIGNATURE, str(error)) from error
    context.metrics.notifications.labels("taken" if notification else "ignored").inc()
    if notification is not None:
        try:
            await take(notification, context.provider.name, context.store, context.settlement)
        except NotYet as error:
            raise ApiError(RefusalCode.UNAVAILABLE, str(error)) from error


@get("/notifications/refused", guards=[backend])
async def list_refused_notifications(context: InContext) -> RefusedPage:
    """Notifications that were not from the provider, too old or unreadable: the newest 200 since
    the start."""
    kept = reversed(context.refused_notifications)
    return RefusedPage([RefusedNotification(at_ms, why) for at_ms, why in kept], None)


notifications_router = Router(
    path="/v1",
    route_handlers=[take_notification, list_refused_notifications],
    tags=["purchases"],
)
