"""The HTTP API as it describes itself, and what must hold of every operation at once.

That each answer is as described is checked wherever the tests ask (kit/servers/described.py).
"""

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio
from jsonschema import Draft202012Validator
from litestar import get
from litestar.handlers import HTTPRouteHandler
from openapi_spec_validator import validate

from kit.servers.described import asking
from kit.servers.http_asking import refused
from kit.servers.serving import BACKEND, Live, token
from server.api.access import anybody, backend
from server.api.description import TAGS, access_of
from server.api.site import ROUTES

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLACES = {"entry": "1", "correction": "1", "delivery": "1", "gift": "r:1", "user": "ann"}


async def document(server: Live) -> dict[str, Any]:
    found: dict[str, Any] = (await server.http.get("/openapi.json")).json()
    return found


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """(method, path, operation) of each."""
    return [
        (method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def written(path: str) -> str:
    return re.sub(r"{(\w+)}", lambda named: PLACES.get(named[1], "nothing"), path)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(server: Live) -> AsyncIterator[httpx.AsyncClient]:
    """A client that says for each request who asks."""
    async with asking(server.url) as http:
        yield http


async def ask(
    http: httpx.AsyncClient, method: str, path: str, headers: dict[str, str], body: Any = None
) -> httpx.Response:
    return await http.request(method.upper(), written(path), json=body, headers=headers)


def as_role(role: str, user: str = "zoe") -> dict[str, str]:
    rooms = ["nothing"] if role == "overlay" else None
    return {"Authorization": f"Bearer {token(user, role=role, rooms=rooms)}"}


# --- the document --------------------------------------------------------------------------------


async def test_the_document_is_valid(server):
    validate(await document(server))


async def test_each_operation_reads_well_in_a_generated_client(server):
    found = operations(await document(server))
    names = [operation["operationId"] for _, _, operation in found]
    assert len(found) > 50 and len(set(names)) == len(names)
    for method, path, operation in found:
        verb, _, rest = operation["operationId"].partition("_")
        assert verb.isalpha() and rest.replace("_", "").isalpha(), operation["operationId"]
        assert len(operation["tags"]) == 1 and set(operation["tags"]) <= set(TAGS), path
        assert operation["summary"] and not operation["summary"].endswith("."), path
        text = operation["description"].replace("\n", " ")
        assert text.startswith(operation["summary"]), path
        assert method == "get" or path.startswith("/v1/"), path


async def test_each_body_and_answer_of_json_has_a_shape(server):
    described = await document(server)
    loose = {"export_user", "take_notification"}  # a file of what is kept; the provider's own words
    for _, path, operation in operations(described):
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        for body in bodies:
            schema = body.get("content", {}).get("application/json", {}).get("schema")
            if schema is not None and operation["operationId"] not in loose:
                kinds = [kind for kind in (schema, *schema.get("anyOf", ())) if "$ref" in kind]
                assert kinds, f"{path}: {schema}"
                properties = named(described, kinds[0])["properties"]
                assert properties, path


def named(described: dict[str, Any], kind: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = described["components"]["schemas"][kind["$ref"].rpartition("/")[2]]
    return found


async def test_each_body_has_an_example_that_fits(server):
    described = await document(server)
    for _, path, operation in operations(described):
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        kinds = [body["schema"], *body["schema"].get("anyOf", ())] if body else []
        for struct in (named(described, kind) for kind in kinds if "$ref" in kind):
            if operation["operationId"] == "take_results":  # a list of lines, each with its own
                struct = described["components"]["schemas"]["BankLine"]
            [example] = struct.get("examples", [{}])
            schema = struct | {"components": described["components"]}
            assert not list(Draft202012Validator(schema).iter_errors(example)), path
            assert example or not struct.get("required"), path


async def test_every_schema_has_a_name_for_programs(server):
    described = await server.http.get("/openapi.json")
    for name in described.json()["components"]["schemas"]:
        assert re.fullmatch(r"[A-Z]\w+", name), name
    patterns = set(re.findall(r'"pattern":("(?:[^"\\]|\\.)*")', described.text))
    assert len(patterns) >= 2
    for pattern in map(orjson.loads, patterns):
        assert pattern.isprintable() and pattern[0] == "^" and pattern[-1] == "$", pattern


async def test_whatever_changes_something_takes_a_key(server):
    """But what is the same when it is done twice, or has a key of its own content."""
    keyless = {"replay_deliveries", "reverse_gifts", "take_notification"}
    found = operations(await document(server))
    without = {
        operation["operationId"]
        for method, _, operation in found
        if method != "get"
        and not any(one["name"] == "Idempotency-Key" for one in operation["parameters"])
    }
    assert without == keyless


async def test_pages_and_documents_are_made_once(server):
    for path in ("/openapi.json", "/asyncapi.json", "/docs"):
        first, again = await server.http.get(path), await server.http.get(path)
        assert first.status_code == 200 and first.content == again.content
    docs = await server.http.get("/docs")
    for method, path, operation in operations(await document(server)):
        assert f"{method.upper()} {path}" in docs.text and operation["operationId"] in docs.text
    assert "script" not in docs.text and "default-src" in docs.headers["content-security-policy"]


# --- who may ask ---------------------------------------------------------------------------------


async def test_each_route_names_one_guard():
    handlers = [handler for router in ROUTES for handler in handlers_of(router)]
    assert len(handlers) > 60
    for handler in handlers:
        assert access_of(handler), handler


def handlers_of(router: Any) -> list[HTTPRouteHandler]:
    if isinstance(router, HTTPRouteHandler):
        return [router]
    handlers = [handler for route in router.routes for handler in route.route_handlers]
    return [handler for handler in handlers if handler.handler_name != "options_handler"]


async def test_a_route_without_a_guard_or_with_two_is_no_route():
    @get("/open", sync_to_thread=False)
    def open_door() -> str:
        return ""

    @get("/two", guards=[anybody, backend], sync_to_thread=False)
    def two_doors() -> str:
        return ""

    for handler in (open_door, two_doors):
        with pytest.raises(LookupError, match="guard"):
            access_of(handler)


async def test_each_operation_lets_in_whom_it_names_and_looks_at_nothing_before(server, http):
    for method, path, operation in operations(await document(server)):
        schemes = {name for one in operation["security"] for name in one}
        nobody = await ask(http, method, path, {}, body=["no such body"])
        if not schemes:
            assert nobody.status_code not in (401, 403), path
            continue
        refused(nobody, 401, "unauthorized")
        assert nobody.headers["WWW-Authenticate"] == "Bearer"
        refused(await ask(http, method, path, {"Authorization": "Bearer x.y.z"}), 401)
        key = await ask(http, method, path, BACKEND, body=["no such body"])
        person = await ask(http, method, path, as_role("viewer"), body=["no such body"])
        overlay = await ask(http, method, path, as_role("overlay", "ann"))
        if "api_key" in schemes:
            assert key.status_code not in (401, 403), path
        else:
            refused(key, 403, "forbidden")
        if "token" not in schemes or operation["operationId"].endswith(("correction", "suspense")):
            refused(person, 403, "forbidden")
        if operation["operationId"] not in ("list_purchases", "show_purchase", "create_overlay"):
            assert overlay.status_code in (400, 403, 404), f"{path}: {overlay.text}"


# --- bodies --------------------------------------------------------------------------------------


async def test_no_number_and_no_switch_is_taken_for_another(server, http):
    """Over all bodies: a wrong type is malformed, whatever the rest of the body is like."""
    described, tried = await document(server), 0
    for method, path, operation in operations(described):
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        kinds = [body["schema"], *body["schema"].get("anyOf", ())] if body else []
        struct = next((named(described, kind) for kind in kinds if "$ref" in kind), None)
        if struct is None or operation["operationId"] == "take_results":
            continue
        assert struct["additionalProperties"] is False, path
        wish = {name: example(field) for name, field in struct["properties"].items()}
        refused_as(await send(http, method, path, operation, wish | {"colour": 1}), "colour")
        for name, field in struct["properties"].items():
            for wrong in lax(field):
                answer = await send(http, method, path, operation, wish | {name: wrong})
                refused_as(answer, name)
                tried += 1
    assert tried > 60


def refused_as(answer: httpx.Response, field: str) -> None:
    error = refused(answer, 400, "malformed")
    assert error["details"] == {"field": field} and field in error["message"], error


async def send(
    http: httpx.AsyncClient, method: str, path: str, operation: dict[str, Any], body: Any
) -> httpx.Response:
    schemes = {name for one in operation["security"] for name in one}
    admin = operation["operationId"].endswith("correction")
    headers = (
        as_role("admin" if admin else "viewer", "ann") if "api_key" not in schemes else BACKEND
    )
    return await ask(http, method, path, headers, body)


def kinds_of(field: dict[str, Any]) -> set[str]:
    return {str(kind.get("type")) for kind in (field, *field.get("anyOf", ()))}


def example(field: dict[str, Any]) -> Any:
    for kind in (field, *field.get("anyOf", ())):
        if "examples" in kind:
            return kind["examples"][0]
        if "enum" in kind:
            return kind["enum"][0]
        if kind.get("type") == "array":
            return [example(kind["items"])]
    kinds = kinds_of(field)
    return 1 if "integer" in kinds else True if "boolean" in kinds else "nothing"


def lax(field: dict[str, Any]) -> list[Any]:
    kinds = kinds_of(field)
    if "integer" in kinds:
        return ["5", 5.0, True, 1e300, [5]]
    if "boolean" in kinds:
        return [1, "yes", "true", 0.0]
    return [5, True, {}] if "string" in kinds else [5, "5"]
