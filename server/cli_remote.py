"""The verbs that ask a running server over HTTP: room, grant, wallet (protocol.md, section 2).

They hold the backend's API key and nothing else, and know only the public contract. Whatever
changes something carries an idempotency key, so that a command whose answer was lost can be
repeated with `--key` and happens once.
"""

import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from server.cli_output import NO, UNREACHABLE, WRONG_USE, fail, pairs, print_json, print_table, say
from server.config import variable

if TYPE_CHECKING:
    import httpx

DEFAULT_URL = "http://127.0.0.1:8080"
TIMEOUT_S = 30.0  # a busy ledger answers `busy` long before
PAGE_MAX = 200  # the API's own limit
COINS_MAX = 2**53 - 1
KEY_CHARACTERS_MAX = 64

Url = Annotated[str, typer.Option("--url", help="Where the server answers.")]
ApiKey = Annotated[
    str | None,
    typer.Option(
        "--api-key", help="The backend's key; better in LARGESSE_API_KEY than on the command line."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
Key = Annotated[
    str | None,
    typer.Option("--key", help="Idempotency key; give the same one to repeat a command safely."),
]

room = typer.Typer(
    name="room",
    help="Open, close, list and show rooms.",
    no_args_is_help=True,
    add_completion=False,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One question to the server; `key` only where something changes."""

    method: str
    path: str
    body: Mapping[str, object] | None = None
    params: Mapping[str, str] | None = None
    key: str | None = None


@room.command("open")
def room_open(
    name: Annotated[str, typer.Argument(metavar="ROOM", help="Id of the new room.")],
    creator: Annotated[str, typer.Option(help="User id of the creator.")],
    title: Annotated[str | None, typer.Option(help="What viewers read; the id by default.")] = None,
    creator_name: Annotated[str | None, typer.Option(help="What viewers call the creator.")] = None,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    key: Key = None,
    json: Json = False,
) -> None:
    """Open a room.

    Example: largesse room open evening --creator ada --title "Ada, live"
    """
    body = {"id": name, "title": title or name, "creator": creator}
    if creator_name is not None:
        body["creator_name"] = creator_name
    request = Request(method="POST", path="/v1/rooms", body=body, key=_key(key))
    answer = ask(url, api_key, request)
    print_json(answer) if json else say(f"Room {name} is open.")


@room.command("close")
def room_close(
    name: Annotated[str, typer.Argument(metavar="ROOM", help="Id of the room.")],
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    key: Key = None,
    json: Json = False,
) -> None:
    """Close a room: it takes no more gifts.

    Example: largesse room close evening
    """
    request = Request(method="POST", path=f"/v1/rooms/{_segment(name)}/close", key=_key(key))
    answer = ask(url, api_key, request)
    print_json(answer) if json else say(f"Room {name} is closed.")


@room.command("show")
def room_show(
    name: Annotated[str, typer.Argument(metavar="ROOM", help="Id of the room.")],
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    json: Json = False,
) -> None:
    """Show one room.

    Example: largesse room show evening --json
    """
    answer = ask(url, api_key, Request(method="GET", path=f"/v1/rooms/{_segment(name)}"))
    print_json(answer) if json else print_table(("what", "value"), pairs(answer))


@room.command("list")
def room_list(
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 1_000,
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    json: Json = False,
) -> None:
    """List the rooms.

    Example: largesse room list --limit 50
    """
    rooms: list[dict[str, Any]] = []
    cursor: str | None = None
    while len(rooms) < limit:
        params = {"limit": str(min(PAGE_MAX, limit - len(rooms)))}
        if cursor is not None:
            params["cursor"] = cursor
        page = ask(url, api_key, Request(method="GET", path="/v1/rooms", params=params))
        if not isinstance(page.get("items"), list) or "next_cursor" not in page:
            fail(UNREACHABLE, f"{url} does not answer as largesse does; check --url.")
        rooms += page["items"]
        cursor = page["next_cursor"]
        if cursor is None or not page["items"]:
            break
    if json:
        print_json({"items": rooms[:limit], "next_cursor": cursor})
        return
    columns = ("id", "title", "creator", "status", "seq", "total_coins", "viewers")
    print_table(columns, [[_creator(r.get(c)) for c in columns] for r in rooms[:limit]])
    if cursor is not None:
        say(f"There are more than {limit}; --limit shows them.")


def grant(
    user: Annotated[str, typer.Argument(help="User id.")],
    coins: Annotated[int, typer.Argument(min=1, max=COINS_MAX, help="How many coins.")],
    reason: Annotated[str, typer.Option(help="Why; kept in the books.")],
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    key: Key = None,
    json: Json = False,
) -> None:
    """Give coins to a user without a payment.

    Example: largesse grant ada 500 --reason "welcome gift"
    """
    body = {"user": user, "coins": coins, "reason": reason}
    request = Request(method="POST", path="/v1/grants", body=body, key=_key(key))
    answer = ask(url, api_key, request)
    print_json(answer) if json else say(f"{user} was granted {coins} coins.")


def wallet(
    user: Annotated[str, typer.Argument(help="User id.")],
    url: Url = DEFAULT_URL,
    api_key: ApiKey = None,
    json: Json = False,
) -> None:
    """Show what a user has.

    Example: largesse wallet ada
    """
    answer = ask(url, api_key, Request(method="GET", path=f"/v1/users/{_segment(user)}/wallet"))
    print_json(answer) if json else print_table(("what", "value"), pairs(answer))


def ask(url: str, api_key: str | None, request: Request) -> dict[str, Any]:
    """The server's answer; every other end of the question ends the command with its exit code."""
    # Here, not at the top: httpx takes longer to load than the rest of the command line.
    import httpx

    headers = {"Authorization": f"Bearer {_api_key(api_key)}", "Accept": "application/json"}
    if request.key is not None:
        headers["Idempotency-Key"] = request.key
    # A proxy from the environment is for the world outside, never for this machine.
    here = dict.fromkeys(("all://127.0.0.1", "all://localhost", "all://[::1]"))
    try:
        with httpx.Client(base_url=_base(url), timeout=TIMEOUT_S, mounts=here) as client:
            response = client.request(
                request.method,
                request.path,
                json=request.body,
                params=request.params,
                headers=headers,
            )
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        fail(UNREACHABLE, f"{url} could not be reached ({error}); is the server running there?")
    except (httpx.TransportError, httpx.DecodingError) as error:
        fail(UNREACHABLE, f"{url} did not answer ({type(error).__name__}).{_repeat(request)}")
    return _answer(url, request, response)


def _answer(url: str, request: Request, response: "httpx.Response") -> dict[str, Any]:
    try:
        content = response.json()
    except (ValueError, RecursionError):
        content = None
    if response.is_success and isinstance(content, dict):
        return content
    error = content.get("error") if isinstance(content, dict) else None
    if not isinstance(error, dict) or response.is_success:
        status = response.status_code
        fail(
            UNREACHABLE,
            f"{url} does not answer as largesse does (HTTP {status}); check --url."
            f"{_repeat(request)}",
        )
    again = _repeat(request) if error.get("retry") == "same" else ""
    message = error.get("message") or "The server refused."
    fail(NO, f"{message} ({error.get('code')}){again}")


def _repeat(request: Request) -> str:
    return f" Repeat it with --key {request.key}; it happens once." if request.key else ""


def _base(url: str) -> "httpx.URL":
    import httpx

    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL("")
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        fail(WRONG_USE, f"--url {url} is not an address; write it like {DEFAULT_URL}.")
    return parsed


def _api_key(given: str | None) -> str:
    name = variable("api_key")
    api_key = os.environ.get(name, "") if given is None else given
    if not api_key:
        fail(WRONG_USE, f"An API key is needed: set {name} or give --api-key.")
    if not api_key.isascii() or not api_key.isprintable() or " " in api_key:
        fail(
            WRONG_USE, "The API key holds characters that no API key has; check how it was copied."
        )
    return api_key


def _key(given: str | None) -> str:
    if given is None:
        return str(uuid.uuid4())
    if not (given.isascii() and given.isprintable() and 0 < len(given) <= KEY_CHARACTERS_MAX):
        fail(WRONG_USE, f"--key must be 1 to {KEY_CHARACTERS_MAX} printable ASCII characters.")
    return given


def _segment(name: str) -> str:
    return quote(name, safe="")


def _creator(cell: object) -> object:
    """A creator is {id, name}; a table has room for one of them."""
    return cell.get("id") if isinstance(cell, dict) else cell
