"""For operators: is it alive, is it ready, what is it, how is it doing."""

import platform
from importlib.metadata import version
from typing import Any

from litestar import MediaType, Response, Router, get
from litestar.datastructures import State
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from protocol.messages import PROTOCOL_VERSION
from server.api.request import shell_of


@get("/healthz", media_type=MediaType.TEXT)
async def health() -> str:
    """The process answers."""
    return "ok\n"


@get("/readyz")
async def ready(state: State) -> Response[dict[str, Any]]:
    """Whether to send users here; 503 with the reasons when not."""
    reasons = shell_of(state).not_ready()
    body = {"ready": not reasons, "reasons": reasons}
    return Response(body, status_code=503 if reasons else 200)


@get("/version")
async def show_version() -> dict[str, Any]:
    """What is running."""
    return {
        "name": "largesse",
        "version": version("largesse"),
        "protocol": PROTOCOL_VERSION,
        "python": platform.python_version(),
    }


@get("/metrics")
async def metrics(state: State) -> Response[bytes]:
    """Prometheus."""
    body = generate_latest(shell_of(state).metrics.registry)
    return Response(body, headers={"Content-Type": CONTENT_TYPE_LATEST})


operations_router = Router(
    path="/", route_handlers=[health, ready, show_version, metrics], tags=["operations"]
)
