"""What must travel to the other nodes, and how to get a way for it to travel.

The only place that names an adapter. This package carries bytes and knows nothing else of ours.
"""

from fanout.contract import Fanout, Receiver
from fanout.local import LocalBus

__all__ = ["Fanout", "LocalBus", "Receiver", "check_address", "connect"]


def check_address(url: str) -> str | None:
    """What is wrong with a `fanout` setting, as what to do about it; None when it is good."""
    if url.startswith(("redis:", "rediss:")):
        return "Redis is not supported yet: use local (one node)"
    return None if url == "local" else "use local"


def connect(url: str) -> Fanout:
    """The fan-out that a setting names: `local`. Raises ValueError for anything else."""
    if fault := check_address(url):
        raise ValueError(f"there is no fan-out {url}: {fault}")
    return LocalBus().join()
