"""Run by test_sqlite_faults in a process of its own: gifts until the store fails, and says so.

Prints one line of JSON per acknowledged key, and one per failure; after the first failure it tries
once more, because a broken store must stay closed.
"""

import asyncio
import json
import os
import sys

from kit.building.builders import gift, grant, open_room, set_policy
from rules.outcomes import GiftAccepted
from storage import Store, StoreError, open_store
from storage.sqlite import store as sqlite

GIFTS = 24


async def main(path: str) -> None:
    sqlite.CHECKPOINT_COMMANDS = 5  # fdatasync of the database file happens here, too
    store = await open_store(f"sqlite:///{path}")
    try:
        await use(store)
    finally:
        await store.close()


async def use(store: Store) -> None:
    if await store.policy() is None:
        await store.settle([set_policy(), open_room(), grant()], 0)
    failures = 0
    for number in range(GIFTS):
        key = f"{os.getpid()}-{number}"
        try:
            results = await store.settle([gift(key=key)], number)
        except StoreError as error:
            say(error=type(error).__name__)
            failures += 1
            if failures == 2:
                break
        else:
            assert isinstance(results[0].outcome, GiftAccepted)
            say(key=key)


def say(**line: str) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
