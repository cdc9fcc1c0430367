"""The command line against a real server process: one story for each group of verbs."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result
from websockets.sync.client import connect

from kit.servers.answering import answering
from kit.servers.serving import API_KEY, BACKEND, ServerProcess, server_process, token
from server.cli.main import app

PERIOD = ["--from", "2020-01-01T00:00:00Z", "--to", "2100-01-01T00:00:00Z"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    flags = {
        "rate-permille": 1_000,
        "payout-minimum-millidiamonds": 1_000,
        "webhook-allow-private": "true",
    }
    with server_process(tmp_path_factory.mktemp("books"), **flags) as running:
        yield running
        assert running.stop() == 0


def run(server: ServerProcess, *args: str, code: int = 0, input: str | None = None) -> Result:
    env = {"LARGESSE_API_KEY": API_KEY, "COLUMNS": "200"}
    result = CliRunner().invoke(app, [*args, "--url", server.url], env=env, input=input)
    assert result.exit_code == code, result.output
    return result


def answer(server: ServerProcess, *args: str, code: int = 0) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(run(server, *args, "--json", code=code).stdout)
    return told


def post(server: ServerProcess, path: str, body: dict[str, Any], **headers: str) -> Any:
    response = httpx.post(server.url + path, json=body, headers=BACKEND | headers)
    assert response.is_success or response.is_redirect, response.text
    return response


def buy(server: ServerProcess, user: str, coins: int) -> str:
    bought = post(server, "/v1/purchases", {"user": user, "coins": coins}).json()
    post(server, f"/checkout/sandbox/{bought['purchase']}", {"answer": "pay"})
    return str(bought["purchase"])


def give(server: ServerProcess, user: str, room: str, sparks: int) -> None:
    address = server.url.replace("http", "ws") + "/v1/ws"
    headers = {"Authorization": f"Bearer {token(user)}"}
    with connect(address, additional_headers=headers) as socket:
        socket.send(json.dumps({"type": "join", "room": room}))
        wish = {"type": "gift", "room": room, "gift": "spark", "quantity": sparks, "key": room}
        socket.send(json.dumps(wish))
        while (heard := json.loads(socket.recv(timeout=5)))["type"] not in ("accepted", "refused"):
            pass
        assert heard["type"] == "accepted", heard


def test_a_purchase_is_refunded_and_then_charged_back(server: ServerProcess) -> None:
    run(server, "room", "open", "p", "--creator", "cara-p")
    purchase = buy(server, "pia", 1_000)
    give(server, "pia", "p", 100)
    assert "price" in run(server, "purchase", "show", purchase).stdout
    [listed] = answer(server, "purchase", "list", "--user", "pia")["items"]
    assert (listed["purchase"], listed["status"]) == (purchase, "paid")

    refund = ["purchase", "refund", purchase, "--coins", "200", "--reason", "mistake", "--key", "k"]
    assert "Refunded 200 coins, 2.00 USD." in run(server, *refund).stdout
    assert "2.00 USD" in run(server, *refund).stdout, "the key makes it happen once"
    assert answer(server, "wallet", "pia")["coins"] == 700

    told = run(server, "purchase", "chargeback", purchase, "--reason", "the bank").stdout
    assert "8.00 USD are gone." in told and "1 creator lost diamonds" in told
    run(server, "purchase", "refund", purchase, "--reason", "again", code=1)
    assert answer(server, "purchase", "show", purchase)["status"] == "charged_back"


def test_a_user_is_found_frozen_limited_exported_reversed_and_erased(
    server: ServerProcess, tmp_path: Path
) -> None:
    run(server, "room", "open", "u", "--creator", "cara-u")
    buy(server, "uma", 500)
    give(server, "uma", "u", 100)
    assert "Uma" in run(server, "user", "search", "um").stdout
    assert answer(server, "user", "show", "uma")["coins"] == 400

    run(server, "user", "freeze", "uma", "--reason", "case 4711")
    [found] = answer(server, "user", "search", "uma", "--frozen")["items"]
    assert found["frozen"] is True
    run(server, "user", "unfreeze", "uma")
    run(server, "user", "freeze", "uma")
    run(server, "user", "unfreeze", "uma")
    assert answer(server, "user", "search", "uma", "--frozen")["items"] == []

    assert answer(server, "user", "limits", "uma", "--daily", "300")["daily"]["limit_coins"] == 300
    assert "own" in run(server, "user", "limits", "uma").stdout

    export = tmp_path / "uma.json"
    run(server, "user", "export", "uma", str(export))
    assert json.loads(export.read_bytes())["user"]["name"] == "Uma"

    reverse = ["user", "reverse", "uma", *PERIOD, "--reason", "stolen card"]
    coming = answer(server, *reverse, "--dry-run")
    assert coming["rooms"] == [{"room": "u", "gifts": 1, "coins": 100}]
    assert run(server, *reverse, code=1, input="n\n").stdout == ""
    assert "Took back 1 gift of uma: 100 coins." in run(server, *reverse, input="y\n").stdout
    assert answer(server, *reverse, "--yes")["gifts"] == 0
    assert answer(server, "wallet", "uma")["coins"] == 500

    run(server, "user", "erase", "uma", code=1)
    assert "uma was erased." in run(server, "user", "erase", "uma", "--yes").stdout
    assert answer(server, "user", "show", "uma")["name"] == ""


def test_a_creators_rate_earnings_and_board(server: ServerProcess) -> None:
    run(server, "room", "open", "c", "--creator", "cleo")
    assert answer(server, "creator", "rate", "cleo", "400")["rate_permille"] == 400
    assert "400 millidiamonds" in run(server, "creator", "rate", "cleo").stdout
    buy(server, "carl", 100)
    give(server, "carl", "c", 50)
    earnings = run(server, "creator", "earnings", "cleo").stdout
    assert "spark" in earnings and "20000" in earnings
    assert "carl" in run(server, "creator", "board", "cleo", "--window", "all").stdout
    run(server, "creator", "earnings", "cleo", "--from", "yesterday", code=1)


def test_payouts_go_to_the_bank_and_its_answer_comes_back(
    server: ServerProcess, tmp_path: Path
) -> None:
    run(server, "payout", "show", "payout-0", code=1)
    payouts = [_request_payout(server, name) for name in ("bank-a", "bank-b")]
    waiting = answer(server, "payout", "list", "--status", "requested")["items"]
    assert {row["payout"] for row in waiting} == set(payouts)
    for payout in payouts:
        assert "0.10 USD, approved." in run(server, "payout", "approve", payout).stdout

    file = tmp_path / "bank.csv"
    run(server, "payout", "export", str(file))
    assert all(payout in file.read_text() for payout in payouts)
    results = tmp_path / "results.csv"
    results.write_text(
        "payout,result,reference\n"
        f"{payouts[0]},paid,SEPA 1\n{payouts[1]},failed,no such account\npayout-0,paid,SEPA 3\n"
    )
    told = run(server, "payout", "import", str(results), code=1).stdout
    assert "2 resolved, 0 repeated, 1 suspended, 0 refused." in told
    told = run(server, "payout", "import", str(results), code=1).stdout
    assert "0 resolved, 2 repeated, 1 suspended, 0 refused." in told
    run(server, "payout", "paid", payouts[1], "--reference", "SEPA 4", code=1)
    assert answer(server, "payout", "show", payouts[0])["reference"] == "SEPA 1"

    [entry] = answer(server, "suspense", "list", "--open")["items"]
    settle = ["suspense", "settle", str(entry["entry"]), "--note", "the bank corrected it"]
    run(server, *settle, "--token", token("ann", role="admin"))
    [entry] = answer(server, "suspense", "list", "--settled")["items"]
    assert entry["settled_by"] == "user:ann"


def _request_payout(server: ServerProcess, creator: str) -> str:
    """Diamonds by hand, because those that are earned wait for days."""
    _correct(server, creator, "diamonds_available", 10_000)
    own = {"Authorization": f"Bearer {token(creator, role='creator')}"}
    return str(post(server, "/v1/payouts", {"millidiamonds": 10_000}, **own).json()["payout"])


def _correct(server: ServerProcess, user: str, account: str, amount: int) -> None:
    ann, bea = (token(name, role="admin") for name in ("ann", "bea"))
    what = [user, "--account", account, "--amount", str(amount), "--reason", "case 4711"]
    proposed = answer(server, "correction", "propose", *what, "--token", ann)
    number = str(proposed["correction"])
    run(server, "correction", "approve", number, "--token", ann, code=1)
    run(server, "correction", "approve", number, "--token-file", "-", input=bea)


def test_a_correction_takes_two_admins(server: ServerProcess) -> None:
    run(server, "grant", "otto", "100", "--reason", "welcome")
    _correct(server, "otto", "coins", -40)
    assert answer(server, "wallet", "otto")["coins"] == 60
    ann = token("ann", role="admin")
    what = ["otto", "--account", "coins", "--amount", "5", "--reason", "x", "--token", ann]
    proposed = answer(server, "correction", "propose", *what)
    run(server, "correction", "reject", str(proposed["correction"]), "--token", ann)
    assert "rejected" in run(server, "correction", "list").stdout
    viewer = token("otto")
    run(server, "correction", "list", "--token", viewer, code=1)


def test_webhooks_are_set_delivered_and_replayed(server: ServerProcess) -> None:
    with answering() as receiver:
        for _ in range(3):
            receiver.will_answer({})
        events = ["--event", "room.opened"]
        made = answer(server, "webhook", "set", "shop", receiver.url + "/hooks", *events)
        assert made["secret"].startswith("whsec_")
        run(server, "room", "open", "w", "--creator", "cara-w")
        delivered = _delivery(server)
        [attempt] = answer(server, "webhook", "attempts", "shop", str(delivered))["items"]
        assert attempt["status"] == 200

        told = run(server, "webhook", "replay", "shop", "--delivery", str(delivered)).stdout
        assert "1 delivery" in told
        deadline = time.monotonic() + 10
        while len(receiver.asked) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        first, second = (asked.headers["webhook-id"] for asked in receiver.asked)
        assert first == second
        run(server, "webhook", "replay", "shop", "--delivery", "999999", code=1)

    assert answer(server, "webhook", "rotate", "shop")["secret"] != made["secret"]
    run(server, "webhook", "remove", "shop")
    assert answer(server, "webhook", "show", "shop")["enabled"] is False
    assert "shop" in run(server, "webhook", "list").stdout


def _delivery(server: ServerProcess) -> int:
    """The delivery that has arrived."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        found = answer(server, "webhook", "deliveries", "shop", "--state", "delivered")["items"]
        if found:
            return int(found[0]["delivery"])
        time.sleep(0.02)
    raise AssertionError("nothing was delivered")
