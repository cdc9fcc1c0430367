"""The command line: what it prints, and above all its exit codes."""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from server.auth import Identity, TokenVerifier
from server.cli.main import app, duration_s
from server.cli.settings import spelt_as_switches
from server.settings import table as config

SECRET = "0123456789abcdef0123456789abcdef"
API_KEY = "fedcba9876543210"
VERBS = [
    "demo", "serve", "token", "room", "room open", "room close", "room list", "room show",
    "grant", "wallet", "audit", "export", "backup", "restore", "migrate", "config", "loadtest",
]  # fmt: skip


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory and none of the developer's own settings."""
    monkeypatch.chdir(tmp_path)
    for name in config.TABLE:
        monkeypatch.delenv(config.variable(name), raising=False)
    return tmp_path


def run(*args: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(app, list(args), env=env)


# --- help ---


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_has_help(verb: str) -> None:
    result = run(*verb.split(), "--help")
    assert result.exit_code == 0, result.output
    assert verb in ("room", "loadtest") or "Example: largesse " + verb in result.stdout


@pytest.mark.parametrize("verb", ["serve", "config"])
def test_help_names_every_setting(verb: str) -> None:
    text = run(verb, "--help").stdout
    assert [name for name in config.TABLE if config.flag(name) + " " not in text] == []


def test_no_verb_and_an_unknown_verb_are_wrong_use() -> None:
    assert run().exit_code == 2
    assert run("serv").exit_code == 2


def test_the_command_line_loads_nothing_heavy() -> None:
    script = (
        "import sys, server.cli; "
        "print([m for m in ('httpx', 'jwt', 'uvicorn', 'litestar', 'storage', 'structlog') "
        "if m in sys.modules])"
    )
    root = Path(config.__file__).parents[2]
    told = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "[]"


# --- config ---


def test_config_prints_values_and_their_origin_and_masks_secrets(elsewhere: Path) -> None:
    (elsewhere / "largesse.toml").write_text("tick_ms = 77\n")
    env = {"LARGESSE_API_KEY": API_KEY, "LARGESSE_TOKEN_SECRET": SECRET}
    result = run("config", "--port", "0", "--json", env=env)
    assert result.exit_code == 0
    assert API_KEY not in result.output and SECRET not in result.output
    rows = {row["name"]: (row["value"], row["origin"]) for row in json.loads(result.stdout)}
    assert rows["tick_ms"] == ("77", "largesse.toml")
    assert rows["port"] == ("0", "flag --port")
    assert rows["hold_days"] == ("7", "default")


def test_config_prints_a_table_for_people() -> None:
    result = run("config")
    assert result.exit_code == 0 and "payout_minimum_millidiamonds" in result.stdout


def test_a_file_named_by_a_flag_is_read_in_place_of_the_usual_one(elsewhere: Path) -> None:
    (elsewhere / "largesse.toml").write_text("tick_ms = 77\n")
    (elsewhere / "other.toml").write_text("port = 1\n")
    result = run("config", "--config", "other.toml", "--json")
    rows = {row["name"]: row["value"] for row in json.loads(result.stdout)}
    assert (rows["port"], rows["tick_ms"]) == ("1", "40")


def test_all_mistakes_are_printed_at_once_and_end_with_2() -> None:
    result = run("config", "--port", "x", env={"LARGESSE_TICK_MSS": "1"})
    assert result.exit_code == 2 and result.stdout == ""
    assert len(result.stderr.splitlines()) == 2
    assert "did you mean LARGESSE_TICK_MS?" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("args", "spelt"),
    [
        (["--play-money", "false"], ["--no-play-money"]),
        (["--play-money=no"], ["--no-play-money"]),
        (["--play-money", "true", "x"], ["--play-money", "x"]),
        (["--play-money"], ["--play-money"]),
        (["--play-money", "--port", "1"], ["--play-money", "--port", "1"]),
        (["--port", "1", "--no-require-adult"], ["--port", "1", "--no-require-adult"]),
        (["--play-money=maybe"], ["--play-money=maybe"]),
    ],
)
def test_a_switch_may_be_written_with_its_value(args: list[str], spelt: list[str]) -> None:
    assert spelt_as_switches(args) == spelt


# --- token ---


