"""What is told at the end, to a person (a table) and to a program (one JSON object).

Pure: numbers in, values out. The JSON is documented in docs/loadtest.md and only ever grows. A
report says what the generator itself could not do (held back, late, busy), because a load test
that hides its own limits measures nothing.
"""

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from loadtest.latency import Percentiles
from loadtest.verdict import Check

BUSY_SHARE = 0.9
"""Above this share of a core the generator, not the server, may be what was measured."""


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """The plan as it was carried out; never a secret."""

    url: str
    room: str
    run: str
    viewers: int
    gifters: int
    rate: float
    duration_s: float
    closed_loop: int
    seed: int
    gifts: tuple[str, ...]


class Gifts(msgspec.Struct, frozen=True, kw_only=True):
    due: int
    offered: int
    held_back: int
    accepted: int
    accepted_coins: int
    accepted_per_s: float
    replayed: int
    refused: dict[str, int]
    sent_again: dict[str, int]
    unanswered: int


class Frames(msgspec.Struct, frozen=True, kw_only=True):
    """`received` counts `events` frames of all viewers, `events` the entries in them."""

    received: int
    received_per_s: float
    distinct: int
    events: int
    events_per_s: float
    gifts_seen: int
    merged: int
    omitted_gifts: int
    omitted_coins: int


class Connections(msgspec.Struct, frozen=True, kw_only=True):
    joined: int
    connect_s: float
    connect_ms: Percentiles
    doors: dict[str, int]
    dropped: int
    slow: int
    recovered: int
    snapshots: int
    closes: dict[str, int]


class Generator(msgspec.Struct, frozen=True, kw_only=True):
    """How busy we were ourselves while sending."""

    cpu_share: float
    late_ms_max: float
    memory_mb: float


class Viewers(msgspec.Struct, frozen=True, kw_only=True):
    equal: int
    not_equal: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    ok: bool
    setup: Setup
    gifts: Gifts
    acknowledge_ms: Percentiles
    delivery_ms: Percentiles
    delivery_clock: str
    frames: Frames
    connections: Connections
    viewers: Viewers
    checks: tuple[Check, ...]
    generator: Generator
    seconds: float


def to_json(report: Report) -> bytes:
    return msgspec.json.encode(report)


def clock_note(loopback: bool) -> str:
    return "same clock" if loopback else "needs synchronised clocks"


def render(report: Report) -> RenderableType:
    """The whole report for a terminal."""
    return Group(_figures(report), _checks(report), _verdict(report))


def _figures(report: Report) -> Table:
    table = Table(title=f"{report.setup.run} in the room {report.setup.room}", show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(style="dim")
    for row in (*_gift_rows(report), *_latency_rows(report), *_frame_rows(report)):
        table.add_row(*row)
    return table


def _gift_rows(report: Report) -> list[tuple[str, str, str]]:
    gifts = report.gifts
    refused = sum(gifts.refused.values())
    return [
        ("gifts offered", f"{gifts.offered:,}", f"{gifts.held_back:,} held back"),
        (
            "accepted",
            f"{gifts.accepted:,}",
            (
                f"{gifts.accepted_per_s:,.0f}/s, {gifts.accepted_coins:,} coins, "
                f"{gifts.replayed:,} replayed"
            ),
        ),
        ("refused", f"{refused:,}", _counts(gifts.refused)),
        ("sent again", f"{sum(gifts.sent_again.values()):,}", _counts(gifts.sent_again)),
        ("unanswered", f"{gifts.unanswered:,}", ""),
    ]


def _latency_rows(report: Report) -> list[tuple[str, str, str]]:
    rows = []
    for name, figures, note in (
        ("connect", report.connections.connect_ms, f"{report.connections.connect_s:.1f} s in all"),
        ("acknowledge", report.acknowledge_ms, "from the first time a key was sent"),
        ("delivery", report.delivery_ms, f"booked to seen, {report.delivery_clock}"),
    ):
        spread = f"{figures.p95:,.1f} · {figures.p99:,.1f} · {figures.max:,.1f} ms"
        rows.append((f"{name} p50", f"{figures.p50:,.1f} ms", f"p95 · p99 · max {spread}; {note}"))
    return rows


def _frame_rows(report: Report) -> list[tuple[str, str, str]]:
    frames, links, own = report.frames, report.connections, report.generator
    came_back = f"{links.recovered:,} recovered, {links.snapshots:,} snapshots"
    return [
        ("joined", f"{links.joined:,}", f"at the door: {_counts(links.doors) or 'nothing'}"),
        (
            "frames",
            f"{frames.received:,}",
            f"{frames.received_per_s:,.0f}/s, {frames.distinct:,} distinct",
        ),
        ("events seen", f"{frames.events:,}", f"{frames.events_per_s:,.0f}/s"),
        (
            "gifts seen",
            f"{frames.gifts_seen:,}",
            (
                f"{frames.merged:,} merged, {frames.omitted_gifts:,} omitted "
                f"({frames.omitted_coins:,} coins)"
            ),
        ),
        ("dropped on purpose", f"{links.dropped:,}", f"{links.slow:,} slow; {came_back}"),
        ("closed", f"{sum(links.closes.values()):,}", _counts(links.closes)),
        (
            "this generator",
            f"{own.cpu_share:.0%} CPU",
            f"{own.late_ms_max:.0f} ms late at most, {own.memory_mb:,.0f} MB"
            + ("; it may be the limit, not the server" if own.cpu_share > BUSY_SHARE else ""),
        ),
    ]


def _checks(report: Report) -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    for check in report.checks:
        style = "green" if check.ok else "bold red"
        count = f"{check.compared:,}" if check.ok else f"{check.wrong:,} of {check.compared:,}"
        table.add_row(Text("equal" if check.ok else "NOT", style=style), check.name, count)
        for sentence in check.differences:
            table.add_row("", Text(f"  {sentence}", style="red"), "")
    return table


def _verdict(report: Report) -> Text:
    viewers = f"{report.viewers.equal:,} viewers equal, {report.viewers.not_equal:,} not."
    if report.ok:
        return Text(f"Everything adds up. {viewers}", style="bold green")
    wrong = [check.name for check in report.checks if not check.ok]
    return Text(f"It does not add up ({'; '.join(wrong)}). {viewers}", style="bold red")


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))
