"""How the API says no: one shape for every error, with a code, a sentence and what to do."""

import secrets
from typing import Any

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from protocol.codes import RETRY
from rules.outcomes import Refused
from storage import StoreError

log = structlog.get_logger()

STATUS: dict[str, int] = {
    "malformed": 400,
    "too_large": 413,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "unknown_room": 404,
    "unknown_gift": 404,
    "unknown_purchase": 404,
    "unknown_refund": 404,
    "unknown_payout": 404,
    "unknown_correction": 404,
    "unknown_entry": 404,
    "unknown_endpoint": 404,
    "unknown_user": 404,
    "method_not_allowed": 405,
    "room_exists": 409,
    "key_reused": 409,
    "already_retracted": 409,
    "already_hidden": 409,
    "not_retractable": 409,
    "wrong_state": 409,
    "wrong_currency": 409,
    "refund_too_large": 409,
    "nothing_to_refund": 409,
    "nothing_due": 409,
    "payout_open": 409,
    "insufficient_diamonds": 409,
    "account_frozen": 409,
    "not_of_age": 403,
    "bad_signature": 400,
    "bad_quantity": 422,
    "invalid": 422,
    "payment_refused": 422,
    "rate_limited": 429,
    "internal": 500,
    "busy": 503,
    "unavailable": 503,
}
RETRY_AFTER_S = {"rate_limited": 1, "busy": 1, "unavailable": 2}

_BY_STATUS = {
    400: "malformed",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    429: "rate_limited",
}


class ApiError(Exception):
    """An expected no. `code` is one of STATUS; anything else is answered with 422."""

    def __init__(self, code: str, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details


def refused(refusal: Refused) -> ApiError:
    return ApiError(refusal.code, refusal.message, refusal.details)


def error_response(
    code: str, message: str, details: dict[str, Any] | None = None, status: int | None = None
) -> Response[dict[str, Any]]:
    retry = "same" if code == "internal" else RETRY.get(code, "fix")
    error: dict[str, Any] = {"code": code, "message": message, "retry": retry}
    if details:
        error["details"] = details
    error["request_id"] = secrets.token_hex(8)
    log.info("http.refused", code=code, request_id=error["request_id"])
    headers = {"Retry-After": str(RETRY_AFTER_S[code])} if code in RETRY_AFTER_S else {}
    if code == "unauthorized":
        headers["WWW-Authenticate"] = "Bearer"
    return Response({"error": error}, status_code=status or STATUS.get(code, 422), headers=headers)


def on_api_error(request: Request[Any, Any, Any], error: ApiError) -> Response[dict[str, Any]]:
    return error_response(error.code, error.message, error.details)


def on_validation(
    request: Request[Any, Any, Any], error: ValidationException
) -> Response[dict[str, Any]]:
    """Wrong types and missing fields, each named."""
    problems = error.extra if isinstance(error.extra, list) else []
    named = {str(p.get("key") or "body"): str(p.get("message")) for p in problems if p}
    sentence = "; ".join(f"`{key}`: {message}" for key, message in named.items())
    return error_response("malformed", sentence or str(error.detail), named or None)


def on_http_error(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    code = _BY_STATUS.get(error.status_code, "malformed" if error.status_code < 500 else "internal")
    if error.status_code >= 500:
        return on_unknown(request, error)
    return error_response(code, str(error.detail), status=error.status_code)


def on_store_error(request: Request[Any, Any, Any], error: StoreError) -> Response[dict[str, Any]]:
    log.error("http.unavailable", path=request.url.path, error=str(error))
    return error_response("unavailable", "The ledger cannot be read now; try again shortly.")


def on_nesting(request: Request[Any, Any, Any], error: RecursionError) -> Response[dict[str, Any]]:
    return error_response("malformed", "The body is nested too deeply.")


def on_unknown(request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, Any]]:
    """A bug or a dead dependency: the log has all of it, the client a number to ask with."""
    response = error_response("internal", "Something went wrong here; the log knows the request.")
    request_id = response.content["error"]["request_id"]
    log.error("http.failed", path=request.url.path, request_id=request_id, exc_info=error)
    return response
