"""What an operator may choose, in one table.

Every field of `Settings` is one setting: its name, type, default, limits and sentence are written
once, and the flags of `serve`, the variables `LARGESSE_<NAME>`, the keys of `largesse.toml`, the
help and `largesse config` are derived from it. Flags win over the environment, the environment over
the file. Reading is one step with one answer: either settings that are all good, or every mistake
at once, so that an operator never repairs them one restart at a time. This module starts nothing,
imports nothing heavy, and does not know what the settings are used for.
"""

import difflib
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rules.catalogue import Catalogue
from rules.creators import RATE_MAX
from rules.ledger import MONEY_MAX
from rules.policy import CLAWBACKS, Policy
from server.settings.values import (
    Row,
    Value,
    Wrong,
    check_address,
    check_api_key,
    check_bundles,
    check_catalogue,
    check_database,
    check_fanout,
    check_host,
    check_origin,
    check_public_key,
    check_secret,
    check_token_secret,
    check_url,
    check_webhook_secret,
    choice,
    number,
    parsed,
    printable,
    switch,
    text,
    texts,
)

ENV_PREFIX = "LARGESSE_"
FILE_NAME = "largesse.toml"
SERVE_NEEDS = ("token_secret", "api_key")
FILE_BYTES_MAX = 1_048_576  # a settings file is a page, not an upload

PLAIN = Policy(catalogue=Catalogue(version="", currency="", gifts=()))
"""What money depends on has its defaults in rules/policy.py, and nowhere else."""

# --- the table ----------------------------------------------------------------------------------

