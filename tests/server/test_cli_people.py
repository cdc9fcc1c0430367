"""The verbs about users and creators, and above all: what is asked before it cannot be undone."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from kit.servers.answering import Backend, answering
from server.cli.main import app
from server.settings import table as config

API_KEY = "fedcba9876543210"
AT_MS = 1_748_800_000_000  # 2025-06-01 17:46:40 UTC
FROM, TO = "2025-06-01T18:00:00Z", "2025-06-01T21:00:00+02:00"
PERIOD = {"from_ms": 1_748_800_800_000, "to_ms": 1_748_804_400_000, "reason": "stolen card"}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory and none of the developer's own settings."""
    monkeypatch.chdir(tmp_path)
    for name in config.TABLE:
        monkeypatch.delenv(config.variable(name), raising=False)
    return tmp_path


@pytest.fixture
def backend() -> Iterator[Backend]:
    with answering() as seen:
        yield seen


def ask(backend: Backend, *args: str, input: str | None = None) -> Result:
    env = {"LARGESSE_API_KEY": API_KEY, "COLUMNS": "200"}
    return CliRunner().invoke(app, [*args, "--url", backend.url], env=env, input=input)


def told(result: Result) -> str:
    """What was printed, as one line."""
    assert result.exit_code == 0, result.output
    return " ".join(result.stdout.split())


# --- users ---


def test_users_are_found(backend: Backend) -> None:
    backend.will_list({"user": "ada", "name": "Ada", "frozen": True, "since_ms": AT_MS})
    line = told(ask(backend, "user", "search", "ad a", "--frozen"))
    assert "ada Ada yes 2025-06-01" in line
    assert backend.asked[0].line == "GET /v1/users?search=ad+a&frozen=true&limit=50"


def test_a_user_is_shown(backend: Backend) -> None:
    backend.will_answer({"user": "ada", "since_ms": AT_MS, "coins": 5})
    assert "since 2025-06-01 17:46:40Z" in told(ask(backend, "user", "show", "ada"))
    assert backend.asked[0].line == "GET /v1/users/ada"


def test_an_account_is_frozen_and_goes_on(backend: Backend) -> None:
    for _ in range(3):
        backend.will_answer({"user": "ada"})
    assert "ada is frozen." in told(ask(backend, "user", "freeze", "ada"))
    ask(backend, "user", "freeze", "ada", "--reason", "case 4711")
    assert "ada may go on." in told(ask(backend, "user", "unfreeze", "ada"))
    assert [(asked.line, asked.body) for asked in backend.asked] == [
        ("POST /v1/users/ada/freeze", None),
        ("POST /v1/users/ada/freeze", {"reason": "case 4711"}),
        ("POST /v1/users/ada/unfreeze", None),
    ]


def test_limits_are_shown_without_changing_any(backend: Backend) -> None:
    backend.will_answer({"coins": 5, "limits": {"daily": {"limit_coins": 500, "source": "own"}}})
    assert "daily.limit_coins 500" in told(ask(backend, "user", "limits", "ada"))
    assert backend.asked[0].line == "GET /v1/users/ada/wallet"
    assert backend.asked[0].headers["Idempotency-Key"] is None


def test_only_the_named_limits_are_set(backend: Backend) -> None:
    backend.will_answer({"daily": {"limit_coins": 500}})
    ask(backend, "user", "limits", "ada", "--daily", "500", "--per-gift", "default")
    [asked] = backend.asked
    assert asked.line == "PUT /v1/users/ada/limits"
    assert asked.body == {"daily_coins": 500, "per_gift_coins": None}


def test_an_export_of_a_user_is_a_file(backend: Backend, elsewhere: Path) -> None:
    backend.will_answer(b'{"user": null}')
    assert "was written to ada.json" in told(ask(backend, "user", "export", "ada", "ada.json"))
    assert (elsewhere / "ada.json").read_bytes() == b'{"user": null}'


@pytest.mark.parametrize("input", ["n\n", "", "\n"], ids=["no", "nobody there", "enter"])
def test_nobody_is_erased_unasked(backend: Backend, input: str) -> None:
    result = ask(backend, "user", "erase", "ada", input=input)
    assert result.exit_code == 1 and not backend.asked
    assert result.stdout == "" and "--yes" in result.stderr


@pytest.mark.parametrize(("more", "input"), [(["--yes"], None), ([], "y\n")])
def test_who_agrees_erases(backend: Backend, more: list[str], input: str | None) -> None:
    backend.will_answer({"user": "ada"})
    assert "ada was erased." in told(ask(backend, "user", "erase", "ada", *more, input=input))
    assert backend.asked[0].line == "POST /v1/users/ada/erase"


# --- reversing ---


def answer(gifts: int, *, dry_run: bool = False, left: bool = False) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "gifts": gifts,
        "coins": gifts * 10,
        "creators": [
            {"creator": "cara", "gifts": gifts, "coins": gifts * 10, "millidiamonds": gifts * 5_000}
        ],
        "rooms": [{"room": "evening", "gifts": gifts, "coins": gifts * 10}],
        "payouts": [{"payout": "payout-7", "creator": "cara", "status": "requested"}],
        "left": left,
    }


def reverse(backend: Backend, *more: str, input: str | None = None) -> Result:
    args = ["user", "reverse", "eve", "--from", FROM, "--to", TO, "--reason", "stolen card"]
    return ask(backend, *args, *more, input=input)


def test_a_dry_run_names_every_creator_room_and_payout_and_changes_nothing(
    backend: Backend,
) -> None:
    backend.will_answer(answer(3, dry_run=True))
    line = told(reverse(backend, "--dry-run"))
    assert "Would take back 3 gifts of eve: 30 coins." in line
    assert "cara 3 30 15000" in line and "evening 3 30" in line
    assert "payout-7 cara requested" in line
    [asked] = backend.asked
    assert asked.line == "POST /v1/users/eve/reverse"
    assert asked.body == PERIOD | {"dry_run": True}


