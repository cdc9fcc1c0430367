"""The processes of a run: started on a core, asked over a pipe, stopped by pid on every path.

Children get a process group of their own, so Ctrl-C reaches only the bench, which then stops them;
if the bench itself is killed, the kernel kills them (PR_SET_PDEATHSIG). CPU time is read from the
kernel's clock of the process (the nanoseconds behind utime + stime of /proc/PID/stat, which counts
in steps of 10 ms), threads included. It does not see what other processes on the core cost in
cache; on a shared machine CPU time wobbles too, only much less than wall time.
"""

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self

import orjson

ROOT = Path(__file__).parent.parent
ASK_S = 60.0
STOP_S = 5.0
PR_SET_PDEATHSIG = 1

NOTHING: Mapping[str, str] = MappingProxyType({})

SERVING, LOADING = 0, 1
"""What a process does; the core follows from it."""


class BenchFailed(Exception):
    """A sentence for the person at the terminal."""


def core_of(role: int) -> int | None:
    """The core for what serves or what loads; None when there is only one to have."""
    cores = sorted(os.sched_getaffinity(0))
    return cores[role] if len(cores) > 1 else None


def cpu_seconds(pid: int) -> float:
    """CPU time of all threads of a process since it began (clock_getcpuclockid(3))."""
    return time.clock_gettime((~pid << 3) | 2)


def rss_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


class Child:
    """One process. Made by `Workshop.start`; `stop` may be called twice."""

    def __init__(
        self, name: str, command: Sequence[str], role: int, log: Path, more: Mapping[str, str]
    ) -> None:
        core, libc = core_of(role), ctypes.CDLL(None)

        def in_child() -> None:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if core is not None:
                os.sched_setaffinity(0, {core})

        self.name, self.log = name, log
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=log.parent,
                env=_environment(more),
                preexec_fn=in_child,
                process_group=0,
            )
        self.pid = self.process.pid
        self._heard = b""

    def ask(self, do: str, within_s: float = ASK_S, **fields: Any) -> dict[str, Any]:
        """Give a command and wait for its answer. Raises BenchFailed."""
        self.tell(do, **fields)
        return self.answer(within_s)

    def tell(self, do: str, **fields: Any) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(orjson.dumps({"do": do} | fields) + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise BenchFailed(self._ended("ended")) from None

    def answer(self, within_s: float = ASK_S) -> dict[str, Any]:
        """The next answer. Raises BenchFailed when it does not come, or says `error`."""
        line = self._read_line(within_s)
        answer: dict[str, Any] = orjson.loads(line)
        if "error" in answer:
            raise BenchFailed(f"{self.name}: {answer['error']}")
        return answer

    def _read_line(self, within_s: float) -> bytes:
        assert self.process.stdout is not None
        out, deadline = self.process.stdout.fileno(), time.monotonic() + within_s
        while b"\n" not in self._heard:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([out], [], [], left)[0]:
                raise BenchFailed(self._ended(f"said nothing for {within_s:g} s"))
            data = os.read(out, 65_536)
            if not data:
                raise BenchFailed(self._ended("ended"))
            self._heard += data
        line, _, self._heard = self._heard.partition(b"\n")
        return line

    def finish(self, within_s: float) -> tuple[int, bytes]:
        """Wait for a program that ends by itself: its exit code and its output."""
        try:
            out, _ = self.process.communicate(timeout=within_s)
        except subprocess.TimeoutExpired:
            raise BenchFailed(self._ended(f"did not finish in {within_s:g} s")) from None
        return self.process.returncode, out

    def _ended(self, what: str) -> str:
        return f"{self.name} {what}: {self.log.read_text(errors='replace')[-2_000:]}"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Ask it to end (SIGTERM and end of stdin), then see to it."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None and not pipe.closed:
                pipe.close()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.kill()


def _environment(more: Mapping[str, str]) -> Mapping[str, str]:
    """Ours, without settings of a server that this user may run."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LARGESSE_")}
    return kept | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **more}


class Workshop:
    """Owns the children and the folder of a measurement. Use as a context."""

    def __init__(self, folder: Path | None) -> None:
        self._where = folder
        self._children: list[Child] = []

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="largesse-bench-", dir=self._where))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # A second Ctrl-C must not leave anything behind.
        before = [signal.signal(name, signal.SIG_IGN) for name in (signal.SIGINT, signal.SIGTERM)]
        for child in reversed(self._children):
            child.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        for name, old in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
            signal.signal(name, old)

    def start(
        self, module: str, *arguments: str, role: int = SERVING, more: Mapping[str, str] = NOTHING
    ) -> Child:
        """Run `python -m module` on the core of its role; `more` is added to its environment."""
        command = [sys.executable, "-m", module, *arguments]
        log = self.folder / f"{module}-{len(self._children)}.log"
        child = Child(module, command, role, log, more)
        self._children.append(child)
        return child

    def ready(self, module: str, *arguments: str, role: int = SERVING) -> tuple[Child, int]:
        """Start a child that says on which port it listens."""
        child = self.start(module, *arguments, role=role)
        return child, int(child.answer()["port"])
