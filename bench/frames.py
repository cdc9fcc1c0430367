"""Figures 1 and 2: the CPU that it costs to show something to everybody in a room.

`frames`: one event a frame, 256 bytes of payload, one round every few milliseconds; µs of CPU per
frame. `events`: a busy room's tick of 20 gifts in one frame; µs of CPU per event and viewer, beside
references that send the same 20 events as 20 frames, and beside a loop that sends them joined.
CPU is that of the whole process while it sends, pauses included. The kernel's part of a send over
loopback holds the receiving side's TCP too; over a network card it would cost less, for both. The
viewers drain in processes of their own on the other core. Our settling is not in it (see `stage`).
"""

from typing import Any, NamedTuple

from bench.live import joining
from bench.processes import LOADING, BenchFailed, Child, Workshop
from bench.scale import Scale
from bench.table import Goal, Row

PAYLOAD_BYTES = 256
EVENTS = 20
GAP_S = 0.004
"""Pause after a round, in which the viewers catch up; 20 rounds' worth after 20 frames."""
BUSY_GAP_S = 0.02
FRAMES_GOAL = 1.5


class Cast(NamedTuple):
    """Three servers, each with a crowd of its own that is there all the time."""

    ours: Child
    raw: Child
    library: Child
    crowds: dict[Child, Child]


def measure(shop: Workshop, scale: Scale) -> list[Row]:
    cast = _gather(shop, scale.viewers)
    return [*_frames(cast, scale), *_events(cast, scale)]


def _gather(shop: Workshop, viewers: int) -> Cast:
    servers: list[Child] = []
    crowds: dict[Child, Child] = {}
    for module in ("bench.stage", "bench.raw", "bench.plain"):
        server, port = shop.ready(module)
        crowd = crowds[server] = shop.start("bench.crowd", role=LOADING)
        servers.append(server)
        if module == "bench.stage":
            joining(crowd, port, viewers, "v")
            continue
        crowd.ask("make", count=viewers, users=None)
        if module == "bench.raw":
            server.tell("accept", count=viewers)
        crowd.ask("open", port=port)
        if module == "bench.raw":
            server.answer()
    return Cast(ours=servers[0], raw=servers[1], library=servers[2], crowds=crowds)


def _frames(cast: Cast, scale: Scale) -> list[Row]:
    ours, raw, library = [], [], []
    plan = {"frames": 1, "payload_bytes": PAYLOAD_BYTES, "gap_s": GAP_S, "rounds": scale.rounds}
    for _ in range(scale.repeats):
        cast.ours.ask("quiet", rounds=scale.rounds, payload=PAYLOAD_BYTES)
        due = scale.rounds * scale.viewers
        ours.append(_run(cast, cast.ours, due, gap_s=GAP_S)["cpu_s"] / due * 1e6)
        raw.append(_run(cast, cast.raw, due, **plan)["cpu_s"] / due * 1e6)
        library.append(_run(cast, cast.library, due, **plan)["cpu_s"] / due * 1e6)
    name = f"CPU per frame sent, {scale.viewers:,} viewers, {PAYLOAD_BYTES} B"

    def row(reference: str, theirs: list[float], goal: Goal | None = None) -> Row:
        return Row(
            figure="frames", name=name, unit="µs", ours=tuple(ours), reference=reference,
            theirs=tuple(theirs), goal=goal,
        )  # fmt: skip

    return [
        row("send() in a Python loop", raw, Goal(of_ratio=True, at_most=FRAMES_GOAL)),
        row("websockets.broadcast over uvloop", library),
    ]


def _events(cast: Cast, scale: Scale) -> list[Row]:
    found: dict[str, list[float]] = {"ours": [], "raw": [], "library": [], "joined": []}
    rounds = max(scale.rounds // 5, 10)
    few = max(rounds // 4, 5)
    for _ in range(scale.repeats):
        sizes = cast.ours.ask("busy", rounds=rounds, events=EVENTS)
        single = {"frames": EVENTS, "payload_bytes": sizes["alone_bytes"], "gap_s": BUSY_GAP_S * 2}
        joined = {"frames": 1, "payload_bytes": sizes["joined_bytes"], "gap_s": BUSY_GAP_S}
        for name, server, count, given in (
            ("ours", cast.ours, rounds, {"gap_s": BUSY_GAP_S}),
            ("raw", cast.raw, few, single | {"rounds": few}),
            ("library", cast.library, few, single | {"rounds": few}),
            ("joined", cast.raw, rounds, joined | {"rounds": rounds}),
        ):
            frames = count * scale.viewers * (EVENTS if name in ("raw", "library") else 1)
            spent = _run(cast, server, frames, **given)["cpu_s"]
            found[name].append(spent / (count * scale.viewers * EVENTS) * 1e6)
    name = f"CPU per event delivered, {EVENTS} a tick, {scale.viewers:,} viewers"
    note = f"an event alone {sizes['alone_bytes']} B, {EVENTS} joined {sizes['joined_bytes']:,} B"

    def row(reference: str, key: str, goal: Goal | None = None, more: str = "") -> Row:
        return Row(
            figure="events", name=name, unit="µs", ours=tuple(found["ours"]), reference=reference,
            theirs=tuple(found[key]), goal=goal, note=more,
        )  # fmt: skip

    return [
        row(f"send() in a loop, {EVENTS} frames", "raw", more=note),
        row(f"websockets.broadcast, {EVENTS} frames", "library"),
        row("send() in a loop, 1 joined frame", "joined", Goal(of_ratio=True, at_most=FRAMES_GOAL)),
    ]


def _run(cast: Cast, server: Child, due: int, **given: Any) -> dict[str, Any]:
    """One run of one server. Raises BenchFailed when a viewer was lost or frames are missing."""
    answer = server.ask("send", **given)
    crowd = cast.crowds[server].ask("count")
    if crowd["lost"]:
        raise BenchFailed(f"{server.name} lost {crowd['lost']} viewers while it sent")
    if answer["frames"] < due:
        raise BenchFailed(f"{server.name} sent {answer['frames']} of {due} frames")
    return answer
