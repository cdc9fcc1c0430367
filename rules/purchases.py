"""Coins for money: ordering, being paid, refunds, chargebacks.

A purchase is `pending` until the provider says that it has the money. Then it is a lot: its coins
are in the wallet, and what is left of them is what can be refunded. A chargeback takes what is
there; what had been spent becomes the user's debt, which the next coins pay, and the diamonds that
creators earned from it are taken back as the policy says. Talking to the provider is not done here:
these commands say what was agreed, before and after.
"""

from rules import creators, spending
from rules.book import Book
from rules.commands import (
    AttachCheckout,
    ChargeBack,
    FailPurchase,
    Grant,
    RefundPurchase,
    RefundSent,
    SeeRefund,
    SettlePurchase,
    StartPurchase,
    WinChargeback,
)
from rules.ledger import MONEY_MAX, SYSTEM, SYSTEM_TOTAL_MAX, AccountCode, Reason
from rules.lifecycles import PURCHASE, PurchaseStatus, PurchaseStep, RefundStatus
from rules.outcomes import (
    CheckoutAttached,
    Granted,
    PurchaseChargedBack,
    PurchaseFailed,
    PurchasePaid,
    PurchaseRefunded,
    PurchaseStarted,
    RefundMarkedSent,
    TakenBack,
)
from rules.policy import bounds_of
from rules.refusals import RefusalCode
from rules.results import Balance, Result, refuse
from rules.rows import Lot, Purchase, Refund, User
from rules.shop import Shop
from rules.suspense import suspend

_CLEARING, _SALES = (SYSTEM, AccountCode.MONEY_CLEARING), (SYSTEM, AccountCode.MONEY_SALES)
_SOLD = (SYSTEM, AccountCode.COINS_SOLD)


def grant(book: Book, command: Grant, now_ms: int) -> Result:
    """Coins into a wallet without a payment. A debt is paid from them first."""
    source = book.account(SYSTEM, AccountCode.COINS_GRANTED)
    if (
        not 0 < command.coins <= MONEY_MAX
        or not book.can_take(command.user, AccountCode.COINS, command.coins)
        or source.debits + command.coins > SYSTEM_TOTAL_MAX
    ):
        sentence = f"`coins` must be a whole number from 1 to {MONEY_MAX}, also in all."
        return refuse(RefusalCode.BAD_QUANTITY, sentence, coins_max=MONEY_MAX)
    wallet = book.account(command.user, AccountCode.COINS)
    book.move(book.next_command, Reason.GRANT, source, wallet, command.coins)
    debt_paid = pay_coin_debt(book, book.credited(command.user, now_ms))
    balance = wallet.balance
    outcome = Granted(
        user=command.user, coins=command.coins, balance_coins=balance, debt_paid_coins=debt_paid
    )
    return Result(outcome, balance=Balance(command.user, balance, book.next_command))


def pay_coin_debt(book: Book, user: User) -> int:
    """Pay what the user owes from the coins that just came; how much that was."""
    balance = book.balance(user.id, AccountCode.COINS)
    debt = min(balance, -book.balance(user.id, AccountCode.COIN_DEBT))
    if debt > 0:
        spending.take(user, balance, debt)
        book.pay(
            Reason.DEBT_PAID, (user.id, AccountCode.COINS), (user.id, AccountCode.COIN_DEBT), debt
        )
    return max(0, debt)


def start(book: Book, command: StartPurchase, now_ms: int) -> Result:
    """Order coins: the price is the one of this moment."""
    policy, user = book.policy, book.users.get(command.user)
    shop = policy.shop if policy else Shop()
    priced = _priced(shop, command)
    if isinstance(priced, Result):
        return priced
    if policy and policy.require_adult and not command.adult:
        return refuse(RefusalCode.NOT_OF_AGE, "Only adults may buy coins.")
    if user is not None and user.frozen:
        return refuse(
            RefusalCode.ACCOUNT_FROZEN, "This account is frozen; ask the platform's support."
        )
    if refusal := _too_many(book, command):
        return refusal
    if command.purchase in book.purchases:
        return refuse(RefusalCode.INVALID, "This purchase exists.", field="purchase")
    coins, price_minor = priced
    row = Purchase(
        command.purchase,
        command.user,
        PurchaseStatus.PENDING,
        command.provider,
        command.bundle or "",
        coins,
        price_minor,
        shop.currency,
        now_ms,
    )
    book.purchases[row.id] = row
    book.keep(row)
    return Result(
        PurchaseStarted(
            purchase=row.id,
            user=row.user,
            coins=coins,
            price_minor=price_minor,
            currency=shop.currency,
        )
    )


