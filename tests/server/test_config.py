"""Settings: three sources, one table, every mistake at once."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from server.settings import table as config
from server.settings.table import SERVE_NEEDS, Settings, SettingsError, describe, load

SECRET = "0123456789abcdef0123456789abcdef"
API_KEY = "fedcba9876543210"
GOOD = {"token_secret": SECRET, "api_key": API_KEY}


def mistakes(
    flags: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    file: Path | None = None,
    need: tuple[str, ...] = (),
) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(flags or {}, env or {}, file, need=need)
    return [str(mistake) for mistake in caught.value.mistakes]


def written(folder: Path, content: str) -> Path:
    path = folder / "largesse.toml"
    path.write_text(content)
    return path


# --- where values come from ---


def test_without_any_source_every_setting_has_its_default() -> None:
    assert load({}, {}, None) == Settings()


def test_the_defaults_are_those_of_the_protocol() -> None:
    settings = Settings()
    assert (settings.host, settings.port) == ("127.0.0.1", 8080)
    assert settings.database == "sqlite:///largesse.db"
    assert (settings.rate_permille, settings.hold_days) == (500, 7)
    assert (settings.gift_rate, settings.gift_burst, settings.tick_ms) == (10, 20, 40)
    assert settings.require_adult is True


def test_every_default_passes_its_own_check() -> None:
    unset = {"token_secret", "api_key", "token_public_keys", "allowed_origins", "trusted_proxies"}
    flags = {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in config.DEFAULTS.items()
        if name not in unset
    }
    assert load(flags, {}, None) == Settings()


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, "port = 1111\ntick_ms = 50\n")
    settings = load({}, {"LARGESSE_PORT": "2222"}, file)
    assert (settings.port, settings.tick_ms) == (2222, 50)


def test_flags_win_over_the_environment() -> None:
    assert load({"port": "3333"}, {"LARGESSE_PORT": "2222"}, None).port == 3333


def test_a_wrong_value_that_a_stronger_source_replaces_is_no_mistake(tmp_path: Path) -> None:
    assert load({"port": "1"}, {"LARGESSE_PORT": "x"}, written(tmp_path, 'port = "y"')).port == 1


def test_an_empty_variable_counts_as_not_set() -> None:
    assert load({}, {"LARGESSE_PORT": ""}, None).port == 8080


def test_variables_of_others_are_left_alone() -> None:
    assert load({}, {"PATH": "/bin", "PORT": "9"}, None).port == 8080


def test_every_setting_can_be_given_in_all_three_ways(tmp_path: Path) -> None:
    for name, row in config.TABLE.items():
        if row.kind != "number":
            continue
        value = row.low + 1
        file = written(tmp_path, f"{name} = {value}")
        assert getattr(load({name: str(value)}, {}, None), name) == value
        assert getattr(load({}, {f"LARGESSE_{name.upper()}": str(value)}, None), name) == value
        assert getattr(load({}, {}, file), name) == value


def test_a_file_holds_typed_values(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        'allowed_origins = ["https://a.example", "https://b.example:8443"]\n'
        "require_adult = false\nqueue_max = 5_000\nlog_level = 'debug'\n",
    )
    settings = load({}, {}, file)
    assert settings.allowed_origins == ("https://a.example", "https://b.example:8443")
    assert (settings.require_adult, settings.queue_max) == (False, 5_000)
    assert settings.log_level == "debug"


def test_lists_are_written_with_commas_in_flags_and_variables() -> None:
    settings = load({}, {"LARGESSE_TRUSTED_PROXIES": "10.0.0.1, ::1"}, None)
    assert settings.trusted_proxies == ("10.0.0.1", "::1")


@pytest.mark.parametrize("text", ["true", "yes", "on", "1", "TRUE"])
def test_a_switch_is_on(text: str) -> None:
    assert load({"play_money": text}, {}, None).play_money is True


@pytest.mark.parametrize("text", ["false", "no", "off", "0", "False"])
def test_a_switch_is_off(text: str) -> None:
    assert load({"require_adult": text}, {}, None).require_adult is False


# --- mistakes ---


def test_all_mistakes_of_all_sources_are_reported_at_once(tmp_path: Path) -> None:
    file = written(tmp_path, "tick_ms = 5000\nprot = 1\n")
    found = mistakes(
        {"port": "99999"},
        {"LARGESSE_LOG_LEVEL": "loud", "LARGESSE_BATCH_MAXX": "1"},
        file,
        ("api_key",),
    )
    assert len(found) == 6
    assert f"tick_ms = 5000 ({file}): give a number from 0 to 1000" in found
    assert "port = 99999 (flag --port): give a number from 0 to 65535" in found
    assert any(
        line.startswith("log_level = loud (environment LARGESSE_LOG_LEVEL)") for line in found
    )
    assert any(line.startswith("api_key (not given): set LARGESSE_API_KEY") for line in found)


def test_an_unknown_key_of_the_file_is_answered_with_the_one_that_was_meant(tmp_path: Path) -> None:
    [found] = mistakes(file=written(tmp_path, "heartbeat = 1"))
    assert found.startswith("heartbeat (") and "did you mean heartbeat_ms?" in found


def test_an_unknown_variable_is_answered_with_the_one_that_was_meant() -> None:
    [found] = mistakes(env={"LARGESSE_API_KYE": "x"})
    assert found.startswith("LARGESSE_API_KYE") and "did you mean LARGESSE_API_KEY?" in found


def test_a_name_like_no_other_is_answered_with_where_the_names_are() -> None:
    [found] = mistakes(env={"LARGESSE_ZZZZZZ": "x"})
    assert "largesse config" in found


def test_serve_needs_both_secrets() -> None:
    found = mistakes(need=SERVE_NEEDS)
    assert [line.split(" ")[0] for line in found] == ["token_secret", "api_key"]


def test_a_wrong_secret_is_not_reported_as_missing_too() -> None:
    assert len(mistakes({"token_secret": "short", "api_key": API_KEY}, need=SERVE_NEEDS)) == 1


def test_good_secrets_are_enough_to_serve() -> None:
    assert load(GOOD, {}, None, need=SERVE_NEEDS).api_key == API_KEY


def test_the_length_of_the_token_secret_counts_bytes() -> None:
    assert load({"token_secret": "é" * 16}, {}, None).token_secret == "é" * 16
    assert "has 31 bytes" in mistakes({"token_secret": "x" * 31})[0]


def test_one_secret_must_not_serve_both_ends() -> None:
    [found] = mistakes({"token_secret": SECRET, "api_key": SECRET})
    assert "must differ from token_secret" in found


def test_a_mistake_never_shows_a_secret() -> None:
    found = mistakes({"token_secret": "hunter2", "api_key": "hunter2 hunter2 hunter2"})
    assert len(found) == 2
    assert not any("hunter2" in line for line in found)


def test_a_mistake_never_shows_a_password_in_a_url() -> None:
    [found] = mistakes({"database": "postgresql://largesse:hunter2@db/largesse"})
    assert "hunter2" not in found


def test_a_mistake_never_shows_control_characters() -> None:
    [found] = mistakes({"host": "a\x1b[2Jb c"})
    assert "\x1b" not in found


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("database", "postgresql://db/x", "PostgreSQL is not supported yet"),
        ("database", "postgres://db/x", "PostgreSQL is not supported yet"),
        ("database", "sqlite://x.db", "write sqlite:///"),
        ("database", "largesse.db", "write sqlite:///"),
        ("database", "sqlite:///", "name a file"),
        ("database", "sqlite:///x.db?mode=ro", "name a file"),
        ("fanout", "redis://r", "Redis is not supported yet"),
        ("fanout", "remote", "use local"),
        ("host", "http://x", "give one address"),
        ("host", "127.0.0.1:80", "the port is the setting port"),
        ("host", "[::1]", "without brackets"),
        ("port", "-1", "from 0 to 65535"),
        ("port", "8e3", "whole number"),
        ("port", "８０", "whole number"),
        ("rate_permille", "1001", "from 0 to 1000"),
        ("payout_minimum_millidiamonds", str(2**53), "give a number"),
        ("queue_max", "9" * 5_000, "whole number"),
        ("require_adult", "maybe", "true or false"),
        ("log_format", "xml", "auto, json, console"),
        ("allowed_origins", "https://a.example/", "without a path"),
        ("allowed_origins", "a.example", "scheme://host"),
        ("allowed_origins", "https://A.example", "lower case"),
        ("allowed_origins", "*,https://a.example", "* allows all"),
        ("trusted_proxies", "10.0.0.0/8", "single IP addresses"),
        ("trusted_proxies", "proxy", "single IP addresses"),
        ("catalogue", "/nowhere/gifts.toml", "no such file"),
        ("token_public_keys", "/nowhere/key.pem", "no such file"),
        ("token_secret", "-----BEGIN PUBLIC KEY-----" + "x" * 40, "token_public_keys"),
        ("api_key", "schlüssel-schlüssel", "printable ASCII"),
    ],
)
def test_a_value_is_refused_with_what_to_do(name: str, value: str, says: str) -> None:
    [found] = mistakes({name: value})
    assert found.startswith(name) and says in found


@pytest.mark.parametrize(
    "toml",
    ["port = true", "port = 80.0", 'port = "x"', "host = 1", 'allowed_origins = [1]',
     "require_adult = 1", "[port]\nx = 1", "token_secret = 12345678901234567890"],
)  # fmt: skip
def test_a_value_of_another_type_in_the_file_is_a_mistake(tmp_path: Path, toml: str) -> None:
    assert len(mistakes(file=written(tmp_path, toml))) == 1


@pytest.mark.parametrize(
    ("database"), ["sqlite:///a.db", "sqlite:////var/lib/a.db", "sqlite:///:memory:"]
)
def test_these_databases_are_taken(database: str) -> None:
    assert load({"database": database}, {}, None).database == database


@pytest.mark.parametrize(
    "origin", ["*", "http://localhost:3000", "https://[::1]:8443", "capacitor://localhost"]
)
def test_these_origins_are_taken(origin: str) -> None:
    assert load({"allowed_origins": origin}, {}, None).allowed_origins == (origin,)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"port 1", "is not TOML"),
        (b"host = '\xff'", "is not UTF-8"),
        (b" " * 1_048_577, "too large"),
    ],
)
def test_a_file_that_cannot_be_understood_is_one_mistake(
    tmp_path: Path, content: bytes, says: str
) -> None:
    file = tmp_path / "largesse.toml"
    file.write_bytes(content)
    [found] = mistakes(file=file)
    assert says in found


def test_a_file_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    [found] = mistakes(file=tmp_path / "none.toml")
    assert "there is no such file" in found


def test_a_folder_in_place_of_the_file_is_a_mistake(tmp_path: Path) -> None:
    [found] = mistakes(file=tmp_path)
    assert "cannot be read" in found


# --- public keys ---


def test_a_public_key_file_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    public = ed25519.Ed25519PrivateKey.generate().public_key()
    path.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    assert load({"token_public_keys": str(path)}, {}, None).token_public_keys == (str(path),)


def test_a_private_key_in_place_of_the_public_one_is_a_mistake(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    [found] = mistakes({"token_public_keys": str(path)})
    assert "private key" in found


# --- telling ---


def test_describe_masks_secrets_and_tells_where_each_value_comes_from(tmp_path: Path) -> None:
    file = written(tmp_path, "tick_ms = 20")
    settings = load({"port": "0"}, {"LARGESSE_API_KEY": API_KEY}, file)
    rows = {row.name: (row.value, row.origin) for row in describe(settings)}
    assert set(rows) == set(config.TABLE)
    assert rows["tick_ms"] == ("20", str(file))
    assert rows["port"] == ("0", "flag --port")
    assert rows["api_key"] == ("(hidden, 16 characters)", "environment LARGESSE_API_KEY")
    assert rows["token_secret"] == ("(not set)", "default")
    assert rows["require_adult"] == ("true", "default")


def test_the_repr_of_settings_holds_no_secret() -> None:
    text = repr(load(GOOD, {}, None))
    assert SECRET not in text and API_KEY not in text


def test_the_operations_page_gives_every_setting_with_its_default_and_meaning() -> None:
    page = (Path(config.__file__).parents[2] / "docs" / "operations.md").read_text()
    for name, row in config.TABLE.items():
        [line] = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
        default = config.shown(name, config.DEFAULTS[name])
        assert default in line.replace(",", "") or default == "(not set)", name
        assert row.help in line, name
        if row.kind == "number":
            assert f"| {row.low} … {row.high} |" in line.replace(",", ""), name
