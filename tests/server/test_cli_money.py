"""The verbs about money, people and webhooks: what each asks, prints and ends with."""

import json
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from kit.servers import children
from kit.servers.answering import Backend, answering
from server.cli.main import app
from server.cli.wording import moment, moment_ms, money, worded
from server.settings import table as config

API_KEY = "fedcba9876543210"
TOKEN = "admins.own.token"
VERBS = [
    *(f"purchase {verb}" for verb in ("show", "list", "refund", "chargeback")),
    *(f"payout {verb}" for verb in ("list", "show", "approve", "paid", "reject", "export")),
    "payout import",
    *(f"user {verb}" for verb in ("search", "show", "freeze", "unfreeze", "limits", "export")),
    *("user erase", "user reverse", "creator earnings", "creator rate", "creator board"),
    *("suspense list", "suspense settle"),
    *(f"correction {verb}" for verb in ("propose", "approve", "reject", "list")),
    *(f"webhook {verb}" for verb in ("set", "list", "show", "rotate", "remove", "deliveries")),
    *("webhook attempts", "webhook replay"),
]
AT_MS = 1_748_800_000_000  # 2025-06-01 17:46:40 UTC


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


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_and_an_example(verb: str) -> None:
    result = CliRunner().invoke(app, [*verb.split(), "--help"])
    assert result.exit_code == 0 and f"Example: largesse {verb}" in result.stdout
    assert "--json" in result.stdout


@pytest.mark.parametrize("group", ["purchase", "payout", "user", "creator", "webhook"])
def test_a_group_alone_lists_its_verbs(group: str) -> None:
    result = CliRunner().invoke(app, [group])
    verbs = [verb.split()[1] for verb in VERBS if verb.startswith(group + " ")]
    assert result.exit_code == 2 and all(verb in result.output for verb in verbs)


# --- amounts and moments ---


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [(1234, "USD", "12.34 USD"), (5, "EUR", "0.05 EUR"), (-250, "USD", "-2.50 USD"),
     (300, "JPY", "300 JPY"), (1, "KWD", "0.001 KWD"), (None, "USD", "– USD")],
)  # fmt: skip
def test_money_is_written_with_its_currency(amount: object, currency: str, text: str) -> None:
    assert money(amount, currency) == text


@pytest.mark.parametrize(
    "text",
    ["2025-06-01T17:46:40Z", "2025-06-01T19:46:40+02:00", "2025-06-01 17:46:40+00:00", str(AT_MS)],
)
def test_a_moment_is_read(text: str) -> None:
    assert moment_ms("--from", text) == AT_MS and moment(AT_MS) == "2025-06-01 17:46:40Z"


def test_a_moment_keeps_its_milliseconds() -> None:
    assert moment_ms("--from", "2025-06-01T17:46:40.123Z") == AT_MS + 123


def test_a_json_object_is_put_in_words() -> None:
    content = {"price_minor": 950, "currency": "USD", "paid_ms": 0, "flags": ["a", "b"]}
    assert worded(content) == {"price": "9.50 USD", "paid": None, "flags": "a; b"}
    assert worded({"currency": "USD"}) == {"currency": "USD"}


# --- purchases ---

PURCHASE = {
    "purchase": "pur_1", "user": "ada", "status": "paid", "coins": 1000, "price_minor": 1000,
    "currency": "USD", "provider": "sandbox", "started_ms": AT_MS, "refunded_minor": 250,
}  # fmt: skip
REFUND = {
    "purchase": "pur_1", "coins": 300, "amount_minor": 300, "currency": "USD",
    "balance_coins": 0, "debt_coins": 100,
}  # fmt: skip


def test_purchases_are_shown_and_listed_with_their_price(backend: Backend) -> None:
    backend.will_answer(PURCHASE)
    backend.will_list(PURCHASE)
    assert "price 10.00 USD" in told(ask(backend, "purchase", "show", "pur_1"))
    line = told(ask(backend, "purchase", "list", "--user", "ada", "--status", "paid"))
    assert "10.00 USD 2.50 USD 2025-06-01 17:46:40Z" in line
    assert [asked.line for asked in backend.asked] == [
        "GET /v1/purchases/pur_1",
        "GET /v1/purchases?user=ada&status=paid&limit=50",
    ]


