"""The rows that a batch of commands touches, and what the batch did to them.

Storage fills a book with what `touches` asks for, `settle` works on it, and storage writes back
what changed. A row that is asked for and does not exist is simply absent; `settle` makes it.
"""

from collections.abc import Iterable
from typing import NamedTuple, assert_never

import msgspec

from rules.combos import Combo
from rules.commands import (
    AnyCommand,
    AnyOutcome,
    CloseRoom,
    Grant,
    HideGift,
    OpenRoom,
    Policy,
    RenewEpochs,
    RetractGift,
    SendGift,
    SetPolicy,
)
from rules.events import Event, split_gift_id
from rules.ledger import (
    FIRST_USER_ACCOUNT,
    MONEY_MAX,
    SYSTEM,
    SYSTEM_ACCOUNTS,
    Account,
    Code,
    Reason,
    Transfer,
    has_room,
    move,
)


class Room(msgspec.Struct, gc=False):
    id: str
    title: str
    creator: str
    creator_name: str
    status: str
    epoch: str
    seq: int
    total_coins: int
    opened_ms: int


class User(msgspec.Struct, gc=False):
    id: str
    name: str
    gifted_coins: int
    """Coins gifted publicly and not taken back, over all rooms: what the gifter level is made of. A
    level that rose with an anonymous gift would name its giver."""


class Member(msgspec.Struct, gc=False):
    """A user in a room: what the board and the combos need."""

    room: str
    user: str
    name: str
    coins: int
    """Coins gifted publicly here and not taken back. Anonymous gifts are on no board."""
    reached_seq: int
    """When the sum became what it is: ties go to who was there first."""
    combo: Combo | None = None
    anonymous_combo: Combo | None = None


class GiftRecord(msgspec.Struct, frozen=True, gc=False):
    """A gift of the past, as a retraction needs it."""

    room: str
    seq: int
    sender: str
    recipient: str
    recipient_name: str
    gift: str
    coins: int
    millidiamonds: int
    anonymous: bool


class Spent(NamedTuple):
    """What a key was used for, and the answer it got."""

    fingerprint: str
    outcome: AnyOutcome


class JournalRow(NamedTuple):
    """A command that the books keep, with its outcome."""

    id: int
    actor: str
    key: str
    kind: str
    fingerprint: str
    body: bytes
    outcome: bytes


class Mark(NamedTuple):
    """Something that may happen to a gift once: `retracted` or `hidden`."""

    room: str
    gift_seq: int
    kind: str
    seq: int


class Touched(NamedTuple):
    """The rows to load before settling."""

    keys: set[tuple[str, str]]
    rooms: set[str]
    gifts: set[tuple[str, int]]
    users: set[str]
    accounts: set[tuple[str, str]]
    members: set[tuple[str, str]]
    all_rooms: bool = False


