"""The one way in which anything changes: `settle(book, commands, now_ms)`.

Commands are settled in the order given, each on the book as the one before left it, so settling
them one by one or in batches of any size gives the same outcomes and the same rows. Nothing is
durable and nobody has been told when this returns: that is for storage and the server, in this
order. A refusal moves nothing; the only exception is `ledger.LedgerFault`, which means a bug.
"""

from collections.abc import Callable, Sequence
from typing import Any

from rules import gifts, rooms
from rules.book import Book, JournalRow, Spent
from rules.commands import (
    STORED_REFUSALS,
    AnyCommand,
    AnyOutcome,
    CloseRoom,
    Grant,
    HideGift,
    OpenRoom,
    Refused,
    RenewEpochs,
    RetractGift,
    SendGift,
    SetPolicy,
    fingerprint,
    write,
)
from rules.results import Result, refuse


def settle(book: Book, commands: Sequence[AnyCommand], now_ms: int) -> list[Result]:
    """Decide every command and enter what it does into the book; results in the same order.

    Raises ledger.LedgerFault when a rule let through what the ledger cannot book.
    """
    return [_settle_one(book, command, now_ms) for command in commands]


def _settle_one(book: Book, command: AnyCommand, now_ms: int) -> Result:
    content = fingerprint(command)
    spent = book.spent.get((command.actor, command.key))
    if spent is not None:
        if spent.fingerprint == content:
            return Result(spent.outcome, replayed=True)
        sentence = "This key was used for something else; make a new key for each new wish."
        return refuse("key_reused", sentence)
    result = _DECIDE[type(command)](book, command, now_ms)
    outcome = result.outcome
    if not isinstance(outcome, Refused) or outcome.code in STORED_REFUSALS:
        _keep(book, command, content, outcome)
    return result


def _keep(book: Book, command: AnyCommand, content: str, outcome: AnyOutcome) -> None:
    book.spent[command.actor, command.key] = Spent(content, outcome)
    kind = str(command.__struct_config__.tag)
    number, body = book.next_command, write(command)
    row = JournalRow(number, command.actor, command.key, kind, content, body, write(outcome))
    book.journal.append(row)
    book.next_command += 1


_DECIDE: dict[type, Callable[[Book, Any, int], Result]] = {
    SendGift: gifts.send,
    RetractGift: gifts.retract,
    HideGift: gifts.hide,
    OpenRoom: rooms.open_room,
    CloseRoom: rooms.close_room,
    Grant: rooms.grant,
    SetPolicy: rooms.set_policy,
    RenewEpochs: rooms.renew_epochs,
}
