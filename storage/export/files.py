"""Exports as files: for their owner's eyes only, and under their name once they are complete."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from storage.books import Books
from storage.store import StoreError


def export_file(books: Books, format: str, target: Path, *, replace: bool = False) -> int:
    """Write the journal into a file; how many transfers.

    It takes the place of another file only when asked to. Raises StoreError, OSError.
    """
    _require_replaceable(books, target, replace)
    with appearing(target, replace=replace) as out:
        return books.export(format, out)


def _require_replaceable(books: Books, target: Path, replace: bool) -> None:
    if not os.path.lexists(target):
        return
    if not replace:
        raise StoreError(f"{target} exists already; name a new file, or replace it with --force.")
    if not target.is_file():
        raise StoreError(f"{target} is no file that could be replaced.")
    if any(target.samefile(own) for own in books.files()):
        raise StoreError(f"{target} belongs to the database itself; name another file.")


@contextlib.contextmanager
def appearing(target: Path, *, replace: bool) -> Iterator[TextIO]:
    """A new file under another name, which gets its own when nothing went wrong. Raises OSError."""
    partial = target.with_name(f"{target.name}.partial-{secrets.token_hex(4)}")
    number = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        with open(number, "w", encoding="utf-8", newline="") as out:
            yield out
            out.flush()
            os.fsync(number)
        if replace:
            os.replace(partial, target)
        else:
            os.link(partial, target)  # unlike a rename, this never overwrites
    finally:
        partial.unlink(missing_ok=True)
