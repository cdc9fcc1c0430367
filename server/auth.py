"""Who somebody is: JWT in, identity or fault out (protocol.md, section 1.3).

A key is bound to its algorithm when it is configured, and a token's `alg` only chooses among these
pairs, so a public key can never become an HMAC secret and `none` chooses nothing. PyJWT checks the
signature and nothing else; the claims are checked here, because PyJWT would read the clock. A fault
never quotes the token. This module knows no connection, no HTTP and no time: `now_ms` is given.
"""

import hashlib
import hmac
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args
from urllib.parse import urlsplit

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import HMACAlgorithm

from rules.rows import FOREVER

Role = Literal["viewer", "creator", "overlay", "admin"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)

TOKEN_SECRET_BYTES_MIN = 32  # HS256 is as strong as its key: RFC 7518, section 3.2
TOKEN_BYTES_MAX = 4_096  # fits any proxy's header limit; 50 rooms with long names still fit
NAME_CHARACTERS_MAX = 64
TOKEN_ID_CHARACTERS_MAX = 128
AVATAR_CHARACTERS_MAX = 512
RSA_BITS_MIN = 2_048
EXP_S_MAX = 253_402_300_800  # the year 10000; beyond it somebody counted milliseconds

USER_ID = r"[A-Za-z0-9_.:-]{1,64}"
USER_ID_TOLD = "1 to 64 of A-Z a-z 0-9 _ . : and -"
_BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

PublicKey = tuple[str, Any]  # (algorithm, the key as cryptography loads it)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who holds a token; `rooms` None means every room."""

    user: str
    name: str
    role: Role
    adult: bool
    rooms: frozenset[str] | None
    expires_ms: int
    token_id: str | None
    avatar: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFault:
    """Why a token is refused; `message` is for a person and never holds any of the token."""

    kind: Literal["invalid", "expired", "revoked"]
    message: str

    @property
    def close_code(self) -> int:
        """4501 (not authenticated) or 4502 (expired or revoked)."""
        return 4501 if self.kind == "invalid" else 4502


class _Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What is read of a token's payload; msgspec refuses NaN, lone surrogates and wrong types."""

    sub: Annotated[str, msgspec.Meta(pattern=rf"\A{USER_ID}\Z")]
    exp: int | float
    nbf: int | float | msgspec.UnsetType = msgspec.UNSET
    name: str | msgspec.UnsetType = msgspec.UNSET
    role: Role = "viewer"
    rooms: list[Annotated[str, msgspec.Meta(min_length=1, max_length=64)]] | msgspec.UnsetType = (
        msgspec.UNSET
    )
    adult: bool = False
    avatar: Annotated[str, msgspec.Meta(max_length=AVATAR_CHARACTERS_MAX)] | msgspec.UnsetType = (
        msgspec.UNSET
    )
    jti: (
        Annotated[str, msgspec.Meta(min_length=1, max_length=TOKEN_ID_CHARACTERS_MAX)]
        | msgspec.UnsetType
    ) = msgspec.UNSET


_invalid = partial(TokenFault, kind="invalid")


