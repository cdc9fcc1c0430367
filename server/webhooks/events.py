"""What a command in the journal means to the host platform: one webhook event, or none.

Pure, and total: whatever the journal holds leads to an event or to none, never to an error, for an
entry that fails would stop everything behind it. The names of the fields are those of the HTTP API.
An anonymous gift carries its giver here: the backend books for them and answers their questions.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple, assert_never

import msgspec
import orjson

from rules.lifecycles import PayoutStatus
from rules.outcomes import (
    AccountFrozen,
    AccountUnfrozen,
    AnyOutcome,
    CheckoutAttached,
    CorrectionDecided,
    CorrectionProposed,
    DiamondsReleased,
    EndpointSet,
    EpochsRenewed,
    GiftAccepted,
    GiftHidden,
    GiftingPaused,
    GiftRetracted,
    GiftsReversed,
    Granted,
    LevelHidden,
    LimitsSet,
    LinkIssued,
    PayoutChanged,
    PolicySet,
    PurchaseChargedBack,
    PurchaseFailed,
    PurchasePaid,
    PurchaseRefunded,
    PurchaseStarted,
    RateSet,
    RefundMarkedSent,
    Refused,
    RoomClosed,
    RoomOpened,
    Suspended,
    SuspenseSettled,
    TokenRevoked,
    UserErased,
    read_outcome,
)
from storage.deliveries import JournalEntry

PAYLOAD_BYTES_MAX = 20_000
"""Standard Webhooks asks to stay below 20 kB."""
SHORT_CHARACTERS = 200
"""What a text keeps when the payload would be too large."""

Json = dict[str, Any]


class WebhookEvent(NamedTuple):
    kind: str
    lane: str
    """Events of one lane reach an endpoint in order: a room's, or a person's."""
    payload: bytes


class _Seen(NamedTuple):
    """A journal entry, parsed."""

    body: Json
    outcome: Json
    line: Json
    origin: Json


def message_id(entry: JournalEntry, endpoint: str) -> str:
    """The same for every try. No `.` may be in it: it separates the parts of what is signed.

    The batch's hash is in it because after a restore from a backup the numbers of the commands
    that were lost are given again, and a receiver would take the new event for the old one.
    """
    return f"msg_{entry.command}_{entry.seal[:12]}_{endpoint.replace('.', '~')}"


def project(entry: JournalEntry) -> WebhookEvent | None:
    """The event that a journal entry is, if anybody outside is told of it."""
    outcome = _read(entry.outcome)
    kind = None if outcome is None else kind_of(outcome)
    if kind is None:
        return None
    seen = _Seen(*(_object(text) for text in (entry.body, entry.outcome, entry.line, entry.origin)))
    fields = _FIELDS.get(kind, _told)(seen)
    data = {name: value for name, value in fields.items() if value is not None}
    return WebhookEvent(kind, _lane(seen, data), _payload(kind, entry.at_ms, data))


def _object(text: str | None) -> Json:
    value = orjson.loads(text) if text else None
    return value if isinstance(value, dict) else {}


TYPES = frozenset(
    {
        "gift.accepted",
        "gift.retracted",
        "gift.reversed",
        "gift.hidden",
        "purchase.paid",
        "purchase.failed",
        "purchase.refunded",
        "purchase.charged_back",
        "payout.requested",
        "payout.approved",
        "payout.paid",
        "payout.rejected",
        "room.opened",
        "room.closed",
        "limit.changed",
        "limit.reached",
        "account.paused",
        "account.frozen",
        "account.unfrozen",
    }
)
"""Every type that an endpoint may want."""


def kind_of(outcome: AnyOutcome) -> str | None:
    """The type of the event that an outcome is; None when nobody outside is told of it, for the
    backend asked for it itself, or it is ours."""
    match outcome:
        case Refused(code=code):
            return "limit.reached" if code.startswith("limit_") else None
        case GiftAccepted():
            return "gift.accepted"
        case GiftRetracted():
            return "gift.retracted"
        case GiftsReversed():
            return "gift.reversed"
        case GiftHidden():
            return "gift.hidden"
        case PurchasePaid():
            return "purchase.paid"
        case PurchaseFailed():
            return "purchase.failed"
        case PurchaseRefunded():
            return "purchase.refunded"
        case PurchaseChargedBack():
            return "purchase.charged_back"
        case PayoutChanged(status=status):
            return _payout(status)
        case RoomOpened():
            return "room.opened"
        case RoomClosed():
            return "room.closed"
        case LimitsSet():
            return "limit.changed"
        case GiftingPaused():
            return "account.paused"
        case AccountFrozen():
            return "account.frozen"
        case AccountUnfrozen():
            return "account.unfrozen"
        case (
            PolicySet()
            | EpochsRenewed()
            | Granted()
            | PurchaseStarted()
            | CheckoutAttached()
            | RefundMarkedSent()
            | Suspended()
            | SuspenseSettled()
            | CorrectionProposed()
            | CorrectionDecided()
            | LevelHidden()
            | UserErased()
            | RateSet()
            | DiamondsReleased()
            | EndpointSet()
            | LinkIssued()
            | TokenRevoked()
        ):
            return None
        case _:
            assert_never(outcome)


def _payout(status: PayoutStatus) -> str:
    match status:
        case PayoutStatus.REQUESTED:
            return "payout.requested"
        case PayoutStatus.APPROVED:
            return "payout.approved"
        case PayoutStatus.PAID:
            return "payout.paid"
        case PayoutStatus.REJECTED:
            return "payout.rejected"
        case _:
            assert_never(status)


def _read(text: str) -> AnyOutcome | None:
    try:
        outcome: AnyOutcome = read_outcome(text)
    except msgspec.MsgspecError:
        return None  # of a later version, perhaps; what stands behind it is told all the same
    return None if outcome.again else outcome  # it was so before, and was told then


def _lane(seen: _Seen, data: Json) -> str:
    if "room" in seen.outcome:
        return f"room:{seen.outcome['room']}"
    person = data.get("user") or data.get("creator") or ""
    return f"user:{person}"


# The fields of each type

_OURS = {"kind", "lots", "taken", "combo", "epoch", "at_ms"}
"""Fields of an outcome that are for the books and the viewers."""


def _told(seen: _Seen, *asked: str) -> Json:
    """The outcome's fields, and some of what was asked for."""
    fields = {name: value for name, value in seen.outcome.items() if name not in _OURS}
    return {name: seen.body.get(name) for name in asked} | fields


