"""What the server says about itself to programs: OpenAPI for HTTP, AsyncAPI for the WebSocket.

Both are made from what the server really uses, so they cannot fall behind. Of the OpenAPI document
Litestar makes the list of operations with their parameters. The rest is added here: bodies and
answers by msgspec, which reads and writes them; who may ask, from a route's guard; what can be
refused, from its guard, its body, its key and what it says itself by these options:

- `refuses`: codes beyond those that follow from the rest;
- `answers`: by status, what is answered otherwise than the handler's return type says;
- `takes`: by media type, what is read otherwise than by the `data` of the handler;
- `files`: by status, the media types of an answer that is a file.
"""

from collections.abc import Iterator
from types import UnionType
from typing import Any, NamedTuple, get_args, get_origin

import msgspec
from litestar import Litestar, Response
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme, Tag
from litestar.routes import HTTPRoute

from protocol.codec import UNSEEN_CHARACTERS
from protocol.messages import PROTOCOL_VERSION, ClientMessage, Event, ServerMessage
from server.api.access import ACCESS, API_KEY, TOKEN, Access
from server.api.errors import RETRY_AFTER_S, STATUS, ErrorBody
from server.live.connection import PATH

_REF = "#/components/schemas/{name}"

TAGS = {
    "rooms": "A stream's room: its log of events, its board, and what can be given in it.",
    "gifts": "Gifts that were given: taken back, or hidden.",
    "wallets": "What people have, owe, have spent and may still spend.",
    "purchases": "Coins for money, through a payment provider.",
    "users": "Limits and pauses of one's own, and what operators do about an account.",
    "creators": "What creators earn.",
    "payouts": "Diamonds as money, and the files to and from the bank.",
    "suspense": "What the books could not place.",
    "corrections": "Balances that two admins correct by hand.",
    "webhooks": "Where events are sent to, and what became of each.",
    "overlays": "Links for browser sources.",
    "tokens": "Tokens that are refused before they expire.",
    "operations": "Health, readiness, build and metrics.",
}

TEXT = """The host platform's backend asks with its api key, people with their token. Amounts are
whole numbers: `coins`, `millidiamonds` (1/1000 diamond), and money in the currency's minor unit
(`_minor`). Times are Unix milliseconds and end in `_ms`. Whatever changes something takes an
`Idempotency-Key`. Clients ignore fields that they do not know; more may be added."""


def config(version: str) -> OpenAPIConfig:
    """What Litestar is told for its part."""
    return OpenAPIConfig(
        title="largesse",
        version=version,
        description=TEXT,
        path="/v1/description",
        use_handler_docstrings=True,
        operation_id_creator=lambda route, *_: route.handler_name,
        tags=[Tag(name=name, description=text) for name, text in TAGS.items()],
        components=Components(
            security_schemes={
                API_KEY: SecurityScheme(
                    type="http",
                    scheme="bearer",
                    description="The setting `api_key`: the host platform's backend.",
                ),
                TOKEN: SecurityScheme(
                    type="http",
                    scheme="bearer",
                    bearer_format="JWT",
                    description="A user's token, or an admin's; protocol.md, section 1.3.",
                ),
            }
        ),
        render_plugins=[JsonRenderPlugin(path="/openapi.json")],
    )


class Route(NamedTuple):
    """An operation, and the handler behind it."""

    method: str
    path: str
    handler: HTTPRouteHandler


def routes_of(app: Litestar) -> Iterator[Route]:
    """Everything that is described, in the order of the paths."""
    for route in sorted(app.routes, key=lambda route: route.path):
        if isinstance(route, HTTPRoute):
            for method, (handler, _) in route.route_handler_map.items():
                if handler.resolve_include_in_schema():
                    yield Route(method.lower(), route.path_format, handler)


def access_of(handler: HTTPRouteHandler) -> Access:
    """Whom the route's guard lets in. Raises LookupError for a route without exactly one guard."""
    guards = [guard for guard in handler.guards or () if guard in ACCESS]
    if len(guards) != 1:
        raise LookupError(f"{handler.handler_name} must name one guard of access.py.")
    return ACCESS[guards[0]]


def openapi_of(app: Litestar) -> dict[str, Any]:
    """The whole document. It takes tens of milliseconds, so it is made once."""
    document = app.openapi_schema.to_schema()
    routes = list(routes_of(app))
    kinds = [kind for route in routes for kind in _kinds(route.handler)]
    schemas, components = msgspec.json.schema_components([*kinds, ErrorBody], ref_template=_REF)
    schema_of = dict(zip(map(str, [*kinds, ErrorBody]), schemas, strict=True))
    for route in routes:
        operation = document["paths"][route.path][route.method]
        operation |= _described(route.handler, operation, schema_of)
    for struct in components.values():
        if example := _example(struct):
            struct["examples"] = [example]
    document["components"]["schemas"] = components
    tidy: dict[str, Any] = _tidied(document)
    return tidy


def _described(
    handler: HTTPRouteHandler, operation: dict[str, Any], schema_of: dict[str, Any]
) -> dict[str, Any]:
    access = access_of(handler)
    text = operation.get("description", "")
    told: dict[str, Any] = {
        "summary": text.replace("\n", " ").partition(". ")[0].rstrip("."),
        "description": f"{text}\n\nFor {access.who}.",
        "security": [{scheme: []} for scheme in access.schemes],
        "parameters": [_optional(one) for one in operation.get("parameters", ())],
        "responses": _answers(handler, schema_of) | _refusals(handler, operation, schema_of),
    }
    takes = _takes(handler)
    if takes:
        field = handler.parsed_data_field
        told["requestBody"] = {
            "required": not (field and field.is_optional),
            "content": {
                media_type: {"schema": schema_of[str(kind)]} for media_type, kind in takes.items()
            },
        }
    return told


