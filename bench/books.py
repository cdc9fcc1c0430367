"""Durable gifts in a process of its own: our store, or the barest loop that makes a row durable.

`settle`: `Store.settle` as the server calls it, with its thread, its checkpoints and FULL; the
commands are made before the clock starts. `bare`: BEGIN, one INSERT of one row per gift, COMMIT, on
the same file system with the same pragmas. The bare loop keeps no wallet, no key, no journal and no
seal (we write 2 transfers, an event, a journal row and the sums): it is the floor, not a rival.
"""

import sqlite3
import sys
import time
from collections.abc import Callable

import uvloop

from bench.control import Line
from bench.house import GIFTS_STEADY, SENDERS, gift, opening
from rules.catalogue import built_in
from rules.commands import SetPolicy
from rules.policy import Policy
from server.clock import now_ms
from storage import open_store
from storage.sqlite.store import connect_writer

BODY = "x" * 300
"""Bytes of a gift's row in the bare loop: about what an event has."""


async def settle(line: Line, database: str) -> None:
    store = await open_store(f"sqlite:///{database}")
    policy = SetPolicy(actor="operator", key="p", policy=Policy(catalogue=built_in()))
    await store.settle([policy, *opening()], now_ms())
    line.say(open=database)
    number = 0
    async for command in line.commands_async():
        size, gifts, spent_s, cpu_s = command["batch"], 0, 0.0, 0.0
        while spent_s < command["seconds"]:
            batch = [gift(n % SENDERS, n, GIFTS_STEADY) for n in range(number, number + size)]
            number += size
            began, cpu = time.perf_counter(), time.process_time()
            results = await store.settle(batch, now_ms())
            spent_s += time.perf_counter() - began
            cpu_s += time.process_time() - cpu
            assert all(result.events for result in results), results[0]
            gifts += size
        line.say(per_s=gifts / spent_s, cpu_us=cpu_s / gifts * 1e6)
    await store.close()


def bare(line: Line, database: str) -> None:
    connection = connect_writer(database)
    connection.execute("PRAGMA wal_autocheckpoint = 1000")
    connection.execute("CREATE TABLE gift (id INTEGER PRIMARY KEY, key TEXT, body TEXT) STRICT")
    line.say(open=database)
    number = 0
    for command in line.commands():
        size, gifts, began, cpu = command["batch"], 0, time.perf_counter(), time.process_time()
        while time.perf_counter() - began < command["seconds"]:
            _insert(connection, number, size)
            number += size
            gifts += size
        spent_s = time.perf_counter() - began
        line.say(per_s=gifts / spent_s, cpu_us=(time.process_time() - cpu) / gifts * 1e6)


def _insert(connection: sqlite3.Connection, first: int, size: int) -> None:
    execute: Callable[..., object] = connection.execute
    execute("BEGIN")
    for n in range(first, first + size):
        execute("INSERT INTO gift VALUES (?, ?, ?)", (n, f"k-{n}", BODY))
    execute("COMMIT")


def main(kind: str, database: str) -> None:
    if kind == "bare":
        bare(Line(), database)
    else:
        uvloop.run(settle(Line(), database))


if __name__ == "__main__":
    main(*sys.argv[1:])
