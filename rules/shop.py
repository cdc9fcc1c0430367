"""What coins cost: bundles and exact amounts, in one currency. The built-in prices, or a TOML file.

The price of a coin is the same in every amount unless the operator's file says otherwise, so a
viewer can always read coins as money. Amounts of money are in the currency's minor unit.
"""

import tomllib
from collections.abc import Iterable
from importlib.resources import files
from typing import Any

import msgspec

from rules.catalogue import CURRENCY, ID, whole

BUNDLES_MAX = 50
COINS_MAX = 10_000_000
PRICE_MAX = 100_000_000
"""In minor units: a purchase beyond that is a mistake."""

MINOR_DIGITS = {
    "BIF": 0, "CLP": 0, "DJF": 0, "GNF": 0, "JPY": 0, "KMF": 0, "KRW": 0, "PYG": 0, "RWF": 0,
    "UGX": 0, "VND": 0, "VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0,
    "BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3,
}  # fmt: skip
"""Currencies (ISO 4217) whose minor unit is not a hundredth."""


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    coins: int
    price_minor: int


class Shop(msgspec.Struct, frozen=True, kw_only=True):
    currency: str = "USD"
    coin_price_micros: int = 10_000
    """One coin, in millionths of the currency's unit: 10,000 is 0.01 USD."""
    minimum_coins: int = 50
    maximum_coins: int = 100_000
    bundles: tuple[Bundle, ...] = ()

    @property
    def minor_digits(self) -> int:
        return MINOR_DIGITS.get(self.currency, 2)

    def price_of(self, coins: int) -> int:
        """What an exact amount costs, rounded up to the minor unit and at least one of it."""
        minor = -(-coins * self.coin_price_micros * 10**self.minor_digits // 1_000_000)
        return max(1, int(minor))


class ShopError(ValueError):
    """Every mistake of a file of bundles, one sentence each."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = mistakes


def built_in() -> Shop:
    """The prices that come with largesse."""
    return read_shop(files("rules").joinpath("shop.toml").read_text("utf-8"))


def read_shop(text: str) -> Shop:
    """Read prices from TOML. Raises ShopError with all mistakes."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ShopError([f"not TOML: {error}"]) from error
    mistakes = list(_mistakes(document))
    if mistakes:
        raise ShopError(mistakes)
    fields: dict[str, Any] = {name: document[name] for name in _FIELDS if name in document}
    plain = Shop(**fields)
    bundles = tuple(
        Bundle(
            id=table["id"],
            coins=table["coins"],
            price_minor=table.get("price_minor", plain.price_of(table["coins"])),
        )
        for table in document.get("bundle", [])
    )
    return msgspec.structs.replace(plain, bundles=bundles)


_FIELDS = ("currency", "coin_price_micros", "minimum_coins", "maximum_coins")


def _mistakes(document: dict[str, Any]) -> Iterable[str]:
    yield from (f"unknown key `{key}`" for key in document if key not in (*_FIELDS, "bundle"))
    currency = document.get("currency", "USD")
    if not isinstance(currency, str) or not CURRENCY.fullmatch(currency):
        yield "`currency` must be three capital letters, as in USD"
    for name, most in (
        ("coin_price_micros", 1_000_000_000),
        ("minimum_coins", COINS_MAX),
        ("maximum_coins", COINS_MAX),
    ):
        if not whole(document.get(name, 1), 1, most):
            yield f"`{name}` must be a whole number from 1 to {most}"
            return
    usual = Shop()
    least = document.get("minimum_coins", usual.minimum_coins)
    if least > document.get("maximum_coins", usual.maximum_coins):
        yield "`minimum_coins` must not be above `maximum_coins`"
    tables = document.get("bundle", [])
    if not isinstance(tables, list) or len(tables) > BUNDLES_MAX:
        yield f"there may be at most {BUNDLES_MAX} [[bundle]] tables"
        return
    seen: set[str] = set()
    for number, table in enumerate(tables, 1):
        yield from _bundle_mistakes(number, table, seen)


def _bundle_mistakes(number: int, table: Any, seen: set[str]) -> Iterable[str]:
    if not isinstance(table, dict):
        yield f"bundle {number}: must be a [[bundle]] table"
        return
    id = table.get("id")
    where = f"bundle {number} ({id})" if isinstance(id, str) else f"bundle {number}"
    if not isinstance(id, str) or not ID.fullmatch(id):
        yield f"{where}: `id` must be 1 to 40 of a-z 0-9 _ -, with a letter or digit first"
    elif id in seen:
        yield f"{where}: this `id` is used twice"
    else:
        seen.add(id)
    if not whole(table.get("coins"), 1, COINS_MAX):
        yield f"{where}: `coins` must be a whole number from 1 to {COINS_MAX}"
    if not whole(table.get("price_minor", 1), 1, PRICE_MAX):
        yield f"{where}: `price_minor` must be a whole number from 1 to {PRICE_MAX}"
    known = {"id", "coins", "price_minor"}
    yield from (f"{where}: unknown key `{key}`" for key in table if key not in known)