def _too_many(book: Book, command: StartPurchase) -> Result | None:
    """A user may have so many purchases waiting. The backend may have any number made for them: it
    is trusted, and need not wait until others have paid."""
    most = bounds_of(book.policy).pending_purchases_max
    if not most or not command.own:
        return None
    rows = book.purchases.values()
    waiting = sum(row.user == command.user and row.status is PurchaseStatus.PENDING for row in rows)
    if waiting < most:
        return None
    # Not how many there are: a batch need not have loaded more than the bound (rules/touches.py).
    sentence = f"Only {most} purchases may wait for a payment; pay some or let them go."
    return refuse(RefusalCode.WRONG_STATE, sentence, most=most)


def _priced(shop: Shop, command: StartPurchase) -> tuple[int, int] | Result:
    """Coins and price of what is wanted, or what is wrong with it."""
    if (command.bundle is None) == (command.coins is None):
        sentence = "Say what to buy: either `bundle` or `coins`."
        return refuse(RefusalCode.INVALID, sentence, field="bundle")
    if command.coins is not None:
        if not shop.minimum_coins <= command.coins <= shop.maximum_coins:
            least, most = shop.minimum_coins, shop.maximum_coins
            sentence = f"`coins` must be a whole number from {least} to {most}."
            return refuse(RefusalCode.INVALID, sentence, field="coins", least=least, most=most)
        return command.coins, shop.price_of(command.coins)
    for bundle in shop.bundles:
        if bundle.id == command.bundle:
            return bundle.coins, bundle.price_minor
    return refuse(RefusalCode.INVALID, f"There is no bundle {command.bundle}.", field="bundle")


def attach(book: Book, command: AttachCheckout, now_ms: int) -> Result:
    """Remember where the buyer pays. The first checkout stays: a second one could be paid too."""
    purchase = book.purchases.get(command.purchase)
    if purchase is None:
        return _unknown(command.purchase)
    if not purchase.checkout:
        purchase.checkout, purchase.url = command.checkout, command.url
        book.keep(purchase)
    return Result(CheckoutAttached(purchase=purchase.id))


def settle_paid(book: Book, command: SettlePurchase, now_ms: int) -> Result:
    """The provider has the money: credit the coins, once, whatever it says again. What does not fit
    the order goes to the suspense list, for the money is there and a person must look."""
    purchase = book.purchases.get(command.purchase)
    why = _misfit(book, purchase, command)
    if why or purchase is None:
        note = f"{command.amount_minor} {command.currency} by payment {command.payment}"
        return suspend(book, f"purchase {command.purchase}", why, note, now_ms)
    if purchase.payment and purchase.parked:
        return Result(_charged_back(book, purchase, 0, 0, 0, ()), replayed=True)
    if purchase.payment:
        return Result(_paid(book, purchase, 0), replayed=True)
    purchase.payment, purchase.paid_ms = command.payment, now_ms
    book.keep(purchase)
    if purchase.parked:
        # It came and went: nobody has the coins, and nobody owes any.
        _advance(purchase, PurchaseStep.PAY_PARKED)
        return Result(_charged_back(book, purchase, 0, 0, 0, ()))
    _advance(purchase, PurchaseStep.PAY)
    purchase.first_transfer = book.next_transfer
    user, wallet = book.credited(purchase.user, now_ms), (purchase.user, AccountCode.COINS)
    book.pay(Reason.PURCHASE, _SOLD, wallet, purchase.coins)
    book.pay(Reason.PURCHASE_MONEY, _CLEARING, _SALES, purchase.price_minor)
    user.lots.append(Lot(purchase.id, purchase.coins))
    outcome = _paid(book, purchase, pay_coin_debt(book, user))
    return Result(outcome, balance=Balance(user.id, outcome.balance_coins, book.next_command))