class Book:
    """One batch's working copy. `policy` is None only before the first command of all."""

    def __init__(
        self, *, policy: Policy | None, next_command: int, next_transfer: int, next_account: int
    ) -> None:
        self.set_policy(policy)
        self.next_command = next_command
        self.next_transfer = next_transfer
        self.next_account = next_account
        self.spent: dict[tuple[str, str], Spent] = {}
        self.rooms: dict[str, Room] = {}
        self.users: dict[str, User] = {}
        self.members: dict[tuple[str, str], Member] = {}
        self.accounts: dict[tuple[str, str], Account] = {}
        self.gifts: dict[tuple[str, int], GiftRecord] = {}
        self.marks: dict[tuple[str, int, str], Mark] = {}
        # What the batch did.
        self.journal: list[JournalRow] = []
        self.transfers: list[Transfer] = []
        self.events: list[Event] = []
        self.new_marks: list[Mark] = []
        self.new_policies: list[tuple[int, Policy]] = []
        self.changed_rooms: dict[str, Room] = {}
        self.changed_users: dict[str, User] = {}
        self.changed_members: dict[tuple[str, str], Member] = {}
        self.changed_accounts: dict[tuple[str, str], Account] = {}

    def set_policy(self, policy: Policy | None) -> None:
        self.policy = policy
        self.catalogue = {gift.id: gift for gift in policy.catalogue.gifts} if policy else {}

    def account(self, owner: str, code: Code) -> Account:
        """The account, made now if this is its first use."""
        found = self.accounts.get((owner, code))
        if found is None:
            found = Account(self.next_account, owner, code.value, 0, 0)
            self.next_account += 1
            self.accounts[owner, code] = found
        return found

    def balance(self, owner: str, code: Code) -> int:
        found = self.accounts.get((owner, code))
        return found.credits - found.debits if found is not None else 0

    def can_take(self, owner: str, code: Code, amount: int) -> bool:
        """Whether the account, made or not, can count so much more.

        Asking makes no account: an id that a refusal used up would be missing when the journal,
        which has no such refusals, is replayed.
        """
        found = self.accounts.get((owner, code))
        return amount <= MONEY_MAX if found is None else has_room(found, amount)

    def move(
        self, command: int, reason: Reason, source: Account, target: Account, amount: int
    ) -> None:
        """Record one transfer. Raises ledger.LedgerFault as `ledger.move` does."""
        self.transfers.append(move(self.next_transfer, command, reason, source, target, amount))
        self.next_transfer += 1
        self.changed_accounts[source.owner, source.code] = source
        self.changed_accounts[target.owner, target.code] = target

    def user(self, id: str, name: str) -> User:
        """The user, under the name they go by now."""
        found = self.users.get(id)
        if found is None:
            found = self.users[id] = User(id, name, 0)
        found.name = name
        self.changed_users[id] = found
        return found

    def member(self, room: str, user: str, name: str) -> Member:
        """The user in the room, made with this name if this is their first gift there."""
        found = self.members.get((room, user))
        if found is None:
            found = self.members[room, user] = Member(room, user, name, 0, 0)
        self.changed_members[room, user] = found
        return found

    def log(self, event: Event) -> None:
        self.events.append(event)

    def mark(self, mark: Mark) -> None:
        self.marks[mark.room, mark.gift_seq, mark.kind] = mark
        self.new_marks.append(mark)


def new_book() -> Book:
    """The book before the first command: the system accounts and nothing else."""
    book = Book(policy=None, next_command=1, next_transfer=1, next_account=FIRST_USER_ACCOUNT)
    for code, id in SYSTEM_ACCOUNTS.items():
        book.accounts[SYSTEM, code] = Account(id, SYSTEM, code.value, 0, 0)
    return book


def touches_at_first(commands: Iterable[AnyCommand]) -> Touched:
    """The rows that are named by the commands themselves."""
    touched = Touched(set(), set(), set(), set(), set(), set())
    for command in commands:
        touched.keys.add((command.actor, command.key))
        match command:
            case SendGift():
                touched.rooms.add(command.room)
                touched.users.add(command.sender)
                touched.accounts.add((command.sender, Code.COINS))
                touched.members.add((command.room, command.sender))
            case OpenRoom():
                touched.rooms.add(command.room)
                # The next gift of this batch may be for the new room; its creator is not new.
                touched.accounts.add((command.creator, Code.DIAMONDS_PENDING))
            case CloseRoom():
                touched.rooms.add(command.room)
            case Grant():
                touched.accounts.add((command.user, Code.COINS))
            case RetractGift() | HideGift():
                if place := split_gift_id(command.gift_id):
                    touched.gifts.add(place)
                    touched.rooms.add(place[0])
            case RenewEpochs():
                touched = touched._replace(all_rooms=True)
            case SetPolicy():
                pass
            case _:
                assert_never(command)
    return touched


def touches_then(book: Book) -> Touched:
    """The rows that only the first ones name: creators of rooms, parties of old gifts."""
    touched = Touched(set(), set(), set(), set(), set(), set())
    for room in book.rooms.values():
        touched.accounts.add((room.creator, Code.DIAMONDS_PENDING))
    for gift in book.gifts.values():
        touched.users.add(gift.sender)
        touched.members.add((gift.room, gift.sender))
        touched.accounts.add((gift.sender, Code.COINS))
        touched.accounts.add((gift.recipient, Code.DIAMONDS_PENDING))
    return touched
