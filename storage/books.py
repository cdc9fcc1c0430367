"""The contract of the books as their keeper sees them: to look them through, to copy, to write out.

For the tools of the command line. What is read is one moment of the books, also while a server
writes to them; `restore` and `migrate` need them for themselves and say so when they are in use.
Everything raises `StoreError` with a sentence for the operator, and then nothing was changed.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Protocol, TextIO

from storage.audit import Audit
from storage.balance import Line


class Books(Protocol):
    def audit(self) -> Audit:
        """Check the books against their whole history. Changes nothing."""

    def trial_balance(self) -> list[Line]:
        """What all accounts of a kind have; nothing for books too damaged to be read."""

    def export(self, format: str, out: TextIO) -> int:
        """Write the journal in one of export.FORMATS; how many transfers. Raises OSError too."""

    def files(self) -> Collection[Path]:
        """The files that the books are in: what must not be written over."""

    def backup(self, target: Path) -> None:
        """Copy the books into a new file. Never overwrites."""

    def restore(self, source: Path) -> None:
        """Put a backup in the place of the books of a stopped server; what was there is kept."""

    def migrate(self) -> tuple[int, int]:
        """Bring the books to this program's schema; from and to which version."""
