"""The pages, and what the demo needs: a viewer with play money for whoever opens the page."""

import secrets
from typing import Any

from litestar import Response, get, post
from litestar.exceptions import NotFoundException

from rules.commands import Grant
from server.api.access import anybody
from server.api.request import InContext
from server.auth import issue
from web import STATIC

CSP = (
    "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data: https:; "
    "style-src 'self'; base-uri 'none'; form-action 'self'; object-src 'none'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
DEMO_COINS = 25_000
DEMO_HOURS = 12


def _page(name: str) -> Response[bytes]:
    body = STATIC.joinpath(name).read_bytes()
    return Response(body, media_type="text/html", headers=HEADERS)


@get("/", include_in_schema=False, guards=[anybody])
async def viewer_page() -> Response[bytes]:
    return _page("viewer.html")


@get("/overlay", include_in_schema=False, guards=[anybody])
async def overlay_page() -> Response[bytes]:
    return _page("overlay.html")


@get("/safety", include_in_schema=False, guards=[anybody])
async def safety_page() -> Response[bytes]:
    return _page("safety.html")


@post("/demo/viewer", include_in_schema=False, guards=[anybody], status_code=201)
async def demo_viewer(context: InContext) -> dict[str, Any]:
    """A new viewer with play money. Only while the server runs as `largesse demo`."""
    if context.demo_room is None:
        raise NotFoundException("This is not a demo; bring a token.")
    user, name = f"guest-{secrets.token_hex(4)}", f"Guest {secrets.randbelow(9_000) + 1_000}"
    key = f"demo-{user}"
    await context.settlement.ask(
        Grant(actor="operator", key=key, user=user, coins=DEMO_COINS, reason="play money")
    )
    token = issue(
        context.settings.token_secret,
        user=user,
        name=name,
        role="viewer",
        rooms=None,
        adult=True,
        ttl_s=DEMO_HOURS * 3_600,
        now_ms=context.clock(),
        jti=None,
    )
    return {"token": token, "room": context.demo_room, "user": {"id": user, "name": name}}


PAGES = [viewer_page, overlay_page, safety_page, demo_viewer]
