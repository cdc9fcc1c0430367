"""Percentiles are figures that were measured, and the JSON has the shape that the docs promise."""

from pathlib import Path

import msgspec
from rich.console import Console

from loadtest.latency import Histogram, Percentiles
from loadtest.report import (
    Connections,
    Frames,
    Generator,
    Gifts,
    Report,
    Setup,
    Viewers,
    clock_note,
    render,
    to_json,
)
from loadtest.verdict import Check

NONE = Percentiles(count=0, p50=0, p95=0, p99=0, max=0)


def report(ok: bool, cpu_share: float = 0.5) -> Report:
    return Report(
        ok=ok,
        setup=Setup(
            url="http://x",
            room="r",
            run="lt1",
            viewers=1,
            gifters=1,
            rate=1,
            duration_s=1,
            closed_loop=0,
            seed=1,
            gifts=("rose",),
        ),
        gifts=Gifts(
            due=2,
            offered=2,
            held_back=0,
            accepted=1,
            accepted_coins=5,
            accepted_per_s=1,
            replayed=0,
            refused={"insufficient_coins": 1},
            sent_again={},
            unanswered=0,
        ),
        acknowledge_ms=NONE,
        delivery_ms=NONE,
        delivery_clock=clock_note(loopback=False),
        frames=Frames(
            received=1,
            received_per_s=1,
            distinct=1,
            events=1,
            events_per_s=1,
            gifts_seen=1,
            merged=0,
            omitted_gifts=0,
            omitted_coins=0,
        ),
        connections=Connections(
            joined=2,
            connect_s=1,
            connect_ms=NONE,
            doors={"503": 3},
            dropped=0,
            slow=0,
            recovered=0,
            snapshots=0,
            closes={"4001": 1},
        ),
        viewers=Viewers(equal=2, not_equal=0),
        checks=(Check(name="a", ok=ok, compared=3, wrong=not ok, differences=("told so",)),),
        generator=Generator(cpu_share=cpu_share, late_ms_max=1, memory_mb=1),
        seconds=3,
    )


def shown(one: Report) -> str:
    console = Console(width=120, record=True, quiet=False, file=Path("/dev/null").open("w"))
    with console.capture() as text:
        console.print(render(one))
    console.file.close()
    return text.get()


def test_percentiles_are_nearest_ranks() -> None:
    histogram = Histogram()
    for latency_ms in range(1, 101):
        histogram.add_ms(latency_ms)
    assert histogram.percentiles() == Percentiles(count=100, p50=50, p95=95, p99=99, max=100)


def test_a_percentile_of_few_is_one_of_them() -> None:
    histogram = Histogram()
    histogram.add_ms(1.23)
    histogram.add_ms(8.0)
    figures = histogram.percentiles()
    assert (figures.p50, figures.p99, figures.max) == (1.2, 8.0, 8.0)


def test_nothing_measured_is_nothing() -> None:
    assert Histogram().percentiles() == NONE


def test_the_table_says_what_happened() -> None:
    text = shown(report(ok=True))
    assert "Everything adds up" in text
    assert "insufficient_coins 1" in text
    assert "4001 1" in text
    assert "needs synchronised clocks" in text


def test_a_difference_is_named_and_explained() -> None:
    text = shown(report(ok=False))
    assert "It does not add up (a)" in text
    assert "told so" in text


def test_a_busy_generator_admits_it() -> None:
    assert "may be the limit" in shown(report(ok=True, cpu_share=0.97))
    assert "may be the limit" not in shown(report(ok=True))


def test_the_json_is_documented_field_by_field() -> None:
    page = (Path(__file__).parents[2] / "docs" / "loadtest.md").read_text()
    fields = msgspec.json.decode(to_json(report(ok=True)))
    parts = {"acknowledge_ms", "delivery_ms"}
    names = {
        f"{part}.{name}"
        for part, inside in fields.items()
        if isinstance(inside, dict)
        for name in inside
        if part not in parts
    } | set(fields)
    missing = sorted(name for name in names if f"`{name}`" not in page)
    assert missing == []
