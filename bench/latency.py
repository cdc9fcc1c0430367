"""Figure 7: from accepted to seen, for 1,000 viewers at 2,000 gifts a second.

By `loadtest`, which also holds what everybody saw against the books; a run that does not add up
fails. Both ends read one clock, in whole milliseconds. Every event counts once per viewer, and the
generator is one core of Python that reads for 1,200 connections: what it is late itself is in the
figure, so the note has its share. The reference is the same path without a crowd: one viewer, 20
gifts a second, so the ratio says what load adds; half of the 40 ms tick is in the first by design.
"""

from typing import Any

import orjson

from bench.house import API_KEY, SECRET
from bench.live import Server
from bench.processes import LOADING, BenchFailed, Workshop
from bench.scale import Scale
from bench.table import Goal, Row

GIFTERS = 200
RATE = 2_000
QUIET_S = 2.0
P99_GOAL_MS = 250.0


def measure(shop: Workshop, scale: Scale) -> list[Row]:
    server = Server(shop, "latency")
    busy, quiet = [], []
    for number in range(scale.repeats):
        crowd = (scale.viewers, GIFTERS, RATE, scale.latency_s)
        busy.append(_load(shop, server, f"busy{number}", *crowd))
        quiet.append(_load(shop, server, f"quiet{number}", 1, 1, 20, QUIET_S))
    share = max(report["generator"]["cpu_share"] for report in busy)
    held_back = sum(report["gifts"]["held_back"] for report in busy)

    def row(which: str, goal: Goal | None, note: str) -> Row:
        return Row(
            figure="latency",
            name=f"accepted to seen, {scale.viewers:,} viewers, {RATE:,} gifts/s, {which}",
            unit="ms",
            ours=tuple(report["delivery_ms"][which] for report in busy),
            reference=f"1 viewer, 20 gifts/s, {which}",
            theirs=tuple(max(report["delivery_ms"][which], 0.5) for report in quiet),
            goal=goal,
            note=note,
        )

    note = f"generator {share:.0%} of its core, {held_back:,} gifts held back"
    return [row("p50", None, note), row("p99", Goal(at_most=P99_GOAL_MS), "")]


def _load(
    shop: Workshop,
    server: Server,
    room: str,
    viewers: int,
    gifters: int,
    rate: int,
    seconds: float,
) -> dict[str, Any]:
    flags = {"room": room, "viewers": viewers, "gifters": gifters, "rate": rate}
    flags |= {"duration": seconds}
    words = [word for name, value in flags.items() for word in (f"--{name}", str(value))]
    secrets = {"LARGESSE_TOKEN_SECRET": SECRET, "LARGESSE_API_KEY": API_KEY}
    child = shop.start("loadtest", server.url, *words, "--json", role=LOADING, more=secrets)
    code, out = child.finish(seconds + 60)
    if code:
        raise BenchFailed(f"the load test ended with {code}: {out[-1_500:].decode()}")
    report: dict[str, Any] = orjson.loads(out)
    return report
