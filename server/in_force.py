"""What is in force: the policy, and the tokens that were revoked, as the books have them.

Both are changed by commands, on whatever node, and every node follows: at the start, and then it
asks the books every `LOOK_MS` what has been added since. The node on which something was revoked
follows before it answers, and tells the others to look at once; that word may be lost. So a
revocation holds everywhere within `LOOK_MS` and the time of one read, as long as the node can read
the books; while it cannot, nothing is booked through it either.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection
from typing import Any

import msgspec
import structlog

from rules.policy import Policy
from server.auth import TokenVerifier
from server.clock import Clock
from storage import Store, StoreUnavailable

log = structlog.get_logger()

LOOK_MS = 2_000
PAGE = 10_000
"""Revocations in one read; a node that starts may have many to learn."""
FORGET_EVERY_MS = 600_000
"""How often revocations of tokens that have expired by themselves leave the memory."""


class InForce:
    """Opened by `run` in a task, after a first `catch_up`. `wanted` is the policy that this node's
    settings ask for; the one in the books counts."""

    def __init__(self, store: Store, verifier: TokenVerifier, clock: Clock, wanted: Policy) -> None:
        self.policy = wanted
        self._wanted = wanted
        self._store = store
        self._verifier = verifier
        self._clock = clock
        self._after = 0
        self._forgot_ms = clock()
        self._one_at_a_time = asyncio.Lock()
        self._look = asyncio.Event()
        self._turn_out: Callable[[Collection[str]], None] = _nobody

    def on_revoked(self, turn_out: Callable[[Collection[str]], None]) -> None:
        """Have this called with the ids of tokens that were revoked, to close who is connected with
        one. What it raises comes out, and it is called with them once more at the next look."""
        self._turn_out = turn_out

    async def catch_up(self) -> None:
        """Follow all that was booked until now. Raises StoreUnavailable."""
        async with self._one_at_a_time:
            while await self._follow():
                pass

    async def follow_now(self) -> None:
        """Catch up before somebody is told of what was booked. When the books cannot be read, it is
        followed later, as on other nodes."""
        with contextlib.suppress(StoreUnavailable):
            await self.catch_up()

    def look_soon(self) -> None:
        """Another node says that something has changed: do not wait for the next look."""
        self._look.set()

    async def _follow(self) -> bool:
        found = await self._store.rulings(self._after, self._clock(), PAGE)
        for row in found.revoked:
            self._verifier.revoke(row.id, row.expires_ms)
        if found.policy is not None and found.policy != self.policy:
            self._set(found.policy)
        if found.revoked:
            self._turn_out({row.id for row in found.revoked})
        self._after = found.command
        return found.more

    def _set(self, policy: Policy) -> None:
        self.policy = policy
        differs = differences(policy, self._wanted)
        if differs:
            log.warning("policy.not_as_settings_say", differs=differs)
        else:
            log.info("policy.followed", catalogue=policy.catalogue.version)

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_MS / 1000):
                    await self._look.wait()
            self._look.clear()
            try:
                await self.catch_up()
            except StoreUnavailable as error:
                log.error("rulings.unavailable", error=str(error))
            except Exception:
                # Such as a policy of a later version that this one cannot read: the show goes on,
                # by what was in force before.
                log.exception("rulings.failed")
            now_ms = self._clock()
            if now_ms - self._forgot_ms >= FORGET_EVERY_MS:
                self._forgot_ms = now_ms
                self._verifier.forget_expired(now_ms)


def _nobody(token_ids: Collection[str]) -> None:
    """Nobody is connected yet."""


def differences(one: Policy, other: Policy) -> list[str]:
    """The names of the fields in which two policies differ, such as `limits.daily_coins`."""
    return sorted(_differing("", msgspec.to_builtins(one), msgspec.to_builtins(other)))


def _differing(name: str, one: Any, other: Any) -> list[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        return [
            found
            for key in one.keys() | other.keys()
            for found in _differing(f"{name}.{key}" if name else key, one.get(key), other.get(key))
        ]
    return [] if one == other else [name]
