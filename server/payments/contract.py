"""The contract of a payment provider: somebody else who takes the money, and tells us about it.

A provider knows nothing of the books. It is asked to take a payment (`start`), to give one back
(`refund`) and what became of one (`look_up`); what happens to the money in between arrives as
signed notifications, which `read` verifies. Whether a notification names a purchase that exists,
with the right amount in the right currency, is decided by whoever keeps the books.

Calling. Every method may be called at any time before `close`, by any number of tasks at once.
`start` and `refund` are idempotent: the same purchase, or the same refund, with the same content
gets the same answer and moves money once, so a call whose answer was lost is simply made again.
With other content it may be refused. No method tries again by itself, none waits for longer than
its adapter says, and none may be called while a transaction is open.

Errors. `ProviderDown` says nothing about the wish: the provider could not be reached, was busy, did
not accept our key, or gave an answer that nobody can read. The call may or may not have had its
effect, and the same call should be made again later. `ProviderRefused` is a decision: the same call
would be refused again, and no money has moved. Both are a sentence for the operator.

Notifications. They come in any order, more than once, and sometimes never: `look_up` is for the
purchases that stayed pending because theirs was lost. A payment may be charged back after it was
refunded, a chargeback that was won may be lost on appeal (a second `ChargedBack`), and a purchase
may even be paid twice, as two payments, when its checkout was started again days later. `read`
calls nobody and reads no clock. When it raises `BadNotification` the sender should get a 400; None
is something that does not concern us, and should get the same 200 as what does.
"""

from collections.abc import Mapping
from typing import Annotated, NamedTuple, Protocol
from urllib.parse import quote

import msgspec

from rules.ledger import MONEY_MAX

REFERENCE_CHARACTERS_MAX = 255  # what Stripe allows for its own ids

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=REFERENCE_CHARACTERS_MAX)]
Minor = Annotated[int, msgspec.Meta(ge=0, le=MONEY_MAX)]
"""An amount of money in the currency's minor unit."""
Currency = Annotated[str, msgspec.Meta(pattern=r"\A[A-Z]{3}\Z")]


class ProviderError(Exception):
    """A sentence for the operator."""


class ProviderDown(ProviderError):
    """Not now: the same call may be made again later."""


class ProviderRefused(ProviderError):
    """Never: no money has moved, and the same call would be refused again."""


class BadNotification(Exception):
    """Not from the provider, too old, or unreadable; a sentence that quotes nothing secret."""


class Wish(NamedTuple):
    """A payment that a user wants to make."""

    purchase: str
    user: str
    coins: int
    amount_minor: int
    currency: str
    """ISO 4217, in capitals."""
    return_url: str
    """The server's public base address, where the payer comes back to."""
    description: str
    """What the payer reads beside the amount; not empty."""

    @property
    def paid_url(self) -> str:
        """Where the payer is sent after paying. It proves nothing: only a notification does."""
        return self._page("paid")

    @property
    def cancelled_url(self) -> str:
        return self._page("cancelled")

    def _page(self, folder: str) -> str:
        return f"{self.return_url.rstrip('/')}/checkout/{folder}/{quote(self.purchase, safe='')}"


class Checkout(NamedTuple):
    """A page that waits for the payer."""

    reference: str
    """The provider's name for it, for `look_up`."""
    url: str


class _Told(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """What a provider says; `payment` is its name for the payment."""


class Paid(_Told, frozen=True, kw_only=True, tag="paid"):
    """The money is there."""

    purchase: str
    payment: Id
    amount_minor: Minor
    currency: Currency


class Declined(_Told, frozen=True, kw_only=True, tag="declined"):
    """The payment failed or the checkout expired: nothing will come of it."""

    purchase: str
    reason: str


class RefundSeen(_Told, frozen=True, kw_only=True, tag="refund_seen"):
    """Money went back, whoever asked for it."""

    purchase: str | None
    """None where the provider does not say: find it by the payment."""
    payment: Id
    refunded_minor: Minor
    """Of this payment, in all so far."""
    currency: Currency


class ChargedBack(_Told, frozen=True, kw_only=True, tag="charged_back"):
    """The payer's bank took the money back."""

    purchase: str | None
    payment: Id
    amount_minor: Minor
    currency: Currency
    reason: str


class ChargebackWon(_Told, frozen=True, kw_only=True, tag="chargeback_won"):
    """The money of a chargeback came back to us."""

    purchase: str | None
    payment: Id


Notification = Paid | Declined | RefundSeen | ChargedBack | ChargebackWon


class Provider(Protocol):
    @property
    def name(self) -> str:
        """As in the setting, in `/v1/webhooks/{name}` and in the books."""

    async def start(self, wish: Wish) -> Checkout:
        """A page where this purchase can be paid. Raises ProviderDown, ProviderRefused."""

    async def refund(self, refund: str, payment: str, amount_minor: int, currency: str) -> None:
        """Give some of a payment back. Raises ProviderDown, ProviderRefused.

        It returns when the provider has taken the order; the money may arrive days later.
        """

    async def look_up(self, reference: str) -> Paid | Declined | None:
        """What became of a checkout; None while that is open.

        Raises ProviderDown, ProviderRefused (there is no such checkout).
        """

    def read(self, headers: Mapping[str, str], body: bytes, now_ms: int) -> Notification | None:
        """The notification in a request, with the body as it came. Raises BadNotification."""

    async def close(self) -> None:
        """Let go of all connections."""
