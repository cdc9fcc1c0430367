"""Webhook endpoints over HTTP: where events go, what became of each, and sending them again."""

import asyncio
from typing import Annotated, Any

import msgspec
from litestar import Request, Router, delete, get, post, put
from litestar.datastructures import State
from litestar.params import FromPath, JSONBody, PathParameter, QueryParameter

from protocol.messages import MONEY_MAX
from rules.commands import AnyCommand, DisableEndpoint, RotateEndpoint, SetEndpoint
from rules.rows import Endpoint
from server.api.answers import booked
from server.api.checks import backend, checked_id, idempotency_key, maybe_whole, shell_of
from server.api.context import Context
from server.api.errors import ApiError
from server.api.lists import Limit
from server.webhooks import TYPES, Guard, secret_of
from storage.deliveries import DeliveryState

REPLAYED_MAX = 1_000
"""Deliveries named in one request; more are sent again by `since_ms`."""
LOOKUP_TIMEOUT_S = 5.0
"""For a URL's host name. A slow one is let through: each try looks it up and checks it again."""

Number = Annotated[int, PathParameter(ge=1, le=MONEY_MAX)]
Cursor = Annotated[int | None, QueryParameter(ge=1, le=MONEY_MAX)]
MaybeState = Annotated[DeliveryState | None, QueryParameter(name="state")]


class EndpointWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    url: str
    events: list[str] = []


class Replay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    deliveries: list[int] | None = None
    since_ms: int | None = None


def _endpoint_body(row: Endpoint) -> dict[str, Any]:
    """Without its secret: lists are shown to people."""
    return {
        "id": row.id,
        "url": row.url,
        "events": row.kinds,
        "enabled": row.enabled,
        "reason": row.reason or None,
        "rotated_ms": row.rotated_ms or None,
    }


def _with_secret(shell: Context, row: Endpoint) -> dict[str, Any]:
    root = shell.settings.webhook_secret or shell.settings.token_secret
    return _endpoint_body(row) | {"secret": secret_of(root, row.id, row.version)}


async def _find(shell: Context, id: str) -> Endpoint:
    for row in await shell.store.money.endpoints():
        if row.id == id:
            return row
    raise ApiError("unknown_endpoint", f"There is no endpoint {id}.")


async def _changed(shell: Context, command: AnyCommand, id: str) -> Endpoint:
    await booked(shell, command)
    shell.nudge_webhooks()
    return await _find(shell, id)


@put("/webhook-endpoints/{endpoint:str}")
async def set_endpoint(
    state: State,
    request: Request[Any, Any, Any],
    endpoint: FromPath[str],
    data: JSONBody[EndpointWish],
) -> dict[str, Any]:
    """Send events to a URL from now on, all or those of some types; or change where they go. One
    that was disabled goes on where it stopped. The answer has the secret that signs."""
    shell = shell_of(state)
    caller = backend(request, shell)
    command = SetEndpoint(
        actor=caller.actor,
        key=idempotency_key(request),
        endpoint=checked_id(endpoint, "endpoint"),
        url=data.url,
        kinds=_kinds(data.events),
    )
    await _check_url(shell, data.url)
    return _with_secret(shell, await _changed(shell, command, endpoint))


def _kinds(events: list[str]) -> tuple[str, ...]:
    for event in events:
        if event not in TYPES:
            sentence = f"`events` may hold {', '.join(sorted(TYPES))}; none means all."
            raise ApiError("invalid", sentence, {"field": "events", "unknown": event[:64]})
    return tuple(sorted(set(events)))


async def _check_url(shell: Context, url: str) -> None:
    guard = Guard(allow_private=shell.settings.webhook_allow_private)
    try:
        async with asyncio.timeout(LOOKUP_TIMEOUT_S):
            wrong = await guard.check_url(url)
    except TimeoutError:
        wrong = None
    if wrong:
        raise ApiError("invalid", wrong, {"field": "url"})


@get("/webhook-endpoints")
async def list_endpoints(state: State, request: Request[Any, Any, Any]) -> dict[str, Any]:
    """Every endpoint in order of id, also those that are disabled; without their secrets."""
    shell = shell_of(state)
    backend(request, shell)
    rows = await shell.store.money.endpoints()
    return {"items": [_endpoint_body(row) for row in rows], "next_cursor": None}


