"""The descriptions as they are served: to programs, and to people on one page.

No third-party viewer is loaded. Each is made when it is first asked for and kept: it takes tens of
milliseconds, and anybody may ask.
"""

import re
from collections.abc import Callable
from html import escape
from typing import Any

import orjson
from litestar import Litestar, Request, Response, get
from litestar.datastructures import State

from server.api.access import anybody
from server.api.description import TAGS, asyncapi_of, openapi_of
from server.api.pages import HEADERS

_HEAD = """<!doctype html><html lang=en><meta charset=utf-8><title>largesse API</title>
<meta name=viewport content="width=device-width"><link rel=stylesheet href=/static/docs.css>
<h1>largesse API</h1><p>For programs: <a href=/openapi.json>openapi.json</a> (HTTP),
<a href=/asyncapi.json>asyncapi.json</a> (WebSocket)."""


def _kept(state: State, name: str, made: Callable[[], bytes]) -> bytes:
    """What is kept under this name, made the first time."""
    if name not in state:
        state[name] = made()
    kept: bytes = state[name]
    return kept


@get("/openapi.json", include_in_schema=False, guards=[anybody])
async def openapi(state: State, request: Request[Any, Any, Any]) -> Response[bytes]:
    """The HTTP API, described for programs."""
    body = _kept(state, "openapi", lambda: orjson.dumps(openapi_of(request.app)))
    return Response(body, media_type="application/json")


@get("/asyncapi.json", include_in_schema=False, guards=[anybody])
async def asyncapi(state: State) -> Response[bytes]:
    """The WebSocket messages, described for programs (AsyncAPI 3.0)."""
    body = _kept(state, "asyncapi", lambda: orjson.dumps(asyncapi_of()))
    return Response(body, media_type="application/json")


@get("/docs", include_in_schema=False, guards=[anybody])
async def docs_page(state: State, request: Request[Any, Any, Any]) -> Response[bytes]:
    """The HTTP API on one page, from its own description."""
    body = _kept(state, "docs", lambda: _page(request.app))
    return Response(body, media_type="text/html", headers=HEADERS)


def _page(app: Litestar) -> bytes:
    document = openapi_of(app)
    schemas = document["components"]["schemas"]
    parts = [_HEAD, f"<p>{_marked(document['info']['description'])}"]
    for tag, text in TAGS.items():
        parts.append(f"<h2>{escape(tag)}</h2><p>{_marked(text)}<dl>")
        parts += [
            _told(method, path, operation, schemas)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
            if operation["tags"] == [tag]
        ]
        parts.append("</dl>")
    return "".join(parts).encode()


def _told(method: str, path: str, operation: dict[str, Any], schemas: dict[str, Any]) -> str:
    lines = [f"<dt id={operation['operationId']}><code>{method.upper()} {escape(path)}</code>"]
    lines.append(f"<dd><p>{_marked(operation['description'])}")
    named = [f"<code>{escape(one['name'])}</code>" for one in operation["parameters"]]
    if named:
        lines.append(f"<p>Parameters: {', '.join(named)}.")
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content:
        lines.append(f"<p>Body: {_fields(content['schema'], schemas)}.")
    for status, answer in operation["responses"].items():
        schema = answer["content"].get("application/json", {}).get("schema")
        if schema and "x-codes" not in answer:
            lines.append(f"<p>{status}: {_fields(schema, schemas)}")
    refusals = [
        f"{status} {', '.join(f'<code>{code}</code>' for code in answer['x-codes'])}"
        for status, answer in operation["responses"].items()
        if "x-codes" in answer
    ]
    return "".join([*lines, f"<p>Refused: {'; '.join(refusals)}"])


def _marked(text: str) -> str:
    """A text of ours, with what stands between backticks as code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))


def _fields(schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    """The names of an object's fields; one that may be left out has a question mark."""
    for kind in (schema, *schema.get("anyOf", ())):
        if "$ref" in kind:
            found = schemas[kind["$ref"].rpartition("/")[2]]
            required = found.get("required", ())
            names = [name + ("" if name in required else "?") for name in found["properties"]]
            return ", ".join(f"<code>{escape(name)}</code>" for name in names)
    return "JSON"


DESCRIPTIONS = [openapi, asyncapi, docs_page]
