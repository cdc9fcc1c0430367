"""Figure 4: durable gifts a second through sockets, SQLite with FULL, senders that never wait.

200 connections keep 16 gifts each in flight; all have joined the room, as they must, so they get
its frames too. Then the same beside 1,000 silent viewers. The reference is figure 3 at a batch of
256, measured in turns with it: what is missing from 1 × is what sockets, JSON and fan-out cost.
Wall time, so a busy machine shows; the CPU per gift in the note does not suffer as much. The pump
and the crowd share the other core: when the pump's share nears 100 %, it is the limit.
"""

import os
from collections.abc import Callable
from statistics import median
from typing import Any

from bench.durable import start
from bench.house import SENDERS, sender
from bench.live import Server, joining
from bench.processes import LOADING, BenchFailed, Child, Workshop
from bench.scale import Scale
from bench.table import Goal, Row

DEPTH = 16
BATCH = 256
PER_S_GOAL = 10_000


def measure(shop: Workshop, scale: Scale) -> list[Row]:
    books = start(shop, "settle", "floor")
    alone, watched = _house(shop, "alone", 0), _house(shop, "watched", scale.viewers)
    floors, runs = list[list[float]]([[], []]), list[list[dict[str, Any]]]([[], []])
    for _ in range(scale.repeats):
        for which, pump in enumerate((alone, watched)):
            floors[which].append(books.ask("run", batch=BATCH, seconds=scale.settle_s)["per_s"])
            runs[which].append(pump(scale.pump_s))
    return [
        _row("no viewers but the senders", runs[0], floors[0]),
        _row(f"with {scale.viewers:,} viewers", runs[1], floors[1]),
    ]


def _house(shop: Workshop, name: str, viewers: int) -> Callable[[float], dict[str, Any]]:
    """A server with its senders and its viewers; returns what makes one run."""
    server = Server(shop, name)
    server.furnish(map(sender, range(SENDERS)))
    senders = shop.start("bench.crowd", role=LOADING)
    joining(senders, server.port, SENDERS, "senders")
    crowd: Child | None = None
    if viewers:
        crowd = shop.start("bench.crowd", role=LOADING)
        joining(crowd, server.port, viewers, "v")

    def run(seconds: float) -> dict[str, Any]:
        tag = os.urandom(4).hex()
        given = {"tag": tag, "depth": DEPTH, "seconds": seconds, "server": server.child.pid}
        found = senders.ask("pump", seconds + 30, **given)
        if crowd is not None and crowd.ask("count")["lost"]:
            raise BenchFailed("viewers were lost while gifts were sent")
        return found

    return run


def _row(name: str, runs: list[dict[str, Any]], floor: list[float]) -> Row:
    def middle(what: str) -> float:
        return median(float(run[what]) for run in runs)

    cpu_us = middle("cpu_us")
    return Row(
        figure="sockets",
        name=f"durable gifts through sockets, {name}",
        unit="/s",
        ours=tuple(run["per_s"] for run in runs),
        reference=f"in-process, {BATCH} a transaction",
        theirs=tuple(floor),
        goal=Goal(at_least=PER_S_GOAL),
        note=(
            f"{cpu_us:,.0f} µs CPU a gift: a core allows {1e6 / cpu_us:,.0f}/s; "
            f"server {middle('server_share'):.0%} of its core, pump {middle('pump_share'):.0%}"
        ),
    )
