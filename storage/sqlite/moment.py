"""One moment of the books, for whoever asks them more than one thing."""

import contextlib
import sqlite3
from collections.abc import Iterator


@contextlib.contextmanager
def one_moment(connection: sqlite3.Connection) -> Iterator[None]:
    """A read transaction, unless the caller has begun one: what is read within belongs together."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
