"""What the figures were measured on. A reader who knows these knows what to expect elsewhere."""

import os
import platform
import resource
import sqlite3
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median

SYNCS = 200
BLOCK = b"x" * 4_096


def facts(folder: Path) -> dict[str, str]:
    cores = len(os.sched_getaffinity(0))
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return {
        "cores": f"{cores}, {_processor()}",
        "pinned": "serving and loading on a core each" if cores > 1 else "no: one core for both",
        "load": f"{load} before the run (1, 5, 15 minutes)",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "uvloop": version("uvloop"),
        "websockets": version("websockets"),
        "fdatasync": f"{sync_us(folder):,.0f} µs, median of {SYNCS} with 4 KiB each, in {folder}",
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def sync_us(folder: Path) -> float:
    """How long the file system takes to make 4 KiB durable. A few µs: it does not (tmpfs)."""
    path, spent = folder / "sync", []
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        for _ in range(SYNCS):
            os.write(file, BLOCK)
            started = time.perf_counter()
            os.fdatasync(file)
            spent.append(time.perf_counter() - started)
    finally:
        os.close(file)
        path.unlink()
    return median(spent) * 1e6


class Neighbours:
    """What others did on our cores meanwhile: busy time of all cores less that of our children.

    A few percent are the kernel's own. Above some 10 %, wall times say little, CPU times still do.
    """

    def __init__(self) -> None:
        self._began, self._busy, self._own = time.monotonic(), _busy_s(), _own_s()

    def share(self) -> float:
        """Of all cores' time, 0 to 1. To be asked when the children have ended."""
        passed_s = (time.monotonic() - self._began) * (os.cpu_count() or 1)
        others_s = _busy_s() - self._busy - (_own_s() - self._own)
        return max(0.0, others_s / passed_s)


def _busy_s() -> float:
    """Busy time of all cores: user, nice, system, irq, softirq, steal."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    user, nice, system, _idle, _waiting, *rest = map(int, fields)
    return (user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK")


def _own_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def raise_descriptors() -> int:
    """Take as many open files as the system allows; children inherit it. How many that is."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return 2**31 if hard == resource.RLIM_INFINITY else hard