LISTEN, STORE, TRUST, MONEY = "Listening", "Storage", "Trust", "Money"
BUYING, SAFETY, WEBHOOKS = "Buying", "Spending limits", "Webhooks"
PACE, LIMITS, ROOMS, LOGS = "Pace", "Limits", "Rooms and slow viewers", "Logs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The effective settings; made by `load`, which has checked them, or by hand in a test."""

    host: str = text(LISTEN, "127.0.0.1", "Address to listen on; 0.0.0.0 for all.", check_host)
    port: int = number(
        LISTEN, 8080, 0, 65_535, "Port of HTTP, WebSocket and pages; 0 = any free one."
    )
    allowed_origins: tuple[str, ...] = texts(
        LISTEN, "Origins of pages that may connect; none = the same host, * = all.", check_origin
    )
    trusted_proxies: tuple[str, ...] = texts(
        LISTEN, "Proxy addresses whose X-Forwarded-For counts.", check_address
    )
    drain_ms: int = number(
        LISTEN, 5_000, 0, 600_000, "At shutdown, time over which connections are sent away."
    )

    database: str = text(
        STORE, "sqlite:///largesse.db", "Where the books are kept.", check_database
    )
    fanout: str = text(
        STORE, "local", "How nodes tell each other; only local (one node) for now.", check_fanout
    )
    duty_ms: int = number(
        STORE,
        15_000,
        500,
        600_000,
        "Silence of the node that does chores and webhooks after which another one does them.",
    )

    token_secret: str = text(
        TRUST, "", "Signs user tokens (HS256); at least 32 bytes.", check_token_secret, secret=True
    )
    token_public_keys: tuple[str, ...] = texts(
        TRUST, "PEM files whose tokens are taken too (EdDSA, RS256, ES256).", check_public_key
    )
    api_key: str = text(
        TRUST, "", "The backend's key; at least 16 characters.", check_api_key, secret=True
    )
    require_adult: bool = switch(
        TRUST, PLAIN.require_adult, "Refuse gifts and purchases from tokens without adult."
    )

    catalogue: str = text(
        MONEY, "", "TOML file of gifts; empty = the built-in one.", check_catalogue
    )
    rate_permille: int = number(
        MONEY, PLAIN.rate_permille, 0, RATE_MAX, "Millidiamonds a creator earns per coin."
    )
    hold_days: int = number(
        MONEY, PLAIN.hold_days, 0, 365, "Days before earned diamonds can be paid out."
    )
    payout_minimum_millidiamonds: int = number(
        MONEY, PLAIN.payouts.minimum_millidiamonds, 0, MONEY_MAX, "Smallest payout."
    )
    payout_automatic_millidiamonds: int = number(
        MONEY,
        PLAIN.payouts.automatic_millidiamonds,
        0,
        MONEY_MAX,
        "Unsuspicious payouts up to this are approved at once; 0 = none.",
    )
    payout_review_first: bool = switch(
        MONEY,
        PLAIN.payouts.review_first,
        "A person reviews each creator's first payout, whatever its size.",
    )
    millidiamonds_per_minor: int = number(
        MONEY,
        PLAIN.payouts.millidiamonds_per_minor,
        1,
        1_000_000_000,
        "Millidiamonds that are paid out as one cent (minor unit).",
    )
    clawback: str = choice(
        MONEY,
        PLAIN.clawback,
        CLAWBACKS,
        "What creators lose of a chargeback: nothing, what is not paid out yet, or all of it.",
    )
    play_money: bool = switch(MONEY, False, "Tell viewers that coins are worth nothing.")

    bundles: str = text(
        BUYING, "", "TOML file of coin prices and bundles; empty = the built-in one.", check_bundles
    )
    payment_provider: str = choice(
        BUYING, "sandbox", ("sandbox", "stripe"), "Who takes payments; the sandbox takes no money."
    )
    public_url: str = text(
        BUYING, "", "Where payers come back to; empty = the address that was asked.", check_url
    )
    stripe_secret_key: str = text(BUYING, "", "Stripe's API key.", check_secret, secret=True)
    stripe_webhook_secret: str = text(
        BUYING, "", "Signs Stripe's webhooks (whsec_…).", check_secret, secret=True
    )
    stripe_api_base: str = text(
        BUYING, "", "Another address of Stripe's API, for tests; empty = Stripe's own.", check_url
    )

    daily_limit_coins: int = number(
        SAFETY,
        PLAIN.limits.daily_coins,
        0,
        MONEY_MAX,
        "Bought coins a user may spend in 24 hours; 0 = no limit.",
    )
    weekly_limit_coins: int = number(
        SAFETY, PLAIN.limits.weekly_coins, 0, MONEY_MAX, "The same in 7 days."
    )
    monthly_limit_coins: int = number(
        SAFETY, PLAIN.limits.monthly_coins, 0, MONEY_MAX, "The same in 30 days."
    )
    first_day_limit_coins: int = number(
        SAFETY,
        PLAIN.limits.first_day_coins,
        0,
        MONEY_MAX,
        "The same in the first 24 hours of an account.",
    )
    daily_limit_max_coins: int = number(
        SAFETY,
        PLAIN.limits.daily_max_coins,
        0,
        MONEY_MAX,
        "The highest limit a user may choose for 24 hours; 0 = any.",
    )
    weekly_limit_max_coins: int = number(
        SAFETY, PLAIN.limits.weekly_max_coins, 0, MONEY_MAX, "The same for 7 days."
    )
    monthly_limit_max_coins: int = number(
        SAFETY, PLAIN.limits.monthly_max_coins, 0, MONEY_MAX, "The same for 30 days."
    )

    webhook_secret: str = text(
        WEBHOOKS,
        "",
        "The endpoints' secrets are made from this; empty = from token_secret.",
        check_webhook_secret,
        secret=True,
    )
    webhook_allow_private: bool = switch(
        WEBHOOKS, False, "Webhooks may go to this network and over plain HTTP: for development."
    )

    tick_ms: int = number(PACE, 40, 0, 1_000, "Shortest time between two frames of a busy room.")
    combo_window_ms: int = number(
        PACE, PLAIN.combo_window_ms, 0, 60_000, "Longest pause within a combo."
    )
    heartbeat_ms: int = number(
        PACE, 15_000, 100, 600_000, "Silence after which a heartbeat is sent."
    )
    hello_timeout_ms: int = number(PACE, 5_000, 100, 60_000, "Time to say hello after connecting.")
    ping_ms: int = number(PACE, 20_000, 100, 600_000, "Time between two pings of a connection.")

    gift_rate: int = number(LIMITS, 10, 1, 1_000_000, "Gifts a second of one sender, lasting.")
    gift_burst: int = number(LIMITS, 20, 1, 1_000_000, "Gifts at once of one sender.")
    message_rate: int = number(
        LIMITS, 50, 1, 1_000_000, "Messages a second of one connection, lasting."
    )
    message_burst: int = number(LIMITS, 200, 1, 1_000_000, "Messages at once of one connection.")
    http_rate: int = number(
        LIMITS, 10, 1, 1_000_000, "Changes a second of one user over HTTP, lasting."
    )
    http_burst: int = number(LIMITS, 60, 1, 1_000_000, "Changes at once of one user over HTTP.")
    max_connections: int = number(LIMITS, 100_000, 1, 10_000_000, "Open connections in all.")
    max_connections_per_user: int = number(
        LIMITS, 20, 1, 1_000_000, "Open connections of one user."
    )
    max_connections_per_address: int = number(
        LIMITS,
        0,
        0,
        10_000_000,
        "Open connections of one address; 0 = no limit, because proxies share one.",
    )
    handshake_rate: int = number(
        LIMITS, 2_000, 1, 1_000_000, "New connections a second, server-wide."
    )
    queue_max: int = number(
        LIMITS, 20_000, 1, 10_000_000, "Commands waiting for the ledger; more are answered busy."
    )
    batch_max: int = number(LIMITS, 512, 1, 100_000, "Commands settled in one transaction.")

    ring_events: int = number(
        ROOMS, 2_048, 1, 1_000_000, "Events per room kept in memory for resuming."
    )
    resume_events_max: int = number(
        ROOMS, 20_000, 0, 10_000_000, "Longest gap that a resume fills."
    )
    frame_events_max: int = number(
        ROOMS, 60, 1, 10_000, "Entries of one events frame when a room is busy."
    )
    slow_bytes: int = number(
        ROOMS, 262_144, 1_024, 1_073_741_824, "Unsent bytes after which a viewer is too slow."
    )
    slow_ms: int = number(
        ROOMS, 10_000, 100, 600_000, "Time without draining after which a viewer is too slow."
    )

    log_format: str = choice(
        LOGS, "auto", ("auto", "json", "console"), "auto = console at a terminal, else json."
    )
    log_level: str = choice(
        LOGS, "info", ("debug", "info", "warning", "error"), "The least that is logged."
    )

    # Not a setting: where each value came from; a name that is absent has its default.
    origins: Mapping[str, str] = field(
        default_factory=lambda: MappingProxyType({}), repr=False, compare=False
    )


