"""What a thing of the books can become: every status, every step to the next one, and no other.

Rooms. A room is OPEN, then CLOSED for good; a stream that goes on another day is another room.

Purchases. PENDING until the provider has the money; then PAID, and the coins are a lot in the
wallet. A checkout that runs out makes it FAILED, and money that comes all the same is still taken.
A refund of a part leaves it PAID; with the last coin it is REFUNDED. The payer's bank may take the
money back: CHARGED_BACK. These two are ends; a chargeback after a refund is for a person to see.
Messages may overtake each other, so a chargeback may come before its payment. The purchase is then
*parked*: its status stays, for nobody has paid, `Purchase.parked` says why, and its payment makes
it CHARGED_BACK at once. `Purchase.clawback` is no step but a memory: by which policy creators lost
what they had earned from it, so that a gift that is retracted later does not take it twice.

Refunds. REQUESTED until the provider took the order to pay back, then SENT. One that the provider
made by itself is only booked, and begins as SENT.

Payouts. REQUESTED until a person has looked; one that needs nobody begins as APPROVED. The bank's
answer makes it PAID or REJECTED, and a person may reject it before. Both are ends: an answer that
contradicts them moves nothing and is listed for a person.

Corrections. PROPOSED by one person, APPROVED or REJECTED by another.

An entry of the suspense list is open until somebody says what came of it (`Suspense.settled_by`),
and an endpoint can be disabled and set again as often as anybody likes (`Endpoint.enabled`): these
are switches and have no table.

Each table is written as a `match`, so that the type check finds a status without a line.
"""

from enum import Enum, StrEnum, auto
from typing import assert_never


class RoomStatus(StrEnum):
    OPEN = "open"
    CLOSED = "closed"


class PurchaseStatus(StrEnum):
    PENDING = "pending"
    PAID = "paid"
    FAILED = "failed"
    REFUNDED = "refunded"
    CHARGED_BACK = "charged_back"


class PurchaseStep(Enum):
    PAY = auto()
    PAY_PARKED = auto()
    """The payment of one that was charged back before."""
    FAIL = auto()
    PARK = auto()
    REFUND_PART = auto()
    REFUND_REST = auto()
    CHARGE_BACK = auto()


def _purchase(status: PurchaseStatus) -> dict[PurchaseStep, PurchaseStatus]:
    match status:
        case PurchaseStatus.PENDING:
            return {
                PurchaseStep.FAIL: PurchaseStatus.FAILED,
                PurchaseStep.PARK: PurchaseStatus.PENDING,
                PurchaseStep.PAY: PurchaseStatus.PAID,
                PurchaseStep.PAY_PARKED: PurchaseStatus.CHARGED_BACK,
            }
        case PurchaseStatus.FAILED:
            return {
                PurchaseStep.PARK: PurchaseStatus.FAILED,
                PurchaseStep.PAY: PurchaseStatus.PAID,
                PurchaseStep.PAY_PARKED: PurchaseStatus.CHARGED_BACK,
            }
        case PurchaseStatus.PAID:
            return {
                PurchaseStep.REFUND_PART: PurchaseStatus.PAID,
                PurchaseStep.REFUND_REST: PurchaseStatus.REFUNDED,
                PurchaseStep.CHARGE_BACK: PurchaseStatus.CHARGED_BACK,
            }
        case PurchaseStatus.REFUNDED | PurchaseStatus.CHARGED_BACK:
            return {}
        case _:
            assert_never(status)


class RefundStatus(StrEnum):
    REQUESTED = "requested"
    SENT = "sent"


class PayoutStatus(StrEnum):
    REQUESTED = "requested"
    APPROVED = "approved"
    PAID = "paid"
    REJECTED = "rejected"


class PayoutStep(Enum):
    APPROVE = auto()
    PAY = auto()
    REJECT = auto()


def _payout(status: PayoutStatus) -> dict[PayoutStep, PayoutStatus]:
    match status:
        case PayoutStatus.REQUESTED:
            return {
                PayoutStep.APPROVE: PayoutStatus.APPROVED,
                PayoutStep.REJECT: PayoutStatus.REJECTED,
            }
        case PayoutStatus.APPROVED:
            return {
                PayoutStep.PAY: PayoutStatus.PAID,
                PayoutStep.REJECT: PayoutStatus.REJECTED,
            }
        case PayoutStatus.PAID | PayoutStatus.REJECTED:
            return {}
        case _:
            assert_never(status)


class CorrectionStatus(StrEnum):
    PROPOSED = "proposed"
    APPROVED = "approved"
    REJECTED = "rejected"


PURCHASE = {status: _purchase(status) for status in PurchaseStatus}
PAYOUT = {status: _payout(status) for status in PayoutStatus}

OPEN_PAYOUTS = tuple(status for status in PayoutStatus if PAYOUT[status])
"""Those that are on their way; a creator has one at most."""
