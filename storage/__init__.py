"""What must survive: the ledger, and the tools that look after its file.

The only place that names an adapter. Storage moves rows; what they mean is decided in `rules`, and
nothing here tells anybody anything.
"""

from pathlib import Path
from typing import TextIO

from storage.export.spreadsheet import Line, export_file, export_text, trial_balance_file
from storage.leases import Lease, Leases
from storage.money import Asked, BoardLine, EarningLine, GiftLine, Personal
from storage.sqlite.audit.checks import Audit, Check, audit_file
from storage.sqlite.backup import backup_file, migrate_file, restore_file
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
    "audit",
    "backup",
    "export",
    "export_to",
    "migrate",
    "open_store",
    "path_of",
    "restore",
    "trial_balance",
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
    from storage.sqlite.store import SqliteStore

    return await SqliteStore.open(path_of(database))


def audit(database: str) -> Audit:
    """Check the books against their whole history, also while a server runs. Raises StoreError."""
    return audit_file(path_of(database))


def trial_balance(database: str) -> list[Line]:
    """What all accounts of a kind have, also while a server runs; nothing for books too damaged to
    be read. Raises StoreError."""
    return trial_balance_file(path_of(database))


def export(database: str, format: str, target: Path, *, replace: bool = False) -> int:
    """Write the journal into a file, as `csv` or `beancount`, also while a server runs; how many
    transfers. Raises StoreError, OSError."""
    return export_file(path_of(database), format, target, replace=replace)


def export_to(database: str, format: str, out: TextIO) -> int:
    """Write the journal, as `export` does, to an open text. Raises StoreError, OSError."""
    return export_text(path_of(database), format, out)


def backup(database: str, target: Path) -> None:
    """Copy the books into a new file, also while a server runs. Raises StoreError."""
    backup_file(path_of(database), target)


def restore(database: str, source: Path) -> None:
    """Put a backup in the place of the books of a stopped server. Raises StoreError."""
    restore_file(path_of(database), source)


def migrate(database: str) -> tuple[int, int]:
    """Bring the books to this program's schema; from and to which version. Raises StoreError."""
    return migrate_file(path_of(database))
