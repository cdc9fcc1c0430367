"""What one setting may be: the kinds of values, and the check of each value that needs one.

`table` holds the settings and knows where values come from; this module knows only single values. A
check takes the text of a value and answers what is wrong with it, as a sentence that says what to
do, or None.
"""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

API_KEY_CHARACTERS_MIN = 16
SHOWN_CHARACTERS_MAX = 80

Value = str | int | bool | tuple[str, ...]
Kind = Literal["text", "number", "switch", "list", "choice"]
Check = Callable[[str], str | None]


class Wrong(Exception):
    """One value cannot be taken; the text says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What is known of a setting besides its value; `low` and `high` are the bounds of a number."""

    group: str
    kind: Kind
    help: str
    low: int = 0
    high: int = 0
    choices: tuple[str, ...] = ()
    secret: bool = False
    check: Check | None = None


def text(group: str, default: str, help: str, check: Check, secret: bool = False) -> str:
    row = Row(group=group, kind="text", help=help, check=check, secret=secret)
    return field(default=default, metadata={"row": row}, repr=not secret)


def number(group: str, default: int, low: int, high: int, help: str) -> int:
    row = Row(group=group, kind="number", help=help, low=low, high=high)
    return field(default=default, metadata={"row": row})


def switch(group: str, default: bool, help: str) -> bool:
    return field(default=default, metadata={"row": Row(group=group, kind="switch", help=help)})


def texts(group: str, help: str, check: Check) -> tuple[str, ...]:
    row = Row(group=group, kind="list", help=help, check=check)
    return field(default=(), metadata={"row": row})


def choice(group: str, default: str, choices: tuple[str, ...], help: str) -> str:
    row = Row(group=group, kind="choice", help=help, choices=choices)
    return field(default=default, metadata={"row": row})


# --- from text or TOML to a value ---------------------------------------------------------------


def parsed(row: Row, raw: object) -> Value:
    """The value of one setting from a flag's or variable's text or a TOML value; raises Wrong."""
    match row.kind:
        case "number":
            return _number_of(row, raw)
        case "switch":
            return _switch_of(raw)
        case "list":
            return _list_of(row, raw)
        case "text" | "choice":
            return _text_of(row, raw)


def _number_of(row: Row, raw: object) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int | str):
        raise Wrong("give a whole number")
    if isinstance(raw, str) and not re.fullmatch(r"-?[0-9][0-9_]{0,20}", raw):
        raise Wrong("give a whole number")
    number = int(str(raw).replace("_", ""))
    if not row.low <= number <= row.high:
        raise Wrong(f"give a number from {row.low} to {row.high}")
    return number


def _switch_of(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    known = {"true": True, "yes": True, "on": True, "1": True}
    known |= {"false": False, "no": False, "off": False, "0": False}
    if not isinstance(raw, str) or raw.lower() not in known:
        raise Wrong("give true or false")
    return known[raw.lower()]


def _list_of(row: Row, raw: object) -> tuple[str, ...]:
    if isinstance(raw, str):
        items = tuple(item.strip() for item in raw.split(",") if item.strip())
    elif isinstance(raw, list) and all(isinstance(item, str) for item in raw):
        items = tuple(raw)
    else:
        raise Wrong('give a list of texts, such as ["a", "b"] in the file or a,b elsewhere')
    wrong = [(item, row.check(item)) for item in items] if row.check else []
    problems = [f"{printable(item)}: {problem}" for item, problem in wrong if problem]
    if problems:
        raise Wrong("; ".join(problems))
    return items


def _text_of(row: Row, raw: object) -> str:
    if not isinstance(raw, str):
        raise Wrong("give a text in quotes")
    if row.choices and raw not in row.choices:
        raise Wrong(f"give one of {', '.join(row.choices)}")
    problem = row.check(raw) if row.check else None
    if problem is not None:
        raise Wrong(problem)
    return raw


def printable(text: str) -> str:
    """A text as it may be printed: URL passwords masked, no control characters, cut when long."""
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    text = re.sub(r"(?<=://)[^/@\s]*:[^@\s]*@", "…@", text)
    return text if len(text) <= SHOWN_CHARACTERS_MAX else text[: SHOWN_CHARACTERS_MAX - 1] + "…"


# --- what one value may be ----------------------------------------------------------------------


def check_host(text: str) -> str | None:
    if not text or re.search(r"[\s/\[\]@]", text):
        return "give one address or host name without brackets, such as 127.0.0.1, 0.0.0.0 or ::"
    if ":" in text and not _is_address(text):
        return "give the address alone; the port is the setting port"
    return None


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def check_database(text: str) -> str | None:
    from storage import check_address  # what it imports is more than most programs need

    return check_address(text)


def check_fanout(text: str) -> str | None:
    from fanout import check_address

    return check_address(text)


def check_token_secret(text: str) -> str | None:
    # Here, not at the top: cryptography takes longer to load than all the rest of the command line.
    from server.auth import TOKEN_SECRET_BYTES_MIN

    if "-----BEGIN" in text or text.lstrip().startswith(("ssh-", "{")):
        return "this is a key file, not a secret; public keys belong in token_public_keys"
    try:
        length = len(text.encode())
    except UnicodeEncodeError:
        return "is not UTF-8; `openssl rand -hex 32` makes a good one"
    if length < TOKEN_SECRET_BYTES_MIN:
        return (
            f"has {length} bytes and needs at least {TOKEN_SECRET_BYTES_MIN}; "
            "`openssl rand -hex 32` makes a good one"
        )
    return None


def check_webhook_secret(text: str) -> str | None:
    return check_token_secret(text) if text else None


def check_api_key(text: str) -> str | None:
    if not re.fullmatch(r"[\x21-\x7e]*", text):
        return "use printable ASCII without spaces, because it travels in an HTTP header"
    if len(text) < API_KEY_CHARACTERS_MIN:
        return (
            f"has {len(text)} characters and needs at least {API_KEY_CHARACTERS_MIN}; "
            "`openssl rand -hex 24` makes a good one"
        )
    return None


def check_origin(text: str) -> str | None:
    # Any scheme: apps in a web view send capacitor://localhost and the like.
    if text == "*" or re.fullmatch(r"[a-z][a-z0-9+.-]*://[^\s/?#@A-Z]+", text):
        return None
    return "write scheme://host or scheme://host:port in lower case without a path; * allows all"


def check_address(text: str) -> str | None:
    return None if _is_address(text) else "write single IP addresses, such as 10.0.0.5 or ::1"


def _readable_file(text: str) -> str | None:
    path = Path(text)
    try:
        if not path.is_file():
            return "there is no such file"
        path.open("rb").close()
    except (OSError, ValueError) as error:
        return f"cannot be read ({error.__class__.__name__})"
    return None


def check_catalogue(text: str) -> str | None:
    return _readable_file(text) if text else None


def check_bundles(text: str) -> str | None:
    return _readable_file(text) if text else None


def check_secret(text: str) -> str | None:
    if not re.fullmatch(r"[\x21-\x7e]*", text):
        return "use printable ASCII without spaces"
    return None


def check_url(text: str) -> str | None:
    if not text or re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", text):
        return None
    return "write https://host or https://host/path, without ? or #"


def check_public_key(text: str) -> str | None:
    problem = _readable_file(text)
    if problem is not None:
        return problem
    from server.auth import public_key  # here for the same reason

    try:
        public_key(Path(text).read_bytes())
    except ValueError as error:
        return str(error)
    return None
