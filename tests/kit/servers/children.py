"""The processes that tests start: each leads a group of its own, and none outlives the tests.

A group, because such a process may have children itself: strace has the server, node has one for
each suite. Whoever starts a process ends it in a `finally`. What is left all the same (of a run
that was interrupted in the middle of its clean-up) is ended when the tests are over: see
conftest.py.
"""

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from typing import Any

_living: set[subprocess.Popen[Any]] = set()


def start(command: Sequence[str], **how: Any) -> subprocess.Popen[Any]:
    """Like Popen, at the head of a group of processes. `end` it in a `finally`."""
    process = subprocess.Popen(command, process_group=0, **how)
    _living.add(process)
    return process


def end(process: subprocess.Popen[Any]) -> None:
    """kill -9 for the whole group, whatever is left of it. May be called again."""
    # A group outlives its head and keeps its number until its last member is gone.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    _living.discard(process)


def end_all() -> None:
    for process in list(_living):
        end(process)


def run(
    command: Sequence[str], within_s: float = 120.0, **how: Any
) -> subprocess.CompletedProcess[Any]:
    """Like subprocess.run with captured output; its children end with it, also when it is late."""
    pipe = subprocess.PIPE
    process = start(command, stdout=pipe, stderr=pipe, **how)
    try:
        out, errors = process.communicate(timeout=within_s)
    finally:
        end(process)
    return subprocess.CompletedProcess(command, process.returncode, out, errors)
