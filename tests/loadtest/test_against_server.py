"""The load test against the real server, as far as a stranger can tell that everything adds up.

`live_server` is a running server with the attributes `url`, `token_secret` and `api_key`.
"""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from kit.servers import children

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "options",
    [
        ("--viewers", "50", "--gifters", "20", "--rate", "150", "--duration", "3"),
        (
            "--viewers",
            "50",
            "--gifters",
            "20",
            "--rate",
            "100",
            "--duration",
            "3",
            "--reconnects",
            "15",
        ),
    ],
    ids=["steady", "reconnects"],
)
def test_everything_adds_up(live_server: Any, options: tuple[str, ...]) -> None:
    words = [sys.executable, "-m", "loadtest", live_server.url, "--json", "--room", "adds-up"]
    words += ["--token-secret", live_server.token_secret, "--api-key", live_server.api_key]
    done = children.run([*words, *options], cwd=ROOT, text=True)
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    assert [check for check in report["checks"] if not check["ok"]] == []
    assert report["gifts"]["accepted"] > 0
    assert report["gifts"]["unanswered"] == 0
    assert done.returncode == 0