def _example(struct: dict[str, Any]) -> dict[str, Any]:
    """A body as its fields' examples have it; a struct without any has none."""
    found = {}
    for name, field in struct.get("properties", {}).items():
        told = [kind for kind in (field, *field.get("anyOf", ())) if "examples" in kind]
        if told:
            found[name] = told[0]["examples"][0]
    return found if found.keys() >= set(struct.get("required", ())) else {}


def _takes(handler: HTTPRouteHandler) -> dict[str, Any]:
    """By media type, what the body is read as."""
    field = handler.parsed_data_field
    read = {} if field is None else {"application/json": field.annotation}
    takes: dict[str, Any] = handler.opt.get("takes", {})
    return read | takes


def _returned(handler: HTTPRouteHandler) -> dict[int, Any]:
    """By status, what is answered; None is a text of which nothing more is said."""
    kind = handler.parsed_return_field.annotation
    if get_origin(kind) is Response:
        [kind] = get_args(kind)
    known = all(isinstance(one, type) and issubclass(one, msgspec.Struct) for one in _either(kind))
    own = {handler.status_code: kind if known else None}
    answers: dict[int, Any] = handler.opt.get("answers", {})
    return own | answers


def _kinds(handler: HTTPRouteHandler) -> list[Any]:
    returned = filter(None, _returned(handler).values())
    return [*_takes(handler).values(), *(one for kind in returned for one in _either(kind))]


def _either(kind: Any) -> tuple[Any, ...]:
    """The structs of which one is answered: msgspec describes them one by one, not their union."""
    return get_args(kind) if isinstance(kind, UnionType) else (kind,)


def _schema(kind: Any, schema_of: dict[str, Any]) -> dict[str, Any]:
    schemas: list[dict[str, Any]] = [schema_of[str(one)] for one in _either(kind)]
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _answers(handler: HTTPRouteHandler, schema_of: dict[str, Any]) -> dict[str, Any]:
    answers = {}
    for status, kind in _returned(handler).items():
        schema = {"type": "string"} if kind is None else _schema(kind, schema_of)
        usual = ["text/plain"] if kind is None else ["application/json"]
        content = {
            media_type: {"schema": schema if media_type.endswith("json") else {"type": "string"}}
            for media_type in handler.opt.get("files", {}).get(status, usual)
        }
        answers[str(status)] = {"description": _DONE.get(status, "Done."), "content": content}
    return answers


_DONE = {200: "The answer.", 201: "Made.", 503: "Not now."}


def _refusals(
    handler: HTTPRouteHandler, operation: dict[str, Any], schema_of: dict[str, Any]
) -> dict[str, Any]:
    by_status: dict[int, list[str]] = {}
    for code in sorted(_codes(handler, operation)):
        by_status.setdefault(STATUS[code], []).append(code)
    answers = {}
    for status, codes in sorted(by_status.items()):
        answer: dict[str, Any] = {
            "description": " or ".join(f"`{code}`" for code in codes),
            "content": {"application/json": {"schema": schema_of[str(ErrorBody)]}},
            "x-codes": codes,
        }
        if any(code in RETRY_AFTER_S for code in codes):
            seconds = {"schema": {"type": "integer"}, "description": "Seconds to wait."}
            answer["headers"] = {"Retry-After": seconds}
        if str(status) not in map(str, handler.opt.get("answers", {})):
            answers[str(status)] = answer
    return answers


def _codes(handler: HTTPRouteHandler, operation: dict[str, Any]) -> set[str]:
    """Every code that this operation can be refused with."""
    codes = {"internal", *handler.opt.get("refuses", ())}
    schemes = access_of(handler).schemes
    if schemes:
        codes |= {"unauthorized", "forbidden"}
    if schemes and "GET" not in handler.http_methods:
        codes.add("rate_limited")
    if "context" in handler.parsed_fn_signature.parameters:
        codes.add("unavailable")
    for parameter in operation.get("parameters", ()):
        checked = parameter["in"] == "path" and "pattern" in parameter["schema"]
        text = parameter["in"] == "path" and parameter["schema"].get("type") == "string"
        codes |= {"invalid"} if checked else set() if text else {"malformed"}
        if parameter["name"] == "Idempotency-Key":
            codes |= {"key_reused", "busy"}
    if _takes(handler):
        codes |= {"malformed", "invalid", "too_large"}
    return codes


def _optional(parameter: dict[str, Any]) -> dict[str, Any]:
    """What may be left out of a query or a header cannot be sent as null."""
    schema = {name: value for name, value in parameter["schema"].items() if name != "description"}
    kinds = [kind for kind in schema.get("oneOf", ()) if kind != {"type": "null"}]
    if len(kinds) == 1:
        rest = {name: value for name, value in schema.items() if name != "oneOf"}
        return parameter | {"schema": kinds[0] | rest}
    return parameter | {"schema": schema}


def _tidied(part: Any, name: str = "") -> Any:
    """Limits as whole numbers, and patterns as all languages write them and not only Python."""
    match part:
        case dict():
            return {key: _tidied(value, key) for key, value in part.items()}
        case list():
            return [_tidied(value) for value in part]
        case float() if part.is_integer():
            return int(part)
        case str() if name == "pattern":
            seen = UNSEEN_CHARACTERS.sub(lambda found: rf"\u{ord(found[0]):04x}", part)
            return seen.replace(r"\A", "^").replace(r"\Z", "$")
    return part


def asyncapi_of() -> dict[str, Any]:
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