def test_a_refund_says_what_went_back_and_what_is_owed(backend: Backend) -> None:
    backend.will_answer(REFUND)
    result = ask(
        backend, "purchase", "refund", "pur_1", "--coins", "300", "--reason", "x", "--key", "k"
    )
    assert "Refunded 300 coins, 3.00 USD. 100 coins of that had been spent" in told(result)
    [asked] = backend.asked
    assert asked.line == "POST /v1/purchases/pur_1/refund"
    assert asked.body == {"reason": "x", "coins": 300}
    assert asked.headers["Idempotency-Key"] == "k"


def test_a_refund_of_all_that_is_unspent_names_no_number(backend: Backend) -> None:
    backend.will_answer(REFUND | {"debt_coins": 0})
    ask(backend, "purchase", "refund", "pur_1", "--reason", "x")
    assert backend.asked[0].body == {"reason": "x"}


def test_a_chargeback_is_booked_with_its_reason(backend: Backend) -> None:
    backend.will_answer(REFUND | {"taken": [{"creator": "cara", "pending": 5}]})
    line = told(ask(backend, "purchase", "chargeback", "pur_1", "--reason", "the bank"))
    assert "3.00 USD are gone" in line and "1 creator lost diamonds" in line
    assert backend.asked[0].body == {"reason": "the bank"}


def test_a_chargeback_of_what_was_refunded_is_told_to_be_suspended(backend: Backend) -> None:
    backend.will_answer({"entry": 7, "subject": "purchase pur_1", "why": "refunded_before"})
    line = told(ask(backend, "purchase", "chargeback", "pur_1", "--reason", "the bank"))
    assert "pur_1 was refunded before" in line and "entry 7" in line and "gone" not in line


# --- payouts ---

PAYOUT = {
    "payout": "payout-7", "creator": "cara", "status": "approved", "millidiamonds": 5_000_000,
    "amount_minor": 5_000, "currency": "USD", "flags": ["first_payout"], "requested_ms": AT_MS,
}  # fmt: skip


def test_payouts_are_listed_for_a_review(backend: Backend) -> None:
    backend.will_list(PAYOUT)
    line = told(ask(backend, "payout", "list", "--status", "requested"))
    assert "50.00 USD first_payout" in line
    assert backend.asked[0].line == "GET /v1/payouts?status=requested&limit=50"


@pytest.mark.parametrize(
    ("args", "path", "body"),
    [
        (["approve", "payout-7"], "approve", None),
        (["paid", "payout-7"], "paid", None),
        (["paid", "payout-7", "--reference", "SEPA 1"], "paid", {"reference": "SEPA 1"}),
        (["reject", "payout-7", "--reason", "fraud"], "reject", {"reason": "fraud"}),
    ],
)
def test_a_payout_is_decided(
    backend: Backend, args: list[str], path: str, body: dict[str, Any] | None
) -> None:
    backend.will_answer(PAYOUT)
    assert "payout-7 to cara: 50.00 USD, approved." in told(ask(backend, "payout", *args))
    [asked] = backend.asked
    assert (asked.line, asked.body) == (f"POST /v1/payouts/payout-7/{path}", body)
    assert asked.headers["Idempotency-Key"]


