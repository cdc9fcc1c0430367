"""Signatures of notifications, held to what Stripe's own package produces."""

import pytest
from stripe import WebhookSignature

from server.payments import BadNotification
from server.payments.signing import HEADER_CHARACTERS_MAX, TOLERANCE_MS, header_of, sign, verify

SECRET = "whsec_of_the_tests"
BODY = '{"amount": 499, "text": "Grüße"}'.encode()


def stripes(now_ms: int, body: bytes = BODY, secret: str = SECRET) -> str:
    header: str = WebhookSignature.generate_signature_header(
        body.decode(), secret, timestamp=now_ms // 1_000
    )
    return header


def check(header: str, now_ms: int, body: bytes = BODY) -> None:
    verify(SECRET.encode(), header, body, now_ms)


def refused(header: str, now_ms: int, sentence: str, body: bytes = BODY) -> None:
    with pytest.raises(BadNotification, match=sentence):
        check(header, now_ms, body)


def test_we_sign_as_stripe_does(now_ms) -> None:
    assert sign(SECRET.encode(), BODY, now_ms) == stripes(now_ms)


def test_a_signature_of_stripe_is_good(now_ms) -> None:
    check(stripes(now_ms), now_ms)


def test_a_body_that_is_not_text_can_be_signed(now_ms) -> None:
    check(sign(SECRET.encode(), b"\xff\x00", now_ms), now_ms, b"\xff\x00")


def test_another_secret_is_refused(now_ms) -> None:
    refused(stripes(now_ms, secret="whsec_other"), now_ms, "does not fit")


@pytest.mark.parametrize("body", [BODY + b" ", BODY[:-1], BODY.replace(b"499", b"1"), b""])
def test_an_altered_body_is_refused(now_ms, body) -> None:
    refused(stripes(now_ms), now_ms, "does not fit", body)


def test_an_altered_time_is_refused(now_ms) -> None:
    old = stripes(now_ms - 10 * TOLERANCE_MS)
    new = stripes(now_ms)
    forged = new.split(",")[0] + "," + old.split(",")[1]
    refused(forged, now_ms, "does not fit")


@pytest.mark.parametrize("sign_of_age", [1, -1], ids=["old", "from the future"])
def test_a_time_stamp_is_good_for_five_minutes_either_way(now_ms, sign_of_age) -> None:
    whole = now_ms // 1_000 * 1_000
    header = stripes(whole)
    check(header, whole + sign_of_age * TOLERANCE_MS)
    refused(header, whole + sign_of_age * (TOLERANCE_MS + 1), "five minutes")


def test_while_a_secret_is_replaced_either_signature_may_be_ours(now_ms) -> None:
    time, ours = stripes(now_ms).split(",")
    _, other = stripes(now_ms, secret="whsec_other").split(",")
    check(f"{time},{ours},{other}", now_ms)
    check(f"{time},{other},{ours}", now_ms)
    refused(f"{time},{other},{other}", now_ms, "does not fit")


def test_other_schemes_are_passed_over(now_ms) -> None:
    time, ours = stripes(now_ms).split(",")
    check(f"{time},v0=6ffb,{ours}", now_ms)
    refused(f"{time},v0={ours.removeprefix('v1=')}", now_ms, "must be")


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        ("", "no signature"),
        ("nonsense", "must be"),
        ("t=1", "must be"),
        ("v1=00", "must be"),
        ("t=,v1=00", "must be"),
        ("t=soon,v1=00", "must be"),
        ("t=-5,v1=00", "must be"),
        ("t=1_0,v1=00", "must be"),
        ("t=1,t=2,v1=00", "must be"),
        ("t=9999999999999,v1=00", "must be"),
        ("t=١,v1=00", "must be"),
        ("t=1,v1=", "does not fit"),
        ("t=1,v1=é", "does not fit"),
        ("t=1,v1=" + "0" * HEADER_CHARACTERS_MAX, "too long"),
    ],
)
def test_a_header_of_another_shape_is_refused(now_ms, header, sentence) -> None:
    refused(header, now_ms, sentence)


def test_headers_are_found_whatever_their_case() -> None:
    assert header_of({"stripe-SIGNATURE": "x"}, "Stripe-Signature") == "x"
    assert header_of({"Other": "x"}, "Stripe-Signature") == ""