TABLE: Mapping[str, Row] = MappingProxyType(
    {f.name: f.metadata["row"] for f in fields(Settings) if "row" in f.metadata}
)
DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {f.name: f.default for f in fields(Settings) if "row" in f.metadata}
)


# --- mistakes -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """One thing to repair; `shown` is the value as it may be printed, `problem` says what to do."""

    setting: str
    origin: str
    shown: str | None
    problem: str

    def __str__(self) -> str:
        value = "" if self.shown is None else f" = {self.shown}"
        return f"{self.setting}{value} ({self.origin}): {self.problem}"


class SettingsError(Exception):
    """Carries every mistake; its text is one line per mistake."""

    def __init__(self, mistakes: tuple[Mistake, ...]) -> None:
        super().__init__("\n".join(str(mistake) for mistake in mistakes))
        self.mistakes = mistakes


def shown(name: str, value: object) -> str:
    """The value of a setting as it may be printed; of a secret only its length."""
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    if TABLE[name].secret:
        return f"(hidden, {len(text)} characters)" if text else "(not set)"
    return printable(text.lower() if isinstance(value, bool) else text)


# --- reading ------------------------------------------------------------------------------------


def load(
    flags: Mapping[str, str],
    env: Mapping[str, str],
    file: Path | None,
    *,
    need: Collection[str] = (),
) -> Settings:
    """Settings from flags, environment and file; raises SettingsError with all mistakes at once.

    `flags` are named as the settings are. `env` may hold anything: only LARGESSE_* is read, and an
    empty variable counts as not set. `need` names settings that must not be left empty.
    """
    mistakes: list[Mistake] = []
    found: dict[str, tuple[str, object]] = {}
    for name, origin, raw in _sources(flags, env, file, mistakes):
        found[name] = (origin, raw)  # later sources win

    values: dict[str, Any] = {}
    for name, (origin, raw) in found.items():
        try:
            values[name] = parsed(TABLE[name], raw)
        except Wrong as wrong:
            mistakes.append(
                Mistake(setting=name, origin=origin, shown=shown(name, raw), problem=str(wrong))
            )
    mistakes += _missing(need, found)
    mistakes += _contradictions(values, found)
    if mistakes:
        raise SettingsError(tuple(mistakes))
    origins = {name: origin for name, (origin, _) in found.items()}
    return Settings(**values, origins=MappingProxyType(origins))