def _with(*asked: str) -> Callable[[_Seen], Json]:
    return lambda seen: _told(seen, *asked)


def _gift(seen: _Seen) -> Json:
    fields = _told(seen, "message")
    creator = fields.pop("creator", None)
    return fields | {
        "gift_id": f"{seen.outcome.get('room')}:{seen.outcome.get('seq')}",
        "from": {"id": seen.body.get("sender"), "name": seen.body.get("name")},
        "to": seen.line.get("to") or {"id": creator},
        "anonymous": seen.body.get("visibility") == "anonymous",
    }


def _retracted(seen: _Seen) -> Json:
    sender = seen.origin.get("sender")
    return _told(seen, "reason") | {
        "from": {"id": sender} if sender else None,
        "to": seen.line.get("to"),
        "gift": seen.line.get("gift"),
    }


def _reversed(seen: _Seen) -> Json:
    gifts = seen.outcome.get("gifts")
    pairs = gifts if isinstance(gifts, list) else []
    ids = [pair[0] for pair in pairs if isinstance(pair, list) and pair]
    return _told(seen, "reason") | {"gifts": ids, "count": len(ids)}


def _reached(seen: _Seen) -> Json:
    limit = str(seen.outcome["code"]).removeprefix("limit_")
    asked = {name: seen.body.get(name) for name in ("room", "gift")}
    wish = asked | {"quantity": seen.body.get("quantity", 1), "user": seen.body.get("sender")}
    details = seen.outcome.get("details")
    return (details if isinstance(details, dict) else {}) | wish | {"limit": limit}


_FIELDS: dict[str, Callable[[_Seen], Json]] = {
    "gift.accepted": _gift,
    "gift.retracted": _retracted,
    "gift.reversed": _reversed,
    "purchase.paid": _with("payment"),
    "purchase.refunded": _with("reason"),
    "purchase.charged_back": _with("reason"),
    "payout.paid": _with("reference"),
    "payout.rejected": _with("reason"),
    "room.opened": _with("title", "creator", "creator_name"),
    "limit.reached": _reached,
    "account.frozen": _with("reason"),
}


# The payload


def _payload(kind: str, at_ms: int, data: Json) -> bytes:
    moment = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    head = {"type": kind, "timestamp": moment.replace("+00:00", "Z")}
    payload = orjson.dumps(head | {"data": data})
    if len(payload) < PAYLOAD_BYTES_MAX:
        return payload
    # Whoever needs the rest asks the HTTP API for it, by the ids that are still there.
    short = {name: _shortened(value) for name, value in data.items()} | {"shortened": True}
    return orjson.dumps(head | {"data": {k: v for k, v in short.items() if v is not None}})


def _shortened(value: Any) -> Any:
    match value:
        case str():
            return value[:SHORT_CHARACTERS]
        case dict():
            return {k: v[:SHORT_CHARACTERS] if isinstance(v, str) else v for k, v in value.items()}
        case list():
            return None
        case _:
            return value
