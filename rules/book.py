"""One batch's working copy of the rows that it touches, and what the batch did to them.

Storage fills a book with what `touches` asks for, `settle` works on it, and storage writes back
what changed. A row that is asked for and does not exist is simply absent; `settle` makes it.
"""

from rules.events import Event
from rules.ledger import (
    FIRST_USER_ACCOUNT,
    MONEY_MAX,
    SYSTEM,
    SYSTEM_ACCOUNTS,
    Account,
    AccountCode,
    Reason,
    Transfer,
    has_room,
    move,
)
from rules.policy import Policy
from rules.rows import (
    Correction,
    Creator,
    CreatorDay,
    Earning,
    Endpoint,
    GiftRecord,
    JournalRow,
    Link,
    Mark,
    Member,
    Payout,
    Purchase,
    Refund,
    Revocation,
    Room,
    Spent,
    Suspense,
    User,
)

RareRow = (
    Purchase | Refund | Payout | Suspense | Correction | Endpoint | Link | Revocation | Creator
)
"""Rows with an id that no gift writes, or that many gifts of a batch share."""


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
        self.creators: dict[str, Creator] = {}
        self.purchases: dict[str, Purchase] = {}
        self.refunds: dict[str, Refund] = {}
        self.payouts: dict[str, Payout] = {}
        self.suspense: dict[int, Suspense] = {}
        self.corrections: dict[int, Correction] = {}
        self.endpoints: dict[str, Endpoint] = {}
        self.links: dict[str, Link] = {}
        self.revocations: dict[str, Revocation] = {}
        # What the batch did.
        self.journal: list[JournalRow] = []
        self.transfers: list[Transfer] = []
        self.events: list[Event] = []
        self.new_marks: list[Mark] = []
        self.new_policies: list[tuple[int, Policy]] = []
        self.erased: set[str] = set()
        self.changed_rooms: dict[str, Room] = {}
        self.changed_users: dict[str, User] = {}
        self.changed_members: dict[tuple[str, str], Member] = {}
        self.changed_accounts: dict[tuple[str, str], Account] = {}
        self.changed_rows: dict[tuple[str, str | int], RareRow] = {}
        self.creator_days: dict[tuple[str, int, str], CreatorDay] = {}
        self.earnings: dict[tuple[str, int, str], Earning] = {}

    def set_policy(self, policy: Policy | None) -> None:
        self.policy = policy
        self.catalogue = {gift.id: gift for gift in policy.catalogue.gifts} if policy else {}

    # Accounts

    def account(self, owner: str, code: AccountCode) -> Account:
        """The account, made now if this is its first use."""
        found = self.accounts.get((owner, code))
        if found is None:
            found = Account(self.next_account, owner, code.value, 0, 0)
            self.next_account += 1
            self.accounts[owner, code] = found
        return found

    def balance(self, owner: str, code: AccountCode) -> int:
        found = self.accounts.get((owner, code))
        return found.credits - found.debits if found is not None else 0

    def can_take(self, owner: str, code: AccountCode, amount: int) -> bool:
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

    def pay(
        self,
        reason: Reason,
        source: tuple[str, AccountCode],
        target: tuple[str, AccountCode],
        amount: int,
    ) -> None:
        """Move for the command that is being decided; nothing when the amount is 0."""
        if amount:
            self.move(
                self.next_command, reason, self.account(*source), self.account(*target), amount
            )

    # People

    def user(self, id: str) -> User:
        """The user, made now if this is the first that is heard of them, and about to change."""
        found = self.users.get(id)
        if found is None:
            found = self.users[id] = User(id, "", 0, -1)
        self.changed_users[id] = found
        return found

    def credited(self, id: str, now_ms: int) -> User:
        """The user to whom coins come now: their account begins with the first."""
        found = self.user(id)
        if found.since_ms < 0:
            found.since_ms = now_ms
        return found

    def member(self, room: str, user: str, name: str) -> Member:
        """The user in the room, made with this name if this is their first gift there."""
        found = self.members.get((room, user))
        if found is None:
            found = self.members[room, user] = Member(room, user, name, 0, 0)
        self.changed_members[room, user] = found
        return found

    def creator(self, id: str) -> Creator:
        """The creator, made now if this is their first gift, and about to change."""
        found = self.creators.get(id)
        if found is None:
            found = self.creators[id] = Creator(id)
        self.changed_rows["creator", id] = found
        return found

    # History and rows

    def log(self, event: Event) -> None:
        self.events.append(event)

    def mark(self, mark: Mark) -> None:
        self.marks[mark.room, mark.gift_seq, mark.kind] = mark
        self.new_marks.append(mark)

    def keep(self, row: RareRow) -> None:
        """Note that a row is new or changed."""
        table = type(row).__name__.lower()
        self.changed_rows[table, row.id] = row

    def count_earning(
        self, creator: str, day: int, gift: str, gifts: int, coins: int, millidiamonds: int
    ) -> None:
        found = self.earnings.get((creator, day, gift))
        if found is None:
            found = self.earnings[creator, day, gift] = Earning(creator, day, gift, 0, 0, 0)
        found.gifts += gifts
        found.coins += coins
        found.millidiamonds += millidiamonds

    def count_board(self, creator: str, day: int, user: str, name: str, coins: int) -> None:
        """Count a public gift, or one that was taken back, on the creator's board of that day."""
        found = self.creator_days.get((creator, day, user))
        if found is None:
            found = CreatorDay(creator, day, user, name, 0, 0)
            self.creator_days[creator, day, user] = found
        found.name = name
        found.coins += coins
        found.reached = self.next_command


def new_book() -> Book:
    """The book before the first command: the system accounts and nothing else."""
    book = Book(policy=None, next_command=1, next_transfer=1, next_account=FIRST_USER_ACCOUNT)
    for code, id in SYSTEM_ACCOUNTS.items():
        book.accounts[SYSTEM, code] = Account(id, SYSTEM, code.value, 0, 0)
    return book