def _misfit(book: Book, purchase: Purchase | None, command: SettlePurchase) -> str:
    if purchase is None:
        return "unknown_purchase"
    kept_in = book.policy.shop.currency if book.policy else purchase.currency
    if not command.currency == purchase.currency == kept_in:
        return "wrong_currency"
    if command.amount_minor != purchase.price_minor:
        return "wrong_amount"
    if purchase.payment and purchase.payment != command.payment:
        return "paid_twice"
    if not purchase.payment and not book.can_take(purchase.user, AccountCode.COINS, purchase.coins):
        return "wallet_full"
    return ""


def _paid(book: Book, purchase: Purchase, debt_paid: int) -> PurchasePaid:
    return PurchasePaid(
        purchase=purchase.id,
        user=purchase.user,
        coins=purchase.coins,
        price_minor=purchase.price_minor,
        currency=purchase.currency,
        balance_coins=book.balance(purchase.user, AccountCode.COINS),
        debt_paid_coins=debt_paid,
    )


def fail(book: Book, command: FailPurchase, now_ms: int) -> Result:
    """The buyer declined, or the checkout ran out. Money that comes all the same is still taken."""
    purchase = book.purchases.get(command.purchase)
    if purchase is None:
        return _unknown(command.purchase)
    outcome = PurchaseFailed(purchase=purchase.id, user=purchase.user, reason=command.reason)
    if purchase.status is PurchaseStatus.FAILED:
        return Result(outcome, replayed=True)
    if not _can(purchase, PurchaseStep.FAIL):
        return _wrong_state(purchase)
    _advance(purchase, PurchaseStep.FAIL)
    book.keep(purchase)
    return Result(outcome)


def refund(book: Book, command: RefundPurchase, now_ms: int) -> Result:
    """Give money back for coins: the unspent ones of this purchase, or as many as asked for; what
    of these is spent already the user owes."""
    purchase = book.purchases.get(command.purchase)
    if purchase is None:
        return _unknown(command.purchase)
    if not _can(purchase, PurchaseStep.REFUND_PART):
        return _wrong_state(purchase)
    left = purchase.coins - purchase.refunded_coins
    user = book.users.get(purchase.user)
    unspent = min(left, spending.left_of(user, purchase.id))
    coins = unspent if command.coins is None else command.coins
    if coins < 1:
        if command.coins is None:
            return refuse(RefusalCode.NOTHING_TO_REFUND, "No coins of this purchase are unspent.")
        return refuse(RefusalCode.INVALID, "`coins` must be a whole number above 0.", field="coins")
    if coins > left:
        sentence = f"Only {left} coins of this purchase have not been refunded."
        return refuse(RefusalCode.REFUND_TOO_LARGE, sentence, left_coins=left)
    return _refund(book, purchase, coins, command.refund, now_ms, sent=command.sent)


def _refund(
    book: Book, purchase: Purchase, coins: int, id: str, now_ms: int, *, sent: bool
) -> Result:
    amount = purchase.price_minor * (purchase.refunded_coins + coins) // purchase.coins
    amount -= purchase.refunded_minor
    debt = _take_coins(book, purchase, coins, Reason.REFUND, now_ms)
    book.pay(Reason.REFUND_MONEY, _SALES, _CLEARING, amount)
    purchase.refunded_coins += coins
    purchase.refunded_minor += amount
    is_all = purchase.refunded_coins == purchase.coins
    _advance(purchase, PurchaseStep.REFUND_REST if is_all else PurchaseStep.REFUND_PART)
    book.keep(purchase)
    status = RefundStatus.SENT if sent or not amount else RefundStatus.REQUESTED
    row = Refund(id, purchase.id, purchase.user, coins, amount, status, now_ms)
    book.refunds[row.id] = row
    book.keep(row)
    balance = book.balance(purchase.user, AccountCode.COINS)
    outcome = PurchaseRefunded(
        purchase=purchase.id,
        refund=row.id,
        user=purchase.user,
        coins=coins,
        amount_minor=amount,
        currency=purchase.currency,
        balance_coins=balance,
        debt_coins=debt,
    )
    return Result(outcome, balance=Balance(purchase.user, balance, book.next_command))


