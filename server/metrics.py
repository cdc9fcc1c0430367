"""What operators see: every series of largesse, in one registry that the app owns.

Nothing is labelled by user, room or address: a busy evening must not make a million series.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from protocol import CloseCode

_CLOSES = frozenset({1000, 1001, 1002, 1005, 1006, 1007, 1009, *CloseCode})
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """Counters and histograms; made once per server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._message_counters: dict[str, Counter] = {}
        own = self.registry
        self.connections = Gauge(
            "largesse_connections", "Open WebSocket connections.", registry=own
        )
        self.rooms = Gauge("largesse_rooms_loaded", "Rooms held in memory.", registry=own)
        self.handshakes = Counter(
            "largesse_handshakes", "WebSocket handshakes by result.", ["result"], registry=own
        )
        self.closes = Counter(
            "largesse_closes", "Closed connections by code.", ["code"], registry=own
        )
        self.messages = Counter(
            "largesse_messages", "Messages from clients by type.", ["type"], registry=own
        )
        self.refusals = Counter(
            "largesse_refusals", "Refused wishes by code.", ["code"], registry=own
        )
        self.gifts = Counter("largesse_gifts", "Gifts booked.", registry=own)
        self.coins = Counter("largesse_gift_coins", "Coins of the gifts booked.", registry=own)
        self.replays = Counter(
            "largesse_replays", "Commands answered from their key.", registry=own
        )
        self.queue = Gauge(
            "largesse_queue_commands", "Commands waiting for the ledger.", registry=own
        )
        self.batch_size = Histogram(
            "largesse_batch_commands", "Commands per transaction.", buckets=_SIZES, registry=own
        )
        self.commit = Histogram(
            "largesse_settle_seconds", "Time of one transaction.", buckets=_SECONDS, registry=own
        )
        self.flush = Histogram(
            "largesse_flush_seconds",
            "Time to send a frame to a room.",
            buckets=_SECONDS,
            registry=own,
        )
        self.frames = Counter("largesse_frames_sent", "Frames written to viewers.", registry=own)
        self.merged = Counter(
            "largesse_events_merged", "Gifts shown inside another entry.", registry=own
        )
        self.omitted = Counter(
            "largesse_events_omitted", "Gifts shown as a sum only.", registry=own
        )
        self.resumes = Counter("largesse_resumes", "Resumes by result.", ["result"], registry=own)
        self.on_duty = Gauge(
            "largesse_on_duty", "1 on the node that does chores and webhooks.", registry=own
        )
        self.lag = Histogram(
            "largesse_loop_lag_seconds",
            "How late the event loop is.",
            buckets=_SECONDS,
            registry=own,
        )
        self.notifications = _payment_notifications(own)
        self.healed = Counter("largesse_fanout_healed", "Gaps read from the ledger.", registry=own)
        self.dropped = _dropped_letters(own)

    def count_close(self, code: int | None) -> None:
        """One connection that ended. A peer may close with any code; only the known are labels."""
        known = code in _CLOSES
        self.closes.labels(str(code) if known else "other" if code else "lost").inc()

    def count_message(self, kind: str) -> None:
        """One message of a client. Looking a label up costs more than counting it."""
        counter = self._message_counters.get(kind)
        if counter is None:
            counter = self._message_counters[kind] = self.messages.labels(kind)
        counter.inc()


def _payment_notifications(registry: CollectorRegistry) -> Counter:
    name, what = (
        "largesse_payment_notifications",
        "Notifications of the payment provider by result.",
    )
    return Counter(name, what, ["result"], registry=registry)


def _dropped_letters(registry: CollectorRegistry) -> Gauge:
    name, what = "largesse_fanout_dropped", "Letters to other nodes that were dropped."
    return Gauge(name, what, registry=registry)
