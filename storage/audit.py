"""What an audit finds, and the one check that needs no database: that the journal is a chain.

The rest of the audit is questions in a dialect (SQL that shares no code with the rules) and the
replay: every batch settled again on books that begin empty.
"""

from collections.abc import Iterable
from typing import NamedTuple

from rules.journal import GENESIS, seal
from rules.rows import JournalRow


class Wrong(Exception):
    """The books contradict themselves; the sentence says where."""


class Check(NamedTuple):
    name: str
    ok: bool
    detail: str
    """A sentence with figures; for a failed check, what contradicts and how often."""


class Audit(NamedTuple):
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)


class Batch(NamedTuple):
    """A batch of the journal with its commands."""

    id: int
    at_ms: int
    first: int
    last: int
    hash: str
    rows: list[JournalRow]


def check_chain(history: Iterable[Batch]) -> str:
    """Batches and commands are numbered without a gap and sealed in a chain. Raises Wrong."""
    batches = commands = 0
    previous = GENESIS
    for batch in history:
        if batch.id != batches + 1:
            raise Wrong(f"batch {batch.id} follows batch {batches}")
        numbers = [row.id for row in batch.rows]
        expected = list(range(commands + 1, commands + 1 + len(numbers)))
        if numbers != expected or (batch.first, batch.last) != (numbers[0], numbers[-1]):
            raise Wrong(
                f"batch {batch.id} should begin with command {commands + 1} and have no gap"
            )
        sealed = seal(previous, batch.id, batch.at_ms, batch.rows)
        if sealed != batch.hash:
            raise Wrong(f"batch {batch.id} is not what its hash sealed")
        previous, batches, commands = sealed, batch.id, numbers[-1]
    return f"{commands} commands in {batches} batches, and every hash seals the ones before it."
