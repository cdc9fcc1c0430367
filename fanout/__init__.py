"""What must travel to the other nodes, and how to get a way for it to travel.

The only place that names an adapter. This package carries bytes and knows nothing else of ours.
"""

from fanout.contract import Batch, Fanout, Receiver
from fanout.local import LocalBus

__all__ = ["Batch", "Fanout", "LocalBus", "Receiver", "connect"]


def connect(url: str) -> Fanout:
    """The fan-out that a setting names: `local`. Raises ValueError for anything else."""
    if url == "local":
        return LocalBus().join()
    raise ValueError(f"there is no fan-out {url}")
