"""How amounts and moments are written for a person, and read from one.

The API counts money in minor units and time in Unix milliseconds, which `--json` passes on as they
are. A person reads `12.50 USD` and `2025-06-01 20:15:00Z`, and may type the same kind of moment.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from server.cli.output import WRONG_USE, fail

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DURATIONS = ("duration_ms",)
"""The fields ending in `_ms` that are no moments."""
MS_MAX = 253_402_300_799_999  # the last millisecond that a date can name


def money(amount_minor: object, currency: object) -> str:
    """An amount with its currency: `12.50 USD`, `-3 JPY`."""
    # Here, not at the top: most commands print no money.
    from rules.shop import MINOR_DIGITS

    if type(amount_minor) is not int:
        return f"– {currency}"
    digits = MINOR_DIGITS.get(str(currency), 2)
    whole, part = divmod(abs(amount_minor), 10**digits)
    fraction = f".{part:0{digits}}" if digits else ""
    return f"{'-' if amount_minor < 0 else ''}{whole}{fraction} {currency}"


def count(number: object, noun: str) -> str:
    """A number of things: `1 gift`, `2 gifts`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def moment(at_ms: object) -> object:
    """A moment in UTC, to the second; nothing for 0, by which the books say never."""
    if type(at_ms) is not int or not 0 <= at_ms <= MS_MAX:
        return at_ms
    return f"{EPOCH + timedelta(milliseconds=at_ms):%Y-%m-%d %H:%M:%SZ}" if at_ms else None


def moment_ms(option: str, text: str) -> int:
    """Unix milliseconds of ISO 8601 with a timezone, or of milliseconds; ends with 2 otherwise.

    A time without a timezone is refused: the operator's clock and the books' may differ.
    """
    if re.fullmatch(r"[0-9]{1,15}", text) and int(text) <= MS_MAX:
        # Seconds, or a year, would be a moment of 1970 that nobody means.
        if int(text) >= 10_000_000_000:
            return int(text)
        fail(WRONG_USE, f"{option} {text} is a moment of 1970; write Unix milliseconds.")
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        read = None
    if read is None or read.tzinfo is None or read < EPOCH:
        fail(
            WRONG_USE,
            f"{option} {text} is no moment; write 2025-06-01T20:15:00Z, another timezone as "
            "+02:00, or Unix milliseconds.",
        )
    return (read - EPOCH) // timedelta(milliseconds=1)


def worded(content: Mapping[str, Any]) -> dict[str, object]:
    """A JSON object as a person reads it: `price_minor` and `currency` become one `price`,
    `paid_ms` becomes a moment called `paid`, a list becomes one text."""
    currency = content.get("currency")
    has_money = currency is not None and any(name.endswith("_minor") for name in content)
    told: dict[str, object] = {}
    for name, value in content.items():
        if name.endswith("_minor") and has_money:
            told[name.removesuffix("_minor")] = money(value, currency)
        elif name.endswith("_ms") and name not in DURATIONS:
            told[name.removesuffix("_ms")] = moment(value)
        elif name != "currency" or not has_money:
            told[name] = _worded_value(value)
    return told


def _worded_value(value: object) -> object:
    match value:
        case Mapping():
            return worded(value)
        case list():
            return "; ".join(_in_one_line(entry) for entry in value) or None
        case _:
            return value


def _in_one_line(value: object) -> str:
    inner = _worded_value(value)
    if isinstance(inner, dict):
        return ", ".join(f"{name} {_in_one_line(entry)}" for name, entry in inner.items())
    return "–" if inner is None else str(inner)
