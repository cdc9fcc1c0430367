"""What commands print: data to standard output, one sentence per mistake to standard error.

Texts that came from elsewhere (a room's title, a server's message) are cleaned of control
characters first, because a terminal obeys those.
"""

import json
from collections.abc import Mapping, Sequence
from typing import NoReturn

import typer

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
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(clean(_told(cell))) for cell in row))
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
