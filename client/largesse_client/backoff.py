"""Whether to come back after a close, and when. Pure: chance is an argument.

Full jitter (anywhere between nothing and a bound that doubles) and not "bound ± 10 %": when a
server restarts, all its viewers lose their connection in the same moment, and only a wide spread
keeps them from coming back in the same moment too.
"""

BASE_MS = 500
CAP_MS = 30_000

FINAL_STATUSES = frozenset({400, 401, 403, 404, 426})
"""HTTP answers to the upgrade that will be the same tomorrow; others (503) are worth waiting."""

_SENTENCES = {
    4000: "The server is restarting.",
    4001: "This connection was too slow to keep up.",
    4002: "The server fell silent.",
    4003: "The server had an error.",
    4500: "The server did not understand this client.",
    4501: "This token is not valid.",
    4502: "This token has expired or was revoked.",
    4503: "This token may not be used here.",
    4504: "The server speaks another version of the protocol than this client.",
    4505: "This user has too many connections open.",
}


def bound_ms(attempt: int) -> int:
    """The longest wait before try number `attempt`; 0 is the first."""
    return min(CAP_MS, BASE_MS << min(attempt, 16))


def reconnect_ms(attempt: int, random: float, after_ms: int = 0) -> int:
    """How long to wait before try number `attempt`, and never less than the server asked for."""
    return after_ms + int(random * bound_ms(attempt))


def comes_back(code: int) -> bool:
    """Whether a connection that ended so (close code, or HTTP status) is worth another try."""
    return code not in FINAL_STATUSES and not 4500 <= code <= 4999


def close_sentence(code: int) -> str:
    """What a close code means, for a person."""
    if comes_back(code):
        return _SENTENCES.get(code, "The connection was lost.")
    return _SENTENCES.get(code, f"The server refused this connection (code {code}).")
