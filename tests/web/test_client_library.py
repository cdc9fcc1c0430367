"""The client library's pure core, tested where it runs: a JavaScript engine, without a browser."""

import re
import subprocess
from pathlib import Path

import pytest

from kit.servers import children
from kit.servers.tools import absent, need

HERE = Path(__file__).parent
SUITES = sorted(HERE.glob("*.test.mjs"))
NODE_MAJOR_MIN = 20  # the first with a test runner, CustomEvent and crypto built in


def node() -> str:
    """The path of a node that is new enough; without one the test is skipped, or fails in CI."""
    path = need("node")
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.match(r"v(\d+)", version)
    if found is None or int(found[1]) < NODE_MAJOR_MIN:
        absent(f"needs node {NODE_MAJOR_MIN} or later, and this is {version.strip()}")
    return path


def test_there_are_suites() -> None:
    assert SUITES


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name.removesuffix(".test.mjs"))
def test_client_library(suite: Path) -> None:
    run = children.run([node(), "--test", "--test-reporter=tap", str(suite)], text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    passed = re.search(r"^# pass (\d+)$", run.stdout, re.MULTILINE)
    assert passed and int(passed[1]) > 0, "the suite ran no test"
