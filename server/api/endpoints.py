"""Webhook endpoints over HTTP: where events go, what became of each, and sending them again."""

import asyncio
from collections.abc import Sequence
from typing import Annotated

import msgspec
from litestar import Router, delete, get, post, put
from litestar.params import FromPath, JSONBody, QueryParameter

from protocol.messages import MONEY_MAX
from rules.commands import AnyCommand, DisableEndpoint, RotateEndpoint, SetEndpoint
from rules.refusals import RefusalCode
from rules.rows import Endpoint
from server.api.access import backend
from server.api.answers import booked, shaped
from server.api.context import Context
from server.api.errors import ApiCode, ApiError
from server.api.fields import EndpointInPath, Moment, Number
from server.api.lists import Cursor, Limit, Page
from server.api.request import Asker, InContext, Key
from server.webhooks import TYPES, Guard, secret_of
from storage.deliveries import DeliveryState

REPLAYED_MAX = 1_000
"""Deliveries named in one request; more are sent again by `since_ms`."""
LOOKUP_TIMEOUT_S = 5.0
"""For a URL's host name. A slow one is let through: each try looks it up and checks it again."""

MaybeState = Annotated[
    DeliveryState | None, QueryParameter(name="state", description="Only those.")
]
Deliveries = Annotated[
    list[Annotated[int, msgspec.Meta(ge=1, le=MONEY_MAX)]],
    msgspec.Meta(
        min_length=1,
        max_length=REPLAYED_MAX,
        description=f"1 to {REPLAYED_MAX} numbers of deliveries",
        examples=[[17, 18]],
    ),
]
Events = Annotated[
    list[str],
    msgspec.Meta(description="types of events; none means all", examples=[["gift.accepted"]]),
]


class EndpointWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    url: Annotated[
        str,
        msgspec.Meta(
            description="a public https address", examples=["https://platform.example/webhooks"]
        ),
    ]
    events: Events = []


class Replay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Either of the two."""

    deliveries: Deliveries | None = None
    since_ms: Moment | None = None


class EndpointBody(msgspec.Struct, frozen=True, kw_only=True):
    """Without its secret: lists are shown to people."""

    id: str
    url: str
    events: Sequence[str]
    enabled: bool
    reason: str | None
    """Why it is disabled."""
    rotated_ms: int | None


class EndpointWithSecret(EndpointBody, frozen=True, kw_only=True):
    secret: str
    """What signs: any library of Standard Webhooks verifies with it."""


class EndpointPage(Page[EndpointBody], frozen=True):
    """In order of id."""


class DeliveryBody(msgspec.Struct, frozen=True, kw_only=True):
    delivery: int
    type: str
    state: DeliveryState
    attempts: int
    next_ms: int | None
    """Of the next try; null when there is none."""
    changed_ms: int


class DeliveryPage(Page[DeliveryBody], frozen=True):
    """Newest first."""


class AttemptBody(msgspec.Struct, frozen=True, kw_only=True):
    at_ms: int
    status: int | None
    """What the endpoint answered; null when it did not."""
    error: str | None
    duration_ms: int


class AttemptPage(Page[AttemptBody], frozen=True):
    """Oldest first."""


class ReplayBody(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two."""

    replayed: int | msgspec.UnsetType = msgspec.UNSET
    """How many of the named ones are sent again."""
    from_delivery: int | msgspec.UnsetType | None = msgspec.UNSET
    """The first that is sent again since the moment."""


def _plain(row: Endpoint) -> EndpointBody:
    return shaped(
        EndpointBody,
        row,
        events=row.kinds,
        reason=row.reason or None,
        rotated_ms=row.rotated_ms or None,
    )


def _with_secret(context: Context, row: Endpoint) -> EndpointWithSecret:
    root = context.settings.webhook_secret or context.settings.token_secret
    secret = secret_of(root, row.id, row.version)
    return shaped(EndpointWithSecret, _plain(row), secret=secret)


async def _find(context: Context, id: str) -> Endpoint:
    for row in await context.store.money.endpoints():
        if row.id == id:
            return row
    raise ApiError(RefusalCode.UNKNOWN_ENDPOINT, f"There is no endpoint {id}.")


async def _changed(context: Context, command: AnyCommand, id: str) -> Endpoint:
    await booked(context, command)
    context.nudge_webhooks()
    return await _find(context, id)


@put("/webhook-endpoints/{endpoint:str}", guards=[backend])
async def set_endpoint(
    context: InContext,
    caller: Asker,
    key: Key,
    endpoint: EndpointInPath,
    data: JSONBody[EndpointWish],
) -> EndpointWithSecret:
    """Send events to a URL from now on, all or those of some types; or change where they go. One
    that was disabled goes on where it stopped. The answer has the secret that signs."""
    command = SetEndpoint(
        actor=caller.actor,
        key=key,
        endpoint=endpoint,
        url=data.url,
        kinds=_kinds(data.events),
    )
    await _check_url(context, data.url)
    return _with_secret(context, await _changed(context, command, endpoint))


