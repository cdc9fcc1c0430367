"""The door of the SQLite adapter: its addresses, and what can be opened at one.

What is behind it is imported when it is opened: settings are checked by programs that open nothing.
"""

import re

from storage.adapter import Adapter
from storage.books import Books
from storage.store import Store

_PREFIX = "sqlite:///"


def check_address(database: str) -> str | None:
    if not database.startswith(_PREFIX):
        return "write sqlite:///relative.db, sqlite:////absolute/path.db or sqlite:///:memory:"
    path = path_of(database)
    if not path or path.endswith("/") or re.search(r"[?#\x00-\x1f]", path):
        return "name a file after sqlite:///, without ? or #"
    return None


def path_of(database: str) -> str:
    """The file that `sqlite:///relative` or `sqlite:////absolute` names, or `:memory:`."""
    return database.removeprefix(_PREFIX)


async def _open_store(database: str) -> Store:
    from storage.sqlite.store import SqliteStore

    return await SqliteStore.open(path_of(database))


def _open_books(database: str) -> Books:
    from storage.sqlite.books import SqliteBooks

    return SqliteBooks(path_of(database))


ADAPTER = Adapter(check_address, _open_store, _open_books)
