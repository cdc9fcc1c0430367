"""Tokens: what is taken, what is refused, and that refusals tell nothing (protocol.md, 1.3)."""

import base64
import hashlib
import hmac
import json
import math
from typing import Any, get_args

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from protocol.session import ROLES
from rules.rows import FOREVER
from server import auth
from server.auth import (
    Identity,
    TokenFault,
    TokenVerifier,
    issue,
    public_key,
    same_secret,
    verifier,
)

SECRET = "a secret of at least thirty-two bytes"
NOW_MS = 1_700_000_000_000
LATER_S = NOW_MS // 1_000 + 60
CLAIMS: dict[str, Any] = {"sub": "ada", "exp": LATER_S}


def b64(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")


def signed(payload: bytes, header: bytes = b'{"alg":"HS256"}', secret: str = SECRET) -> str:
    """A token whose signature is right whatever it says."""
    signing_input = b64(header) + b"." + b64(payload)
    signature = hmac.new(secret.encode(), signing_input, hashlib.sha256).digest()
    return (signing_input + b"." + b64(signature)).decode()


def of(claims: dict[str, Any]) -> str:
    return signed(json.dumps(claims).encode())


def accepted(claims: dict[str, Any], now_ms: int = NOW_MS) -> Identity:
    identity = TokenVerifier(SECRET).verify(of(claims), now_ms)
    assert isinstance(identity, Identity), identity
    return identity


def fault(token: str, now_ms: int = NOW_MS) -> TokenFault:
    answer = TokenVerifier(SECRET).verify(token, now_ms)
    assert isinstance(answer, TokenFault), answer
    return answer


def pem(private: Any) -> bytes:
    content: bytes = private.public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )
    return content


# --- what is taken ---


def test_an_issued_token_proves_what_it_was_issued_for() -> None:
    token = issue(
        SECRET, user="ada", name="Ada", role="creator", rooms=["b", "a"], adult=True,
        ttl_s=60, now_ms=NOW_MS, jti="t1",
    )  # fmt: skip
    assert TokenVerifier(SECRET).verify(token, NOW_MS) == Identity(
        user="ada", name="Ada", role="creator", adult=True, rooms=frozenset({"a", "b"}),
        expires_ms=NOW_MS + 60_000, token_id="t1", avatar=None,
    )  # fmt: skip


def test_a_token_says_little_by_default() -> None:
    assert accepted(CLAIMS) == Identity(
        user="ada", name="ada", role="viewer", adult=False, rooms=None,
        expires_ms=NOW_MS + 60_000, token_id=None, avatar=None,
    )  # fmt: skip


def test_claims_that_we_do_not_know_are_ignored() -> None:
    assert accepted({**CLAIMS, "aud": "other", "iss": "x", "iat": 9e99}).user == "ada"


def test_an_empty_list_of_rooms_allows_no_room() -> None:
    assert accepted({**CLAIMS, "rooms": []}).rooms == frozenset()


def test_a_blank_name_becomes_the_user_id() -> None:
    assert accepted({**CLAIMS, "name": " "}).name == "ada"


def test_joined_emoji_are_a_name() -> None:
    assert accepted({**CLAIMS, "name": "👩‍👩‍👧"}).name == "👩‍👩‍👧"


def test_an_https_avatar_is_taken() -> None:
    url = "https://cdn.example/a.png?x=1"
    assert accepted({**CLAIMS, "avatar": url}).avatar == url


@pytest.mark.parametrize(
    ("private", "algorithm"),
    [
        (ed25519.Ed25519PrivateKey.generate(), "EdDSA"),
        (rsa.generate_private_key(public_exponent=65_537, key_size=2_048), "RS256"),
        (ec.generate_private_key(ec.SECP256R1()), "ES256"),
    ],
    ids=["EdDSA", "RS256", "ES256"],
)
def test_a_token_signed_with_a_configured_key_is_taken(private: Any, algorithm: str) -> None:
    token = jwt.encode(CLAIMS, private, algorithm=algorithm)
    assert isinstance(TokenVerifier(SECRET, [pem(private)]).verify(token, NOW_MS), Identity)
    assert isinstance(TokenVerifier(SECRET).verify(token, NOW_MS), TokenFault)


