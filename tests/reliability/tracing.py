"""A server under strace: where its calls are made.

strace counts the calls of each thread by itself. Two threads matter: the loop's, which is the
process, writes to sockets with `write`; the ledger's, which SQLite runs in, calls `pwrite64` and
`fdatasync`, and `write` once per batch to wake the loop. How many calls a start takes is measured
once (`Baseline`), so that call number N can mean the Nth after the load began.
"""

from collections import Counter
from pathlib import Path

CALLS = ("fdatasync", "pwrite64", "write")


def count_calls(log: Path) -> Counter[str]:
    """The calls in strace's log, of the thread that makes most of each kind."""
    by_thread: dict[str, Counter[str]] = {call: Counter() for call in CALLS}
    for line in log.read_text("utf-8", "replace").splitlines():
        thread, _, rest = line.partition(" ")
        call = rest.lstrip().partition("(")[0]
        if call in by_thread:
            by_thread[call][thread] += 1
    return Counter({call: max(found.values(), default=0) for call, found in by_thread.items()})
