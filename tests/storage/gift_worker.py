"""Run by test_sqlite_faults in a process of its own: gifts until the store fails, and says so.

Prints one line of JSON per acknowledged key, and one per failure; after the first failure it tries
once more, because a broken store must stay closed.
"""

import asyncio
import json
import os
import sys

from rules.catalogue import built_in
from rules.commands import Grant, OpenRoom, Policy, SendGift, SetPolicy
from storage import StoreError, open_store, sqlite
from storage.store import Store

GIFTS = 24


async def main(path: str) -> None:
    sqlite.CHECKPOINT_COMMANDS = 5  # fdatasync of the database file happens here, too
    store = await open_store(f"sqlite:///{path}")
    await _prepare(store)
    failures = 0
    for number in range(GIFTS):
        key = f"{os.getpid()}-{number}"
        command = SendGift(
            actor="user:ada", key=key, sender="ada", name="Ada", adult=True, room="r1", gift="rose"
        )
        try:
            await store.settle([command], number)
        except StoreError as error:
            print(json.dumps({"error": type(error).__name__}), flush=True)
            failures += 1
            if failures == 2:
                break
        else:
            print(json.dumps({"key": key}), flush=True)
    await store.close()


async def _prepare(store: Store) -> None:
    if await store.policy() is not None:
        return
    opening = OpenRoom(
        actor="backend", key="o", room="r1", title="T", creator="cleo", creator_name="C", epoch="e"
    )
    granting = Grant(actor="backend", key="g", user="ada", coins=1_000, reason="test")
    policy = SetPolicy(actor="operator", key="p", policy=Policy(catalogue=built_in()))
    await store.settle([policy, opening, granting], 0)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