def test_keys_of_one_kind_can_be_rotated() -> None:
    old, new = (ed25519.Ed25519PrivateKey.generate() for _ in range(2))
    both = TokenVerifier(SECRET, [pem(old), pem(new)])
    for private in (old, new):
        token = jwt.encode(CLAIMS, private, algorithm="EdDSA")
        assert isinstance(both.verify(token, NOW_MS), Identity)


def test_a_verifier_reads_its_key_files(tmp_path: Any) -> None:
    private = ed25519.Ed25519PrivateKey.generate()
    path = tmp_path / "key.pem"
    path.write_bytes(pem(private))
    token = jwt.encode(CLAIMS, private, algorithm="EdDSA")
    assert isinstance(verifier(SECRET, (str(path),)).verify(token, NOW_MS), Identity)


# --- time ---


def test_a_token_expires_on_the_millisecond() -> None:
    assert accepted(CLAIMS, LATER_S * 1_000 - 1).user == "ada"
    answer = fault(of(CLAIMS), LATER_S * 1_000)
    assert (answer.kind, answer.close_code) == ("expired", 4502)


def test_a_token_is_judged_by_the_time_given_and_not_by_the_clock() -> None:
    assert accepted({"sub": "ada", "exp": 2}, 1_000).expires_ms == 2_000


def test_a_token_that_is_not_valid_yet_is_refused() -> None:
    claims = {**CLAIMS, "nbf": NOW_MS // 1_000 + 1}
    assert fault(of(claims)).kind == "invalid"
    assert accepted(claims, NOW_MS + 1_000).user == "ada"


@pytest.mark.parametrize(
    "exp",
    [None, True, "1700000060", [1], {}, math.nan, math.inf, -math.inf, 1e300, 10**30, NOW_MS],
    ids=repr,
)
@pytest.mark.parametrize("claim", ["exp", "nbf"])
def test_a_time_that_is_no_time_is_refused(claim: str, exp: object) -> None:
    assert fault(of({**CLAIMS, claim: exp})).kind == "invalid"


def test_a_token_without_an_end_is_refused() -> None:
    assert fault(of({"sub": "ada"})).kind == "invalid"


# --- what is refused ---


@pytest.mark.parametrize(
    "wrong",
    [
        {"sub": None}, {"sub": ""}, {"sub": "a" * 65}, {"sub": "a b"}, {"sub": "a\n"}, {"sub": 7},
        {"sub": "ä"}, {"name": 7}, {"name": None}, {"name": "n" * 65}, {"name": "a\nb"},
        {"name": "a\x00"}, {"name": "a\x9b"}, {"name": "a\u202eb"}, {"name": "a\u2028b"},
        {"name": "\ud800"}, {"role": "owner"}, {"role": None}, {"role": ["admin"]},
        {"role": "Admin"}, {"adult": 1}, {"adult": "true"}, {"adult": None}, {"rooms": "a"},
        {"rooms": {"a": 1}}, {"rooms": [1]}, {"rooms": [""]}, {"rooms": None},
        {"role": "overlay"}, {"role": "overlay", "rooms": []}, {"jti": 7}, {"jti": ""},
        {"avatar": "http://a.example/x"}, {"avatar": "javascript:alert(1)"}, {"avatar": "https://"},
        {"avatar": "https://a b"}, {"avatar": "https://u@h/"}, {"avatar": 'https://h/"x'},
        {"avatar": 7}, {"avatar": "https://h/" + "x" * 600},
    ],
    ids=repr,
)  # fmt: skip
def test_a_claim_that_the_protocol_does_not_allow_is_refused(wrong: dict[str, Any]) -> None:
    answer = fault(of({**CLAIMS, **wrong}))
    assert (answer.kind, answer.close_code) == ("invalid", 4501)


def test_a_token_without_a_user_is_refused() -> None:
    assert fault(of({"exp": LATER_S})).kind == "invalid"


@pytest.mark.parametrize(
    "payload",
    [b"", b"null", b"[]", b"7", b"{", b"[" * 1_500, b'{"a":' * 500, b'{"sub":"\xff"}',
     b'{"sub":"ada","exp":1700000060,"name":"\xed\xa0\x80"}'],
    ids=repr,
)  # fmt: skip
def test_a_signed_payload_that_is_no_object_of_claims_is_refused(payload: bytes) -> None:
    assert fault(signed(payload)).kind == "invalid"


@pytest.mark.parametrize(
    "header",
    [b'{"alg":"none"}', b'{"alg":"None"}', b'{"alg":"HS512"}', b'{"alg":"hs256"}', b"{}",
     b'{"alg":null}', b'{"alg":["HS256"]}', b"[]", b"7", b"{", b"[" * 1_000,
     b'{"alg":"HS256","crit":["exp"]}', b'{"alg":"HS256","b64":false,"crit":["b64"]}',
     b'{"alg":"HS256","kid":7}', b'{"alg":"RS256"}', b'{"alg":"EdDSA"}'],
    ids=repr,
)  # fmt: skip
def test_a_header_that_is_not_ours_is_refused(header: bytes) -> None:
    assert fault(signed(json.dumps(CLAIMS).encode(), header)).kind == "invalid"


def test_a_token_without_a_signature_is_refused() -> None:
    head = b64(b'{"alg":"none"}').decode() + "." + b64(json.dumps(CLAIMS).encode()).decode()
    assert fault(head + ".").kind == "invalid"
    assert fault(of(CLAIMS).rpartition(".")[0] + ".").kind == "invalid"


def test_a_token_signed_with_another_secret_is_refused() -> None:
    assert fault(signed(json.dumps(CLAIMS).encode(), secret="x" * 40)).kind == "invalid"


@pytest.mark.parametrize(
    "private",
    [ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1())],
    ids=["EdDSA", "ES256"],
)
def test_a_public_key_is_never_taken_for_a_secret(private: Any) -> None:
    public = pem(private)
    token = signed(json.dumps(CLAIMS).encode(), secret=public.decode())
    assert isinstance(TokenVerifier(SECRET, [public]).verify(token, NOW_MS), TokenFault)


