"""The ASGI application: all routes, errors in one shape, OpenAPI, static files."""

from typing import Any

from litestar import Litestar, Response, Router
from litestar.config.cors import CORSConfig
from litestar.datastructures import CacheControlHeader, State
from litestar.exceptions import HTTPException, NotFoundException, ValidationException
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.static_files import create_static_files_router

from server.api import description, errors
from server.api.access import Connection
from server.api.bank_files import bank_router
from server.api.body import StrictBody
from server.api.checkout import CHECKOUT_PAGES
from server.api.context import Context
from server.api.corrections import corrections_router
from server.api.creators import creators_router
from server.api.docs_page import DESCRIPTIONS
from server.api.endpoints import endpoints_router
from server.api.gifts import gifts_router
from server.api.notifications import notifications_router
from server.api.operations import operations_router
from server.api.overlays import overlays_router
from server.api.pages import PAGES
from server.api.payouts import payouts_router
from server.api.people import people_router
from server.api.purchases import purchases_router
from server.api.request import DEPENDENCIES
from server.api.reversals import reversals_router
from server.api.rooms import rooms_router
from server.api.suspense import suspense_router
from server.api.tokens import tokens_router
from server.api.wallets import wallets_router
from storage import StoreError
from web import STATIC

BODY_BYTES_MAX = 64 * 1024

ROUTES: list[HTTPRouteHandler | Router] = [
    *PAGES,
    *DESCRIPTIONS,
    rooms_router,
    wallets_router,
    gifts_router,
    *CHECKOUT_PAGES,
    purchases_router,
    notifications_router,
    people_router,
    reversals_router,
    payouts_router,
    bank_router,
    creators_router,
    suspense_router,
    corrections_router,
    endpoints_router,
    overlays_router,
    tokens_router,
    operations_router,
]
"""Everything but static files. Each names its guard, which a test looks after."""


async def _private(answer: Response[Any]) -> Response[Any]:
    """A page or a file may have said already how it wants to be kept. Async, because Litestar
    gives other functions a thread."""
    for name, value in errors.PRIVATE.items():
        answer.headers.setdefault(name, value)
    return answer


async def _readable(connection: Connection, route: BaseRouteHandler) -> None:
    """No file has such a name, and the operating system's functions refuse to look."""
    if "\0" in connection.url.path:
        raise NotFoundException("There is no such page.")


def build_site(context: Context, version: str) -> Litestar:
    """Everything that is served over plain HTTP."""
    origins = list(context.settings.allowed_origins)
    static = create_static_files_router(
        path="/static",
        directories=[STATIC],
        guards=[_readable],
        cache_control=CacheControlHeader(no_cache=True),
    )
    return Litestar(
        route_handlers=[*ROUTES, static],
        state=State({"context": context}),
        dependencies=DEPENDENCIES,
        dto=StrictBody,
        return_dto=None,
        after_request=_private,
        exception_handlers={
            errors.ApiError: errors.on_api_error,
            StoreError: errors.on_store_error,
            ValidationException: errors.on_validation,
            HTTPException: errors.on_http_error,
            RecursionError: errors.on_nesting,
            Exception: errors.on_unknown,
        },
        openapi_config=description.config(version),
        cors_config=CORSConfig(
            allow_origins=origins,
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key"],
        )
        if origins
        else None,
        request_max_body_size=BODY_BYTES_MAX,
        logging_config=None,
    )
