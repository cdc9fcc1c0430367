"""The users who are connected to this node: their connections, their gift rate, their balance."""

from typing import TYPE_CHECKING

from rules.limits import TokenBucket

if TYPE_CHECKING:
    from server.live.connection import Connection


class UserHere:
    """One user with at least one connection."""

    __slots__ = ("balance", "bucket", "connections", "id")

    def __init__(self, id: str, bucket: TokenBucket) -> None:
        self.id = id
        self.connections: set[Connection] = set()
        self.bucket = bucket
        self.balance: int | None = None
        """Coins, as of the newest result that this node has seen; None until it was read."""
