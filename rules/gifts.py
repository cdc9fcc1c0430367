"""Gifts: sending one, taking its money back, hiding it.

A gift is two linked transfers (the sender's coins to the sink, issued diamonds to the creator), a
line in the room's log, and the sender's new sum on the board. Price, rate and level are frozen in
it: no later change of the catalogue or the policy touches a gift of the past.
"""

from typing import Any, NamedTuple

from rules import creators, events, spending
from rules.book import Book
from rules.catalogue import Gift
from rules.combos import continue_combo
from rules.commands import HideGift, RetractGift, ReverseGifts, SendGift
from rules.days import DAY_MS
from rules.events import Giving
from rules.ledger import MONEY_MAX, SYSTEM, AccountCode, Reason
from rules.levels import level_of
from rules.lifecycles import PurchaseStatus, RoomStatus
from rules.outcomes import (
    ComboShown,
    GiftAccepted,
    GiftHidden,
    GiftRetracted,
    GiftsReversed,
    TakenBack,
)
from rules.policy import Policy
from rules.purchases import pay_coin_debt
from rules.refusals import RefusalCode
from rules.results import Balance, Result, refuse
from rules.rows import GiftRecord, Mark, MarkKind, Member, Room, User

LEVEL_TOLD_FROM = 2
"""Everybody has the first level with their first coin; that is no news for a room."""

QUANTITY_MAX = 9_999
"""Gifts of one message: what a combo can count."""


def send(book: Book, command: SendGift, now_ms: int) -> Result:
    """Settle a gift. The order of the checks is part of the contract: what is wrong with the
    request comes before what is wrong with the state."""
    policy, room = book.policy, book.rooms.get(command.room)
    if policy is None or room is None:
        return refuse(RefusalCode.UNKNOWN_ROOM, f"There is no room {command.room}.")
    gift = book.catalogue.get(command.gift)
    if gift is None:
        return refuse(
            RefusalCode.UNKNOWN_GIFT, f"There is no gift {command.gift} in the catalogue."
        )
    coins = gift.coins * command.quantity
    rate = creators.rate_of(book.creators.get(room.creator), policy, now_ms)
    giving = Giving(command, room, gift, coins, coins * rate, now_ms)
    return (
        _wrong_request(command, room, gift)
        or _closed(policy, command, room, gift)
        or _account_forbids(book, policy, giving)
        or _too_much(book, giving)
        or _book_gift(book, policy, giving)
    )


def _wrong_request(command: SendGift, room: Room, gift: Gift) -> Result | None:
    """Refusals that no change of the books would lift: the request itself must be mended."""
    if not 1 <= command.quantity <= QUANTITY_MAX:
        sentence = f"The quantity must be a whole number from 1 to {QUANTITY_MAX}."
        return refuse(RefusalCode.BAD_QUANTITY, sentence, quantity_max=QUANTITY_MAX)
    recipient = command.to if command.to is not None else room.creator
    if recipient == command.sender:
        return refuse(RefusalCode.SELF_GIFT, "You cannot send a gift to yourself.")
    if recipient != room.creator:
        return refuse(RefusalCode.BAD_RECIPIENT, f"Gifts in this room go to {room.creator}.")
    if command.price is not None and command.price != gift.coins:
        sentence = f"{gift.name} now costs {gift.coins} coins; show the new price and ask again."
        return refuse(RefusalCode.PRICE_CHANGED, sentence, coins=gift.coins)
    return None


def _closed(policy: Policy, command: SendGift, room: Room, gift: Gift) -> Result | None:
    """Refusals that stay under the key: they were true when the gift arrived."""
    if room.status is not RoomStatus.OPEN:
        return refuse(RefusalCode.ROOM_CLOSED, "This stream has ended; nothing was charged.")
    if not gift.enabled:
        return refuse(
            RefusalCode.GIFT_UNAVAILABLE, f"{gift.name} cannot be sent here; nothing was charged."
        )
    if policy.require_adult and not command.adult:
        return refuse(RefusalCode.NOT_OF_AGE, "Only adults may send gifts; nothing was charged.")
    return None