def test_an_export_is_written_for_its_owner_only_and_never_over_another(
    backend: Backend, elsewhere: Path
) -> None:
    for _ in range(3):
        backend.will_answer(b"payout,amount\npayout-7,50.00\n", kind="text/csv; charset=utf-8")
    assert "were written" in told(ask(backend, "payout", "export", "p.csv"))
    file = elsewhere / "p.csv"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and b"payout-7" in file.read_bytes()
    file.write_text("mine")
    again = ask(backend, "payout", "export", "p.csv")
    assert again.exit_code == 1 and "--force" in again.stderr and file.read_text() == "mine"
    assert ask(backend, "payout", "export", "p.csv", "--force").exit_code == 0
    assert b"payout-7" in file.read_bytes()
    assert [entry.name for entry in elsewhere.iterdir()] == ["p.csv"]
    assert backend.asked[0].line == "GET /v1/payouts/export?format=csv&status=approved"


def test_an_export_goes_to_standard_output_as_it_is(backend: Backend) -> None:
    backend.will_answer(b'{"items":[]}')
    result = ask(backend, "payout", "export", "-", "--format", "json")
    assert result.stdout_bytes == b'{"items":[]}'


def test_an_export_into_nowhere_is_a_sentence(backend: Backend) -> None:
    backend.will_answer(b"x", kind="text/csv")
    result = ask(backend, "payout", "export", "no/such/folder.csv")
    assert result.exit_code == 1 and "cannot be written" in result.stderr


def test_a_page_of_a_proxy_is_no_export(backend: Backend, elsewhere: Path) -> None:
    backend.will_answer(b"<html>", kind="text/html")
    assert ask(backend, "payout", "export", "p.csv").exit_code == 3
    assert not list(elsewhere.iterdir())


RESULTS = {"resolved": 2, "repeated": 1, "suspended": [], "refused": []}


@pytest.mark.parametrize(
    ("name", "more", "kind"),
    [("r.csv", [], "text/csv"), ("r.json", [], "application/json"), ("r", [], "text/csv"),
     ("r.txt", ["--format", "json"], "application/json")],
)  # fmt: skip
def test_the_banks_answer_is_posted_as_it_is(
    backend: Backend, elsewhere: Path, name: str, more: list[str], kind: str
) -> None:
    content = b'{"results": []}' if "json" in kind else b"payout,result\npayout-7,paid\n"
    (elsewhere / name).write_bytes(content)
    backend.will_answer(RESULTS)
    line = told(ask(backend, "payout", "import", name, *more))
    assert line == "2 resolved, 1 repeated, 0 suspended, 0 refused."
    [asked] = backend.asked
    assert asked.line == "POST /v1/payouts/results" and asked.raw == content
    assert asked.headers["Content-Type"] == kind
    # The lines are their own keys, so that the same file again changes nothing.
    assert asked.headers["Idempotency-Key"] is None


@pytest.mark.parametrize(
    "trouble",
    [
        {"suspended": [{"line": 3, "payout": "payout-9", "entry": 12, "why": "unknown_payout"}]},
        {"refused": [{"line": 3, "payout": "payout-9", "code": "busy", "message": "Busy."}]},
    ],
    ids=lambda trouble: next(iter(trouble)),
)
def test_a_line_that_was_not_taken_is_named_and_1(
    backend: Backend, elsewhere: Path, trouble: dict[str, Any]
) -> None:
    (elsewhere / "r.csv").write_bytes(b"payout,result\n")
    for _ in range(2):
        backend.will_answer(RESULTS | trouble)
    result = ask(backend, "payout", "import", "r.csv")
    assert result.exit_code == 1 and "payout-9" in result.stdout and "2 resolved" in result.stdout
    as_json = ask(backend, "payout", "import", "r.csv", "--json")
    assert as_json.exit_code == 1 and json.loads(as_json.stdout) == RESULTS | trouble


def test_a_file_that_is_not_there_asks_nobody(backend: Backend) -> None:
    result = ask(backend, "payout", "import", "r.csv")
    assert result.exit_code == 2 and "r.csv cannot be read" in result.stderr and not backend.asked


def test_an_import_whose_answer_was_lost_may_simply_be_repeated(
    backend: Backend, elsewhere: Path
) -> None:
    (elsewhere / "r.csv").write_bytes(b"payout,result\n")
    backend.will_answer(b"", 0)
    result = ask(backend, "payout", "import", "r.csv")
    assert result.exit_code == 3 and "Repeat it; what is done already" in result.stderr


