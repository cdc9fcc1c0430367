"""Every code that the protocol can answer with, and what each asks of the one who gets it.

`RETRY` is the whole policy: `fix` means that the request is wrong, `same` that it may be sent again
unchanged (same key), `new` that the key is spent and a new attempt needs a new one.
"""

from enum import IntEnum, StrEnum
from typing import assert_never


class Retry(StrEnum):
    """What the receiver of a refusal should do."""

    FIX = "fix"
    SAME = "same"
    NEW = "new"


class Code(StrEnum):
    """Refusal codes, grouped as in the contract."""

    MALFORMED = "malformed"
    UNKNOWN_TYPE = "unknown_type"
    TOO_LARGE = "too_large"
    NOT_JOINED = "not_joined"
    UNKNOWN_ROOM = "unknown_room"
    UNKNOWN_GIFT = "unknown_gift"
    BAD_QUANTITY = "bad_quantity"
    BAD_RECIPIENT = "bad_recipient"
    PRICE_CHANGED = "price_changed"
    KEY_REUSED = "key_reused"
    FORBIDDEN = "forbidden"
    SELF_GIFT = "self_gift"

    RATE_LIMITED = "rate_limited"
    BUSY = "busy"
    UNAVAILABLE = "unavailable"

    INSUFFICIENT_COINS = "insufficient_coins"
    LIMIT_PER_GIFT = "limit_per_gift"
    LIMIT_DAILY = "limit_daily"
    LIMIT_WEEKLY = "limit_weekly"
    LIMIT_MONTHLY = "limit_monthly"
    GIFTING_PAUSED = "gifting_paused"
    NOT_OF_AGE = "not_of_age"
    ACCOUNT_FROZEN = "account_frozen"
    ROOM_CLOSED = "room_closed"
    GIFT_UNAVAILABLE = "gift_unavailable"


def _retry(code: Code) -> Retry:
    match code:
        case (
            Code.MALFORMED
            | Code.UNKNOWN_TYPE
            | Code.TOO_LARGE
            | Code.NOT_JOINED
            | Code.UNKNOWN_ROOM
            | Code.UNKNOWN_GIFT
            | Code.BAD_QUANTITY
            | Code.BAD_RECIPIENT
            | Code.PRICE_CHANGED
            | Code.KEY_REUSED
            | Code.FORBIDDEN
            | Code.SELF_GIFT
        ):
            return Retry.FIX
        case Code.RATE_LIMITED | Code.BUSY | Code.UNAVAILABLE:
            return Retry.SAME
        case (
            Code.INSUFFICIENT_COINS
            | Code.LIMIT_PER_GIFT
            | Code.LIMIT_DAILY
            | Code.LIMIT_WEEKLY
            | Code.LIMIT_MONTHLY
            | Code.GIFTING_PAUSED
            | Code.NOT_OF_AGE
            | Code.ACCOUNT_FROZEN
            | Code.ROOM_CLOSED
            | Code.GIFT_UNAVAILABLE
        ):
            return Retry.NEW
        case _:
            assert_never(code)


RETRY: dict[str, Retry] = {code.value: _retry(code) for code in Code}


class CloseCode(IntEnum):
    """WebSocket close codes: below 4500 come back and resume, from 4500 on do not."""

    DRAINING = 4000
    TOO_SLOW = 4001
    NO_HEARTBEAT = 4002
    SERVER_ERROR = 4003
    BAD_MESSAGES = 4500
    NOT_AUTHENTICATED = 4501
    TOKEN_EXPIRED = 4502
    FORBIDDEN = 4503
    PROTOCOL_VERSION = 4504
    TOO_MANY_CONNECTIONS = 4505


CLOSE_REASONS: dict[CloseCode, str] = {
    CloseCode.DRAINING: "the server is restarting: reconnect and resume",
    CloseCode.TOO_SLOW: "too slow to follow the room: reconnect and resume",
    CloseCode.NO_HEARTBEAT: "no sign of life: reconnect and resume",
    CloseCode.SERVER_ERROR: "a fault of the server: reconnect and resume",
    CloseCode.BAD_MESSAGES: "too many messages that break the protocol",
    CloseCode.NOT_AUTHENTICATED: "not authenticated: say hello with a valid token",
    CloseCode.TOKEN_EXPIRED: "the token is expired or revoked: get a new one",
    CloseCode.FORBIDDEN: "this token may not do that",
    CloseCode.PROTOCOL_VERSION: "this server speaks protocol 1",
    CloseCode.TOO_MANY_CONNECTIONS: "too many connections of this user",
}
