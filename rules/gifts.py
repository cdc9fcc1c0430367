"""Gifts: sending one, taking its money back, hiding it.

A gift is two linked transfers (the sender's coins to the sink, issued diamonds to the creator), a
line in the room's log, and the sender's new sum on the board. Price, rate and level are frozen in
it: no later change of the catalogue or the policy touches a gift of the past.
"""

from typing import Any

from rules import events
from rules.book import Book, GiftRecord, Mark, Member, Room
from rules.catalogue import Gift
from rules.combos import continue_combo
from rules.commands import (
    ComboShown,
    GiftAccepted,
    GiftHidden,
    GiftRetracted,
    HideGift,
    Policy,
    RetractGift,
    SendGift,
)
from rules.ledger import MONEY_MAX, SYSTEM, Code, Reason, has_room
from rules.levels import level_of
from rules.results import Balance, Result, refuse

QUANTITY_MAX = 9_999
"""Gifts of one message: what a combo can count."""


def send(book: Book, command: SendGift, now_ms: int) -> Result:
    """Settle a gift. The order of the checks is part of the contract: what is wrong with the
    request comes before what is wrong with the state."""
    policy, room = book.policy, book.rooms.get(command.room)
    if policy is None or room is None:
        return refuse("unknown_room", f"There is no room {command.room}.")
    gift = book.catalogue.get(command.gift)
    if gift is None:
        return refuse("unknown_gift", f"There is no gift {command.gift} in the catalogue.")
    coins = gift.coins * command.quantity
    return (
        _wrong_request(command, room, gift)
        or _state_forbids(book, policy, command, room, gift, coins)
        or _book_gift(book, policy, command, room, gift, coins, now_ms)
    )


def _wrong_request(command: SendGift, room: Room, gift: Gift) -> Result | None:
    """Refusals that no change of the books would lift: the request itself must be mended."""
    if not 1 <= command.quantity <= QUANTITY_MAX:
        sentence = f"The quantity must be a whole number from 1 to {QUANTITY_MAX}."
        return refuse("bad_quantity", sentence, quantity_max=QUANTITY_MAX)
    recipient = command.to if command.to is not None else room.creator
    if recipient == command.sender:
        return refuse("self_gift", "You cannot send a gift to yourself.")
    if recipient != room.creator:
        return refuse("bad_recipient", f"Gifts in this room go to {room.creator}.")
    if command.price is not None and command.price != gift.coins:
        sentence = f"{gift.name} now costs {gift.coins} coins; show the new price and ask again."
        return refuse("price_changed", sentence, coins=gift.coins)
    return None


def _state_forbids(
    book: Book, policy: Policy, command: SendGift, room: Room, gift: Gift, coins: int
) -> Result | None:
    """Refusals that stay under the key: they were true when the gift arrived."""
    if room.status != "open":
        return refuse("room_closed", "This stream has ended; nothing was charged.")
    if not gift.enabled:
        return refuse("gift_unavailable", f"{gift.name} cannot be sent here; nothing was charged.")
    if policy.require_adult and not command.adult:
        return refuse("not_of_age", "Only adults may send gifts; nothing was charged.")
    balance = book.balance(command.sender, Code.COINS)
    if balance < coins:
        sentence = f"This costs {coins} coins and you have {balance}; nothing was charged."
        missing = coins - balance
        return refuse("insufficient_coins", sentence, balance_coins=balance, missing_coins=missing)
    millidiamonds = coins * policy.rate_permille
    if room.total_coins + coins > MONEY_MAX or not book.can_take(
        room.creator, Code.DIAMONDS_PENDING, millidiamonds
    ):
        return refuse("bad_quantity", "That is more than this room's books can count.")
    return None


def _book_gift(
    book: Book, policy: Policy, command: SendGift, room: Room, gift: Gift, coins: int, now_ms: int
) -> Result:
    number = book.next_command
    millidiamonds = coins * policy.rate_permille
    wallet = book.account(command.sender, Code.COINS)
    book.move(number, Reason.GIFT_SPENT, wallet, book.account(SYSTEM, Code.COINS_SPENT), coins)
    if millidiamonds:
        issued = book.account(SYSTEM, Code.DIAMONDS_ISSUED)
        earned = book.account(room.creator, Code.DIAMONDS_PENDING)
        book.move(number, Reason.GIFT_EARNED, issued, earned, millidiamonds)

    seq = _advance(book, room, coins)
    anonymous = command.visibility == "anonymous"
    member = book.member(room.id, command.sender, command.name)
    source = events.ANONYMOUS if anonymous else _stand_up(book, member, command, coins, seq)
    combo = _combo(member, command, room, gift, seq, coins, policy, now_ms)
    body = events.gift_body(
        seq=seq,
        id=events.gift_id(room.id, seq),
        at_ms=now_ms,
        source=source,
        recipient=room.creator,
        recipient_name=room.creator_name,
        gift=gift,
        quantity=command.quantity,
        coins=coins,
        from_total=None if anonymous else member.coins,
        combo=combo,
        message=command.message,
    )
    event = events.Event(room.id, seq, number, "gift", coins, room.total_coins, body)
    book.log(event)
    record = _record(command, room, seq, coins, millidiamonds)
    book.gifts[room.id, seq] = record
    balance = wallet.credits - wallet.debits
    outcome = GiftAccepted(
        room=room.id,
        seq=seq,
        gift=gift.id,
        quantity=command.quantity,
        coins=coins,
        balance_coins=balance,
        total_coins=room.total_coins,
        combo=combo,
        at_ms=now_ms,
        millidiamonds=millidiamonds,
    )
    return Result(outcome, event=event, balance=Balance(command.sender, balance))


