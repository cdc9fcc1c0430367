"""The one way in which anything changes: `settle(book, commands, now_ms)`.

Commands are settled in the order given, each on the book as the one before left it, so settling
them one by one or in batches of any size gives the same outcomes and the same rows. Nothing is
durable and nobody has been told when this returns: that is for storage and the server, in this
order. A refusal moves nothing; the only exception is `ledger.LedgerFault`, which means a bug.
"""

from collections.abc import Sequence
from typing import assert_never

import msgspec

from rules import commands as c
from rules import creators, endpoints, gifts, payouts, people, purchases, rooms, suspense, tokens
from rules.book import Book
from rules.commands import AnyCommand, MoneyCommand, fingerprint, write, write_command
from rules.outcomes import AnyOutcome, Refused
from rules.refusals import RefusalCode, stays
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
        return refuse(RefusalCode.KEY_REUSED, sentence)
    result = _decide(book, command, now_ms)
    outcome = result.outcome
    if result.replayed:
        # The wish was fulfilled before, under another key: this key has that answer too.
        outcome = msgspec.structs.replace(outcome, again=True)
        result = result._replace(outcome=outcome)
    if not isinstance(outcome, Refused) or stays(outcome.code):
        _keep(book, command, content, outcome)
    return result


def _keep(book: Book, command: AnyCommand, content: str, outcome: AnyOutcome) -> None:
    book.spent[command.actor, command.key] = Spent(content, outcome)
    kind = str(command.__struct_config__.tag)
    number, (body, said) = book.next_command, write_command(command)
    row = JournalRow(number, command.actor, command.key, kind, content, body, write(outcome), said)
    book.journal.append(row)
    book.next_command += 1


def _decide(book: Book, command: AnyCommand, now_ms: int) -> Result:
    """Gifts come first, for they are almost all that comes."""
    match command:
        case c.SendGift():
            return gifts.send(book, command, now_ms)
        case c.RetractGift():
            return gifts.retract(book, command, now_ms)
        case c.ReverseGifts():
            return gifts.reverse(book, command, now_ms)
        case c.HideGift():
            return gifts.hide(book, command, now_ms)
        case c.SetPolicy():
            return rooms.set_policy(book, command, now_ms)
        case c.OpenRoom():
            return rooms.open_room(book, command, now_ms)
        case c.CloseRoom():
            return rooms.close_room(book, command, now_ms)
        case c.RenewEpochs():
            return rooms.renew_epochs(book, command, now_ms)
        case c.SetLimits():
            return people.set_limits(book, command, now_ms)
        case c.PauseGifting():
            return people.pause(book, command, now_ms)
        case c.Freeze():
            return people.freeze(book, command, now_ms)
        case c.Unfreeze():
            return people.unfreeze(book, command, now_ms)
        case c.HideLevel():
            return people.hide_level(book, command, now_ms)
        case c.EraseUser():
            return people.erase(book, command, now_ms)
        case c.SetEndpoint():
            return endpoints.set_endpoint(book, command, now_ms)
        case c.RotateEndpoint():
            return endpoints.rotate(book, command, now_ms)
        case c.DisableEndpoint():
            return endpoints.disable(book, command, now_ms)
        case c.IssueLink():
            return tokens.issue_link(book, command, now_ms)
        case c.RevokeToken():
            return tokens.revoke(book, command, now_ms)
        case _:
            return _decide_money(book, command, now_ms)


def _decide_money(book: Book, command: MoneyCommand, now_ms: int) -> Result:
    match command:
        case c.Grant():
            return purchases.grant(book, command, now_ms)
        case c.StartPurchase():
            return purchases.start(book, command, now_ms)
        case c.AttachCheckout():
            return purchases.attach(book, command, now_ms)
        case c.SettlePurchase():
            return purchases.settle_paid(book, command, now_ms)
        case c.FailPurchase():
            return purchases.fail(book, command, now_ms)
        case c.RefundPurchase():
            return purchases.refund(book, command, now_ms)
        case c.RefundSent():
            return purchases.refund_sent(book, command, now_ms)
        case c.SeeRefund():
            return purchases.see_refund(book, command, now_ms)
        case c.WinChargeback():
            return purchases.win_chargeback(book, command, now_ms)
        case c.ChargeBack():
            return purchases.charge_back(book, command, now_ms)
        case c.Suspend():
            return suspense.list_it(book, command, now_ms)
        case c.SettleSuspense():
            return suspense.settle_entry(book, command, now_ms)
        case c.ProposeCorrection():
            return suspense.propose(book, command, now_ms)
        case c.DecideCorrection():
            return suspense.decide(book, command, now_ms)
        case c.SetRate():
            return creators.set_rate(book, command, now_ms)
        case c.ReleaseDiamonds():
            return creators.release(book, command, now_ms)
        case c.RequestPayout():
            return payouts.request(book, command, now_ms)
        case c.ApprovePayout():
            return payouts.approve(book, command, now_ms)
        case c.PayPayout():
            return payouts.pay(book, command, now_ms)
        case c.RejectPayout():
            return payouts.reject(book, command, now_ms)
        case c.RecordPayoutResult():
            return payouts.record(book, command, now_ms)
        case _:
            assert_never(command)
