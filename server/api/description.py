"""What the server says about itself to programs: OpenAPI for HTTP, AsyncAPI for the WebSocket.

Both are made from the types that the server really uses, so they cannot fall behind.
"""

from html import escape
from typing import Any, get_args

import msgspec
from litestar import MediaType, Request, Response, get

from protocol.messages import PROTOCOL_VERSION, ClientMessage, Event, ServerMessage
from server.live.connection import PATH

_REF = "#/components/schemas/{name}"


@get("/openapi.json", include_in_schema=False)
async def openapi(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """The HTTP API, described for programs."""
    return request.app.openapi_schema.to_schema()


@get("/asyncapi.json", include_in_schema=False)
async def asyncapi() -> dict[str, Any]:
    """The WebSocket messages, described for programs (AsyncAPI 3.0)."""
    structs = [*get_args(ClientMessage), *get_args(ServerMessage)]
    kinds = list(get_args(Event))
    _, schemas = msgspec.json.schema_components([*structs, *kinds], ref_template=_REF)
    schemas["Event"] = {"oneOf": [{"$ref": _REF.format(name=kind.__name__)} for kind in kinds]}
    messages = {
        struct.__name__: {
            "name": struct.__struct_config__.tag,
            "payload": {"$ref": _REF.format(name=struct.__name__)},
        }
        for struct in structs
    }
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "largesse", "version": str(PROTOCOL_VERSION)},
        "defaultContentType": "application/json",
        "channels": {"room": {"address": PATH, "messages": messages}},
        "operations": {
            "say": _operation("receive", get_args(ClientMessage)),
            "hear": _operation("send", get_args(ServerMessage)),
        },
        "components": {"schemas": schemas},
    }


def _operation(action: str, structs: tuple[type, ...]) -> dict[str, Any]:
    """`receive` and `send` are the server's view."""
    messages = [{"$ref": f"#/channels/room/messages/{struct.__name__}"} for struct in structs]
    return {"action": action, "channel": {"$ref": "#/channels/room"}, "messages": messages}


@get("/docs", include_in_schema=False, media_type=MediaType.HTML)
async def docs_page(request: Request[Any, Any, Any]) -> Response[str]:
    """The HTTP API on one page, from its own description; no third-party viewer is loaded."""
    rows = []
    for path, methods in sorted(request.app.openapi_schema.to_schema()["paths"].items()):
        for method, operation in methods.items():
            if isinstance(operation, dict):
                told = operation.get("description") or operation.get("summary") or ""
                what = f"<code>{method.upper()} {escape(path)}</code>"
                rows.append(f"<dt>{what}</dt><dd>{escape(told)}</dd>")
    body = (
        "<!doctype html><html lang=en><meta charset=utf-8><title>largesse API</title>"
        "<h1>largesse API</h1><p>For programs: <a href=/openapi.json>openapi.json</a> (HTTP), "
        "<a href=/asyncapi.json>asyncapi.json</a> (WebSocket).</p>"
        f"<dl>{''.join(rows)}</dl></html>"
    )
    return Response(body, media_type="text/html; charset=utf-8")


DESCRIPTIONS = [openapi, asyncapi, docs_page]
