"""The whole load test against the small server: an honest one passes, every lie is found out.

Each run is the command itself in a process of its own, over real sockets, as a person starts it.
"""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from kit.servers import children

ROOT = Path(__file__).parents[2]
FEW = ("--viewers", "12", "--gifters", "4", "--rate", "80", "--duration", "1.5")


def loadtest(server: Any, *options: str, key: str = "") -> tuple[int, dict[str, Any]]:
    words = [sys.executable, "-m", "loadtest", server.url, "--json", "--room", "r"]
    words += ["--token-secret", server.token_secret, "--api-key", key or server.api_key]
    words += ["--drain", "1", "--catch-up", "1", *options]
    done = children.run(words, cwd=ROOT, text=True)
    assert server.api_key not in done.stdout + done.stderr
    assert server.token_secret not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout) if done.stdout else {"said": done.stderr}


def wrong(report: dict[str, Any]) -> list[str]:
    return [check["name"] for check in report["checks"] if not check["ok"]]


def test_an_honest_server_adds_up(small_server: Any) -> None:
    code, report = loadtest(small_server(), *FEW)
    assert (code, report["ok"], wrong(report)) == (0, True, [])
    assert report["gifts"]["accepted"] == report["gifts"]["offered"] == 120
    assert report["viewers"] == {"equal": 16, "not_equal": 0}


def test_left_out_gifts_are_still_accounted_for(small_server: Any) -> None:
    code, report = loadtest(small_server(omit=True), *FEW)
    assert (code, wrong(report)) == (0, [])
    assert report["frames"]["omitted_gifts"] > 0


def test_dropped_connections_come_back_without_a_gap(small_server: Any) -> None:
    code, report = loadtest(small_server(), *FEW, "--reconnects", "30")
    assert (code, wrong(report)) == (0, [])
    assert report["connections"]["recovered"] > 10


def test_busy_gifts_are_sent_again_until_they_are_answered(small_server: Any) -> None:
    code, report = loadtest(small_server(gift_rate=1), *FEW)
    assert (code, wrong(report)) == (0, [])
    assert report["gifts"]["sent_again"]["busy"] > 5
    assert report["gifts"]["accepted"] == 120


def test_poor_gifters_are_refused_and_still_it_adds_up(small_server: Any) -> None:
    code, report = loadtest(small_server(), *FEW, "--coins-each", "50")
    assert (code, wrong(report)) == (0, [])
    assert report["gifts"]["refused"]["insufficient_coins"] > 0


def test_slow_viewers_are_closed_and_come_back(small_server: Any) -> None:
    options = ("--viewers", "10", "--gifters", "10", "--slow", "3", "--closed-loop", "4")
    # So little that a machine on which hardly a gift gets through fills it too.
    server = small_server(unread_bytes_max=4_096)
    code, report = loadtest(server, *options, "--duration", "4")
    assert (code, wrong(report)) == (0, [])
    links = report["connections"]
    assert set(links["closes"]) == {"4001"}
    assert links["recovered"] == links["closes"]["4001"] >= 3


def test_who_is_told_not_to_come_back_stays_away(small_server: Any) -> None:
    code, report = loadtest(small_server(lie="turn away"), *FEW)
    assert code == 1
    assert "every viewer joined" in wrong(report)
    assert report["connections"]["closes"] == {"4505": 1}


def test_a_full_server_is_asked_again(small_server: Any) -> None:
    code, report = loadtest(small_server(lie="full"), *FEW)
    assert (code, wrong(report)) == (0, [])
    assert report["connections"]["doors"] == {"503": 5}


def test_a_closed_loop_sends_as_fast_as_it_is_answered(small_server: Any) -> None:
    code, report = loadtest(small_server(), *FEW, "--closed-loop", "4")
    assert (code, wrong(report)) == (0, [])
    assert report["gifts"]["accepted"] > 120, "more than the plan without it"


@pytest.mark.parametrize(
    ("lie", "check"),
    [
        ("gap", "viewers equal the books"),
        ("repeat", "viewers equal the books"),
        ("wrong total", "frames equal the log"),
        ("wrong omitted", "viewers equal the books"),
        ("lose a gift", "the log holds the accepted gifts once"),
        ("charge twice", "wallets equal the books"),
        ("no answer", "every gift was answered"),
        ("room total", "the room's total is the log's"),
    ],
)
def test_a_lie_is_found_out(small_server: Any, lie: str, check: str) -> None:
    code, report = loadtest(small_server(lie=lie), *FEW)
    assert code == 1
    assert check in wrong(report)


def test_nobody_there_is_exit_3(small_server: Any) -> None:
    server = small_server()
    server.port = 1
    assert loadtest(server, *FEW)[0] == 3


def test_a_server_that_dies_on_the_way_is_exit_3(small_server: Any) -> None:
    code, said = loadtest(small_server(lie="die"), *FEW)
    assert code == 3
    assert "could not be reached" in said["said"]


def test_wrong_use_is_exit_2(small_server: Any) -> None:
    server = small_server()
    code, said = loadtest(server, *FEW, "--quantity", "0", "--taps", "0")
    assert code == 2
    assert "--quantity" in said["said"]
    assert "--taps" in said["said"]
