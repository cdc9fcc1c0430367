"""The room, the people and the settings of every measurement: the same ones everywhere."""

from typing import Any

from rules.commands import AnyCommand, Grant, OpenRoom, SendGift

SECRET = "a secret of the bench, 32 bytes or more"
API_KEY = "the-api-key-of-the-bench"
ROOM = "r"
SENDERS = 200
COINS = 10**9
GIFTS_STEADY = "spark"
"""A gift that makes combos, as most gifts are."""
GIFTS_SINGLE = "lighthouse"
"""A gift that makes none."""

SETTINGS: dict[str, Any] = {
    "token_secret": SECRET,
    "api_key": API_KEY,
    "drain_ms": 0,
    "gift_rate": 1_000_000,
    "gift_burst": 1_000_000,
    "message_rate": 1_000_000,
    "message_burst": 1_000_000,
    "handshake_rate": 1_000_000,
    "ping_ms": 600_000,
    "log_level": "error",
}
"""Limits that are not to be measured are out of the way. Silent viewers read nothing, so they must
not be pinged; everything else, the tick and the heartbeats too, is as it is by default."""


def sender(number: int) -> str:
    return f"g{number}"


def gift(by: int, number: int, kind: str, tag: str = "k") -> SendGift:
    """Gift `number` of this run; keys are never used twice."""
    name = sender(by)
    return SendGift(
        actor=f"user:{name}",
        key=f"{tag}-{number}",
        sender=name,
        name=name,
        adult=True,
        room=ROOM,
        gift=kind,
    )


def opening() -> list[AnyCommand]:
    """The room, and coins for everybody who sends."""
    room = OpenRoom(
        actor="backend", key="room", room=ROOM, title="Bench", creator="c", creator_name="C",
        epoch="e",
    )  # fmt: skip
    grants = [
        Grant(actor="backend", key=f"grant-{n}", user=sender(n), coins=COINS, reason="bench")
        for n in range(SENDERS)
    ]
    return [room, *grants]
