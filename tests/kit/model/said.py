"""Outcomes about money in the words of the model (tests/kit/model/money_model.py)."""

from kit.model.money_model import Answer
from rules import outcomes as o


def said_of_money(outcome: o.AnyOutcome) -> Answer:
    """An outcome about money in the words of the model."""
    match outcome:
        case o.Granted() as it:
            return "granted", it.user, it.coins, it.balance_coins, it.debt_paid_coins
        case o.PurchaseStarted() as it:
            return "started", it.purchase, it.coins, it.price_minor
        case o.PurchasePaid() as it:
            return "paid", it.purchase, it.coins, it.balance_coins, it.debt_paid_coins
        case o.PurchaseFailed() as it:
            return "failed", it.purchase
        case o.PurchaseRefunded() as it:
            sums = (it.coins, it.amount_minor, it.balance_coins, it.debt_coins)
            return "refunded", it.purchase, *sums
        case o.RefundMarkedSent() as it:
            return "sent", it.refund
        case o.PurchaseChargedBack() as it:
            lost = (it.coins, it.amount_minor, it.debt_coins)
            return "charged_back", it.purchase, *lost, {t.creator: taken(t) for t in it.taken}
        case o.Suspended(why=why):
            return "suspended", why
        case o.LimitsSet() as it:
            return "limits", it.user, it.limits, it.raises
        case o.GiftingPaused() as it:
            return "paused", it.user, it.until_ms
        case o.AccountFrozen(user=user):
            return "frozen", user
        case o.AccountUnfrozen(user=user):
            return "unfrozen", user
        case o.DiamondsReleased() as it:
            return "released", it.millidiamonds, it.debt_paid_millidiamonds
        case o.PayoutChanged() as it:
            return "payout", it.payout, it.status, it.millidiamonds
        case o.CorrectionProposed(correction=correction):
            return "proposed", correction
        case o.CorrectionDecided() as it:
            return "decided", it.correction, it.status
    raise AssertionError(outcome)


def taken(one: o.TakenBack) -> dict[str, int]:
    names = ("pending", "available", "debt", "borne")
    return {name: getattr(one, name) for name in names}
