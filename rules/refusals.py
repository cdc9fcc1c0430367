"""Every reason for which the books say no, and which of them stay under the key.

The same words are the codes of the HTTP API and, for gifts, of the WebSocket protocol, which has a
list of its own: strangers use it without these rules. A test holds the two side by side.
"""

from enum import StrEnum
from typing import assert_never


class RefusalCode(StrEnum):
    # The request is wrong.
    INVALID = "invalid"
    FORBIDDEN = "forbidden"
    KEY_REUSED = "key_reused"
    BAD_QUANTITY = "bad_quantity"
    BAD_RECIPIENT = "bad_recipient"
    SELF_GIFT = "self_gift"
    PRICE_CHANGED = "price_changed"
    UNKNOWN_ROOM = "unknown_room"
    UNKNOWN_GIFT = "unknown_gift"
    UNKNOWN_PURCHASE = "unknown_purchase"
    UNKNOWN_REFUND = "unknown_refund"
    UNKNOWN_PAYOUT = "unknown_payout"
    UNKNOWN_CORRECTION = "unknown_correction"
    UNKNOWN_ENTRY = "unknown_entry"
    UNKNOWN_ENDPOINT = "unknown_endpoint"

    # It does not fit what has happened.
    ROOM_EXISTS = "room_exists"
    WRONG_CURRENCY = "wrong_currency"
    WRONG_STATE = "wrong_state"
    ALREADY_RETRACTED = "already_retracted"
    ALREADY_HIDDEN = "already_hidden"
    NOT_RETRACTABLE = "not_retractable"
    REFUND_TOO_LARGE = "refund_too_large"
    NOTHING_TO_REFUND = "nothing_to_refund"
    NOTHING_DUE = "nothing_due"
    PAYOUT_OPEN = "payout_open"
    INSUFFICIENT_DIAMONDS = "insufficient_diamonds"

    # Not now: the request is right, and another one may be granted another time.
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

    # The books were not asked, or could not answer.
    BUSY = "busy"
    UNAVAILABLE = "unavailable"


def stays(code: RefusalCode) -> bool:
    """Whether a refusal is kept under the key, which is spent with it: it was true when the request
    arrived, and a retry must get the same answer. Any other moves nothing and leaves no trace."""
    match code:
        case (
            RefusalCode.INSUFFICIENT_COINS
            | RefusalCode.LIMIT_PER_GIFT
            | RefusalCode.LIMIT_DAILY
            | RefusalCode.LIMIT_WEEKLY
            | RefusalCode.LIMIT_MONTHLY
            | RefusalCode.GIFTING_PAUSED
            | RefusalCode.NOT_OF_AGE
            | RefusalCode.ACCOUNT_FROZEN
            | RefusalCode.ROOM_CLOSED
            | RefusalCode.GIFT_UNAVAILABLE
        ):
            return True
        case (
            RefusalCode.INVALID
            | RefusalCode.FORBIDDEN
            | RefusalCode.KEY_REUSED
            | RefusalCode.BAD_QUANTITY
            | RefusalCode.BAD_RECIPIENT
            | RefusalCode.SELF_GIFT
            | RefusalCode.PRICE_CHANGED
            | RefusalCode.UNKNOWN_ROOM
            | RefusalCode.UNKNOWN_GIFT
            | RefusalCode.UNKNOWN_PURCHASE
            | RefusalCode.UNKNOWN_REFUND
            | RefusalCode.UNKNOWN_PAYOUT
            | RefusalCode.UNKNOWN_CORRECTION
            | RefusalCode.UNKNOWN_ENTRY
            | RefusalCode.UNKNOWN_ENDPOINT
            | RefusalCode.ROOM_EXISTS
            | RefusalCode.WRONG_CURRENCY
            | RefusalCode.WRONG_STATE
            | RefusalCode.ALREADY_RETRACTED
            | RefusalCode.ALREADY_HIDDEN
            | RefusalCode.NOT_RETRACTABLE
            | RefusalCode.REFUND_TOO_LARGE
            | RefusalCode.NOTHING_TO_REFUND
            | RefusalCode.NOTHING_DUE
            | RefusalCode.PAYOUT_OPEN
            | RefusalCode.INSUFFICIENT_DIAMONDS
            | RefusalCode.BUSY
            | RefusalCode.UNAVAILABLE
        ):
            return False
        case _:
            assert_never(code)