def _account_forbids(book: Book, policy: Policy, giving: Giving) -> Result | None:
    """What the sender has, owes, was allowed and allowed themselves."""
    sender, coins, now_ms = giving.command.sender, giving.coins, giving.now_ms
    user, balance = book.users.get(sender), book.balance(sender, AccountCode.COINS)
    debt = -book.balance(sender, AccountCode.COIN_DEBT)
    if debt > 0:
        sentence = f"A payment was taken back and {debt} coins are owed; new coins pay this first."
        return refuse(RefusalCode.ACCOUNT_FROZEN, sentence, coin_debt=debt)
    if user is not None:
        if user.frozen:
            return refuse(
                RefusalCode.ACCOUNT_FROZEN, "This account is frozen; ask the platform's support."
            )
        if now_ms < user.paused_until_ms:
            sentence = "You paused gifting, and the pause is not over; nothing was charged."
            return refuse(RefusalCode.GIFTING_PAUSED, sentence, until_ms=user.paused_until_ms)
        bought = spending.bought_part(user, balance, coins)
        if refusal := spending.limits_forbid(user, policy, coins, bought, now_ms):
            return refusal
    if balance < coins:
        sentence = f"This costs {coins} coins and you have {balance}; nothing was charged."
        missing = coins - balance
        return refuse(
            RefusalCode.INSUFFICIENT_COINS, sentence, balance_coins=balance, missing_coins=missing
        )
    return None


def _too_much(book: Book, giving: Giving) -> Result | None:
    if giving.room.total_coins + giving.coins > MONEY_MAX or not book.can_take(
        giving.room.creator, AccountCode.DIAMONDS_PENDING, giving.millidiamonds
    ):
        return refuse(RefusalCode.BAD_QUANTITY, "That is more than this room's books can count.")
    return None


def _book_gift(book: Book, policy: Policy, giving: Giving) -> Result:
    command, room, coins, now_ms = giving.command, giving.room, giving.coins, giving.now_ms
    number, day = book.next_command, now_ms // DAY_MS
    user = book.user(command.sender)
    wallet = book.account(command.sender, AccountCode.COINS)
    lots = spending.take(user, wallet.credits - wallet.debits, coins)
    bought = sum(part for _, part in lots)
    book.move(
        number, Reason.GIFT_SPENT, wallet, book.account(SYSTEM, AccountCode.COINS_SPENT), coins
    )
    creators.earn(book, room.creator, giving.millidiamonds, now_ms)
    spending.count(user, coins, bought, now_ms)
    book.count_earning(
        room.creator, day, giving.gift.id, command.quantity, coins, giving.millidiamonds
    )

    seq = _advance(book, room, coins)
    anonymous = command.visibility == "anonymous"
    member = book.member(room.id, command.sender, command.name)
    source, from_total, level_up = events.ANONYMOUS, None, None
    if not anonymous:
        source, level_up = _stand_up(user, member, command.name, coins, seq)
        from_total = member.coins
        book.count_board(room.creator, day, user.id, user.name, coins)
    combo = _combo(member, giving, seq, policy.combo_window_ms)
    body = events.gift_body(
        giving, seq=seq, source=source, from_total=from_total, combo=combo, level_up=level_up
    )
    event = events.Event(room.id, seq, number, "gift", coins, room.total_coins, body)
    book.log(event)
    record = GiftRecord(
        room=room.id,
        seq=seq,
        sender=command.sender,
        recipient=room.creator,
        recipient_name=room.creator_name,
        gift=giving.gift.id,
        quantity=command.quantity,
        coins=coins,
        millidiamonds=giving.millidiamonds,
        anonymous=anonymous,
        at_ms=now_ms,
        lots=lots,
    )
    book.gifts[room.id, seq] = record
    balance = wallet.credits - wallet.debits
    outcome = _accepted(record, combo, balance, room.total_coins)
    return Result(
        outcome,
        events=(event,),
        balance=Balance(command.sender, balance, number),
        reminder=spending.reminder(user, policy, coins, bought, now_ms),
    )


def _accepted(gift: GiftRecord, combo: ComboShown | None, balance: int, total: int) -> GiftAccepted:
    return GiftAccepted(
        room=gift.room,
        seq=gift.seq,
        gift=gift.gift,
        quantity=gift.quantity,
        coins=gift.coins,
        balance_coins=balance,
        total_coins=total,
        combo=combo,
        at_ms=gift.at_ms,
        creator=gift.recipient,
        millidiamonds=gift.millidiamonds,
        lots=gift.lots,
    )


