"""What moved a user's coins and diamonds, in the words of the HTTP API: for the statement, and for
the export of everything that is kept about a user."""

from datetime import date
from typing import Any

import msgspec
import orjson

from rules.ledger import CURRENCY, Reason
from server.api.lists import Page
from storage import Asked, StatementRow

_EPOCH = date(1970, 1, 1).toordinal()


class StatementLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A transfer, from the side of this user's account."""

    id: int
    at_ms: int
    account: str
    currency: str
    amount: int
    """Below zero where the account lost it."""
    balance_after: int
    reason: str
    gift_id: str | msgspec.UnsetType = msgspec.UNSET
    gift: str | msgspec.UnsetType = msgspec.UNSET
    quantity: int | msgspec.UnsetType = msgspec.UNSET
    purchase: str | msgspec.UnsetType = msgspec.UNSET
    refund: str | msgspec.UnsetType = msgspec.UNSET
    payout: str | msgspec.UnsetType = msgspec.UNSET
    correction: int | msgspec.UnsetType = msgspec.UNSET
    through: str | msgspec.UnsetType = msgspec.UNSET
    """The UTC day until whose end the diamonds were earned that became available."""
    note: str | msgspec.UnsetType = msgspec.UNSET


class StatementPage(Page[StatementLine], frozen=True):
    """Every transfer that touched the user's accounts, newest first."""


def statement_line(row: StatementRow) -> StatementLine:
    """A transfer, from the side of one of the user's accounts."""
    return StatementLine(
        id=row.transfer,
        at_ms=row.at_ms,
        account=row.account,
        currency=CURRENCY[row.account].value,
        amount=row.amount,
        balance_after=row.balance_after,
        reason=Reason(row.reason).name.lower(),
        **_origin(orjson.loads(row.command), orjson.loads(row.outcome)),
    )


def _origin(command: dict[str, Any], outcome: dict[str, Any]) -> dict[str, Any]:
    """What the transfer was for, in the words of the command that made it."""
    match command["kind"]:
        case "gift":
            gift_id = f"{outcome['room']}:{outcome['seq']}"
            return {"gift_id": gift_id, "gift": command["gift"], "quantity": outcome["quantity"]}
        case "retract_gift":
            return {"gift_id": command["gift_id"], "note": command["reason"]}
        case "release_diamonds":
            return {"through": date.fromordinal(outcome["through_day"] + _EPOCH).isoformat()}
        case "request_payout":
            return {"payout": outcome["payout"], "note": ""}
    names = ("purchase", "refund", "payout", "correction")
    named = {name: outcome[name] for name in names if name in outcome}
    return named | {"note": command.get("reason", "")}


def asked_line(asked: Asked) -> dict[str, Any]:
    """A command that a user gave, word by word."""
    command, outcome = orjson.Fragment(asked.command), orjson.Fragment(asked.outcome)
    return {"at_ms": asked.at_ms, "command": command, "outcome": outcome}