def test_a_token_that_claims_the_algorithm_of_another_key_is_refused() -> None:
    ed, rs = (
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(public_exponent=65_537, key_size=2_048),
    )
    _, payload, signature = jwt.encode(CLAIMS, ed, algorithm="EdDSA").split(".")
    forged = ".".join((b64(b'{"alg":"RS256"}').decode(), payload, signature))
    answer = TokenVerifier(SECRET, [pem(ed), pem(rs)]).verify(forged, NOW_MS)
    assert isinstance(answer, TokenFault)


@pytest.mark.parametrize(
    "text", ["", " ", ".", "..", "...", "a.b.c", "é.é.é", "\ud800.a.b", "x" * 5_000, "\x00"]
)
def test_what_is_no_token_is_refused(text: str) -> None:
    assert fault(text).kind == "invalid"


def test_a_token_longer_than_the_limit_is_refused_however_good_it_is() -> None:
    claims = {**CLAIMS, "padding": "x" * 4_096}
    assert "4096" in fault(of(claims)).message


@given(st.text(max_size=300))
def test_no_text_makes_the_verifier_raise(text: str) -> None:
    assert isinstance(TokenVerifier(SECRET).verify(text, NOW_MS), TokenFault)


@given(st.binary(max_size=300))
def test_no_signed_payload_makes_the_verifier_raise(payload: bytes) -> None:
    assert isinstance(TokenVerifier(SECRET).verify(signed(payload), NOW_MS), TokenFault)