def _advance(book: Book, room: Room, coins: int) -> int:
    """Take the next seq of the room's log and move its total."""
    room.seq += 1
    room.total_coins += coins
    book.changed_rooms[room.id] = room
    return room.seq


def _stand_up(
    user: User, member: Member, name: str, coins: int, seq: int
) -> tuple[dict[str, Any], int | None]:
    """Count a public gift for its giver: how they are shown, and the level that they reached with
    it. An anonymous one changes nothing here that anybody sees: no sum, no level, no name, for each
    would tell who gave it."""
    before = level_of(user.gifted_coins)
    user.name = member.name = name
    user.gifted_coins += coins
    member.coins += coins
    member.reached_seq = seq
    level = level_of(user.gifted_coins)
    shown = 0 if user.level_hidden else level
    risen = shown > before and shown >= LEVEL_TOLD_FROM
    return events.giver(user.id, name, shown), shown if risen else None


def _combo(member: Member, giving: Giving, seq: int, window_ms: int) -> ComboShown | None:
    """Go on with the sender's running combo of this room, and say how it is shown."""
    command, gift, now_ms = giving.command, giving.gift, giving.now_ms
    anonymous, combo = command.visibility == "anonymous", None
    if gift.combo:
        combo = continue_combo(
            member.anonymous_combo if anonymous else member.combo,
            seq=seq,
            gift=gift.id,
            recipient=giving.room.creator,
            quantity=command.quantity,
            coins=giving.coins,
            at_ms=now_ms,
            window_ms=window_ms,
        )
    if anonymous:
        member.anonymous_combo = combo
    else:
        member.combo = combo
    if combo is None:
        return None
    return ComboShown(id=combo.id, count=combo.count, coins=combo.coins, ends_ms=now_ms + window_ms)


# Taking back


class Undone(NamedTuple):
    """A gift whose money went back."""

    event: events.Event
    taken: TakenBack
    debt_paid_coins: int


def retract(book: Book, command: RetractGift, now_ms: int) -> Result:
    """Reverse a gift's money: the coins go back, the creator's diamonds and the totals follow."""
    gift = _find(book, command.gift_id, "retracted")
    if isinstance(gift, Result):
        return gift
    if not book.can_take(gift.sender, AccountCode.COINS, gift.coins):
        return refuse(RefusalCode.NOT_RETRACTABLE, "The sender's wallet cannot count these coins.")
    undone = _undo(book, gift, now_ms)
    outcome = GiftRetracted(
        gift_id=command.gift_id,
        room=gift.room,
        seq=undone.event.seq,
        coins=gift.coins,
        millidiamonds=gift.millidiamonds,
        taken=undone.taken,
        debt_paid_coins=undone.debt_paid_coins,
    )
    balance = Balance(gift.sender, book.balance(gift.sender, AccountCode.COINS), book.next_command)
    return Result(outcome, events=(undone.event,), balance=balance)


def reverse(book: Book, command: ReverseGifts, now_ms: int) -> Result:
    """Retract many gifts of one sender at once; what is retracted already is passed over."""
    wanted: dict[str, GiftRecord] = {}
    for gift_id in command.gifts:
        gift = _find(book, gift_id, "retracted")
        if isinstance(gift, GiftRecord):
            if gift.sender != command.user:
                return refuse(
                    RefusalCode.UNKNOWN_GIFT, f"{gift_id} is not a gift of {command.user}."
                )
            wanted[gift_id] = gift
        elif getattr(gift.outcome, "code", "") != RefusalCode.ALREADY_RETRACTED:
            return gift
    coins = sum(gift.coins for gift in wanted.values())
    if coins and not book.can_take(command.user, AccountCode.COINS, coins):
        return refuse(RefusalCode.NOT_RETRACTABLE, "The sender's wallet cannot count these coins.")
    undone = {gift_id: _undo(book, gift, now_ms) for gift_id, gift in wanted.items()}
    outcome = GiftsReversed(
        user=command.user,
        gifts=tuple((gift_id, one.event.seq) for gift_id, one in undone.items()),
        coins=coins,
        taken=creators.add_up([one.taken for one in undone.values()]),
        debt_paid_coins=sum(one.debt_paid_coins for one in undone.values()),
    )
    balance = Balance(
        command.user, book.balance(command.user, AccountCode.COINS), book.next_command
    )
    return Result(outcome, events=tuple(one.event for one in undone.values()), balance=balance)


