"""Webhooks out: what the host platform is told, by Standard Webhooks (standardwebhooks.com).

The life of an event: a command is booked (the journal is the outbox, so there is nothing else to
write); the worker reads the journal behind each endpoint's cursor and enters what the endpoint
wants as a delivery (`events` says what a command means to a stranger); it posts lane by lane,
signed (`signing`), to an address that was checked (`guard`, `poster`), and records what became of
it. What dies on the way is sent again with the same id: at least once, in order within a lane.
"""

from server.webhooks.events import TYPES
from server.webhooks.guard import Guard
from server.webhooks.poster import Poster
from server.webhooks.signing import secret_of
from server.webhooks.worker import Worker

__all__ = ["TYPES", "Guard", "Poster", "Worker", "secret_of"]
