"""How a verb asks a running server over HTTP (protocol.md, section 2), and prints the answer.

A verb is a function of a command of the class `Asking`, which gives all of them the options that
they share: where the server is, who asks, `--json`. The verbs hold the backend's API key or an
admin's token and nothing else, and know only the public contract. Whatever changes something
carries an idempotency key, so that a command whose answer was lost can be repeated with `--key`
and happens once.
"""

import asyncio
import os
import sys
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple, NoReturn

import typer
from typer.core import TyperCommand

from rules.ledger import MONEY_MAX
from server.cli.options import Told, option
from server.cli.output import NO, UNREACHABLE, WRONG_USE, clean, fail, print_json, print_table, say
from server.cli.output import pairs as as_rows
from server.cli.wording import worded
from server.settings.table import variable

if TYPE_CHECKING:
    import httpx

DEFAULT_URL = "http://127.0.0.1:8080"
FILE_TIMEOUT_S = 300.0  # ten thousand lines, or a user's whole history, take their time
PAGE_MAX = 200  # the API's own limit
LIST_MAX = 100_000  # rows that a person or a script wants at once
COINS_MAX = MONEY_MAX
KEY_CHARACTERS_MAX = 64
JSON, CSV = "application/json", "text/csv"
TOKEN_FILE_BYTES_MAX = 65_536  # far above any token: /dev/zero is a mistake

