"""The verbs that ask a running server: a real one, of a few lines, answers them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from kit.servers.answering import Backend, answering
from server.auth import issue
from server.cli.main import app
from server.settings import table as config

API_KEY = "fedcba9876543210"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working directory and none of the developer's own settings."""
    monkeypatch.chdir(tmp_path)
    for name in config.TABLE:
        monkeypatch.delenv(config.variable(name), raising=False)


def run(*args: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(app, list(args), env=env)


@pytest.fixture
def backend() -> Iterator[Backend]:
    with answering() as seen:
        yield seen


def ask(backend: Backend, *args: str) -> Result:
    return run(*args, "--url", backend.url, env={"LARGESSE_API_KEY": API_KEY})


ROOM = {
    "id": "evening", "title": "Ada, live", "creator": {"id": "ada", "name": "Ada"},
    "status": "open", "epoch": "e", "seq": 3, "total_coins": 30, "viewers": 2,
}  # fmt: skip


def test_grant_sends_the_key_of_the_backend_and_an_idempotency_key(backend: Backend) -> None:
    backend.will_answer({"coins": 500})
    result = ask(backend, "grant", "ada", "500", "--reason", "welcome")
    assert result.exit_code == 0 and "500" in result.stdout
    [asked] = backend.asked
    assert asked.line == "POST /v1/grants"
    assert asked.body == {"user": "ada", "coins": 500, "reason": "welcome"}
    assert asked.headers["Authorization"] == f"Bearer {API_KEY}"
    assert 1 <= len(asked.headers["Idempotency-Key"]) <= 64


def test_each_grant_has_a_key_of_its_own_unless_it_is_given(backend: Backend) -> None:
    for key in ([], [], ["--key", "k1"]):
        backend.will_answer({})
        ask(backend, "grant", "ada", "1", "--reason", "x", *key)
    first, second, third = (asked.headers["Idempotency-Key"] for asked in backend.asked)
    assert first != second and third == "k1"


def test_room_open_and_close(backend: Backend) -> None:
    backend.will_answer(ROOM, 201)
    backend.will_answer(ROOM)
    opened = ask(backend, "room", "open", "evening", "--creator", "ada", "--title", "Ada, live")
    assert opened.exit_code == 0 and "evening" in opened.stdout
    assert ask(backend, "room", "close", "eve/ning").exit_code == 0
    assert backend.asked[0].body == {"id": "evening", "title": "Ada, live", "creator": "ada"}
    assert backend.asked[1].line == "POST /v1/rooms/eve%2Fning/close"


def test_revoke_takes_an_id_a_token_or_a_link_and_sends_ids_only(backend: Backend) -> None:
    signed = issue("k" * 32, user="ada", ttl_s=60, now_ms=1_000, jti="t.1")
    for text in ("t1", "a.b.c", signed, f"https://x.example/overlay?room=r&token={signed}"):
        backend.will_answer({"jti": "x", "expires_ms": None})
        assert ask(backend, "revoke", text, "--reason", "leaked").exit_code == 0
    known = {"jti": "t.1", "expires_ms": 61_000, "reason": "leaked"}
    wished = [{"jti": "t1", "reason": "leaked"}, {"jti": "a.b.c", "reason": "leaked"}]
    assert [asked.body for asked in backend.asked] == [*wished, known, known]
    assert {asked.line for asked in backend.asked} == {"POST /v1/tokens/revoke"}


def test_revoke_says_of_a_token_without_an_id_that_it_cannot_be_named(backend: Backend) -> None:
    signed = issue("k" * 32, user="ada", ttl_s=60, now_ms=1_000)
    result = ask(backend, "revoke", signed, "--reason", "leaked")
    assert result.exit_code == 1 and "no id" in result.stderr
    assert backend.asked == []


def test_room_show_and_wallet_print_people_a_table_and_programs_json(backend: Backend) -> None:
    backend.will_answer(ROOM)
    backend.will_answer(ROOM)
    backend.will_answer({"coins": 12, "limits": {"daily_coins": 100, "per_gift_coins": None}})
    assert "Ada, live" in ask(backend, "room", "show", "evening").stdout
    assert json.loads(ask(backend, "room", "show", "evening", "--json").stdout) == ROOM
    wallet = ask(backend, "wallet", "ada")
    assert "limits.daily_coins" in wallet.stdout and "12" in wallet.stdout
    assert backend.asked[2].line == "GET /v1/users/ada/wallet"


def test_room_list_follows_the_pages(backend: Backend) -> None:
    backend.will_answer({"items": [{**ROOM, "id": "a"}], "next_cursor": "c/1"})
    backend.will_answer({"items": [{**ROOM, "id": "b"}], "next_cursor": None})
    result = ask(backend, "room", "list", "--json")
    assert [room["id"] for room in json.loads(result.stdout)["items"]] == ["a", "b"]
    assert "cursor=c%2F1" in backend.asked[1].line


def test_room_list_says_that_there_are_more(backend: Backend) -> None:
    backend.will_answer({"items": [ROOM], "next_cursor": "c"})
    result = ask(backend, "room", "list", "--limit", "1")
    assert result.exit_code == 0 and "--limit" in result.stdout
    assert "limit=1" in backend.asked[0].line


def test_a_no_of_the_server_is_its_sentence_and_1(backend: Backend) -> None:
    error = {"code": "unknown_room", "message": "There is no room x.", "retry": "fix"}
    backend.will_answer({"error": error}, 404)
    result = ask(backend, "room", "show", "x")
    assert result.exit_code == 1 and result.stdout == ""
    assert result.stderr == "largesse: There is no room x. (unknown_room)\n"


def test_a_busy_server_says_how_to_repeat_the_command(backend: Backend) -> None:
    error = {"code": "busy", "message": "Busy.", "retry": "same"}
    backend.will_answer({"error": error}, 503)
    result = ask(backend, "grant", "ada", "1", "--reason", "x", "--key", "k1")
    assert result.exit_code == 1 and "--key k1" in result.stderr


@pytest.mark.parametrize(
    ("status", "content"),
    [(200, b"<html>"), (502, b"Bad Gateway"), (200, b"[]"), (302, b""), (404, b"{}"),
     (200, b"\xff"), (200, b"[" * 100_000), (0, b"")],
    ids=["html", "proxy", "list", "redirect", "bare", "bytes", "deep", "hung up"],
)  # fmt: skip
def test_what_does_not_answer_as_largesse_does_is_not_reached(
    backend: Backend, status: int, content: bytes
) -> None:
    backend.will_answer(content, status)
    result = ask(backend, "wallet", "ada")
    assert result.exit_code == 3 and result.stdout == ""
    assert "Traceback" not in result.stderr


def test_a_grant_whose_answer_was_lost_says_how_to_repeat_it(backend: Backend) -> None:
    backend.will_answer(b"", 0)
    result = ask(backend, "grant", "ada", "1", "--reason", "x", "--key", "k1")
    assert result.exit_code == 3 and "--key k1" in result.stderr


def test_a_server_that_is_not_there_is_3(backend: Backend) -> None:
    gone = "http://127.0.0.1:1"
    result = run("wallet", "ada", "--url", gone, "--api-key", API_KEY)
    assert result.exit_code == 3 and gone in result.stderr


@pytest.mark.parametrize(
    "args",
    [
        ["wallet", "ada"],
        ["wallet", "ada", "--api-key", "a b"],
        ["wallet", "ada", "--api-key", API_KEY, "--url", "localhost:8080"],
        ["wallet", "ada", "--api-key", API_KEY, "--url", "http://"],
        ["grant", "ada", "0", "--reason", "x", "--api-key", API_KEY],
        ["grant", "ada", "1.5", "--reason", "x", "--api-key", API_KEY],
        ["grant", "ada", "1", "--api-key", API_KEY],
        ["grant", "ada", "1", "--reason", "x", "--api-key", API_KEY, "--key", "k" * 65],
        ["room", "open", "evening", "--api-key", API_KEY],
    ],
    ids=" ".join,
)
def test_wrong_use_is_2_and_asks_nobody(args: list[str]) -> None:
    result = run(*args)
    assert result.exit_code == 2 and result.stdout == ""


def test_an_id_of_dots_names_nothing_else(backend: Backend) -> None:
    backend.will_answer({"coins": 1})
    assert ask(backend, "wallet", "..").exit_code == 0
    assert backend.asked[0].line == "GET /v1/users/%2E%2E/wallet"


def test_an_empty_id_asks_nobody(backend: Backend) -> None:
    assert ask(backend, "room", "show", "").exit_code == 2 and not backend.asked


def test_a_wallet_tells_moments_and_lists_in_words(backend: Backend) -> None:
    raises = [{"limit": "daily", "coins": None, "at_ms": 1_748_800_000_000}]
    limits = {"daily": {"left_coins": 5, "frees_ms": 1_748_800_000_000}, "raises": raises}
    backend.will_answer({"coins": 12, "frozen": False, "limits": limits})
    told = " ".join(ask(backend, "wallet", "ada").stdout.split())
    assert "limits.daily.frees 2025-06-01 17:46:40Z" in told and "frozen no" in told
    assert "limit daily, coins –, at 2025-06-01" in told


def test_a_title_cannot_drive_the_terminal(backend: Backend) -> None:
    backend.will_answer({**ROOM, "title": "\x1b[2J[red]x"})
    result = ask(backend, "room", "show", "evening")
    assert "\x1b" not in result.stdout and "[red]x" in result.stdout