class TokenVerifier:
    """Verifies tokens with one secret and any number of public keys; remembers the revoked ones."""

    def __init__(self, secret: str, public_keys: Sequence[str | bytes] = ()) -> None:
        """`public_keys` are PEM texts. Raises ValueError with a sentence about the key."""
        self._keys: dict[str, tuple[Any, ...]] = {"HS256": (_hmac_key(secret),)}
        for pem in public_keys:
            algorithm, key = public_key(pem)
            self._keys[algorithm] = (*self._keys.get(algorithm, ()), key)
        self._jws = jwt.PyJWS(algorithms=list(self._keys))
        self._claims = msgspec.json.Decoder(_Claims)
        self._revoked: dict[str, int] = {}  # when each token expires by itself; some 100 bytes each

    def verify(self, token: str, now_ms: int) -> Identity | TokenFault:
        """The identity that the token proves at `now_ms`, or why it proves none."""
        payload = self._signed_payload(token)
        if isinstance(payload, TokenFault):
            return payload
        try:
            claims = self._claims.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return _invalid(message=_about_claims(error))
        identity = _identity(claims, now_ms)
        if isinstance(identity, Identity) and identity.token_id in self._revoked:
            message = "The token was revoked. Sign in again to get a new one."
            return TokenFault(kind="revoked", message=message)
        return identity

    def revoke(self, token_id: str, expires_ms: int) -> None:
        """Refuses the tokens with this `jti` from now on; they expire by themselves at
        `expires_ms`, or nobody knows when (rules.rows.FOREVER)."""
        self._revoked[token_id] = expires_ms

    def forget_expired(self, now_ms: int) -> None:
        """Forgets the revocations of tokens that have expired by themselves."""
        self._revoked = {
            token_id: expires_ms
            for token_id, expires_ms in self._revoked.items()
            if expires_ms == FOREVER or expires_ms > now_ms
        }

    def is_revoked(self, token_id: str) -> bool:
        return token_id in self._revoked

    def _signed_payload(self, token: str) -> bytes | TokenFault:
        if not token.isascii() or not 0 < len(token) <= TOKEN_BYTES_MAX:
            return _invalid(message=f"A token is a JWT of at most {TOKEN_BYTES_MAX} bytes.")
        try:
            algorithm = self._jws.get_unverified_header(token).get("alg")
        except (jwt.PyJWTError, ValueError, RecursionError):
            return _invalid(message="The token is not a JWT; check that it was copied whole.")
        if not isinstance(algorithm, str) or algorithm not in self._keys:
            known = ", ".join(self._keys)
            return _invalid(message=f"The token's algorithm is not accepted; sign with {known}.")
        for key in self._keys[algorithm]:
            try:
                signed = self._jws.decode_complete(token, key, algorithms=[algorithm])
            except (jwt.PyJWTError, ValueError, RecursionError):
                continue
            payload: bytes = signed["payload"]
            return payload
        return _invalid(message="The token's signature is wrong; check the key that signs it.")


def verifier(secret: str, public_keys: Iterable[str]) -> TokenVerifier:
    """A verifier with this secret and the keys in these PEM files."""
    return TokenVerifier(secret, [Path(path).read_bytes() for path in public_keys])


def public_key(pem: str | bytes) -> PublicKey:
    """A PEM public key with the one algorithm it may verify; raises ValueError with a sentence."""
    content = pem.encode() if isinstance(pem, str) else pem
    if b"PRIVATE KEY" in content:
        raise ValueError("holds a private key; give the public half (openssl pkey -pubout)")
    try:
        key = load_pem_public_key(content)
    except Exception as error:  # cryptography raises half a dozen kinds here
        raise ValueError("is not a PEM public key") from error
    match key:
        case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
            return "EdDSA", key
        case rsa.RSAPublicKey() if key.key_size >= RSA_BITS_MIN:
            return "RS256", key
        case rsa.RSAPublicKey():
            raise ValueError(f"is an RSA key of {key.key_size} bits; use {RSA_BITS_MIN} or more")
        case ec.EllipticCurvePublicKey() if isinstance(key.curve, ec.SECP256R1):
            return "ES256", key
        case _:
            raise ValueError("is of an unknown kind; use Ed25519, RSA or ECDSA on P-256")


def _hmac_key(secret: str) -> bytes:
    key = secret.encode()
    if len(key) < TOKEN_SECRET_BYTES_MIN:
        raise ValueError(f"token_secret needs at least {TOKEN_SECRET_BYTES_MIN} bytes")
    try:
        return HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(key)
    except jwt.InvalidKeyError as error:
        raise ValueError("token_secret is a public key or certificate, not a secret") from error