def _kinds(events: list[str]) -> tuple[str, ...]:
    for event in events:
        if event not in TYPES:
            sentence = f"`events` may hold {', '.join(sorted(TYPES))}; none means all."
            raise ApiError(
                RefusalCode.INVALID, sentence, {"field": "events", "unknown": event[:64]}
            )
    return tuple(sorted(set(events)))


async def _check_url(context: Context, url: str) -> None:
    guard = Guard(allow_private=context.settings.webhook_allow_private)
    try:
        async with asyncio.timeout(LOOKUP_TIMEOUT_S):
            wrong = await guard.check_url(url)
    except TimeoutError:
        wrong = None
    if wrong:
        raise ApiError(RefusalCode.INVALID, wrong, {"field": "url"})


@get("/webhook-endpoints", guards=[backend])
async def list_endpoints(context: InContext) -> EndpointPage:
    """Every endpoint in order of id, also those that are disabled; without their secrets."""
    rows = await context.store.money.endpoints()
    return EndpointPage([_plain(row) for row in rows], None)


@get("/webhook-endpoints/{endpoint:str}", guards=[backend], refuses=["unknown_endpoint"])
async def show_endpoint(context: InContext, endpoint: FromPath[str]) -> EndpointWithSecret:
    """One endpoint, with its secret."""
    return _with_secret(context, await _find(context, endpoint))


@delete(
    "/webhook-endpoints/{endpoint:str}",
    guards=[backend],
    status_code=200,
    refuses=["unknown_endpoint"],
)
async def remove_endpoint(
    context: InContext, caller: Asker, key: Key, endpoint: FromPath[str]
) -> EndpointBody:
    """Send nothing more there until it is set again. It stays listed, as disabled."""
    command = DisableEndpoint(
        actor=caller.actor, key=key, endpoint=endpoint, reason="removed by the operator"
    )
    return _plain(await _changed(context, command, endpoint))


@post(
    "/webhook-endpoints/{endpoint:str}/rotate",
    guards=[backend],
    status_code=200,
    refuses=["unknown_endpoint"],
)
async def rotate_endpoint(
    context: InContext, caller: Asker, key: Key, endpoint: FromPath[str]
) -> EndpointWithSecret:
    """Make a new secret. For a day the one before it signs too."""
    command = RotateEndpoint(actor=caller.actor, key=key, endpoint=endpoint)
    return _with_secret(context, await _changed(context, command, endpoint))


@get(
    "/webhook-endpoints/{endpoint:str}/deliveries",
    guards=[backend],
    refuses=["unknown_endpoint"],
)
async def list_deliveries(
    context: InContext,
    endpoint: FromPath[str],
    delivery_state: MaybeState = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> DeliveryPage:
    """What an endpoint was sent or will be, newest first: pending, delivered or exhausted."""
    row = await _find(context, endpoint)
    found = await context.store.deliveries.listed(row.id, delivery_state, cursor, limit)
    items = [shaped(DeliveryBody, one, delivery=one.command, type=one.kind) for one in found]
    return DeliveryPage(items, str(found[-1].command) if len(found) == limit else None)


@get(
    "/webhook-endpoints/{endpoint:str}/deliveries/{delivery:int}/attempts",
    guards=[backend],
    refuses=["unknown_endpoint", "not_found"],
)
async def list_attempts(
    context: InContext, endpoint: FromPath[str], delivery: Number
) -> AttemptPage:
    """Every try of a delivery, oldest first."""
    row = await _find(context, endpoint)
    found = await context.store.deliveries.attempts(row.id, delivery)
    if found is None:
        raise ApiError(ApiCode.NOT_FOUND, f"{row.id} has no delivery {delivery}.")
    return AttemptPage([shaped(AttemptBody, one) for one in found], None)


@post(
    "/webhook-endpoints/{endpoint:str}/replay",
    guards=[backend],
    status_code=200,
    refuses=["unknown_endpoint"],
)
async def replay_deliveries(
    context: InContext, endpoint: FromPath[str], data: JSONBody[Replay]
) -> ReplayBody:
    """Send deliveries again: those that are named, or all events since a moment. They keep their
    ids, so a receiver that has seen one can tell."""
    if (data.since_ms is None) == (data.deliveries is None):
        raise ApiError(
            RefusalCode.INVALID, "Send `deliveries` or `since_ms`.", {"field": "deliveries"}
        )
    row = await _find(context, endpoint)
    if data.since_ms is not None:
        begin = await context.store.deliveries.replay_since(row.id, data.since_ms)
        body = ReplayBody(from_delivery=begin)
    else:
        numbers = data.deliveries or []
        count = await context.store.deliveries.replay(row.id, numbers, context.clock())
        body = ReplayBody(replayed=count)
    context.nudge_webhooks()
    return body


endpoints_router = Router(
    path="/v1",
    route_handlers=[
        set_endpoint,
        list_endpoints,
        show_endpoint,
        remove_endpoint,
        rotate_endpoint,
        list_deliveries,
        list_attempts,
        replay_deliveries,
    ],
    tags=["webhooks"],
)
