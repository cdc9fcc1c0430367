"""The users who are connected to this node: their connections, their gift rate, their balance."""

from collections.abc import Collection, Iterable
from typing import Final

from rules.limits import TokenBucket, full_bucket
from server.clock import steady_ms
from server.live.door import Guest
from server.settings.table import Settings


class UserHere:
    """One user with at least one connection, or with some of their gift rate still used up."""

    __slots__ = ("balance", "bucket", "guests")

    def __init__(self, bucket: TokenBucket) -> None:
        self.guests: set[Guest] = set()
        self.bucket = bucket
        self.balance: int | None = None
        """Coins, as of the newest result that this node has seen; None until it was read."""


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
        here = self.here.get(user)
        return here.balance if here else None

    def changed(self, user: str, coins: int, told: Collection[object]) -> bool:
        """A result has changed the balance; whether there is anybody here who was not told."""
        here = self.here.get(user)
        if here is None:
            return False
        here.balance = coins
        return any(guest not in told for guest in here.guests)

    def doubt(self, user: str) -> None:
        """Something may have been booked that we do not know: have it read at the next join."""
        here = self.here.get(user)
        if here is not None:
            here.balance = None

    def unknown(self, users: Iterable[str]) -> set[str]:
        """Those of these users who are here and whose balance has to be read."""
        return {user for user in users if user in self.here and self.here[user].balance is None}

    def read(self, balances: dict[str, int]) -> None:
        """Take what was read; a result that came meanwhile is newer than that."""
        for user, coins in balances.items():
            here = self.here.get(user)
            if here is not None and here.balance is None:
                here.balance = coins

    def tell(self, user: str, payload: bytes, *, but: Collection[object] = ()) -> None:
        """Send something to all connections of a user, but to none of these.

        Never to an overlay: its link is shown to people, and a wallet is nobody's business there.
        """
        here = self.here.get(user)
        for guest in tuple(here.guests) if here else ():
            if guest not in but and guest.session.role != "overlay":
                guest.send(payload)
