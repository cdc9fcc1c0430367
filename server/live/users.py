"""The users who are connected to this node: their connections, their gift rate, their balance.

What is said of a user here is said of all their connections, wherever these are. Each node listens
to the channel of each of its users and tells there how they are connected to it (`Here`): when
something changes, when it first hears of another node, and with every heartbeat. So every node has
the same list and comes to the same end by itself: of too many connections the newest are closed,
each by the node that it is on. A gift that was sent through another node is taken out of the same
user's bucket here. A node that has not been heard for three heartbeats is forgotten.

A balance comes with every result and every letter, and both may come in any order or not at all:
the number of its command says which is newer, and while other nodes are there it is read again with
every heartbeat.
"""

from collections.abc import Collection, Iterable
from typing import Final, NamedTuple

from protocol import CloseCode
from rules.limits import TokenBucket, full_bucket
from rules.results import Balance, Reminder
from server.clock import Clock, steady_ms
from server.live.answers import balance_notice, reminder_notice
from server.live.door import Guest
from server.live.letters import AnyLetter, Gave, Here, Reminded, Wallet, user_channel
from server.live.post import Post
from server.live.unread import Unread
from server.settings.table import Settings
from storage import Balances

FORGOTTEN_AFTER_HEARTBEATS = 3
FOUND = "found"
"""Why a balance has changed, when only the books know."""


class Elsewhere(NamedTuple):
    """What another node has told of a user."""

    number: int
    since_ms: tuple[int, ...]
    heard_ms: int


class UserHere:
    """One user with at least one connection, or with some of their gift rate still used up."""

    __slots__ = (
        "balance",
        "balance_at",
        "bucket",
        "doubtful",
        "elsewhere",
        "guests",
        "listening",
        "told_ms",
    )

    def __init__(self, bucket: TokenBucket) -> None:
        self.guests: dict[Guest, int] = {}
        """With the moment at which each came."""
        self.bucket = bucket
        self.balance = 0
        self.balance_at = 0
        """The number of the command that `balance` is as of: an older one never replaces it."""
        self.doubtful = True
        """The balance has to be read before it is shown: it never was, or something may have been
        booked that we were not told of."""
        self.elsewhere: dict[str, Elsewhere] = {}
        self.listening = False
        self.told_ms = 0