def test_a_reversal_shows_what_it_would_do_and_asks(backend: Backend) -> None:
    backend.will_answer(answer(3, dry_run=True))
    result = reverse(backend, input="n\n")
    assert result.exit_code == 1 and "Nothing was changed" in result.stderr
    assert "payout-7" in result.stderr and result.stdout == ""
    assert [asked.body["dry_run"] for asked in backend.asked] == [True]


def test_a_reversal_goes_on_until_nothing_is_left(backend: Backend) -> None:
    backend.will_answer(answer(2, left=True))
    backend.will_answer(answer(2, left=True))
    backend.will_answer(answer(1))
    line = told(reverse(backend, "--yes"))
    assert "Took back 5 gifts of eve: 50 coins." in line and "cara 5 50 25000" in line
    assert line.count("payout-7") == 1
    assert [asked.body for asked in backend.asked] == [PERIOD | {"dry_run": False}] * 3


def test_a_reversal_in_json_is_one_answer_after_the_question(backend: Backend) -> None:
    backend.will_answer(answer(3, dry_run=True))
    backend.will_answer(answer(2, left=True))
    backend.will_answer(answer(1))
    result = reverse(backend, "--json", input="y\n")
    assert result.exit_code == 0 and json.loads(result.stdout) == answer(3)


def test_a_reversal_that_gets_nowhere_ends(backend: Backend) -> None:
    backend.will_answer(answer(1, left=True))
    backend.will_answer(answer(0, left=True))
    assert reverse(backend, "--yes").exit_code == 3


def test_a_reversal_that_broke_off_may_simply_be_repeated(backend: Backend) -> None:
    backend.will_answer(answer(2, left=True))
    backend.will_answer({"error": {"code": "busy", "message": "Busy.", "retry": "same"}}, 503)
    result = reverse(backend, "--yes")
    assert result.exit_code == 1 and "Took back 2 gifts so far" in result.stderr
    assert "Repeat it; what is done already is passed over." in result.stderr


# --- creators ---


def test_earnings_are_told_by_day_and_gift(backend: Backend) -> None:
    total = {"gifts": 3, "coins": 30, "millidiamonds": 15_000}
    line = {"gift": "spark", **total}
    days = [{"date": "2025-06-01", **total, "by_gift": [line]}]
    backend.will_answer({"from": "2025-06-01", "to": "2025-06-30", "days": days, "total": total})
    args = ["creator", "earnings", "cara", "--from", "2025-06-01", "--to", "2025-06-30"]
    text = told(ask(backend, *args))
    assert "2025-06-01 spark 3 30 15000" in text and "total – 3 30 15000" in text
    assert backend.asked[0].line == "GET /v1/creators/cara/earnings?from=2025-06-01&to=2025-06-30"


def test_a_rate_is_shown_and_set(backend: Backend) -> None:
    rates = [{"from_ms": AT_MS, "until_ms": None, "rate_permille": 600}]
    for _ in range(2):
        backend.will_answer({"rate_permille": 600, "rates": rates})
    assert "600 millidiamonds per coin now" in told(ask(backend, "creator", "rate", "cara"))
    ask(backend, "creator", "rate", "cara", "600", "--from", str(AT_MS), "--until", TO)
    assert [(asked.line, asked.body) for asked in backend.asked] == [
        ("GET /v1/creators/cara/rate", None),
        (
            "PUT /v1/creators/cara/rate",
            {"rate_permille": 600, "from_ms": AT_MS, "until_ms": PERIOD["to_ms"]},
        ),
    ]


def test_a_creators_board_is_shown(backend: Backend) -> None:
    top = [{"rank": 1, "user": {"id": "ada", "name": "Ada"}, "coins": 30}]
    backend.will_answer({"as_of": 3, "window": "week", "top": top})
    assert "1 ada 30" in told(ask(backend, "creator", "board", "cara", "--window", "week"))
    assert backend.asked[0].line == "GET /v1/creators/cara/board?window=week&limit=20"


# --- mistakes ---


@pytest.mark.parametrize(
    "args",
    [
        ["user", "reverse", "eve", "--from", "2025-06-01T18:00:00", "--to", TO, "--reason", "x"],
        ["user", "reverse", "eve", "--from", "yesterday", "--to", TO, "--reason", "x"],
        ["user", "reverse", "eve", "--from", "1748800800", "--to", TO, "--reason", "x"],
        ["user", "reverse", "eve", "--from", TO, "--to", FROM, "--reason", "x"],
        ["user", "reverse", "eve", "--from", FROM, "--to", FROM, "--reason", "x"],
        ["user", "reverse", "eve", "--from", FROM, "--to", TO],
        ["user", "limits", "ada", "--daily", "-5"],
        ["user", "limits", "ada", "--daily", "1.5"],
        ["user", "limits", "ada", "--weekly", "none"],
        ["creator", "rate", "cara", "1001"],
        ["creator", "rate", "cara", "--until", TO],
        ["creator", "board", "cara", "--window", "year"],
    ],
    ids=" ".join,
)
def test_wrong_use_is_2_and_asks_nobody(backend: Backend, args: list[str]) -> None:
    result = ask(backend, *args)
    assert result.exit_code == 2 and result.stdout == "" and not backend.asked


@pytest.mark.parametrize("content", [{}, {"gifts": "3"}, answer(1) | {"left": None}])
def test_what_does_not_answer_as_a_reversal_is_not_largesse(
    backend: Backend, content: dict[str, Any]
) -> None:
    backend.will_answer(content)
    assert reverse(backend, "--yes").exit_code == 3
