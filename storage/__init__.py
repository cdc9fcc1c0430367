"""What must survive: the ledger, and the tools that look after it.

The only place that names an adapter. Storage moves rows; what they mean is decided in `rules`, and
nothing here tells anybody anything.
"""

from storage.adapter import Adapter
from storage.audit import Audit, Check
from storage.balance import Line
from storage.books import Books
from storage.leases import Lease, Leases
from storage.money import Asked, BoardLine, EarningLine, GiftLine, Personal
from storage.sqlite.adapter import ADAPTER as SQLITE
from storage.store import (
    Balances,
    Head,
    LeaseLost,
    RoomState,
    Rulings,
    StatementRow,
    Store,
    StoreBroken,
    StoreError,
    StoreUnavailable,
    Wallet,
)

__all__ = [
    "Asked",
    "Audit",
    "Balances",
    "BoardLine",
    "Books",
    "Check",
    "EarningLine",
    "GiftLine",
    "Head",
    "Lease",
    "LeaseLost",
    "Leases",
    "Line",
    "Personal",
    "RoomState",
    "Rulings",
    "StatementRow",
    "Store",
    "StoreBroken",
    "StoreError",
    "StoreUnavailable",
    "Wallet",
    "check_address",
    "open_books",
    "open_store",
]

ADAPTERS: dict[str, Adapter] = {"sqlite": SQLITE}
"""By the scheme of their addresses."""


def check_address(database: str) -> str | None:
    """What is wrong with a `database` setting, as what to do about it; None when it is good."""
    scheme = database.partition(":")[0]
    if scheme in ("postgresql", "postgres"):
        return "PostgreSQL is not supported yet: use sqlite:///largesse.db"
    return ADAPTERS.get(scheme, SQLITE).check_address(database)


async def open_store(database: str) -> Store:
    """Open the ledger that a `database` setting names. Raises StoreError."""
    return await _adapter(database).open_store(database)


def open_books(database: str) -> Books:
    """The keeper's tools for the books that a `database` setting names. Raises StoreError."""
    return _adapter(database).open_books(database)


def _adapter(database: str) -> Adapter:
    if fault := check_address(database):
        raise StoreError(f"{database} is not an address of a database: {fault}.")
    return ADAPTERS[database.partition(":")[0]]