def refund_sent(book: Book, command: RefundSent, now_ms: int) -> Result:
    """The provider took the order to pay back."""
    row = book.refunds.get(command.refund)
    if row is None:
        return refuse(RefusalCode.UNKNOWN_REFUND, f"There is no refund {command.refund}.")
    if row.status is RefundStatus.SENT:
        return Result(RefundMarkedSent(refund=row.id), replayed=True)
    row.status = RefundStatus.SENT
    book.keep(row)
    return Result(RefundMarkedSent(refund=row.id))


def see_refund(book: Book, command: SeeRefund, now_ms: int) -> Result:
    """Book what is news in the sum that the provider has given back of a payment so far. The echo
    of our own refund is none. Money that is no whole number of coins, or more than was paid, or of
    a second payment, is listed for a person: which coins that is nobody can say."""
    purchase = _named(book, command.purchase, command.payment)
    if purchase is None:
        return _unknown(command.purchase or f"of the payment {command.payment}")
    if not purchase.payment:
        return _wrong_state(purchase)
    new_minor = command.refunded_minor - purchase.refunded_minor
    another = _of_another(purchase, command.payment)
    if not another and (new_minor <= 0 or purchase.status is not PurchaseStatus.PAID):
        return refuse(RefusalCode.NOTHING_TO_REFUND, "This refund is booked already.")
    coins, rest = divmod(new_minor * purchase.coins, purchase.price_minor)
    if command.refunded_minor == purchase.price_minor:
        # All of it: what earlier refunds were rounded by is in it too.
        coins, rest = purchase.coins - purchase.refunded_coins, 0
    too_much = command.refunded_minor > purchase.price_minor
    if another or rest or too_much or command.currency != purchase.currency:
        sums = f"{command.refunded_minor} {command.currency} of payment {command.payment}"
        note = f"{sums} were refunded at the provider in all"
        return suspend(book, f"purchase {purchase.id}", "refund_differs", note, now_ms)
    return _refund(book, purchase, coins, command.refund, now_ms, sent=True)


def _named(book: Book, purchase: str | None, payment: str | None) -> Purchase | None:
    """The purchase that a provider means, by its id or by the payment."""
    if purchase is not None:
        return book.purchases.get(purchase)
    found = [id for id, row in book.purchases.items() if payment and row.payment == payment]
    return book.purchases[min(found)] if found else None


def _of_another(purchase: Purchase, payment: str | None) -> bool:
    """Whether this is a second payment of a purchase: its coins belong to the first."""
    return payment is not None and purchase.payment not in ("", payment)


def charge_back(book: Book, command: ChargeBack, now_ms: int) -> Result:
    """The payer's bank took the money. One that overtook its payment is parked until that comes."""
    purchase = _named(book, command.purchase, command.payment)
    if purchase is None and command.purchase is None:
        return _unknown(f"of the payment {command.payment}")
    if purchase is None:
        subject = f"purchase {command.purchase}"
        return suspend(book, subject, "unknown_purchase", command.reason, now_ms)
    if _of_another(purchase, command.payment):
        sums = f"{command.amount_minor} {command.currency} " if command.amount_minor else ""
        note = f"{sums}{command.reason}"
        return suspend(book, f"payment {command.payment}", "charged_back_second", note, now_ms)
    if purchase.status is PurchaseStatus.CHARGED_BACK or purchase.parked:
        return Result(_charged_back(book, purchase, 0, 0, 0, ()), replayed=True)
    whole = (purchase.price_minor, purchase.price_minor - purchase.refunded_minor)
    if command.amount_minor is not None and (
        command.amount_minor not in whole or command.currency != purchase.currency
    ):
        # A part of it was disputed, or a fee is in it: which coins that is, a person must say.
        return suspend(
            book, f"purchase {purchase.id}", "chargeback_differs", command.reason, now_ms
        )
    if purchase.status is PurchaseStatus.REFUNDED:
        note = f"charged back after it was refunded: {command.reason}"
        return suspend(book, f"purchase {purchase.id}", "refunded_before", note, now_ms)
    if _can(purchase, PurchaseStep.PARK):
        purchase.parked = command.reason or "charged back"
        _advance(purchase, PurchaseStep.PARK)
        book.keep(purchase)
        return Result(_charged_back(book, purchase, 0, 0, 0, ()))
    return _charge_back(book, purchase, now_ms)