def _about_claims(error: Exception) -> str:
    """What is wrong with the claims; msgspec names the claim and the types, never the value."""
    if isinstance(error, msgspec.ValidationError):
        found = re.search(r"`\$\.(\w+)", str(error)) or re.search(r"field `(\w+)`", str(error))
        claim = f"The token's claim {found[1]}" if found else "One of the token's claims"
        return f"{claim} is missing or not as the protocol says (section 1.3)."
    return "The token's claims are not valid JSON."


def _identity(claims: _Claims, now_ms: int) -> Identity | TokenFault:
    for name, time_s in (("exp", claims.exp), ("nbf", claims.nbf)):
        if time_s is not msgspec.UNSET and not (math.isfinite(time_s) and abs(time_s) < EXP_S_MAX):
            return _invalid(message=f"The token's claim {name} must be a time in Unix seconds.")
    problem = _claim_problem(claims)
    if problem is not None:
        return _invalid(message=problem)
    expires_ms = int(claims.exp * 1_000)
    if now_ms >= expires_ms:
        message = "The token has expired. Sign in again to get a new one."
        return TokenFault(kind="expired", message=message)
    if claims.nbf is not msgspec.UNSET and now_ms < claims.nbf * 1_000:
        return _invalid(message="The token is not valid yet; check the clock that issued it.")
    return Identity(
        user=claims.sub,
        name=claims.name if claims.name and claims.name.strip() else claims.sub,
        role=claims.role,
        adult=claims.adult,
        rooms=None if claims.rooms is msgspec.UNSET else frozenset(claims.rooms),
        expires_ms=expires_ms,
        token_id=claims.jti or None,
        avatar=claims.avatar or None,
    )


def _claim_problem(claims: _Claims) -> str | None:
    if claims.name is not msgspec.UNSET:
        if len(claims.name) > NAME_CHARACTERS_MAX:
            return f"The token's claim name is longer than {NAME_CHARACTERS_MAX} characters."
        if any(_controls(character) for character in claims.name):
            return "The token's claim name holds control characters."
    if claims.role == "overlay" and not claims.rooms:
        return "An overlay token must name its rooms."
    if claims.avatar is not msgspec.UNSET and not _is_https(claims.avatar):
        return "The token's claim avatar must be an https URL."
    return None


def _controls(character: str) -> bool:
    """Whether it could break a line, hide text or turn its direction in a list of names."""
    # Not all of category Cf: emoji are joined with one of them.
    category = unicodedata.category(character)
    return character in _BIDI_CONTROLS or category in {"Cc", "Cs", "Zl", "Zp"}


def _is_https(url: str) -> bool:
    if not url.startswith("https://") or re.search(r"[\s\"'<>\\`\x00-\x20\x7f]", url):
        return False
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.username is None and parts.port != 0
    except ValueError:
        return False


def issue(
    secret: str,
    *,
    user: str,
    name: str | None = None,
    role: Role = "viewer",
    rooms: Iterable[str] | None = None,
    adult: bool = False,
    ttl_s: int,
    now_ms: int,
    jti: str | None = None,
) -> str:
    """A token signed with `secret` (HS256) that lives for `ttl_s`, rounded up to a whole second.

    Raises ValueError, with a sentence, when `verify` would refuse the token.
    """
    claims: dict[str, Any] = {"sub": user, "role": role, "exp": -(-now_ms // 1_000) + ttl_s}
    optional: Mapping[str, Any] = {
        "name": name,
        "rooms": None if rooms is None else sorted(set(rooms)),
        "adult": adult or None,
        "jti": jti,
    }
    claims |= {key: value for key, value in optional.items() if value is not None}
    _hmac_key(secret)
    token = jwt.PyJWS().encode(msgspec.json.encode(claims), secret, algorithm="HS256")
    checked = TokenVerifier(secret).verify(token, now_ms)
    if isinstance(checked, TokenFault):
        raise ValueError(checked.message)
    return token


def same_secret(a: str, b: str) -> bool:
    """Whether two secrets are equal, in a time that tells nothing; an empty one equals nothing."""
    if not a or not b:
        return False
    hashed = (hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in (a, b))
    return hmac.compare_digest(*hashed)