class Users:
    def __init__(self, settings: Settings, post: Post, unread: Unread, clock: Clock) -> None:
        self.here: dict[str, UserHere] = {}
        self._settings: Final = settings
        self._post: Final = post
        self._unread: Final = unread
        self._clock: Final = clock
        self._absent: dict[str, int] = {}
        """Users without a connection, oldest first. They are kept until their gift bucket is full
        again: reconnecting must not be a way around the rate."""
        post.on(Here, self._on_here)
        post.on(Gave, self._on_gave)
        post.on(Wallet, self._on_wallet)
        post.on(Reminded, self._on_reminded)

    # Coming and going

    def enter(self, guest: Guest, user: str) -> bool:
        """Count a connection of a user; False when the user has too many."""
        here = self.here.get(user)
        if here is None:
            settings = self._settings
            bucket = full_bucket(settings.gift_rate, settings.gift_burst, steady_ms())
            here = self.here[user] = UserHere(bucket)
        count = len(here.guests) + ((here.elsewhere and self._count_elsewhere(here)) or 0)
        if count >= self._settings.max_connections_per_user:
            return False
        here.guests[guest] = self._clock()
        self._absent.pop(user, None)
        if not self._post.alone:
            here.doubtful = True
            self._announce(user, here)
        return True

    def leave(self, guest: Guest) -> None:
        """Safe to call twice, and for who was never welcomed."""
        user = guest.identity.user if guest.identity else ""
        here = self.here.get(user)
        if here is None or here.guests.pop(guest, None) is None:
            return
        if not here.guests:
            self._absent[user] = steady_ms()
        if here.listening:
            self._tell_how(user, here)

    def forget_absent(self, now_ms: int) -> None:
        refill_ms = self._settings.gift_burst * 1000 // self._settings.gift_rate + 1
        while self._absent:
            user, since_ms = next(iter(self._absent.items()))
            if now_ms - since_ms < refill_ms:
                break
            del self._absent[user]
            here = self.here.pop(user, None)
            if here is not None and here.listening:
                self._post.ignore(user_channel(user))

    def visit(self, user: str) -> None:
        """With every heartbeat: what the other nodes should know of us, and we of the books."""
        here = self.here.get(user)
        now_ms = steady_ms()
        if here is None or now_ms - here.told_ms < self._settings.heartbeat_ms // 2:
            return
        here.told_ms = now_ms
        self._forget_silent(here, now_ms)
        if not self._post.alone:
            self._announce(user, here)
            self._unread.balance(user)

    # With the other nodes

    def _announce(self, user: str, here: UserHere) -> None:
        """Tell how a user is connected; but listen first, to hear what the others say to that."""
        if here.listening:
            self._tell_how(user, here)
        else:
            self._unread.user(user)

    def listens(self, users: Iterable[str]) -> None:
        """The channels of these users are listened to from now on."""
        for user in users:
            here = self.here.get(user)
            if here is None:
                self._post.ignore(user_channel(user))
                continue
            here.listening = True
            self._tell_how(user, here)

    def _tell_how(self, user: str, here: UserHere) -> None:
        here.told_ms = now_ms = steady_ms()
        since_ms = sorted(here.guests.values())
        level = here.bucket.level(now_ms)
        self._send(user, Here(self._post.node, self._post.number(), user, since_ms, level))

    def _send(self, user: str, letter: AnyLetter) -> None:
        self._post.send(user_channel(user), letter)

    def _on_here(self, letter: Here) -> None:
        here = self.here.get(letter.user)
        if here is None:
            return
        now_ms = steady_ms()
        known = here.elsewhere.get(letter.node)
        if known is not None and letter.number <= known.number:
            return
        here.elsewhere[letter.node] = Elsewhere(letter.number, tuple(letter.since_ms), now_ms)
        here.bucket.at_most(letter.millitokens, now_ms)
        if known is None and letter.since_ms:
            self._tell_how(letter.user, here)
        self._close_newest(here)

    def _close_newest(self, here: UserHere) -> None:
        """Close our part of what is above the limit. Who came first stays; every node sees the same
        list, so nobody has to ask who closes which."""
        most = self._settings.max_connections_per_user
        if len(here.guests) + self._count_elsewhere(here) <= most:
            return
        everyone: list[tuple[int, str, Guest | None]] = [
            (since_ms, node, None)
            for node, told in here.elsewhere.items()
            for since_ms in told.since_ms
        ]
        everyone += [(since_ms, self._post.node, guest) for guest, since_ms in here.guests.items()]
        everyone.sort(key=lambda one: one[:2])
        for _, _, guest in everyone[most:]:
            if guest is not None:
                guest.close(CloseCode.TOO_MANY_CONNECTIONS)

    def _count_elsewhere(self, here: UserHere) -> int:
        self._forget_silent(here, steady_ms())
        return sum(len(told.since_ms) for told in here.elsewhere.values())

    def _forget_silent(self, here: UserHere, now_ms: int) -> None:
        since_ms = now_ms - FORGOTTEN_AFTER_HEARTBEATS * self._settings.heartbeat_ms
        silent = [node for node, told in here.elsewhere.items() if told.heard_ms < since_ms]
        for node in silent:
            del here.elsewhere[node]

    # Gifts

    def too_fast(self, user: str) -> int:
        """Count a gift: 0, or the milliseconds after which it may be sent."""
        here = self.here[user]
        wait_ms = here.bucket.take(steady_ms())
        if here.elsewhere and not wait_ms:
            self._send(user, Gave(user))
        return wait_ms

    def _on_gave(self, letter: Gave) -> None:
        here = self.here.get(letter.user)
        if here is not None:
            here.bucket.taken_elsewhere(steady_ms())

    # Balances

    def balance(self, user: str) -> int | None:
        """Coins as of the newest result that this node knows; None when they have to be read."""
        here = self.here.get(user)
        return None if here is None or here.doubtful else here.balance

    def settled(self, balance: Balance, reason: str, askers: Collection[object]) -> None:
        """A result has changed a balance. Who asked for it has the balance in its answer; the
        others are told, here and elsewhere."""
        if self._take(balance, reason, askers):
            self.here[balance.user].doubtful = False
        if self._may_be_elsewhere(balance.user):
            user, coins, command = balance
            self._send(user, Wallet(user, coins, command, reason))

    def _on_wallet(self, letter: Wallet) -> None:
        """It may be late, so it ends no doubt: what came after it may have been told already."""
        balance = Balance(letter.user, letter.coins, letter.command)
        self._take(balance, letter.reason, ())

    def _take(self, balance: Balance, reason: str, but: Collection[object]) -> bool:
        """Whether it was newer than what is known here."""
        here = self.here.get(balance.user)
        if here is None or balance.command <= here.balance_at:
            return False
        here.balance, here.balance_at = balance.coins, balance.command
        self._tell_balance(here, reason, but)
        return True

    def doubt(self, user: str) -> None:
        """Something may have been booked that we do not know: have it read at the next join."""
        here = self.here.get(user)
        if here is not None:
            here.doubtful = True

    def unknown(self, users: Iterable[str]) -> set[str]:
        """Those of these users who are here and whose balance has to be read."""
        return {user for user in users if user in self.here and self.here[user].doubtful}

    def read(self, balances: Balances) -> None:
        """Take what was read, unless a newer result has come meanwhile."""
        for user, coins in balances.coins.items():
            here = self.here.get(user)
            if here is None or balances.as_of < here.balance_at:
                continue
            changed = here.balance_at > 0 and coins != here.balance
            here.balance, here.balance_at = coins, balances.as_of
            here.doubtful = False
            if changed:
                self._tell_balance(here, FOUND, ())

    # Telling

    def remind(self, reminder: Reminder) -> None:
        """Tell a user how much of their limit is used up, wherever they are watching."""
        self._show_reminder(reminder)
        if self._may_be_elsewhere(reminder.user):
            self._send(reminder.user, Reminded(*reminder))

    def _on_reminded(self, letter: Reminded) -> None:
        self._show_reminder(
            Reminder(
                user=letter.user,
                limit=letter.limit,
                percent=letter.percent,
                limit_coins=letter.limit_coins,
                spent_coins=letter.spent_coins,
            )
        )

    def _show_reminder(self, reminder: Reminder) -> None:
        here = self.here.get(reminder.user)
        for guest in _people(here, ()) if here else ():
            guest.send(reminder_notice(reminder))

    def _may_be_elsewhere(self, user: str) -> bool:
        """Whether another node may have a connection of this user. Of who is here we know it: so a
        gift of somebody who is connected once costs no letter."""
        if self._post.alone:
            return False
        here = self.here.get(user)
        return here is None or not here.listening or bool(here.elsewhere)

    def _tell_balance(self, here: UserHere, reason: str, but: Collection[object]) -> None:
        guests = _people(here, but)
        payload = balance_notice(here.balance, reason) if guests else b""
        for guest in guests:
            guest.send(payload)


def _people(here: UserHere, but: Collection[object]) -> list[Guest]:
    """A user's connections on this node, but none of these.

    And no overlay: its link is shown to people, and a wallet is nobody's business there.
    """
    return [g for g in here.guests if g not in but and g.session.role != "overlay"]
