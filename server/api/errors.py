"""How the API says no: one shape for every error, with a code, a sentence and what to do."""

import re
import secrets
from enum import StrEnum
from typing import Any, assert_never

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.routes import HTTPRoute

from protocol.codes import RETRY, Retry
from rules.outcomes import Refused
from rules.refusals import RefusalCode
from server.auth import USER_ID_TOLD
from storage import StoreError

log = structlog.get_logger()


class ApiCode(StrEnum):
    """What the API refuses before it asks the books, which have codes of their own."""

    MALFORMED = "malformed"
    BAD_SIGNATURE = "bad_signature"
    UNAUTHORIZED = "unauthorized"
    NOT_FOUND = "not_found"
    UNKNOWN_USER = "unknown_user"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    TOO_LARGE = "too_large"
    PAYMENT_REFUSED = "payment_refused"
    RATE_LIMITED = "rate_limited"
    INTERNAL = "internal"


def status_of(code: RefusalCode | ApiCode) -> int:
    """The HTTP status of a refusal."""
    return _own_status(code) if isinstance(code, ApiCode) else _books_status(code)


def _own_status(code: ApiCode) -> int:
    match code:
        case ApiCode.MALFORMED | ApiCode.BAD_SIGNATURE:
            return 400
        case ApiCode.UNAUTHORIZED:
            return 401
        case ApiCode.NOT_FOUND | ApiCode.UNKNOWN_USER:
            return 404
        case ApiCode.METHOD_NOT_ALLOWED:
            return 405
        case ApiCode.TOO_LARGE:
            return 413
        case ApiCode.PAYMENT_REFUSED:
            return 422
        case ApiCode.RATE_LIMITED:
            return 429
        case ApiCode.INTERNAL:
            return 500
        case _:
            assert_never(code)


def _books_status(code: RefusalCode) -> int:
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


STATUS: dict[str, int] = {code.value: status_of(code) for code in (*RefusalCode, *ApiCode)}
RETRY_AFTER_S = {"rate_limited": 1, "busy": 1, "unavailable": 2}

PRIVATE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
"""For all answers of the API: wallets, tokens and secrets are for no cache, and JSON is no page."""

_BY_STATUS: dict[int, RefusalCode | ApiCode] = {
    400: ApiCode.MALFORMED,
    401: ApiCode.UNAUTHORIZED,
    403: RefusalCode.FORBIDDEN,
    404: ApiCode.NOT_FOUND,
    405: ApiCode.METHOD_NOT_ALLOWED,
    413: ApiCode.TOO_LARGE,
    429: ApiCode.RATE_LIMITED,
}


class ApiError(Exception):
    """An expected no."""

    def __init__(
        self,
        code: RefusalCode | ApiCode,
        message: str,
        details: dict[str, Any] | None = None,
    ) -> None:
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
    code: RefusalCode | ApiCode,
    message: str,
    details: dict[str, Any] | None = None,
    status: int | None = None,
) -> Response[ErrorBody]:
    error = Error(
        code=code,
        message=message,
        retry=Retry.SAME if code is ApiCode.INTERNAL else RETRY.get(code, Retry.FIX),
        request_id=secrets.token_hex(8),
        details=details or None,
    )
    status = status or status_of(code)
    log.info(
        "http.refused",
        method=request.method,
        path=request.url.path,
        status=status,
        code=code,
        request_id=error.request_id,
    )
    headers = dict(PRIVATE)
    if code in RETRY_AFTER_S:
        headers["Retry-After"] = str(RETRY_AFTER_S[code])
    if code is ApiCode.UNAUTHORIZED:
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
        return error_response(request, ApiCode.MALFORMED, "Send a body of JSON.", {"field": "body"})
    for key, what in named.items():
        if key in request.path_params and "matching" in what:  # ids alone have a pattern
            sentence = f"`{key}` must be {USER_ID_TOLD}."
            return error_response(request, RefusalCode.INVALID, sentence, {"field": key})
    sentence = "; ".join(f"`{key}`: {message}" for key, message in named.items())
    return error_response(request, ApiCode.MALFORMED, sentence or str(error.detail), named or None)


def on_http_error(request: Request[Any, Any, Any], error: HTTPException) -> Response[ErrorBody]:
    if error.status_code >= 500:
        return on_unknown(request, error)
    code = _BY_STATUS.get(error.status_code, ApiCode.MALFORMED)
    answer = error_response(request, code, str(error.detail), status=error.status_code)
    if error.status_code == 405:
        answer.headers["Allow"] = ", ".join(_methods(request))
    return answer


def _methods(request: Request[Any, Any, Any]) -> list[str]:
    """What may be asked at this path (RFC 9110, section 15.5.6)."""
    # A route is found whatever slashes are doubled or stand last; here too, for an empty list would
    # say that nothing may be asked.
    path = "/" + "/".join(filter(None, request.url.path.split("/")))
    found = {
        method
        for route in request.app.routes
        if isinstance(route, HTTPRoute) and re.fullmatch(_pattern(route), path)
        for method in route.methods
    }
    return sorted(found)


def _pattern(route: HTTPRoute) -> str:
    """What the route's paths look like: a parameter is one part, or of a file all that is left."""
    part = ".+" if ":path}" in route.path else "[^/]+"
    return re.sub(r"{\w+}", part, route.path_format)


def on_store_error(request: Request[Any, Any, Any], error: StoreError) -> Response[ErrorBody]:
    log.error("http.unavailable", path=request.url.path, error=str(error))
    sentence = "The ledger cannot be read now; try again shortly."
    return error_response(request, RefusalCode.UNAVAILABLE, sentence)


def on_nesting(request: Request[Any, Any, Any], error: RecursionError) -> Response[ErrorBody]:
    return error_response(request, ApiCode.MALFORMED, "The body is nested too deeply.")


def on_unknown(request: Request[Any, Any, Any], error: Exception) -> Response[ErrorBody]:
    """A bug or a dead dependency: the log has all of it, the client a number to ask with."""
    sentence = "Something went wrong here; the log knows the request."
    response = error_response(request, ApiCode.INTERNAL, sentence)
    request_id = response.content.error.request_id
    log.error("http.failed", path=request.url.path, request_id=request_id, exc_info=error)
    return response