def issued(*args: str) -> Identity:
    result = run("token", "--token-secret", SECRET, *args)
    assert result.exit_code == 0, result.output
    identity = TokenVerifier(SECRET).verify(result.stdout.strip(), 0)
    assert isinstance(identity, Identity)
    return identity


def test_token_prints_a_token_for_a_user() -> None:
    identity = issued("--user", "ada", "--name", "Ada", "--adult", "--role", "creator")
    assert (identity.user, identity.name, identity.adult) == ("ada", "Ada", True)
    assert (identity.role, identity.rooms) == ("creator", None)
    assert identity.token_id is not None


def test_token_takes_several_rooms() -> None:
    assert issued("--user", "o", "--role", "overlay", "--room", "a", "--room", "b").rooms == {
        "a",
        "b",
    }


def test_token_takes_its_secret_from_the_environment_and_the_file(elsewhere: Path) -> None:
    assert run("token", "--user", "a", env={"LARGESSE_TOKEN_SECRET": SECRET}).exit_code == 0
    (elsewhere / "largesse.toml").write_text(f'token_secret = "{SECRET}"\n')
    told = json.loads(run("token", "--user", "a", "--json").stdout)
    assert isinstance(TokenVerifier(SECRET).verify(told["token"], 0), Identity)


def test_token_without_a_secret_says_where_to_set_it() -> None:
    result = run("token", "--user", "ada")
    assert result.exit_code == 2 and "LARGESSE_TOKEN_SECRET" in result.stderr


@pytest.mark.parametrize(
    "args",
    [
        ["--user", "a b"],
        ["--user", "a", "--role", "owner"],
        ["--user", "a", "--role", "overlay"],
        ["--user", "a", "--ttl", "soon"],
        ["--user", "a", "--ttl", "0"],
        ["--user", "a", "--name", "x" * 65],
        [],
    ],
    ids=" ".join,
)
def test_token_refuses_what_the_server_would_refuse(args: list[str]) -> None:
    result = run("token", "--token-secret", SECRET, *args)
    assert result.exit_code == 2 and result.stdout == ""


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("1h", 3_600), ("1h30m", 5_400), ("7d", 604_800), ("0", None),
     ("", None), ("h", None), ("1w", None), ("-1h", None), ("1.5h", None), ("9999d", None)],
)  # fmt: skip
def test_a_duration_is_read(text: str, seconds: int | None) -> None:
    assert duration_s(text) == seconds


# --- serve, demo and the books: stand-ins for the parts that others own ---


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """server.app and storage, which note what they were asked."""
    seen = SimpleNamespace(asked=[], code=0, ok=True, fault=None)

    class StoreError(Exception):
        pass

    def note(name: str, answer: Any) -> Any:
        def called(*args: Any, **more: Any) -> Any:
            seen.asked.append((name, *args, *more.values()))
            if seen.fault is not None:
                raise seen.fault
            return answer()

        return called

    def audited() -> Any:
        check = SimpleNamespace(name="balances", ok=seen.ok, detail="3 accounts")
        return SimpleNamespace(ok=seen.ok, checks=(check,))

    server_app: Any = ModuleType("server.app")
    server_app.serve = note("serve", lambda: seen.code)
    server_app.demo = note("demo", lambda: seen.code)
    storage: Any = ModuleType("storage")
    storage.StoreError = seen.StoreError = StoreError
    storage.check_address = lambda database: None
    storage.open_books = lambda database: SimpleNamespace(
        audit=partial(note("audit", audited), database),
        trial_balance=list,
        backup=partial(note("backup", lambda: None), database),
        restore=partial(note("restore", lambda: None), database),
        migrate=partial(note("migrate", lambda: (1, 3)), database),
    )
    monkeypatch.setitem(sys.modules, "server.app", server_app)
    monkeypatch.setitem(sys.modules, "storage", storage)
    return seen


def test_serve_hands_the_settings_over_and_ends_with_its_code(parts: SimpleNamespace) -> None:
    parts.code = 1
    env = {"LARGESSE_TOKEN_SECRET": SECRET}
    flags = ["--api-key", API_KEY, "--port", "0", "--play-money", "--require-adult", "false"]
    result = run("serve", *flags, env=env)
    assert result.exit_code == 1
    [(_, settings)] = parts.asked
    assert (settings.port, settings.token_secret, settings.api_key) == (0, SECRET, API_KEY)
    assert (settings.play_money, settings.require_adult) == (True, False)


