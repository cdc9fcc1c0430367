"""Tokens that the client library makes, as the server's own verifier reads them."""

import time

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kit.servers.serving import SECRET
from largesse_client import make_token
from server.auth import Identity, TokenFault, TokenVerifier

NOW_S = 1_700_000_000


def test_a_token_says_what_it_was_made_of() -> None:
    token = make_token(
        SECRET,
        "ann",
        name="Ann",
        role="creator",
        adult=True,
        rooms=["r"],
        ttl_s=60,
        avatar="https://example.com/a.png",
        jti="t1",
        now_s=NOW_S,
    )
    identity = TokenVerifier(SECRET).verify(token, NOW_S * 1000)
    assert isinstance(identity, Identity)
    assert (identity.user, identity.name, identity.role) == ("ann", "Ann", "creator")
    assert identity.adult and identity.rooms == frozenset({"r"})
    assert identity.expires_ms == (NOW_S + 60) * 1000
    assert isinstance(TokenVerifier(SECRET).verify(token, (NOW_S + 60) * 1000), TokenFault)


def test_a_plain_token_is_a_viewers_for_an_hour_and_may_not_gift() -> None:
    identity = TokenVerifier(SECRET).verify(make_token(SECRET, "ann"), int(time.time() * 1000))
    assert isinstance(identity, Identity)
    assert (identity.name, identity.role, identity.adult) == ("ann", "viewer", False)


def test_an_overlay_is_for_certain_rooms() -> None:
    with pytest.raises(ValueError, match="rooms"):
        make_token(SECRET, "cara", role="overlay")


def test_a_private_key_signs_as_well() -> None:
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    token = make_token(pem, "ann", algorithm="EdDSA", now_s=NOW_S)
    found = TokenVerifier("another secret of 32 bytes or more", [public]).verify(
        token, NOW_S * 1000
    )
    assert isinstance(found, Identity)
