"""Options that are made from a table, as typer makes those of a function's parameters.

typer reads options from annotations, which are written by hand. Those that come from a table (the
settings), or that dozens of commands share, are asked of typer one by one and added to a command.
"""

from functools import cache
from typing import Annotated, Any, NamedTuple

import typer
from typer.main import get_command


class Told(NamedTuple):
    """An option: its type, its default, its flag, and what `--help` says of it."""

    kind: Any
    default: object
    flag: str
    help: str
    metavar: str | None = None
    show_default: bool = True


@cache
def option(name: str, told: Told) -> Any:
    """The option as a command takes it in its `params`, its value under this name. Dozens of
    commands share one: making it anew for each would be felt in every `--help`."""
    kind: Any = told.kind
    default: Any = told.default
    said = typer.Option(
        told.flag, help=told.help, metavar=told.metavar, show_default=told.show_default
    )

    def command(value: Annotated[kind, said] = default) -> None: ...

    app = typer.Typer(add_completion=False)
    app.command()(command)
    made = next(one for one in get_command(app).params if one.name == "value")
    made.name = name
    return made
