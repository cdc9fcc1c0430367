"""Every answer over HTTP is held against what the server says of itself in its OpenAPI document.

The answer's status must be one that its operation names, its body must fit the schema, and a
refusal's code must be among those that are named for the status. What no operation answers must be
the page of a browser, or say that there is no such thing.
"""

import re
from functools import cache
from typing import Any

import httpx
from jsonschema import Draft202012Validator

PAGES = re.compile(r"/(overlay|safety|static/.*|docs|demo/viewer|checkout/.*|\w+\.json)?")
NO_SUCH_THING = {404: "not_found", 405: "method_not_allowed"}

KNOWN: dict[str, Any] = {}
"""The document, the same for all servers of a run: settings change nothing of it."""


def asking(url: str, headers: dict[str, str] | None = None, **given: Any) -> httpx.AsyncClient:
    """A client whose every answer is checked."""
    # No certificates: loading them takes longer than most tests. A connection is forgotten well
    # before the server closes it: otherwise a request may go out just then, and find it closed.
    usual: dict[str, Any] = {
        "timeout": 60,
        "verify": False,
        "event_hooks": {"response": [check]},
        "limits": httpx.Limits(keepalive_expiry=2),
    }
    return httpx.AsyncClient(base_url=url, headers=headers, **(usual | given))


async def check(answer: httpx.Response) -> None:
    """Assert that an answer is as described. A file is only looked at from outside."""
    if not KNOWN:
        async with httpx.AsyncClient(base_url=answer.request.url.join("/"), verify=False) as http:
            KNOWN.update((await http.get("/openapi.json")).raise_for_status().json())
    path = answer.request.url.raw_path.decode().partition("?")[0]
    method = answer.request.method.lower()
    if PAGES.fullmatch(path):
        return
    where = f"{method} {path} -> {answer.status_code}"
    told = described(method, path)
    if told is None:
        code = (await error_of(answer)).get("code")
        assert NO_SUCH_THING.get(answer.status_code) == code, where
        return
    assert str(answer.status_code) in told["responses"], f"{where} is not described"
    response = told["responses"][str(answer.status_code)]
    kind = answer.headers.get("Content-Type", "").partition(";")[0]
    assert kind in response["content"], f"{where}: {kind} is not described"
    if "x-codes" in response:
        assert (await error_of(answer))["code"] in response["x-codes"], where
    if kind == "application/json" and "Content-Disposition" not in answer.headers:
        await answer.aread()
        wrong = list(validator(told["operationId"], answer.status_code).iter_errors(answer.json()))
        assert not wrong, f"{where}: {wrong[0].json_path}: {wrong[0].message}"


async def error_of(answer: httpx.Response) -> dict[str, Any]:
    await answer.aread()
    error: dict[str, Any] = answer.json()["error"]
    return error


def described(method: str, path: str) -> dict[str, Any] | None:
    """The operation that answers there; a path that is written out goes before a pattern."""
    fits = [template for template in sorted(KNOWN["paths"]) if pattern(template).fullmatch(path)]
    for template in sorted(fits, key=lambda template: template.count("{")):
        if method in KNOWN["paths"][template]:
            operation: dict[str, Any] = KNOWN["paths"][template][method]
            return operation
    return None


@cache
def pattern(template: str) -> re.Pattern[str]:
    """An id of whole numbers takes no other; Litestar does not find a route for one."""
    parts = re.split(r"{(\w+)}", template)
    whole = {"entry", "correction", "delivery"}
    return re.compile(
        "".join(
            re.escape(part) if place % 2 == 0 else r"-?\d+" if part in whole else "[^/]+"
            for place, part in enumerate(parts)
        )
    )


@cache
def validator(operation_id: str, status: int) -> Draft202012Validator:
    [operation] = [
        operation
        for methods in KNOWN["paths"].values()
        for operation in methods.values()
        if operation["operationId"] == operation_id
    ]
    schema = operation["responses"][str(status)]["content"]["application/json"]["schema"]
    return Draft202012Validator(schema | {"components": KNOWN["components"]})