Limit = Annotated[int, typer.Option("--limit", min=1, max=LIST_MAX, help="At most so many.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept in the books.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]
Force = Annotated[bool, typer.Option("--force", help="Replace FILE if it exists.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """A running server, who asks it, and how its answer is to be printed."""

    url: str
    secret: str
    """The API key, or an admin's token."""
    key: str | None
    """The command's idempotency key; None where there is none to give."""
    again: str
    """What to do when the answer was lost; empty for a verb that changes nothing."""
    json: bool


class Found(NamedTuple):
    """What a list had; `cursor` where it goes on."""

    items: list[dict[str, Any]]
    cursor: str | None


# --- the options that verbs share ---------------------------------------------------------------


Changes = Literal["nothing", "once", "what is left"]
"""What a verb does when it is repeated: nothing anyway; with its `--key` nothing more; or, without
a key, what was not done before, because the server finds that out by itself."""


Who = Literal["backend", "admin", "either"]
"""Who may ask: the backend with its API key, a person with an admin's token, or either."""


class Asking(TyperCommand):
    """A verb that asks a server: it finds its Remote in `ctx.obj`, made of the options that all
    of them share and that stand after its own."""

    changes: ClassVar[Changes] = "nothing"
    who: ClassVar[Who] = "backend"

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._shared = _shared(keyed=self.changes == "once", who=self.who)
        self.params += self._shared.values()

    def invoke(self, ctx: Any) -> Any:
        given = {name: ctx.params.pop(name) for name in self._shared}
        ctx.obj = _remote(self.changes, given)
        return super().invoke(ctx)


class Once(Asking):
    """A verb that changes something, once for its `--key`."""

    changes = "once"


class WhatIsLeft(Asking):
    """A verb that does what is left when it is repeated."""

    changes = "what is left"


class AskingByEither(Asking):
    who = "either"


class OnceByEither(Once):
    who = "either"


class OnceByAdmin(Once):
    who = "admin"


def _remote(changes: Changes, given: Mapping[str, Any]) -> Remote:
    key = _key(given["key"]) if changes == "once" else None
    again = {
        "nothing": "",
        "once": f" Repeat it with --key {key}; it happens once.",
        "what is left": " Repeat it; what is done already is passed over.",
    }[changes]
    return Remote(url=given["url"], secret=_secret(given), key=key, again=again, json=given["json"])


def _secret(given: Mapping[str, Any]) -> str:
    """An admin's token goes before the API key, which may be there from the environment."""
    token, file = given.get("token"), given.get("token_file")
    if "api_key" not in given or token is not None or file is not None:
        return _token(token, file)
    return _api_key(given["api_key"])


def _shared(*, keyed: bool, who: Who) -> dict[str, Any]:
    options = {"url": _URL}
    if who != "backend":
        options |= {"token": _TOKEN, "token_file": _TOKEN_FILE}
    if who != "admin":
        options["api_key"] = _API_KEY
    if keyed:
        options["key"] = _KEY
    return {name: option(name, told) for name, told in (options | {"json": _JSON}).items()}


_URL = Told(str, DEFAULT_URL, "--url", "Where the server answers.")
_TOKEN = Told(
    str | None, None, "--token", "An admin's token; better in a file than on the command line."
)
_TOKEN_FILE = Told(
    Path | None,
    None,
    "--token-file",
    "A file with an admin's token; - to read it from standard input.",
)
_API_KEY = Told(
    str | None,
    None,
    "--api-key",
    "The backend's key; better in LARGESSE_API_KEY than on the command line.",
)
_KEY = Told(
    str | None, None, "--key", "Idempotency key; give the same one to repeat a command safely."
)
_JSON = Told(bool, False, "--json", "Print the answer as JSON.")


def _api_key(given: str | None) -> str:
    name = variable("api_key")
    api_key = os.environ.get(name, "") if given is None else given
    if not api_key:
        fail(WRONG_USE, f"An API key is needed: set {name} or give --api-key.")
    return _as_header(api_key, "API key")


def _token(token: str | None, token_file: Path | None) -> str:
    """No variable: every LARGESSE_ name that is no setting is a mistake to `serve`."""
    if token is None and token_file is not None:
        token = read_file(token_file, TOKEN_FILE_BYTES_MAX).decode("utf-8", "replace").strip()
    if not token:
        fail(WRONG_USE, "An admin's token is needed: give --token-file or --token.")
    return _as_header(token, "token")


def _as_header(secret: str, what: str) -> str:
    if not secret.isascii() or not secret.isprintable() or " " in secret:
        fail(WRONG_USE, f"The {what} holds characters that no {what} has; check how it was copied.")
    return secret


def _key(given: str | None) -> str:
    if given is None:
        return str(uuid.uuid4())
    if not (given.isascii() and given.isprintable() and 0 < len(given) <= KEY_CHARACTERS_MAX):
        fail(WRONG_USE, f"--key must be 1 to {KEY_CHARACTERS_MAX} printable ASCII characters.")
    return given


# --- asking -------------------------------------------------------------------------------------


def at(*parts: object) -> str:
    """The path of these parts, whatever characters an id has."""
    from largesse_client.http.asking import at as path_of

    try:
        return path_of(*parts)
    except ValueError:
        fail(WRONG_USE, "An id must not be empty.")


def get(remote: Remote, path: str, **params: str | None) -> dict[str, Any]:
    """The answer to a question."""
    return _object(remote, _ask(remote, "GET", path, params=params))


def change(
    remote: Remote, method: str, path: str, body: Mapping[str, object] | None = None
) -> dict[str, Any]:
    """The answer to a request that changes something."""
    return _object(remote, _ask(remote, method, path, body=body))


def fetch(remote: Remote, path: str, file_type: str, **params: str | None) -> bytes:
    """An answer that is a file of this type."""
    response = _ask(remote, "GET", path, params=params, timeout_s=FILE_TIMEOUT_S)
    if response.headers.get("Content-Type", "").partition(";")[0].strip() != file_type:
        stranger(remote)
    return response.content


def post_file(remote: Remote, path: str, file: bytes, file_type: str) -> dict[str, Any]:
    """The answer to a file."""
    more = {"body": file, "file_type": file_type, "timeout_s": FILE_TIMEOUT_S}
    return _object(remote, _ask(remote, "POST", path, **more))


def listed(remote: Remote, path: str, limit: int, **params: str | None) -> Found:
    """The first `limit` items of a list, page by page."""
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while len(found) < limit:
        page = get(
            remote, path, **params, limit=str(min(PAGE_MAX, limit - len(found))), cursor=cursor
        )
        items = page.get("items")
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            stranger(remote)
        found += items
        # A list that does not page has no cursor.
        cursor = page.get("next_cursor")
        if cursor is None or not items:
            break
    return Found(found[:limit], cursor)


def stranger(remote: Remote, what: str = "") -> NoReturn:
    """Ends the command: what answers there is not largesse."""
    sentence = f"{remote.url} does not answer as largesse does{what}; check --url.{remote.again}"
    fail(UNREACHABLE, sentence)


def _ask(remote: Remote, method: str, path: str, **more: Any) -> "httpx.Response":
    """The server's answer; every other end of the question ends the command with its exit code.

    It is asked once: whoever types a command sees that the server is busy, and decides.
    """
    # Here, not at the top: the client library takes longer to load than the command line.
    import httpx

    from largesse_client.http import asking as client

    _check_address(remote.url)
    key = None if method == "GET" else remote.key
    request = client.Request(method=method, path=path, key=key, **more)
    # A proxy from the environment is for the world outside, never for this machine.
    here = dict.fromkeys(("all://127.0.0.1", "all://localhost", "all://[::1]"))

    async def once() -> httpx.Response:
        async with httpx.AsyncClient(mounts=here) as http:
            return await client.Asking(remote.url, remote.secret, http, tries=1).ask(request)

    try:
        return asyncio.run(once())
    except client.ApiError as error:
        if error.code.startswith("http_"):
            stranger(remote, f" (HTTP {error.status})")
        again = remote.again if error.retry == "same" else ""
        fail(NO, f"{error.message} ({error.code}){again}")
    except client.Unreachable as error:
        if error.asked:
            fail(UNREACHABLE, f"{remote.url} did not answer ({error}).{remote.again}")
        fail(UNREACHABLE, f"{error}. Is the server running there?")


def _object(remote: Remote, response: "httpx.Response") -> dict[str, Any]:
    from largesse_client import Unreadable
    from largesse_client.http.asking import read

    try:
        return {} if response.status_code == 204 else read(response, dict[str, Any])
    except Unreadable:
        stranger(remote, f" (HTTP {response.status_code})")


def _check_address(url: str) -> None:
    import httpx

    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL("")
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        fail(WRONG_USE, f"--url {url} is not an address; write it like {DEFAULT_URL}.")


# --- printing and files -------------------------------------------------------------------------


def tell(remote: Remote, answer: Mapping[str, Any], sentence: str | None = None) -> None:
    """Print an answer: as it is for a program, as a sentence or else a table for a person."""
    if remote.json:
        print_json(answer)
    elif sentence is not None:
        say(sentence)
    else:
        print_table(("what", "value"), as_rows(worded(answer)))


def tell_list(remote: Remote, found: Found, columns: Sequence[str], limit: int) -> None:
    """Print what a list had; a column is a field as `worded` calls it."""
    if remote.json:
        print_json({"items": found.items, "next_cursor": found.cursor})
        return
    tell_rows(found.items, columns)
    if found.cursor is not None:
        say(f"There are more than {limit}; --limit shows them.")


def tell_rows(items: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """A table of these fields for a person."""
    rows = [worded(item) for item in items]
    print_table(columns, [[_short(row.get(column)) for column in columns] for row in rows])


def _short(cell: object) -> object:
    """A person is {id, name}; a table has room for one of them."""
    return cell.get("id") if isinstance(cell, Mapping) else cell


def confirm(question: str, *, yes: bool) -> None:
    """Ends the command with 1 unless the operator agrees; nobody to ask means no."""
    if yes:
        return
    # Not typer.confirm, which writes to standard output, where a program may read the answer.
    typer.echo(f"{clean(question)} [y/N] ", nl=False, err=True)
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        typer.echo(err=True)
    if answer.strip().lower() not in ("y", "yes"):
        fail(NO, "Nothing was changed; --yes goes on without asking.")


def read_file(source: Path, bytes_max: int) -> bytes:
    """What a file holds, or standard input for `-`; ends with 2 when that cannot be read."""
    try:
        if str(source) == "-":
            content = sys.stdin.buffer.read(bytes_max + 1)
        else:
            with source.open("rb") as file:
                content = file.read(bytes_max + 1)
    except OSError as error:
        fail(WRONG_USE, f"{source} cannot be read: {error.strerror or error}.")
    if len(content) > bytes_max:
        fail(WRONG_USE, f"{source} is larger than {bytes_max} bytes.")
    return content


def write_file(target: Path, content: bytes, *, replace: bool) -> None:
    """Write a file that only its owner may read, whole or not at all; `-` prints it."""
    if str(target) == "-":
        typer.echo(content, nl=False)
        return
    try:
        # mkstemp's file is private; a link to an existing name fails, which os.replace would not.
        place, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with open(place, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, target) if replace else os.link(name, target)
        finally:
            Path(name).unlink(missing_ok=True)
    except FileExistsError:
        fail(NO, f"{target} exists; --force replaces it.")
    except OSError as error:
        fail(NO, f"{target} cannot be written: {error.strerror or error}.")