def win_chargeback(book: Book, command: WinChargeback, now_ms: int) -> Result:
    """The bank gave the money back: a person has to say what of the chargeback is undone."""
    purchase = _named(book, command.purchase, command.payment)
    subject = f"purchase {purchase.id}" if purchase else f"payment {command.payment}"
    note = "the bank gave the money back; correct by hand what should be undone"
    return suspend(book, subject, "chargeback_won", note, now_ms)


def _charge_back(book: Book, purchase: Purchase, now_ms: int) -> Result:
    coins = purchase.coins - purchase.refunded_coins
    amount = purchase.price_minor - purchase.refunded_minor
    debt = _take_coins(book, purchase, coins, Reason.CHARGEBACK, now_ms)
    book.pay(Reason.CHARGEBACK_MONEY, _SALES, _CLEARING, amount)
    _advance(purchase, PurchaseStep.CHARGE_BACK)
    purchase.clawback = book.policy.clawback if book.policy else "none"
    book.keep(purchase)
    taken = _claw_back(book, purchase)
    outcome = _charged_back(book, purchase, coins, amount, debt, taken)
    return Result(outcome, balance=Balance(purchase.user, outcome.balance_coins, book.next_command))


def _claw_back(book: Book, purchase: Purchase) -> tuple[TakenBack, ...]:
    """Take back what creators earned from these coins, gift by gift in the order of the logs."""
    if purchase.clawback == "none":
        return ()
    taken = []
    for place in sorted(book.gifts):
        gift = book.gifts[place]
        part = sum(coins for id, coins in gift.lots if id == purchase.id)
        millidiamonds = part * gift.millidiamonds // gift.coins
        if millidiamonds and (*place, "retracted") not in book.marks:
            taken.append(
                creators.take_back(book, gift, millidiamonds, Reason.CLAWBACK, purchase.clawback)
            )
    return creators.add_up(taken)


def _charged_back(
    book: Book,
    purchase: Purchase,
    coins: int,
    amount: int,
    debt: int,
    taken: tuple[TakenBack, ...],
) -> PurchaseChargedBack:
    return PurchaseChargedBack(
        purchase=purchase.id,
        user=purchase.user,
        coins=coins,
        amount_minor=amount,
        currency=purchase.currency,
        balance_coins=book.balance(purchase.user, AccountCode.COINS),
        debt_coins=debt,
        taken=taken,
    )


def _take_coins(book: Book, purchase: Purchase, coins: int, reason: Reason, now_ms: int) -> int:
    """Take coins out of the wallet: of this lot first, then any others; what is short is owed, and
    returned."""
    user, wallet = book.user(purchase.user), (purchase.user, AccountCode.COINS)
    of_lot = min(coins, spending.left_of(user, purchase.id))
    spending.take_lot(user, purchase.id, of_lot)
    others = min(coins, book.balance(*wallet)) - of_lot
    spending.take(user, book.balance(*wallet) - of_lot, others)
    book.pay(reason, wallet, _SOLD, of_lot + others)
    debt = coins - of_lot - others
    book.pay(reason, (purchase.user, AccountCode.COIN_DEBT), _SOLD, debt)
    return debt


def _unknown(purchase: str) -> Result:
    return refuse(RefusalCode.UNKNOWN_PURCHASE, f"There is no purchase {purchase}.")


def _can(purchase: Purchase, step: PurchaseStep) -> bool:
    return step in PURCHASE[purchase.status]


def _advance(purchase: Purchase, step: PurchaseStep) -> None:
    """Raises KeyError for a step that the purchase cannot take: whoever asks has to look before."""
    purchase.status = PURCHASE[purchase.status][step]


def _wrong_state(purchase: Purchase) -> Result:
    sentence = f"The purchase is {purchase.status}; that cannot be done with it now."
    return refuse(RefusalCode.WRONG_STATE, sentence, status=purchase.status)
