"""A test that fails leaves no process behind: neither the one that it started nor its children."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from kit.servers import children
from kit.servers.serving import ServerProcess

ROOT = Path(__file__).parent.parent
TWO_SLEEPERS = ["sh", "-c", "sleep 600 & sleep 600; true"]
"""A program with children of its own, as strace and node are."""

INTERRUPTED = """
import os, signal, time
from kit.servers import children

def test_that_is_interrupted():
    process = children.start({command})
    print("GROUP", process.pid, flush=True)
    {then}
"""


def members(group: int) -> list[int]:
    """The living processes of a group."""
    found = []
    for process in psutil.process_iter(["status"]):
        try:
            if os.getpgid(process.pid) == group and process.info["status"] != "zombie":
                found.append(process.pid)
        except ProcessLookupError:
            continue
    return found


def wait_for_members(group: int, count: int) -> None:
    while len(members(group)) != count:
        time.sleep(0.01)


def test_a_server_that_does_not_get_ready_is_ended(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path, wrapper=TWO_SLEEPERS)
    with pytest.raises(RuntimeError, match="did not get ready"):
        server.start(within_s=0.3)
    assert server.process is not None
    assert server.process.returncode == -signal.SIGKILL
    wait_for_members(server.process.pid, 0)


def test_a_server_that_ends_at_once_leaves_no_children(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path, wrapper=["sh", "-c", "sleep 600 & exit 3"])
    with pytest.raises(RuntimeError, match="the server ended"):
        server.start()
    assert server.process is not None
    wait_for_members(server.process.pid, 0)


def test_a_program_is_ended_with_its_children() -> None:
    started = children.start(TWO_SLEEPERS)
    wait_for_members(started.pid, 3)
    children.end(started)
    wait_for_members(started.pid, 0)
    children.end(started)


def test_a_program_that_is_late_is_ended_with_its_children(tmp_path: Path) -> None:
    program = f"echo $$ >{tmp_path}/group; {TWO_SLEEPERS[2]}"
    with pytest.raises(subprocess.TimeoutExpired):
        children.run(["sh", "-c", program], within_s=2)
    wait_for_members(int((tmp_path / "group").read_text()), 0)


@pytest.mark.parametrize(
    "then",
    ["assert False", "os.kill(os.getpid(), signal.SIGINT); time.sleep(60)", "time.sleep(60)"],
    ids=["failed", "interrupted", "timed out"],
)
def test_a_run_that_ends_badly_ends_what_its_tests_forgot(tmp_path: Path, then: str) -> None:
    path = tmp_path / "test_badly.py"
    path.write_text(INTERRUPTED.format(command=TWO_SLEEPERS, then=then))
    command = [sys.executable, "-m", "pytest", "-s", "-p", "conftest", "--timeout=2", str(path)]
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "tests")))
    done = children.run(
        [*command, f"--rootdir={tmp_path}", "-c", os.devnull],
        text=True,
        env=os.environ | {"PYTHONPATH": paths},
    )
    assert done.returncode in (1, 2), done.stdout + done.stderr
    group = int(done.stdout.split("GROUP ")[1].split()[0])
    wait_for_members(group, 0)
