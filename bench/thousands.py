"""Figures 5 and 6: ten thousand idle viewers, what they weigh and how fast they are back.

`memory`: growth of the server's RSS by connections that joined one room, divided by them; the
reference is `websockets.serve(compression=None)`, its own keepalive on, with as many connections
that never speak. The kernel's socket buffers are not in RSS, for neither.
`resume`: the server is killed (-9) and started on the same port; then everybody connects as fast as
it lets them and resumes from a place 20 events back, until each has `recovered: true` and the last
event. Real clients would spread themselves by jitter; here the crowd starts when the port is ready.
The reference is the same crowd connecting to the bare library: no token, no room, nothing to catch
up. The crowd is one core of Python and takes its part of both.
"""

import os
import time
from typing import Any

from bench.house import ROOM, SENDERS, sender
from bench.live import Server, joining
from bench.processes import LOADING, BenchFailed, Child, Workshop, rss_bytes
from bench.scale import Scale
from bench.table import Goal, Row

MISSED = 20
SETTLE_DOWN_S = 1.0
WITHIN_S = 120.0
MEMORY_GOAL_KB = 9.0


def measure(shop: Workshop, scale: Scale) -> list[Row]:
    crowd = shop.start("bench.crowd", role=LOADING)
    runs = []
    for number in range(scale.repeats):
        ours = _ours(shop, crowd, scale.crowd, f"crowd-{number}")
        runs.append(ours | _theirs(shop, crowd, scale.crowd))

    def column(key: str) -> tuple[float, ...]:
        return tuple(run[key] for run in runs)

    many = f"{scale.crowd:,}"
    memory = Row(
        figure="memory",
        name=f"memory per idle viewer, {many} in a room",
        unit="KB",
        ours=column("our_kb"),
        reference="websockets.serve, no compression",
        theirs=column("their_kb"),
        goal=Goal(at_most=MEMORY_GOAL_KB),
    )
    ready = Row(figure="resume", name="ready again after kill -9", unit="s", ours=column("ready_s"))

    def resumed(name: str, key: str) -> Row:
        return Row(
            figure="resume",
            name=f"{many} resume at once: {name}",
            unit="s",
            ours=column(key),
            reference=f"{many} connect to bare websockets",
            theirs=column("their_s"),
        )

    return [
        memory,
        ready,
        resumed("all connected", "connected_s"),
        resumed("all caught up", "inside_s"),
    ]


def _ours(shop: Workshop, crowd: Child, count: int, name: str) -> dict[str, float]:
    server = Server(shop, name)
    server.furnish(map(sender, range(SENDERS)))
    head = _send_some(shop, server)
    before = rss_bytes(server.child.pid)
    joining(crowd, server.port, count, "v")
    time.sleep(SETTLE_DOWN_S)
    our_kb = (rss_bytes(server.child.pid) - before) / count / 1024
    server.child.kill()
    _wait_until_dropped(crowd)
    ready_s = server.start()
    resume = {"epoch": _epoch(server), "seq": head - MISSED}
    crowd.ask("make", count=count, users="v")
    join = {"type": "join", "room": ROOM, "resume": resume}
    # The prefix of the last catch-up frame's `last` cannot match another number by chance.
    until = f'"last":{head},'
    found = crowd.ask("open", WITHIN_S, port=server.port, join=join, until=until, address=2)
    if found["recovered"] != count:
        raise BenchFailed(f"only {found['recovered']} of {count} were recovered")
    crowd.ask("leave")
    server.child.stop()
    return {"our_kb": our_kb, "ready_s": ready_s} | _times(found)


def _theirs(shop: Workshop, crowd: Child, count: int) -> dict[str, float]:
    child, port = shop.ready("bench.plain", "--pings")
    before = rss_bytes(child.pid)
    crowd.ask("make", count=count, users=None)
    found = crowd.ask("open", WITHIN_S, port=port)
    time.sleep(SETTLE_DOWN_S)
    their_kb = (rss_bytes(child.pid) - before) / count / 1024
    crowd.ask("leave")
    child.stop()
    return {"their_kb": their_kb, "their_s": _times(found)["inside_s"]}


def _times(found: dict[str, Any]) -> dict[str, float]:
    began = found["began"]
    return {
        "connected_s": found["connected"] - began,
        "inside_s": found["inside"] - began,
    }


def _send_some(shop: Workshop, server: Server) -> int:
    """Put a few events into the room's log, so that there is something to resume; the head."""
    senders = shop.start("bench.crowd", role=LOADING)
    joining(senders, server.port, SENDERS, "senders")
    tag = os.urandom(4).hex()
    senders.ask("pump", tag=tag, depth=1, seconds=0.1, server=server.child.pid)
    senders.stop()
    return int(server.room()["seq"])


def _wait_until_dropped(crowd: Child) -> None:
    deadline = time.monotonic() + WITHIN_S
    while crowd.ask("count")["open"]:
        if time.monotonic() > deadline:
            raise BenchFailed("the crowd did not notice that the server is gone")
        time.sleep(0.1)


def _epoch(server: Server) -> str:
    return str(server.room()["epoch"])