def _sources(
    flags: Mapping[str, str], env: Mapping[str, str], file: Path | None, mistakes: list[Mistake]
) -> Iterator[tuple[str, str, object]]:
    """(name, origin, raw value), the weakest source first; names that do not exist are mistakes."""
    if file is not None:
        for key, raw in _read(file, mistakes).items():
            if _known(key, key, str(file), str, mistakes):
                yield key, str(file), raw
    by_variable = {variable(name): name for name in TABLE}
    for key, raw in sorted(env.items()):
        if key.startswith(ENV_PREFIX) and raw != "":
            name = by_variable.get(key, key.removeprefix(ENV_PREFIX))
            if _known(name, key, "environment", variable, mistakes):
                yield name, f"environment {key}", raw
    for name, raw in flags.items():
        if _known(name, flag(name), "flag", flag, mistakes):
            yield name, f"flag {flag(name)}", raw


def flag(name: str) -> str:
    """The flag of a setting."""
    return "--" + name.replace("_", "-")


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return ENV_PREFIX + name.upper()


def _known(
    name: str, written: str, origin: str, spelt: Callable[[str], str], mistakes: list[Mistake]
) -> bool:
    """Whether a setting has this name; if not, notes the mistake, with the name that was meant."""
    if name in TABLE:
        return True
    close = difflib.get_close_matches(name.replace("-", "_").lower(), TABLE, n=1)
    hint = f"did you mean {spelt(close[0])}?" if close else "`largesse config` lists them all"
    problem = f"there is no such setting; {hint}"
    mistakes.append(Mistake(setting=printable(written), origin=origin, shown=None, problem=problem))
    return False


def _read(file: Path, mistakes: list[Mistake]) -> Mapping[str, object]:
    """The keys of a settings file; one that cannot be read is one mistake."""
    try:
        with file.open("rb") as opened:
            content = opened.read(FILE_BYTES_MAX + 1)
        if len(content) > FILE_BYTES_MAX:
            problem = "is too large to be a settings file"
        else:
            return tomllib.loads(content.decode())
    except FileNotFoundError:
        problem = "there is no such file"
    except OSError as error:
        problem = f"cannot be read: {error.strerror or error.__class__.__name__}"
    except UnicodeDecodeError:
        problem = "is not UTF-8"
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        problem = f"is not TOML: {error}"
    mistakes.append(Mistake(setting=str(file), origin="settings file", shown=None, problem=problem))
    return {}


def _missing(need: Collection[str], found: Mapping[str, object]) -> list[Mistake]:
    return [
        Mistake(
            setting=name,
            origin="not given",
            shown=None,
            problem=f"set {variable(name)} (or {name} in {FILE_NAME}); "
            "`openssl rand -hex 32` makes a good one",
        )
        for name in need
        if name not in found
    ]


def _contradictions(
    values: Mapping[str, Value], found: Mapping[str, tuple[str, object]]
) -> list[Mistake]:
    """Values that are good alone and wrong together."""
    problems: list[tuple[str, str]] = []
    if values.get("api_key") and values.get("api_key") == values.get("token_secret"):
        problems.append(("api_key", "must differ from token_secret; make one of its own"))
    if values.get("payment_provider") == "stripe" and not (
        values.get("stripe_secret_key") and values.get("stripe_webhook_secret")
    ):
        problem = "needs stripe_secret_key and stripe_webhook_secret; Stripe's dashboard has both"
        problems.append(("payment_provider", problem))
    if values.get("payment_provider") == "stripe" and not values.get("public_url"):
        problem = "needs public_url: where buyers come back to"
        problems.append(("payment_provider", problem))
    origins = values.get("allowed_origins", ())
    if isinstance(origins, tuple) and "*" in origins and len(origins) > 1:
        problems.append(
            ("allowed_origins", "* allows all; leave the others out, or leave out the *")
        )
    return [
        Mistake(
            setting=name, origin=found[name][0], shown=shown(name, values[name]), problem=problem
        )
        for name, problem in problems
    ]


# --- telling ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """One line of `largesse config`."""

    name: str
    value: str
    origin: str
    help: str


def describe(settings: Settings) -> list[Described]:
    """Every setting with its value as it may be printed and where it came from."""
    return [
        Described(
            name=name,
            value=shown(name, getattr(settings, name)),
            origin=settings.origins.get(name, "default"),
            help=row.help,
        )
        for name, row in TABLE.items()
    ]