# --- suspense and corrections ---

CORRECTION = {
    "correction": 31, "user": "ada", "account": "coins", "amount": -50, "status": "approved",
    "reason": "case 4711", "proposed_by": "user:ann", "at_ms": AT_MS, "decided_by": "user:bea",
}  # fmt: skip


def test_a_correction_is_proposed_by_a_person(backend: Backend, elsewhere: Path) -> None:
    (elsewhere / "t").write_text(TOKEN + "\n")
    backend.will_answer(CORRECTION, 201)
    args = ["ada", "--account", "coins", "--amount", "-50", "--reason", "case 4711"]
    line = told(ask(backend, "correction", "propose", *args, "--token-file", "t"))
    assert "Correction 31 waits for another admin" in line
    [asked] = backend.asked
    assert asked.headers["Authorization"] == f"Bearer {TOKEN}"
    assert asked.body == {
        "user": "ada", "account": "coins", "amount": -50, "reason": "case 4711",
    }  # fmt: skip


def test_a_token_may_come_from_standard_input(backend: Backend) -> None:
    backend.will_answer(CORRECTION)
    result = ask(backend, "correction", "approve", "31", "--token-file", "-", input=TOKEN + "\n")
    assert "changed coins of ada by -50" in told(result)
    assert backend.asked[0].headers["Authorization"] == f"Bearer {TOKEN}"
    assert backend.asked[0].line == "POST /v1/corrections/31/approve"


def test_a_correction_never_falls_back_on_the_api_key(backend: Backend) -> None:
    result = ask(backend, "correction", "reject", "31")
    assert result.exit_code == 2 and "--token-file" in result.stderr and not backend.asked


def test_who_settles_an_entry_may_be_the_backend_or_a_person(backend: Backend) -> None:
    for _ in range(2):
        backend.will_answer({"entry": 12})
    assert "Entry 12 is settled." in told(ask(backend, "suspense", "settle", "12", "--note", "x"))
    assert ask(backend, "suspense", "settle", "12", "--note", "x", "--token", TOKEN).exit_code == 0
    used = [asked.headers["Authorization"] for asked in backend.asked]
    assert used == [f"Bearer {API_KEY}", f"Bearer {TOKEN}"]
    assert backend.asked[0].body == {"note": "x"}


def test_suspense_and_corrections_are_listed(backend: Backend) -> None:
    entry = {"entry": 12, "subject": "payout p", "why": "unknown_payout", "note": "", "at_ms": 1}
    backend.will_list(entry)
    backend.will_list(CORRECTION)
    assert "unknown_payout" in told(ask(backend, "suspense", "list", "--open"))
    assert "user:ann user:bea" in told(ask(backend, "correction", "list", "--status", "approved"))
    assert [asked.line for asked in backend.asked] == [
        "GET /v1/suspense?settled=false&limit=50",
        "GET /v1/corrections?status=approved&limit=50",
    ]


# --- webhooks ---


def test_an_endpoint_is_set_and_its_secret_told_once(backend: Backend) -> None:
    row = {"id": "shop", "url": "https://x/", "events": [], "enabled": True, "secret": "whsec_1"}
    for _ in range(3):
        backend.will_answer(row)
    args = ["shop", "https://x/", "--event", "purchase.paid", "--event", "gift.accepted"]
    assert "whsec_1" in told(ask(backend, "webhook", "set", *args))
    assert "whsec_1" in told(ask(backend, "webhook", "rotate", "shop"))
    assert "told nothing more" in told(ask(backend, "webhook", "remove", "shop"))
    assert backend.asked[0].body == {
        "url": "https://x/", "events": ["purchase.paid", "gift.accepted"],
    }  # fmt: skip
    assert [asked.line for asked in backend.asked] == [
        "PUT /v1/webhook-endpoints/shop",
        "POST /v1/webhook-endpoints/shop/rotate",
        "DELETE /v1/webhook-endpoints/shop",
    ]


