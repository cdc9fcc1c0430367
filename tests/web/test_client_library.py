"""The client library's pure core, tested where it runs: a JavaScript engine, without a browser."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SUITES = sorted(HERE.glob("*.test.mjs"))
NODE = shutil.which("node")
NODE_MAJOR_MIN = 20  # the first with a test runner, CustomEvent and crypto built in


def node_major() -> int:
    if NODE is None:
        return 0
    version = subprocess.run([NODE, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.match(r"v(\d+)", version)
    return int(found[1]) if found else 0


def test_there_are_suites() -> None:
    assert SUITES


@pytest.mark.skipif(
    node_major() < NODE_MAJOR_MIN,
    reason=f"needs node {NODE_MAJOR_MIN} or later on the PATH to run the JavaScript suites",
)
@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name.removesuffix(".test.mjs"))
def test_client_library(suite: Path) -> None:
    assert NODE is not None
    run = subprocess.run(
        [NODE, "--test", "--test-reporter=tap", str(suite)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    passed = re.search(r"^# pass (\d+)$", run.stdout, re.MULTILINE)
    assert passed and int(passed[1]) > 0, "the suite ran no test"
