"""What a run found: rows of our figures beside their references, as one table or as JSON.

The ratio is the median of the ratios of neighbouring runs (A₁/B₁, A₂/B₂, …): what slows the machine
down for a few seconds then slows both. The spread is half of the range, in percent of the median.
"""

from collections.abc import Sequence
from statistics import median

import msgspec
from rich.table import Table
from rich.text import Text


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """What the ratio, or our figure where there is no reference, may be."""

    of_ratio: bool = False
    at_most: float | None = None
    at_least: float | None = None

    def met(self, value: float) -> bool:
        return (self.at_most is None or value <= self.at_most) and (
            self.at_least is None or value >= self.at_least
        )

    def __str__(self) -> str:
        limit = self.at_most if self.at_most is not None else self.at_least
        sign = "≤" if self.at_most is not None else "≥"
        return f"{sign} {shown(limit or 0)}" + (" ×" if self.of_ratio else "")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One comparison. `ours` and `theirs` are the runs in their order, in `unit`."""

    figure: str
    name: str
    unit: str
    ours: tuple[float, ...]
    reference: str = ""
    theirs: tuple[float, ...] = ()
    goal: Goal | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        if not self.theirs:
            return None
        return median(a / b for a, b in zip(self.ours, self.theirs, strict=True))

    @property
    def judged(self) -> float:
        """What the goal is about."""
        ratio = self.ratio
        of_ratio = self.goal is not None and self.goal.of_ratio and ratio is not None
        return ratio if of_ratio and ratio is not None else median(self.ours)


def shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def spread(values: Sequence[float]) -> str:
    if len(values) < 2 or not median(values):
        return ""
    return f"±{(max(values) - min(values)) / 2 / median(values):.0%}"


def render(rows: Sequence[Row]) -> Table:
    table = Table(title="largesse beside its references")
    table.add_column("figure")
    for name in ("largesse", "", "reference", "", "ratio", "goal"):
        table.add_column(name, justify="right")
    table.add_column("the reference is")
    last = ""
    for row in rows:
        if row.figure != last:
            table.add_section()
        last = row.figure
        table.add_row(*_cells(row))
    return table


def _cells(row: Row) -> tuple[str | Text, ...]:
    ratio = row.ratio
    met = row.goal.met(row.judged) if row.goal else None
    style = {True: "green", False: "bold red", None: "dim"}[met]
    name = Text(row.name)
    if row.note:
        name.append(f"\n{row.note}", style="dim")
    return (
        name,
        f"{shown(median(row.ours))} {row.unit}",
        spread(row.ours),
        f"{shown(median(row.theirs))} {row.unit}" if row.theirs else "",
        spread(row.theirs),
        f"{ratio:.2f} ×" if ratio is not None else "",
        Text(str(row.goal) if row.goal else "–", style=style),
        row.reference,
    )


def to_json(machine: dict[str, str], rows: Sequence[Row], seconds: float) -> bytes:
    """`{machine, rows, seconds}`; a row has its runs, their medians, the ratio and the verdict."""
    body = [
        msgspec.to_builtins(row)
        | {
            "median": median(row.ours),
            "reference_median": median(row.theirs) if row.theirs else None,
            "ratio": row.ratio,
            "met": row.goal.met(row.judged) if row.goal else None,
        }
        for row in rows
    ]
    found = {"machine": machine, "rows": body, "seconds": round(seconds, 1)}
    return msgspec.json.format(msgspec.json.encode(found), indent=1)
