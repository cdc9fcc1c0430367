"""Programs that some tests need and not every machine has.

Without one its tests are skipped, and say why; where `CI` is set they fail, because a skip there
would mean that nobody runs them at all.
"""

import os
import shutil
import subprocess
from typing import NoReturn

import pytest


def need(program: str) -> str:
    """The path of a program; without it the test is skipped, or fails where CI is set."""
    return shutil.which(program) or absent(f"needs {program} on the PATH")


def absent(reason: str) -> NoReturn:
    """Skip for want of a tool, or fail where CI is set."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason}; CI has to provide it")
    pytest.skip(reason)


def strace(*options: str, log: str = "/dev/null") -> list[str]:
    """The beginning of a command that runs under strace, if a process may be traced here.

    Without `--seccomp-bpf`, which would be faster: in strace 6.1 it forgets `when=` above 1.
    """
    program = need("strace")
    command = [program, "-f", "-qq", "-o", log, *options]
    probe = [*command, "true"]
    tried = subprocess.run(probe, capture_output=True, text=True, timeout=30, check=False)
    if tried.returncode != 0:
        absent(f"strace is not permitted here: {tried.stderr.strip()[:100]}")
    return command