def test_serve_without_secrets_never_starts(parts: SimpleNamespace) -> None:
    result = run("serve")
    assert result.exit_code == 2 and parts.asked == []
    assert "LARGESSE_TOKEN_SECRET" in result.stderr and "LARGESSE_API_KEY" in result.stderr


def test_a_port_in_use_is_a_sentence(parts: SimpleNamespace) -> None:
    parts.fault = OSError(98, "Address already in use")
    result = run("serve", "--api-key", API_KEY, "--token-secret", SECRET)
    assert result.exit_code == 1 and result.stderr == "largesse: Address already in use\n"


def test_demo_makes_its_own_settings_and_leaves_nothing(
    parts: SimpleNamespace, elsewhere: Path
) -> None:
    (elsewhere / "largesse.toml").write_text('database = "sqlite:///real.db"\n')
    env = {"LARGESSE_DATABASE": "sqlite:///real.db", "LARGESSE_API_KEY": API_KEY}
    result = run("demo", "--port", "0", "--gifters", "3", env=env)
    assert result.exit_code == 0, result.output
    [(_, settings, gifters)] = parts.asked
    assert (settings.port, gifters, settings.play_money) == (0, 3, True)
    assert settings.api_key != API_KEY and len(settings.token_secret) >= 32
    database = Path(settings.database.removeprefix("sqlite:///"))
    assert database.is_absolute() and not database.parent.exists()


def test_two_demos_share_no_secret(parts: SimpleNamespace) -> None:
    run("demo")
    run("demo")
    [(_, first, gifters), (_, second, _)] = parts.asked
    assert first.token_secret != second.token_secret and gifters == 12


def test_audit_ends_with_0_when_the_books_are_right(parts: SimpleNamespace) -> None:
    result = run("audit", "--database", "sqlite:///b.db")
    assert result.exit_code == 0 and "balances" in result.stdout
    assert parts.asked == [("audit", "sqlite:///b.db")]


def test_audit_ends_with_1_on_any_difference(parts: SimpleNamespace) -> None:
    parts.ok = False
    result = run("audit", "--json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert told == {
        "ok": False,
        "checks": [{"name": "balances", "ok": False, "detail": "3 accounts"}],
        "trial_balance": [],
    }


def test_backup_restore_and_migrate_use_the_database_of_serve(
    parts: SimpleNamespace, elsewhere: Path
) -> None:
    (elsewhere / "largesse.toml").write_text('database = "sqlite:///file.db"\n')
    env = {"LARGESSE_DATABASE": "sqlite:///env.db"}
    assert run("backup", "b.db").exit_code == 0
    assert run("restore", "b.db", env=env).exit_code == 0
    assert "from schema version 1 to 3" in run("migrate", "--database", "sqlite:///f.db").stdout
    assert parts.asked == [
        ("backup", "sqlite:///file.db", Path("b.db")),
        ("restore", "sqlite:///env.db", Path("b.db")),
        ("migrate", "sqlite:///f.db"),
    ]


@pytest.mark.parametrize("args", [["audit"], ["backup", "x"], ["restore", "x"], ["migrate"]])
def test_a_store_error_is_a_sentence_and_ends_with_1(
    parts: SimpleNamespace, args: list[str]
) -> None:
    parts.fault = parts.StoreError("Another process holds the books.")
    result = run(*args)
    assert result.exit_code == 1 and result.stdout == ""
    assert result.stderr == "largesse: Another process holds the books.\n"


# --- the load test, which is a program of its own ---


def test_loadtest_hands_its_arguments_over(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, int]] = []

    def loadtest(url: str, viewers: int = 1) -> int:
        seen.append((url, viewers))
        return 1

    module: Any = ModuleType("loadtest.cli")
    module.loadtest = loadtest
    monkeypatch.setitem(sys.modules, "loadtest.cli", module)
    assert run("loadtest", "http://x", "--viewers", "5").exit_code == 1
    assert run("loadtest", "--viewers", "x", "http://x").exit_code == 2
    assert seen == [("http://x", 5)]


def test_without_the_load_test_the_others_still_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "loadtest.cli", None)
    result = run("loadtest", "http://x")
    assert result.exit_code == 1 and "load test" in result.stderr
    assert run("config").exit_code == 0
