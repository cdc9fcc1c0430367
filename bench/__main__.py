"""`python -m bench`: measure, show one table, and clean up whatever happens.

Exit codes: 0 measured, whatever the figures are (a busy machine must not fail a build); 1 something
did not work; 2 wrong use; 130 interrupted. With `--strict`, 1 also when a goal is missed.
"""

import argparse
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from rich.console import Console

from bench import durable, frames, latency, machine, senders, thousands
from bench.processes import BenchFailed, Workshop
from bench.scale import FULL, QUICK, Scale
from bench.table import Row, render, to_json

LIMIT_S = 600
"""Nothing hangs for ever, not even a bug."""
DESCRIPTORS = 12_000
"""Of one process: 10,000 connections and what else it has open."""

Measure = Callable[[Workshop, Scale], list[Row]]

PARTS: dict[str, tuple[Measure, frozenset[str]]] = {
    "frames": (frames.measure, frozenset({"frames", "events"})),
    "settle": (durable.measure, frozenset({"settle"})),
    "sockets": (senders.measure, frozenset({"sockets"})),
    "thousands": (thousands.measure, frozenset({"memory", "resume"})),
    "latency": (latency.measure, frozenset({"latency"})),
}
"""Each part with the figures that it measures together."""
FIGURES = sorted(figure for _, figures in PARTS.values() for figure in figures)


def arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute: does it run at all?")
    parser.add_argument(
        "--only", action="append", choices=FIGURES, metavar="NAME", help=", ".join(FIGURES)
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a goal is missed")
    parser.add_argument(
        "--folder", type=Path, help="where databases are written; the system's temporary folder"
    )
    return parser.parse_args(words)


def main(words: Sequence[str]) -> int:
    given = arguments(words)
    said = Console(stderr=True)
    if machine.raise_descriptors() < DESCRIPTORS:
        said.print(f"Allow {DESCRIPTORS:,} open files first: ulimit -Hn {DESCRIPTORS}", style="red")
        return 2
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, _stop)
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(LIMIT_S)
    began = time.monotonic()
    try:
        facts, rows = _measure_all(given, said)
    except BenchFailed as error:
        said.print(str(error), style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        return 130
    seconds = time.monotonic() - began
    if given.json:
        sys.stdout.write(to_json(facts, rows, seconds).decode() + "\n")
    else:
        _show(facts, rows, seconds)
    missed = any(row.goal and not row.goal.met(row.judged) for row in rows)
    return 1 if given.strict and missed else 0


def _measure_all(given: argparse.Namespace, said: Console) -> tuple[dict[str, str], list[Row]]:
    scale, wanted = QUICK if given.quick else FULL, set(given.only or FIGURES)
    with Workshop(given.folder) as shop:
        facts = machine.facts(shop.folder)
    neighbours = machine.Neighbours()
    rows: list[Row] = []
    for name, (measure, figures) in PARTS.items():
        if not wanted & figures:
            continue
        began = time.monotonic()
        with Workshop(given.folder) as shop:
            rows += [row for row in measure(shop, scale) if row.figure in wanted]
        said.print(f"{name}: {time.monotonic() - began:.0f} s", style="dim", highlight=False)
    facts["others"] = f"used {neighbours.share():.0%} of the cores meanwhile"
    return facts, rows


def _show(facts: dict[str, str], rows: list[Row], seconds: float) -> None:
    console = Console(width=None if sys.stdout.isatty() else 160)
    for name, fact in facts.items():
        console.print(f"{name:>10}  {fact}", highlight=False, markup=False)
    console.print(render(rows))
    spread = "± is half of the range of the runs; a ratio is the median of the pairs' ratios."
    console.print(f"{spread} {seconds:.0f} s.", style="dim", highlight=False)


def _stop(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _too_long(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise BenchFailed(f"The bench was not done after {LIMIT_S} s.")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
