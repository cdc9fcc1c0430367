"""Flags made from the table of settings, so that no flag is written by hand and none is forgotten.

A command is written as a plain function `run(flags, file, **own)`; `with_settings` gives it a flag
for each setting that it names, and `--config`. The flags stay texts here, because `config.load`
reads them with everything else and reports all mistakes at once; a parser would stop at the first.
"""

import inspect
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Concatenate

import typer
from typer.core import TyperCommand

from server.cli.output import WRONG_USE, fail
from server.settings import table as config

Flags = Mapping[str, str]
Run = Callable[Concatenate[Flags, Path | None, ...], None]

_METAVARS = {"number": "N", "text": "TEXT", "list": "A,B,…"}
_TRUTHS = {"true": "--", "yes": "--", "on": "--", "1": "--"}
_TRUTHS |= {"false": "--no-", "no": "--no-", "off": "--no-", "0": "--no-"}


def load(flags: Flags, file: Path | None, *, need: Collection[str] = ()) -> config.Settings:
    """The effective settings of this process; prints all mistakes and ends with 2 if there are any.

    Without `file`, largesse.toml of the working directory is read when it is there.
    """
    usual = Path(config.FILE_NAME)
    try:
        return config.load(
            flags, os.environ, file or (usual if usual.is_file() else None), need=need
        )
    except config.SettingsError as error:
        fail(WRONG_USE, *map(str, error.mistakes))


def with_settings(
    run: Run, names: Collection[str], *, takes_file: bool = True
) -> Callable[..., None]:
    """`run` as a command with a flag for each of the named settings, and --config for a file."""

    def command(**given: Any) -> None:
        values = {name: given.pop(name) for name in names}
        flags = {name: _as_text(value) for name, value in values.items() if value is not None}
        run(flags, given.pop("config", None), **given)

    own = list(inspect.signature(run).parameters.values())[2:]
    parameters = [
        *(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own),
        *(_parameter(name) for name in names),
        *([_config_parameter()] if takes_file else []),
    ]
    command.__name__ = run.__name__
    command.__doc__ = run.__doc__
    # typer reads a command's flags from here.
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command


def _parameter(name: str) -> inspect.Parameter:
    row = config.TABLE[name]
    default = config.DEFAULTS[name]
    shown = config.shown(name, default)
    option = typer.Option(
        help=f"{row.help} Default: {shown}." if default not in ("", ()) else row.help,
        metavar=None if row.kind == "switch" else _METAVARS.get(row.kind, "|".join(row.choices)),
        show_default=False,
    )
    kind = bool | None if row.kind == "switch" else str | None
    return _keyword(name, Annotated[kind, option])


def _config_parameter() -> inspect.Parameter:
    option = typer.Option(
        "--config", help=f"Settings file; by default {config.FILE_NAME} where there is one."
    )
    return _keyword("config", Annotated[Path | None, option])


def _keyword(name: str, annotation: object) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )


def _as_text(value: str | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else value


class SettingsCommand(TyperCommand):
    """A command that also takes `--play-money false` and `--play-money=false`, as in a file."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, spelt_as_switches(args))


def spelt_as_switches(args: list[str]) -> list[str]:
    """The arguments with every value of a switch spelt as --name or --no-name."""
    switches = {config.flag(n): n for n, row in config.TABLE.items() if row.kind == "switch"}
    spelt: list[str] = []
    position = 0
    while position < len(args):
        name, equals, value = args[position].partition("=")
        following = args[position + 1] if position + 1 < len(args) else ""
        if name in switches and not equals and following.lower() in _TRUTHS:
            value = following
            position += 1
        if name in switches and value.lower() in _TRUTHS:
            spelt.append(_TRUTHS[value.lower()] + name.removeprefix("--"))
        else:
            spelt.append(args[position])
        position += 1
    return spelt