@get("/webhook-endpoints/{endpoint:str}")
async def show_endpoint(
    state: State, request: Request[Any, Any, Any], endpoint: FromPath[str]
) -> dict[str, Any]:
    """One endpoint, with its secret."""
    shell = shell_of(state)
    backend(request, shell)
    return _with_secret(shell, await _find(shell, endpoint))


@delete("/webhook-endpoints/{endpoint:str}", status_code=200)
async def remove_endpoint(
    state: State, request: Request[Any, Any, Any], endpoint: FromPath[str]
) -> dict[str, Any]:
    """Send nothing more there until it is set again. It stays listed, as disabled."""
    shell = shell_of(state)
    caller = backend(request, shell)
    command = DisableEndpoint(
        actor=caller.actor,
        key=idempotency_key(request),
        endpoint=endpoint,
        reason="removed by the operator",
    )
    return _endpoint_body(await _changed(shell, command, endpoint))


@post("/webhook-endpoints/{endpoint:str}/rotate", status_code=200)
async def rotate_endpoint(
    state: State, request: Request[Any, Any, Any], endpoint: FromPath[str]
) -> dict[str, Any]:
    """Make a new secret. For a day the one before it signs too."""
    shell = shell_of(state)
    actor, key = backend(request, shell).actor, idempotency_key(request)
    command = RotateEndpoint(actor=actor, key=key, endpoint=endpoint)
    return _with_secret(shell, await _changed(shell, command, endpoint))


@get("/webhook-endpoints/{endpoint:str}/deliveries")
async def list_deliveries(
    state: State,
    request: Request[Any, Any, Any],
    endpoint: FromPath[str],
    delivery_state: MaybeState = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> dict[str, Any]:
    """What an endpoint was sent or will be, newest first: pending, delivered or exhausted."""
    shell = shell_of(state)
    backend(request, shell)
    row = await _find(shell, endpoint)
    found = await shell.store.deliveries.listed(row.id, delivery_state, cursor, limit)
    items = [
        {
            "delivery": one.command,
            "type": one.kind,
            "state": one.state,
            "attempts": one.attempts,
            "next_ms": one.next_ms,
            "changed_ms": one.changed_ms,
        }
        for one in found
    ]
    return {"items": items, "next_cursor": str(found[-1].command) if len(found) == limit else None}


@get("/webhook-endpoints/{endpoint:str}/deliveries/{delivery:int}/attempts")
async def list_attempts(
    state: State, request: Request[Any, Any, Any], endpoint: FromPath[str], delivery: Number
) -> dict[str, Any]:
    """Every try of a delivery, oldest first."""
    shell = shell_of(state)
    backend(request, shell)
    row = await _find(shell, endpoint)
    found = await shell.store.deliveries.attempts(row.id, delivery)
    if found is None:
        raise ApiError("not_found", f"{row.id} has no delivery {delivery}.")
    return {"items": [one._asdict() for one in found], "next_cursor": None}


@post("/webhook-endpoints/{endpoint:str}/replay", status_code=200)
async def replay(
    state: State, request: Request[Any, Any, Any], endpoint: FromPath[str], data: JSONBody[Replay]
) -> dict[str, Any]:
    """Send deliveries again: those that are named, or all events since a moment. They keep their
    ids, so a receiver that has seen one can tell."""
    shell = shell_of(state)
    backend(request, shell)
    since_ms = await maybe_whole(request, "since_ms", MONEY_MAX)
    if (since_ms is None) == (data.deliveries is None):
        raise ApiError("invalid", "Send `deliveries` or `since_ms`.", {"field": "deliveries"})
    row = await _find(shell, endpoint)
    if since_ms is not None:
        begin = await shell.store.deliveries.replay_since(row.id, since_ms)
        body = {"from_delivery": begin}
    else:
        numbers = _numbers((await request.json())["deliveries"])
        count = await shell.store.deliveries.replay(row.id, numbers, shell.clock())
        body = {"replayed": count}
    shell.nudge_webhooks()
    return body


def _numbers(sent: list[Any]) -> list[int]:
    right = all(type(number) is int and 1 <= number <= MONEY_MAX for number in sent)
    if not right or not 1 <= len(sent) <= REPLAYED_MAX:
        sentence = f"`deliveries` must be 1 to {REPLAYED_MAX} numbers of deliveries."
        raise ApiError("invalid", sentence, {"field": "deliveries"})
    return sent


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
        replay,
    ],
    tags=["webhooks"],
)
