"""For operators: is it alive, is it ready, what is it, how is it doing."""

import platform
from importlib.metadata import version
from typing import Literal

import msgspec
from litestar import MediaType, Response, Router, get
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from protocol.messages import PROTOCOL_VERSION
from server.api.access import anybody
from server.api.request import InContext


class Readiness(msgspec.Struct, frozen=True):
    ready: bool
    reasons: list[str]


class VersionBody(msgspec.Struct, frozen=True, kw_only=True):
    name: Literal["largesse"]
    version: str
    protocol: int
    python: str


@get("/healthz", guards=[anybody], media_type=MediaType.TEXT)
async def check_health() -> str:
    """The process answers."""
    return "ok\n"


@get("/readyz", guards=[anybody], answers={503: Readiness})
async def check_readiness(context: InContext) -> Response[Readiness]:
    """Whether to send users here; 503 with the reasons when not."""
    reasons = context.not_ready()
    return Response(Readiness(not reasons, reasons), status_code=503 if reasons else 200)


@get("/version", guards=[anybody])
async def show_version() -> VersionBody:
    """What is running."""
    return VersionBody(
        name="largesse",
        version=version("largesse"),
        protocol=PROTOCOL_VERSION,
        python=platform.python_version(),
    )


@get("/metrics", guards=[anybody], media_type=MediaType.TEXT)
async def show_metrics(context: InContext) -> Response[bytes]:
    """How it is doing, for Prometheus."""
    body = generate_latest(context.metrics.registry)
    return Response(body, headers={"Content-Type": CONTENT_TYPE_LATEST})


operations_router = Router(
    path="/",
    route_handlers=[check_health, check_readiness, show_version, show_metrics],
    tags=["operations"],
)
