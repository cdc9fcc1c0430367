"""What must survive: the ledger, and the tools that look after its file.

The only place that names an adapter. Storage moves rows; what they mean is decided in `rules`, and
nothing here tells anybody anything.
"""

from pathlib import Path

from storage.audit import Audit, Check, audit_file
from storage.backup import backup_file, migrate_file, restore_file
from storage.store import (
    BoardLine,
    RoomState,
    Store,
    StoreBroken,
    StoreError,
    StoreUnavailable,
    Wallet,
)

__all__ = [
    "Audit",
    "BoardLine",
    "Check",
    "RoomState",
    "Store",
    "StoreBroken",
    "StoreError",
    "StoreUnavailable",
    "Wallet",
    "audit",
    "backup",
    "migrate",
    "open_store",
    "path_of",
    "restore",
]

_SQLITE = "sqlite:///"


def path_of(database: str) -> str:
    """The file that `sqlite:///relative` or `sqlite:////absolute` names, or `:memory:`.

    Raises StoreError for any other address.
    """
    if not database.startswith(_SQLITE) or len(database) == len(_SQLITE):
        raise StoreError(f"{database} is not an address of a database: use sqlite:///FILE.")
    return database.removeprefix(_SQLITE)


async def open_store(database: str) -> Store:
    """Open the ledger that a `database` setting names. Raises StoreError."""
    from storage.sqlite import SqliteStore

    return await SqliteStore.open(path_of(database))


def audit(database: str) -> Audit:
    """Check the books against their whole history, also while a server runs. Raises StoreError."""
    return audit_file(path_of(database))


def backup(database: str, target: Path) -> None:
    """Copy the books into a new file, also while a server runs. Raises StoreError."""
    backup_file(path_of(database), target)


def restore(database: str, source: Path) -> None:
    """Put a backup in the place of the books of a stopped server. Raises StoreError."""
    restore_file(path_of(database), source)


def migrate(database: str) -> tuple[int, int]:
    """Bring the books to this program's schema; from and to which version. Raises StoreError."""
    return migrate_file(path_of(database))