def test_deliveries_and_their_attempts_are_listed(backend: Backend) -> None:
    backend.will_list({"delivery": 5, "type": "gift.accepted", "state": "exhausted"})
    backend.will_list({"at_ms": AT_MS, "status": 500, "error": None, "duration_ms": 12})
    listing = ask(backend, "webhook", "deliveries", "shop", "--state", "exhausted")
    assert "5 gift.accepted exhausted" in told(listing)
    assert "17:46:40Z 500 – 12" in told(ask(backend, "webhook", "attempts", "shop", "5"))
    assert [asked.line for asked in backend.asked] == [
        "GET /v1/webhook-endpoints/shop/deliveries?state=exhausted&limit=50",
        "GET /v1/webhook-endpoints/shop/deliveries/5/attempts?limit=200",
    ]


@pytest.mark.parametrize(
    ("args", "body", "answer", "code"),
    [
        (["--delivery", "5", "--delivery", "6"], {"deliveries": [5, 6]}, {"replayed": 2}, 0),
        (["--since", str(AT_MS)], {"since_ms": AT_MS}, {"from_delivery": 3}, 0),
        (["--delivery", "5"], {"deliveries": [5]}, {"replayed": 0}, 1),
    ],
)
def test_events_are_sent_again(
    backend: Backend, args: list[str], body: dict[str, Any], answer: dict[str, Any], code: int
) -> None:
    backend.will_answer(answer)
    assert ask(backend, "webhook", "replay", "shop", *args).exit_code == code
    assert backend.asked[0].body == body


def test_an_answer_without_content_is_an_answer(backend: Backend) -> None:
    backend.will_answer(b"", 204)
    assert ask(backend, "webhook", "remove", "shop").exit_code == 0


# --- mistakes ---


@pytest.mark.parametrize(
    "args",
    [
        ["purchase", "refund", "p"],
        ["purchase", "refund", "p", "--coins", "0", "--reason", "x"],
        ["purchase", "list", "--status", "lost"],
        ["payout", "reject", "p"],
        ["payout", "export"],
        ["correction", "propose", "ada", "--account", "gold", "--amount", "1", "--reason", "x"],
        ["webhook", "replay", "shop"],
        ["webhook", "replay", "shop", "--delivery", "1", "--since", "2025-06-01T00:00:00Z"],
        ["suspense", "settle", "first", "--note", "x"],
    ],
    ids=" ".join,
)
def test_wrong_use_is_2_and_asks_nobody(backend: Backend, args: list[str]) -> None:
    result = ask(backend, *args)
    assert result.exit_code == 2 and result.stdout == "" and not backend.asked


@pytest.mark.parametrize(
    ("flag", "content", "mistakes"),
    [
        ("catalogue", "[[gift]]\nid = 'A'\nname = ''\ncoins = 0\n", 3),
        ("bundles", "currency = 'usd'\nminimum_coins = 9\nmaximum_coins = 1\ngold = 1\n", 3),
        ("bundles", "[[", 1),
    ],
)
def test_serve_names_every_mistake_of_a_file_of_gifts_or_prices(
    elsewhere: Path, flag: str, content: str, mistakes: int
) -> None:
    (elsewhere / "own.toml").write_text(content)
    secrets = ["--token-secret", "s" * 32, "--api-key", API_KEY]
    command = [sys.executable, "-m", "server.cli", "serve", "--port", "0", *secrets]
    ended = children.run(
        [*command, f"--{flag}", str(elsewhere / "own.toml")],
        cwd=Path(config.__file__).parents[2],
        env={"LARGESSE_DATABASE": f"sqlite:///{elsewhere / 'b.db'}"},
        text=True,
    )
    lines = [line for line in ended.stderr.splitlines() if line.startswith(f"largesse: {flag}: ")]
    assert (ended.returncode, len(lines)) == (2, mistakes), ended.stderr
    assert "Traceback" not in ended.stderr