@given(
    st.dictionaries(
        st.sampled_from(["sub", "exp", "nbf", "name", "role", "rooms", "adult", "avatar", "jti"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.text(max_size=4), inner, max_size=3)
            ),
            max_leaves=5,
        ),
    )
)
def test_no_claims_make_the_verifier_raise(claims: dict[str, Any]) -> None:
    answer = TokenVerifier(SECRET).verify(of({**CLAIMS, **claims}), NOW_MS)
    assert isinstance(answer, Identity | TokenFault)


def test_a_fault_holds_nothing_of_the_token() -> None:
    claims = {**CLAIMS, "sub": "canary canary", "name": "canary", "role": "canary"}
    for token in (of(claims), "canary.canary.canary", of(CLAIMS) + "canary"):
        assert "canary" not in fault(token).message


# --- revoking ---


def test_a_revoked_token_is_refused_and_others_are_not() -> None:
    tokens = TokenVerifier(SECRET)
    tokens.revoke("t1", NOW_MS + 1)
    answer = tokens.verify(of({**CLAIMS, "jti": "t1"}), NOW_MS)
    assert isinstance(answer, TokenFault)
    assert (answer.kind, answer.close_code) == ("revoked", 4502)
    assert isinstance(tokens.verify(of({**CLAIMS, "jti": "t2"}), NOW_MS), Identity)
    assert isinstance(tokens.verify(of(CLAIMS), NOW_MS), Identity)


def test_a_revocation_is_remembered_until_the_token_has_expired_or_for_ever() -> None:
    tokens = TokenVerifier(SECRET)
    tokens.revoke("t1", NOW_MS + 1)
    tokens.revoke("t2", NOW_MS)
    tokens.revoke("t3", FOREVER)
    tokens.forget_expired(NOW_MS)
    assert [tokens.is_revoked(id) for id in ("t1", "t2", "t3")] == [True, False, True]


# --- keys and issuing ---


@pytest.mark.parametrize(
    "text",
    ["", "not a key", pem(ec.generate_private_key(ec.SECP384R1())),
     pem(rsa.generate_private_key(public_exponent=65_537, key_size=1_024)),
     ed25519.Ed25519PrivateKey.generate().private_bytes(
         Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())],
    ids=["empty", "text", "P-384", "RSA-1024", "private"],
)  # fmt: skip
def test_a_key_that_cannot_be_used_is_refused(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"use|PEM|public half"):
        public_key(text)


@pytest.mark.parametrize("secret", ["short", pem(ed25519.Ed25519PrivateKey.generate()).decode()])
def test_a_secret_that_is_none_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match="token_secret"):
        TokenVerifier(secret)


@pytest.mark.parametrize(
    "wrong",
    [{"user": "a b"}, {"role": "owner"}, {"role": "overlay"}, {"name": "x" * 65}, {"ttl_s": 0},
     {"ttl_s": -5}, {"jti": ""}],
    ids=repr,
)  # fmt: skip
def test_no_token_is_issued_that_would_be_refused(wrong: dict[str, Any]) -> None:
    good: dict[str, Any] = {"user": "ada", "ttl_s": 60, "now_ms": NOW_MS}
    with pytest.raises(ValueError, match="token"):
        issue(SECRET, **{**good, **wrong})


def test_an_issued_token_never_lives_shorter_than_asked() -> None:
    identity = TokenVerifier(SECRET).verify(
        issue(SECRET, user="ada", ttl_s=1, now_ms=NOW_MS + 999), NOW_MS + 999
    )
    assert isinstance(identity, Identity) and identity.expires_ms == NOW_MS + 2_000


def test_secrets_are_compared_whole() -> None:
    assert same_secret("k" * 16, "k" * 16)
    assert not same_secret("k" * 16, "k" * 15)
    assert not same_secret("k" * 16, "K" * 16)
    assert not same_secret("", "")
    assert not same_secret("\ud800", "é")


def test_the_protocol_says_for_every_role_what_it_may_send() -> None:
    """A role that is in no line of its table could say nothing, and would end its connection."""
    assert {*get_args(auth.Role)} == {*ROLES}
