"""Asking the HTTP API of a stage's server, and the one shape of every error it answers with."""

from typing import Any

import httpx

from kit.servers.serving import token

ERROR = {"code", "message", "retry", "request_id"}


def bearer(user: str, **claims: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(user, **claims)}"}


def refused(answer: httpx.Response, status: int, code: str | None = None) -> dict[str, Any]:
    """Assert the one shape of every error; the error."""
    assert answer.status_code == status, answer.text
    assert answer.json().keys() == {"error"}
    error: dict[str, Any] = answer.json()["error"]
    assert ERROR <= error.keys() <= ERROR | {"details"}
    assert error["retry"] in ("fix", "same", "new") and error["request_id"] and error["message"]
    assert code is None or error["code"] == code, error
    return error


async def post(stage: Any, path: str, body: Any = None, **headers: str) -> httpx.Response:
    answer: httpx.Response = await stage.server.http.post(
        f"/v1/{path}", json=body, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )
    return answer


async def get(stage: Any, path: str, headers: Any = None, **query: Any) -> httpx.Response:
    answer: httpx.Response = await stage.server.http.get(
        f"/v1/{path}", params=query, headers=headers
    )
    return answer
