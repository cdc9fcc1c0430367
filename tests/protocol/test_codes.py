"""Codes: exactly those of the contract, each with its retry class and its place in the rules."""

import pytest

from protocol.codec import encode_refusal
from protocol.codes import CLOSE_REASONS, RETRY, CloseCode, Code
from rules.refusals import RefusalCode, stays

REFUSALS = {
    "fix": "malformed unknown_type too_large not_joined unknown_room unknown_gift bad_quantity"
    " bad_recipient price_changed key_reused forbidden self_gift",
    "same": "rate_limited busy unavailable",
    "new": "insufficient_coins limit_per_gift limit_daily limit_weekly limit_monthly"
    " gifting_paused not_of_age account_frozen room_closed gift_unavailable",
}
"""Section 1.2 of the contract, word for word."""

CLOSES = {
    4000: "draining",
    4001: "too slow",
    4002: "no heartbeat",
    4003: "server error",
    4500: "bad messages",
    4501: "not authenticated",
    4502: "token expired",
    4503: "forbidden",
    4504: "protocol version",
    4505: "too many connections",
}

CONTRACT = {code: retry for retry, codes in REFUSALS.items() for code in codes.split()}


def test_the_refusal_codes_are_those_of_the_contract_with_its_retry_classes() -> None:
    assert {code: str(retry) for code, retry in RETRY.items()} == CONTRACT
    assert {str(code) for code in Code} == set(CONTRACT)


def test_the_rules_store_exactly_the_refusals_that_ask_for_a_new_key() -> None:
    stored = {code.value for code in RefusalCode if stays(code)}
    assert stored == {code for code, retry in CONTRACT.items() if retry == "new"}


OF_FRAMES = {"malformed", "unknown_type", "too_large", "not_joined", "rate_limited"}
"""What the protocol says by itself: the rules were not asked."""

NOT_OF_GIFTS = set(
    "invalid unknown_purchase unknown_refund unknown_payout unknown_correction unknown_entry"
    " unknown_endpoint room_exists wrong_currency wrong_state already_retracted already_hidden"
    " not_retractable refund_too_large nothing_to_refund nothing_due payout_open"
    " insufficient_diamonds".split()
)
"""What the books never say of a gift: only the HTTP API has these."""


def test_whatever_the_books_say_of_a_gift_the_protocol_can_say() -> None:
    assert {code.value for code in RefusalCode} - NOT_OF_GIFTS == set(CONTRACT) - OF_FRAMES


@pytest.mark.parametrize("code", CONTRACT)
def test_a_refusal_says_its_retry_class(code: str) -> None:
    assert f'"retry":"{CONTRACT[code]}"'.encode() in encode_refusal(code, "No.")
    assert encode_refusal(Code(code), "No.") == encode_refusal(code, "No.")


def test_a_code_that_is_not_in_the_contract_is_never_sent() -> None:
    with pytest.raises(KeyError):
        encode_refusal("room_exists", "No.")


def test_the_close_codes_are_those_of_the_contract() -> None:
    named = {int(code): code.name.lower().replace("_", " ") for code in CloseCode}
    assert named == CLOSES


@pytest.mark.parametrize("code", CloseCode)
def test_each_close_code_has_a_reason_that_fits_a_close_frame(code: CloseCode) -> None:
    assert 0 < len(CLOSE_REASONS[code].encode()) <= 123
