"""What the handlers of the HTTP API stand on: the parts of the server that they ask, and no more.

Made by `app`. What a handler needs of the live half (who watches, who is too fast, why not to send
users here) comes as a function, so that the API knows neither the hub nor its connections.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from rules.policy import Policy
from server.auth import TokenVerifier
from server.clock import Clock
from server.in_force import InForce
from server.metrics import Metrics
from server.payments import Provider
from server.settings.table import Settings
from server.settlement import Settlement
from storage import Store

REFUSED_KEPT = 200
"""Refused notifications that an operator can look at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What is in force is what the books say, not what the settings say."""

    settings: Settings
    store: Store
    settlement: Settlement
    clock: Clock
    metrics: Metrics
    in_force: InForce
    provider: Provider
    verifier: TokenVerifier
    viewers: Callable[[str], int]
    """How many follow a room."""
    too_fast: Callable[[str], bool]
    """Count a wish of a user: whether it is one too many for now."""
    not_ready: Callable[[], list[str]]
    """Why no users should be sent here; nothing when they may."""
    nudge_webhooks: Callable[[], None]
    demo_room: str | None = None
    refused_notifications: deque[tuple[int, str]] = field(
        default_factory=lambda: deque(maxlen=REFUSED_KEPT)
    )
    """(when, why) of what came in the provider's name and was not from it."""
    exporting: set[str] = field(default_factory=set)
    """Users whose export is on its way."""

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self.in_force.policy
