"""The gifts that can be sent and what they cost: the built-in catalogue, and an operator's own.

A catalogue is data in TOML. Reading one reports all of its mistakes at once, each with the place.
Its version is a hash of its content, so two servers with one file agree on the name.
"""

import hashlib
import re
import tomllib
from collections.abc import Iterable
from importlib.resources import files
from typing import Any

import msgspec

GIFTS_MAX = 1_000
COINS_MAX = 1_000_000
NAME_CHARACTERS_MAX = 40
ANIMATIONS = ("tray", "particles", "side", "centre", "full", "takeover")
"""From a line in the tray to the whole screen; a page decides what each looks like."""

ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
CURRENCY = re.compile(r"[A-Z]{3}")


class Gift(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    coins: int
    combo: bool = False
    animation: str = "tray"
    ttl_ms: int = 5_000
    """Do not start the animation later than this after the gift; its line is always shown."""
    enabled: bool = True


class Catalogue(msgspec.Struct, frozen=True, kw_only=True):
    version: str
    currency: str
    gifts: tuple[Gift, ...]


class CatalogueError(ValueError):
    """Every mistake of a catalogue file, one sentence each."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = mistakes


def built_in() -> Catalogue:
    """The catalogue that comes with largesse."""
    return read_catalogue(files("rules").joinpath("catalogue.toml").read_text("utf-8"))


def read_catalogue(text: str) -> Catalogue:
    """Read a catalogue from TOML. Raises CatalogueError with all of its mistakes."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CatalogueError([f"not TOML: {error}"]) from error
    tables = document.get("gift", [])
    currency = document.get("currency", "USD")
    mistakes = [f"unknown key `{key}`" for key in document if key not in ("gift", "currency")]
    if not isinstance(currency, str) or not CURRENCY.fullmatch(currency):
        mistakes.append("`currency` must be three capital letters, as in USD")
    if not isinstance(tables, list) or not 1 <= len(tables) <= GIFTS_MAX:
        mistakes.append(f"there must be 1 to {GIFTS_MAX} [[gift]] tables")
        raise CatalogueError(mistakes)
    seen: set[str] = set()
    for number, table in enumerate(tables, 1):
        mistakes += _mistakes(number, table, seen)
    if mistakes:
        raise CatalogueError(mistakes)
    return make_catalogue((_gift(table) for table in tables), currency)


def make_catalogue(gifts: Iterable[Gift], currency: str = "USD") -> Catalogue:
    """A catalogue named by the hash of its content."""
    gifts = tuple(gifts)
    content = msgspec.json.encode((currency, gifts))
    version = hashlib.sha256(content).hexdigest()[:12]
    return Catalogue(version=version, currency=currency, gifts=gifts)


def _gift(table: dict[str, Any]) -> Gift:
    return Gift(
        id=table["id"],
        name=table["name"],
        coins=table["coins"],
        combo=table.get("combo", False),
        animation=table.get("animation", "tray"),
        ttl_ms=table.get("ttl_s", 5) * 1000,
        enabled=table.get("enabled", True),
    )


def _mistakes(number: int, table: Any, seen: set[str]) -> Iterable[str]:
    if not isinstance(table, dict):
        yield f"gift {number}: must be a [[gift]] table"
        return
    id = table.get("id")
    where = f"gift {number} ({id})" if isinstance(id, str) else f"gift {number}"
    if not isinstance(id, str) or not ID.fullmatch(id):
        yield f"{where}: `id` must be 1 to 40 of a-z 0-9 _ -, with a letter or digit first"
    elif id in seen:
        yield f"{where}: this `id` is used twice"
    else:
        seen.add(id)
    name = table.get("name")
    if (
        not isinstance(name, str)
        or not 1 <= len(name) <= NAME_CHARACTERS_MAX
        or not name.isprintable()
    ):
        yield f"{where}: `name` must be 1 to {NAME_CHARACTERS_MAX} printable characters"
    if not whole(table.get("coins"), 1, COINS_MAX):
        yield f"{where}: `coins` must be a whole number from 1 to {COINS_MAX}"
    if table.get("animation", "tray") not in ANIMATIONS:
        yield f"{where}: `animation` must be one of {', '.join(ANIMATIONS)}"
    if not whole(table.get("ttl_s", 5), 1, 600):
        yield f"{where}: `ttl_s` must be a whole number from 1 to 600"
    for flag in ("combo", "enabled"):
        if not isinstance(table.get(flag, True), bool):
            yield f"{where}: `{flag}` must be true or false"
    known = {"id", "name", "coins", "combo", "animation", "ttl_s", "enabled"}
    yield from (f"{where}: unknown key `{key}`" for key in table if key not in known)


def whole(value: Any, least: int, most: int) -> bool:
    """Whether it is a whole number in this range, and no truth value."""
    return type(value) is int and least <= value <= most
