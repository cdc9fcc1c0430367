"""What commands print: data to standard output, one sentence per mistake to standard error.

Texts that came from elsewhere (a room's title, a server's message) are cleaned of control
characters first, because a terminal obeys those.
"""

import json
from collections.abc import Mapping, Sequence
from typing import NoReturn

import typer

FIRST_COLUMN_MAX = 40  # characters that are not folded, of the usual 80
DONE, NO, WRONG_USE, UNREACHABLE = 0, 1, 2, 3  # exit codes (protocol.md, section 3)


def fail(code: int, *sentences: str) -> NoReturn:
    """Prints the sentences to standard error and ends the command with `code`."""
    for sentence in sentences:
        typer.echo(f"largesse: {clean(sentence)}", err=True)
    raise typer.Exit(code)


def say(sentence: str) -> None:
    """Prints one sentence."""
    typer.echo(clean(sentence))


def print_json(content: object) -> None:
    """Prints data for a program."""
    typer.echo(json.dumps(content, indent=2, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Prints data for a person."""
    # Here, not at the top: most commands print no table, and rich.table takes its time to load.
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE)
    lines = [[Text(clean(_told(cell))) for cell in row] for row in rows]
    ids = max((line[0].cell_len for line in lines if line), default=0)
    for place, column in enumerate(columns):
        # What a line is called is copied into the next command, so it stays in one piece.
        least = min(ids, FIRST_COLUMN_MAX) if place == 0 else None
        table.add_column(column, overflow="fold", min_width=least)
    for line in lines:
        table.add_row(*line)
    Console().print(table)


def pairs(content: Mapping[str, object], above: str = "") -> list[tuple[str, object]]:
    """The entries of a JSON object as rows; inner objects are written as outer.inner."""
    rows: list[tuple[str, object]] = []
    for key, value in content.items():
        if isinstance(value, Mapping):
            rows += pairs(value, f"{above}{key}.")
        else:
            rows.append((f"{above}{key}", value))
    return rows


def clean(text: str) -> str:
    """The text without control characters, line breaks included."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _told(cell: object) -> str:
    match cell:
        case None:
            return "–"
        case bool():
            return "yes" if cell else "no"
        case _:
            return str(cell)
