"""Flags made from the table of settings, so that no flag is written by hand and none is forgotten.

`with_settings` names the settings of a command, and gives it a flag for each and `--config`. The
flags stay texts here, because `config.load` reads them with everything else and reports all
mistakes at once; a parser would stop at the first.
"""

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import typer
from typer.core import TyperCommand

from server.cli.options import Told, option
from server.cli.output import WRONG_USE, fail
from server.settings import table as config

Flags = Mapping[str, str]

_METAVARS = {"number": "N", "text": "TEXT", "list": "A,B,…"}
_TRUTHS = {"true": "--", "yes": "--", "on": "--", "1": "--"}
_TRUTHS |= {"false": "--no-", "no": "--no-", "off": "--no-", "0": "--no-"}


class Given(NamedTuple):
    """What was given on the command line of a verb that has settings."""

    flags: Flags
    file: Path | None


def load(ctx: typer.Context, *, need: Collection[str] = ()) -> config.Settings:
    """The effective settings of this process; prints all mistakes and ends with 2 if there are any.

    Without `--config`, largesse.toml of the working directory is read when it is there.
    """
    given: Given = ctx.obj
    usual = Path(config.FILE_NAME)
    file = given.file or (usual if usual.is_file() else None)
    try:
        return config.load(given.flags, os.environ, file, need=need)
    except config.SettingsError as error:
        fail(WRONG_USE, *map(str, error.mistakes))


def with_settings(*names: str, takes_file: bool = True) -> type[TyperCommand]:
    """The class of a command with a flag for each of the named settings, and --config for a file.
    Its function finds what was given in `ctx.obj`."""

    class Command(SettingsCommand):
        settings = names
        file = takes_file

    return Command


class SettingsCommand(TyperCommand):
    """A command that also takes `--play-money false` and `--play-money=false`, as in a file."""

    settings: ClassVar[Collection[str]] = ()
    file: ClassVar[bool] = True

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.params += [_flag(name) for name in self.settings]
        if self.file:
            self.params.append(option("config", _CONFIG))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, spelt_as_switches(args))

    def invoke(self, ctx: Any) -> Any:
        values = {name: ctx.params.pop(name) for name in self.settings}
        flags = {name: _as_text(value) for name, value in values.items() if value is not None}
        ctx.obj = Given(flags, ctx.params.pop("config", None))
        return super().invoke(ctx)


_CONFIG = Told(
    Path | None,
    None,
    "--config",
    f"Settings file; by default {config.FILE_NAME} where there is one.",
)


def _flag(name: str) -> Any:
    row = config.TABLE[name]
    default = config.DEFAULTS[name]
    flag = config.flag(name)
    switch = row.kind == "switch"
    told = Told(
        kind=bool | None if switch else str | None,
        default=None,
        flag=f"{flag}/--no-{flag.removeprefix('--')}" if switch else flag,
        help=f"{row.help} Default: {config.shown(name, default)}."
        if default not in ("", ())
        else row.help,
        metavar=None if switch else _METAVARS.get(row.kind, "|".join(row.choices)),
        show_default=False,
    )
    return option(name, told)


def _as_text(value: str | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else value


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