def _undo(book: Book, gift: GiftRecord, now_ms: int) -> Undone:
    number = book.next_command
    wallet = book.account(gift.sender, AccountCode.COINS)
    spent = book.account(SYSTEM, AccountCode.COINS_SPENT)
    book.move(number, Reason.RETRACT_SPENT, spent, wallet, gift.coins)
    user = book.user(gift.sender)
    for purchase_id, part in gift.lots:
        # What was refunded meanwhile, or belongs to a purchase that is no more, counts as granted.
        purchase = book.purchases[purchase_id]
        if purchase.status is PurchaseStatus.PAID:
            missing = purchase.coins - purchase.refunded_coins - spending.left_of(user, purchase_id)
            spending.put_back(user, purchase_id, min(part, missing))
    debt_paid = pay_coin_debt(book, user)
    spending.uncount(user, gift.coins, sum(part for _, part in gift.lots), gift.at_ms)

    clawed = sum(
        part * gift.millidiamonds // gift.coins
        for purchase_id, part in gift.lots
        if book.purchases[purchase_id].clawback not in ("", "none")
    )
    clawback = book.policy.clawback if book.policy else "none"
    taken = creators.take_back(
        book, gift, gift.millidiamonds - clawed, Reason.RETRACT_EARNED, clawback
    )
    day = gift.at_ms // DAY_MS
    book.count_earning(
        gift.recipient, day, gift.gift, -gift.quantity, -gift.coins, -gift.millidiamonds
    )
    event = _log_retraction(book, gift, number, now_ms)
    book.mark(Mark(gift.room, gift.seq, "retracted", event.seq))
    return Undone(event, taken, debt_paid)


def _log_retraction(book: Book, gift: GiftRecord, number: int, now_ms: int) -> events.Event:
    room = book.rooms[gift.room]
    seq = _advance(book, room, -gift.coins)
    source, from_total = events.ANONYMOUS, None
    if not gift.anonymous:
        sender, member = book.users[gift.sender], book.members[gift.room, gift.sender]
        sender.gifted_coins -= gift.coins
        member.coins -= gift.coins
        member.reached_seq = seq
        book.changed_members[gift.room, gift.sender] = member
        book.count_board(gift.recipient, gift.at_ms // DAY_MS, sender.id, member.name, -gift.coins)
        level = 0 if sender.level_hidden else level_of(sender.gifted_coins)
        source = events.giver(sender.id, member.name, level)
        from_total = member.coins
    body = events.retracted_body(gift, seq=seq, at_ms=now_ms, source=source, from_total=from_total)
    kind, total_coins = "gift_retracted", room.total_coins
    event = events.Event(room.id, seq, number, kind, -gift.coins, total_coins, body)
    book.log(event)
    return event


def hide(book: Book, command: HideGift, now_ms: int) -> Result:
    """Ask every viewer to stop showing a gift. Display only: no money moves."""
    gift = _find(book, command.gift_id, "hidden")
    if isinstance(gift, Result):
        return gift
    room = book.rooms[gift.room]
    seq = _advance(book, room, 0)
    body = events.hidden_body(seq=seq, at_ms=now_ms, gift_id=command.gift_id, gift_seq=gift.seq)
    event = events.Event(room.id, seq, book.next_command, "gift_hidden", 0, room.total_coins, body)
    book.log(event)
    book.mark(Mark(gift.room, gift.seq, "hidden", seq))
    outcome = GiftHidden(gift_id=command.gift_id, room=room.id, seq=seq)
    return Result(outcome, events=(event,))


_DONE: dict[MarkKind, RefusalCode] = {
    "retracted": RefusalCode.ALREADY_RETRACTED,
    "hidden": RefusalCode.ALREADY_HIDDEN,
}


def _find(book: Book, gift_id: str, mark: MarkKind) -> GiftRecord | Result:
    """The gift, if it exists and this has not happened to it yet; else the refusal."""
    place = events.split_gift_id(gift_id)
    gift = book.gifts.get(place) if place else None
    if gift is None:
        return refuse(RefusalCode.UNKNOWN_GIFT, f"There is no gift {gift_id}.")
    done = book.marks.get((gift.room, gift.seq, mark))
    if done is not None:
        return refuse(_DONE[mark], f"This gift was {mark} before.", seq=done.seq)
    return gift
