"""The one way in which anything changes: `settle(book, commands, now_ms)`.

Commands are settled in the order given, each on the book as the one before left it, so settling
them one by one or in batches of any size gives the same outcomes and the same rows. Nothing is
durable and nobody has been told when this returns: that is for storage and the server, in this
order. A refusal moves nothing; the only exception is `ledger.LedgerFault`, which means a bug.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from rules import commands as c
from rules import creators, endpoints, gifts, payouts, people, purchases, rooms, suspense
from rules.book import Book
from rules.commands import AnyCommand, fingerprint, write, write_command
from rules.outcomes import STORED_REFUSALS, AnyOutcome, Refused
from rules.results import Result, refuse
from rules.rows import JournalRow, Spent


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
    if result.replayed:
        # The wish was fulfilled before, under another key: this key has that answer too.
        outcome = msgspec.structs.replace(outcome, again=True)
        result = result._replace(outcome=outcome)
    if not isinstance(outcome, Refused) or outcome.code in STORED_REFUSALS:
        _keep(book, command, content, outcome)
    return result


def _keep(book: Book, command: AnyCommand, content: str, outcome: AnyOutcome) -> None:
    book.spent[command.actor, command.key] = Spent(content, outcome)
    kind = str(command.__struct_config__.tag)
    number, (body, said) = book.next_command, write_command(command)
    row = JournalRow(number, command.actor, command.key, kind, content, body, write(outcome), said)
    book.journal.append(row)
    book.next_command += 1


_DECIDE: dict[type, Callable[[Book, Any, int], Result]] = {
    c.SetPolicy: rooms.set_policy,
    c.OpenRoom: rooms.open_room,
    c.CloseRoom: rooms.close_room,
    c.RenewEpochs: rooms.renew_epochs,
    c.SendGift: gifts.send,
    c.RetractGift: gifts.retract,
    c.ReverseGifts: gifts.reverse,
    c.HideGift: gifts.hide,
    c.Grant: purchases.grant,
    c.StartPurchase: purchases.start,
    c.AttachCheckout: purchases.attach,
    c.SettlePurchase: purchases.settle_paid,
    c.FailPurchase: purchases.fail,
    c.RefundPurchase: purchases.refund,
    c.RefundSent: purchases.refund_sent,
    c.ChargeBack: purchases.charge_back,
    c.Suspend: suspense.list_it,
    c.SettleSuspense: suspense.settle_entry,
    c.ProposeCorrection: suspense.propose,
    c.DecideCorrection: suspense.decide,
    c.SetLimits: people.set_limits,
    c.PauseGifting: people.pause,
    c.Freeze: people.freeze,
    c.Unfreeze: people.unfreeze,
    c.HideLevel: people.hide_level,
    c.EraseUser: people.erase,
    c.SetRate: creators.set_rate,
    c.ReleaseDiamonds: creators.release,
    c.RequestPayout: payouts.request,
    c.ApprovePayout: payouts.approve,
    c.PayPayout: payouts.pay,
    c.RejectPayout: payouts.reject,
    c.RecordPayoutResult: payouts.record,
    c.SetEndpoint: endpoints.set_endpoint,
    c.RotateEndpoint: endpoints.rotate,
    c.DisableEndpoint: endpoints.disable,
}
