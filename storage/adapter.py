"""What an adapter offers to storage/__init__.py, which is the only one that names it."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from storage.books import Books
from storage.store import Store


class Adapter(NamedTuple):
    check_address: Callable[[str], str | None]
    """What is wrong with an address of its scheme, as what to do about it; None when it is good."""
    open_store: Callable[[str], Awaitable[Store]]
    """Open or create the ledger at a good address. Raises StoreError."""
    open_books: Callable[[str], Books]
    """Its keeper's tools. Opens nothing yet."""
