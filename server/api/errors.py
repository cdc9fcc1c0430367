"""How the API says no: one shape for every error, with a code, a sentence and what to do."""

import secrets
from typing import Any, assert_never

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from protocol.codes import RETRY, Retry
from rules.outcomes import Refused
from rules.refusals import RefusalCode
from storage import StoreError

log = structlog.get_logger()


def status_of(code: RefusalCode) -> int:
    """The HTTP status of what the books refuse."""
    match code:
        case RefusalCode.FORBIDDEN | RefusalCode.NOT_OF_AGE:
            return 403
        case (
            RefusalCode.UNKNOWN_ROOM
            | RefusalCode.UNKNOWN_GIFT
            | RefusalCode.UNKNOWN_PURCHASE
            | RefusalCode.UNKNOWN_REFUND
            | RefusalCode.UNKNOWN_PAYOUT
            | RefusalCode.UNKNOWN_CORRECTION
            | RefusalCode.UNKNOWN_ENTRY
            | RefusalCode.UNKNOWN_ENDPOINT
        ):
            return 404
        case (
            RefusalCode.ROOM_EXISTS
            | RefusalCode.KEY_REUSED
            | RefusalCode.ALREADY_RETRACTED
            | RefusalCode.ALREADY_HIDDEN
            | RefusalCode.NOT_RETRACTABLE
            | RefusalCode.WRONG_STATE
            | RefusalCode.WRONG_CURRENCY
            | RefusalCode.REFUND_TOO_LARGE
            | RefusalCode.NOTHING_TO_REFUND
            | RefusalCode.NOTHING_DUE
            | RefusalCode.PAYOUT_OPEN
            | RefusalCode.INSUFFICIENT_DIAMONDS
            | RefusalCode.ACCOUNT_FROZEN
        ):
            return 409
        case (
            RefusalCode.INVALID
            | RefusalCode.BAD_QUANTITY
            | RefusalCode.BAD_RECIPIENT
            | RefusalCode.SELF_GIFT
            | RefusalCode.PRICE_CHANGED
            | RefusalCode.INSUFFICIENT_COINS
            | RefusalCode.LIMIT_PER_GIFT
            | RefusalCode.LIMIT_DAILY
            | RefusalCode.LIMIT_WEEKLY
            | RefusalCode.LIMIT_MONTHLY
            | RefusalCode.GIFTING_PAUSED
            | RefusalCode.ROOM_CLOSED
            | RefusalCode.GIFT_UNAVAILABLE
        ):
            return 422
        case RefusalCode.BUSY | RefusalCode.UNAVAILABLE:
            return 503
        case _:
            assert_never(code)


STATUS: dict[str, int] = {code.value: status_of(code) for code in RefusalCode} | {
    "malformed": 400,
    "bad_signature": 400,
    "unauthorized": 401,
    "not_found": 404,
    "unknown_user": 404,
    "method_not_allowed": 405,
    "too_large": 413,
    "payment_refused": 422,
    "rate_limited": 429,
    "internal": 500,
}
"""Every code of the API: those of the books, and what it says before it asks them."""
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


class Error(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`retry`: `fix` the request; send the `same` again with the same key; try with a `new` key."""

    code: str
    message: str
    """A sentence for a person."""
    retry: Retry
    request_id: str
    """Stands in the server's log beside what the server does not tell."""
    details: dict[str, Any] | None = None


class ErrorBody(msgspec.Struct, frozen=True):
    """The one shape of everything that is refused."""

    error: Error


def error_response(
    request: Request[Any, Any, Any],
    code: str,
    message: str,
    details: dict[str, Any] | None = None,
    status: int | None = None,
) -> Response[ErrorBody]:
    error = Error(
        code=code,
        message=message,
        retry=Retry.SAME if code == "internal" else RETRY.get(code, Retry.FIX),
        request_id=secrets.token_hex(8),
        details=details or None,
    )
    status = status or STATUS.get(code, 422)
    log.info(
        "http.refused",
        method=request.method,
        path=request.url.path,
        status=status,
        code=code,
        request_id=error.request_id,
    )
    headers = {"Retry-After": str(RETRY_AFTER_S[code])} if code in RETRY_AFTER_S else {}
    if code == "unauthorized":
        headers["WWW-Authenticate"] = "Bearer"
    return Response(ErrorBody(error), status_code=status, headers=headers)


def on_api_error(request: Request[Any, Any, Any], error: ApiError) -> Response[ErrorBody]:
    return error_response(request, error.code, error.message, error.details)


def on_validation(
    request: Request[Any, Any, Any], error: ValidationException
) -> Response[ErrorBody]:
    """What is wrong with the path and the query, each named, or that there is no body."""
    problems = error.extra if isinstance(error.extra, list) else []
    named = {str(p.get("key") or "body"): str(p.get("message")) for p in problems if p}
    if "data" in named:
        return error_response(request, "malformed", "Send a body of JSON.", {"field": "body"})
    sentence = "; ".join(f"`{key}`: {message}" for key, message in named.items())
    if any(key in request.path_params and "matching" in what for key, what in named.items()):
        return error_response(request, "invalid", sentence, {"field": next(iter(named))})
    return error_response(request, "malformed", sentence or str(error.detail), named or None)


def on_http_error(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    code = _BY_STATUS.get(error.status_code, "malformed" if error.status_code < 500 else "internal")
    if error.status_code >= 500:
        return on_unknown(request, error)
    return error_response(request, code, str(error.detail), status=error.status_code)


def on_store_error(request: Request[Any, Any, Any], error: StoreError) -> Response[ErrorBody]:
    log.error("http.unavailable", path=request.url.path, error=str(error))
    sentence = "The ledger cannot be read now; try again shortly."
    return error_response(request, "unavailable", sentence)


def on_nesting(request: Request[Any, Any, Any], error: RecursionError) -> Response[ErrorBody]:
    return error_response(request, "malformed", "The body is nested too deeply.")


def on_unknown(request: Request[Any, Any, Any], error: Exception) -> Response[ErrorBody]:
    """A bug or a dead dependency: the log has all of it, the client a number to ask with."""
    sentence = "Something went wrong here; the log knows the request."
    response = error_response(request, "internal", sentence)
    request_id = response.content.error.request_id
    log.error("http.failed", path=request.url.path, request_id=request_id, exc_info=error)
    return response
