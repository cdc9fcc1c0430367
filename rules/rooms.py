"""Opening and closing rooms, setting the policy, and starting after a restore."""

import hashlib

from rules import events
from rules.book import Book
from rules.commands import CloseRoom, OpenRoom, RenewEpochs, SetPolicy
from rules.ledger import SYSTEM, AccountCode
from rules.lifecycles import RoomStatus
from rules.outcomes import EpochsRenewed, PolicySet, RoomClosed, RoomOpened
from rules.refusals import RefusalCode
from rules.results import Result, refuse
from rules.rows import Room


def open_room(book: Book, command: OpenRoom, now_ms: int) -> Result:
    """Open a room. Opening it again with the same content changes nothing, a closed one too."""
    old = book.rooms.get(command.room)
    content = (command.title, command.creator, command.creator_name)
    if old is not None:
        if (old.title, old.creator, old.creator_name) == content:
            return Result(RoomOpened(room=old.id, epoch=old.epoch), replayed=True)
        return refuse(
            RefusalCode.ROOM_EXISTS, f"The room {command.room} exists with other content."
        )
    room = Room(command.room, *content, RoomStatus.OPEN, command.epoch, 0, 0, now_ms)
    book.rooms[room.id] = book.changed_rooms[room.id] = room
    return Result(RoomOpened(room=room.id, epoch=room.epoch))


def close_room(book: Book, command: CloseRoom, now_ms: int) -> Result:
    """End a stream: later gifts are refused. Closing a closed room changes nothing."""
    room = book.rooms.get(command.room)
    if room is None:
        return refuse(RefusalCode.UNKNOWN_ROOM, f"There is no room {command.room}.")
    if room.status is not RoomStatus.OPEN:
        return Result(RoomClosed(room=room.id, seq=room.seq), replayed=True)
    room.status = RoomStatus.CLOSED
    room.seq += 1
    book.changed_rooms[room.id] = room
    body = events.closed_body(seq=room.seq, at_ms=now_ms)
    number = book.next_command
    event = events.Event(room.id, room.seq, number, "room_closed", 0, room.total_coins, body)
    book.log(event)
    return Result(RoomClosed(room=room.id, seq=room.seq), events=(event,))


def set_policy(book: Book, command: SetPolicy, now_ms: int) -> Result:
    """Change what money depends on, from the next command on and never before. The currency stays
    what it is once money has moved: amounts of two currencies in one account mean nothing."""
    old, clearing = book.policy, book.account(SYSTEM, AccountCode.MONEY_CLEARING)
    if old and old.shop.currency != command.policy.shop.currency:
        if clearing.debits or clearing.credits:
            sentence = f"The books are kept in {old.shop.currency}, and money has moved in them."
            return refuse(RefusalCode.WRONG_CURRENCY, sentence, currency=old.shop.currency)
    book.set_policy(command.policy)
    book.new_policies.append((book.next_command, command.policy))
    return Result(PolicySet(catalogue=command.policy.catalogue.version))


def renew_epochs(book: Book, command: RenewEpochs, now_ms: int) -> Result:
    """Give every log a new name, so that nobody resumes in it what the restore took away."""
    for room in book.rooms.values():
        room.epoch = hashlib.sha256(f"{room.epoch} {command.salt}".encode()).hexdigest()[:16]
        book.changed_rooms[room.id] = room
    return Result(EpochsRenewed(rooms=len(book.rooms)))