def _advance(book: Book, room: Room, coins: int) -> int:
    """Take the next seq of the room's log and move its total."""
    room.seq += 1
    room.total_coins += coins
    book.changed_rooms[room.id] = room
    return room.seq


def _stand_up(
    book: Book, member: Member, command: SendGift, coins: int, seq: int
) -> dict[str, Any]:
    """Count a public gift for its giver. An anonymous one changes nothing here that anybody sees:
    no sum, no level, no name, for each would tell who gave it."""
    user = book.user(command.sender, command.name)
    user.gifted_coins += coins
    member.name = command.name
    member.coins += coins
    member.reached_seq = seq
    return events.giver(user.id, user.name, level_of(user.gifted_coins))


def _combo(
    member: Member,
    command: SendGift,
    room: Room,
    gift: Gift,
    seq: int,
    coins: int,
    policy: Policy,
    now_ms: int,
) -> ComboShown | None:
    anonymous, window_ms = command.visibility == "anonymous", policy.combo_window_ms
    combo = None
    if gift.combo:
        combo = continue_combo(
            member.anonymous_combo if anonymous else member.combo,
            seq=seq,
            gift=gift.id,
            recipient=room.creator,
            quantity=command.quantity,
            coins=coins,
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


def _record(command: SendGift, room: Room, seq: int, coins: int, millidiamonds: int) -> GiftRecord:
    return GiftRecord(
        room=room.id,
        seq=seq,
        sender=command.sender,
        recipient=room.creator,
        recipient_name=room.creator_name,
        gift=command.gift,
        coins=coins,
        millidiamonds=millidiamonds,
        anonymous=command.visibility == "anonymous",
    )


def retract(book: Book, command: RetractGift, now_ms: int) -> Result:
    """Reverse a gift's money: the coins go back, the creator's diamonds and the totals follow."""
    gift = _find(book, command.gift_id, "retracted")
    if isinstance(gift, Result):
        return gift
    wallet = book.account(gift.sender, Code.COINS)
    pending = book.balance(gift.recipient, Code.DIAMONDS_PENDING)
    if pending < gift.millidiamonds:
        sentence = "The creator's pending diamonds no longer cover this gift."
        return refuse("not_retractable", sentence)
    if not has_room(wallet, gift.coins):
        return refuse("not_retractable", "The sender's wallet cannot count these coins.")
    number = book.next_command
    spent = book.account(SYSTEM, Code.COINS_SPENT)
    book.move(number, Reason.RETRACT_SPENT, spent, wallet, gift.coins)
    if gift.millidiamonds:
        issued = book.account(SYSTEM, Code.DIAMONDS_ISSUED)
        earned = book.account(gift.recipient, Code.DIAMONDS_PENDING)
        book.move(number, Reason.RETRACT_EARNED, earned, issued, gift.millidiamonds)
    event = _log_retraction(book, command, gift, number, now_ms)
    book.mark(Mark(gift.room, gift.seq, "retracted", event.seq))
    outcome = GiftRetracted(
        gift_id=command.gift_id,
        room=gift.room,
        seq=event.seq,
        coins=gift.coins,
        millidiamonds=gift.millidiamonds,
    )
    return Result(outcome, event=event, balance=Balance(gift.sender, wallet.balance))


def _log_retraction(
    book: Book, command: RetractGift, gift: GiftRecord, number: int, now_ms: int
) -> events.Event:
    room = book.rooms[gift.room]
    seq = _advance(book, room, -gift.coins)
    source, from_total = events.ANONYMOUS, None
    if not gift.anonymous:
        sender, member = book.users[gift.sender], book.members[gift.room, gift.sender]
        sender.gifted_coins -= gift.coins
        member.coins -= gift.coins
        member.reached_seq = seq
        book.changed_users[sender.id] = sender
        book.changed_members[gift.room, gift.sender] = member
        source = events.giver(sender.id, member.name, level_of(sender.gifted_coins))
        from_total = member.coins
    body = events.retracted_body(
        seq=seq,
        at_ms=now_ms,
        gift_id=command.gift_id,
        gift_seq=gift.seq,
        source=source,
        recipient=gift.recipient,
        recipient_name=gift.recipient_name,
        gift=gift.gift,
        coins=gift.coins,
        from_total=from_total,
    )
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
    return Result(outcome, event=event)


def _find(book: Book, gift_id: str, mark: str) -> GiftRecord | Result:
    """The gift, if it exists and this has not happened to it yet; else the refusal."""
    place = events.split_gift_id(gift_id)
    gift = book.gifts.get(place) if place else None
    if gift is None:
        return refuse("unknown_gift", f"There is no gift {gift_id}.")
    done = book.marks.get((gift.room, gift.seq, mark))
    if done is not None:
        return refuse(f"already_{mark}", f"This gift was {mark} before.", seq=done.seq)
    return gift
