"""The users who are connected to this node: their connections, their gift rate, their balance."""

from collections.abc import Collection, Iterable
from typing import Final

from rules.limits import TokenBucket, full_bucket
from rules.results import Balance
from server.clock import steady_ms
from server.live.door import Guest
from server.settings.table import Settings
from storage import Balances


class UserHere:
    """One user with at least one connection, or with some of their gift rate still used up."""

    __slots__ = ("balance", "balance_at", "bucket", "doubtful", "guests")

    def __init__(self, bucket: TokenBucket) -> None:
        self.guests: set[Guest] = set()
        self.bucket = bucket
        self.balance = 0
        self.balance_at = 0
        """The number of the command that `balance` is as of: an older one never replaces it."""
        self.doubtful = True
        """The balance has to be read before it is shown: it never was, or something may have been
        booked that we were not told of."""


class Users:
    def __init__(self, settings: Settings) -> None:
        self.here: dict[str, UserHere] = {}
        self._settings: Final = settings
        self._absent: dict[str, int] = {}
        """Users without a connection, oldest first. They are kept until their gift bucket is full
        again: reconnecting must not be a way around the rate."""

    def enter(self, guest: Guest, user: str) -> bool:
        """Count a connection of a user; False when the user has too many."""
        here = self.here.get(user)
        if here is None:
            settings = self._settings
            bucket = full_bucket(settings.gift_rate, settings.gift_burst, steady_ms())
            here = self.here[user] = UserHere(bucket)
        if len(here.guests) >= self._settings.max_connections_per_user:
            return False
        here.guests.add(guest)
        self._absent.pop(user, None)
        return True

    def leave(self, guest: Guest) -> None:
        """Safe to call twice, and for who was never welcomed."""
        user = guest.identity.user if guest.identity else ""
        here = self.here.get(user)
        if here is None or guest not in here.guests:
            return
        here.guests.discard(guest)
        if not here.guests:
            self._absent[user] = steady_ms()

    def forget_absent(self, now_ms: int) -> None:
        refill_ms = self._settings.gift_burst * 1000 // self._settings.gift_rate + 1
        while self._absent:
            user, since_ms = next(iter(self._absent.items()))
            if now_ms - since_ms < refill_ms:
                break
            del self._absent[user]
            self.here.pop(user, None)

    def too_fast(self, user: str) -> int:
        """Count a gift: 0, or the milliseconds after which it may be sent."""
        return self.here[user].bucket.take(steady_ms())

    # Balances

    def balance(self, user: str) -> int | None:
        """Coins as of the newest result that this node knows; None when they have to be read."""
        here = self.here.get(user)
        return None if here is None or here.doubtful else here.balance

    def changed(self, balance: Balance, told: Collection[object]) -> bool:
        """A result has changed a balance; whether there is anybody here who has to be told."""
        here = self.here.get(balance.user)
        if here is None or balance.command <= here.balance_at:
            return False
        here.balance, here.balance_at = balance.coins, balance.command
        here.doubtful = False
        return any(guest not in told for guest in here.guests)

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
            if here is not None and balances.as_of >= here.balance_at:
                here.balance, here.balance_at = coins, balances.as_of
                here.doubtful = False

    def tell(self, user: str, payload: bytes, *, but: Collection[object] = ()) -> None:
        """Send something to all connections of a user, but to none of these.

        Never to an overlay: its link is shown to people, and a wallet is nobody's business there.
        """
        here = self.here.get(user)
        for guest in tuple(here.guests) if here else ():
            if guest not in but and guest.session.role != "overlay":
                guest.send(payload)
