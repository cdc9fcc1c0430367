"""Schema versions: numbered SQL files, each applied once, in order, in one transaction."""

import sqlite3
from importlib.resources import files

from storage.store import StoreError

APPLICATION_ID = 0x6C617267
"""`larg`: tells a ledger from any other SQLite file."""


def scripts() -> list[str]:
    """The migrations in order; the first one makes version 1."""
    folder = files("storage.sqlite").joinpath("sql")
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [folder.joinpath(name).read_text("utf-8") for name in names]


def newest() -> int:
    return len(scripts())


def version_of(connection: sqlite3.Connection) -> int:
    """0 for an empty file. Raises StoreError when the file is something else."""
    try:
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    except sqlite3.Error as error:
        raise StoreError(f"The database cannot be read: {error}.") from error
    if application != APPLICATION_ID and (application or tables):
        raise StoreError("This file is a database, but not one of largesse; name another file.")
    return version if application else 0


def set_up_if_new(connection: sqlite3.Connection) -> None:
    if version_of(connection) == 0:
        migrate(connection)


def require_current(connection: sqlite3.Connection) -> None:
    """Raises StoreError when the schema is not the one that this program knows."""
    version = version_of(connection)
    if version > newest():
        raise StoreError(
            f"The database has schema {version} and this largesse knows {newest()}; "
            "run the newer largesse that wrote it."
        )
    if version < newest():
        raise StoreError(
            f"The database has schema {version} and this largesse needs {newest()}; "
            "take a backup and run `largesse migrate`."
        )


def migrate(connection: sqlite3.Connection) -> tuple[int, int]:
    """Bring a database to the newest schema; from and to which version. Raises StoreError."""
    found = version_of(connection)
    if found > newest():
        require_current(connection)
    for number, script in enumerate(scripts(), 1):
        if number > found:
            _apply(connection, number, script)
    return found, newest()


def _apply(connection: sqlite3.Connection, number: int, script: str) -> None:
    try:
        connection.executescript(
            f"BEGIN IMMEDIATE;\n{script}\nPRAGMA application_id = {APPLICATION_ID};\n"
            f"PRAGMA user_version = {number};\nCOMMIT;"
        )
    except sqlite3.Error as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise StoreError(f"Migration {number} failed and changed nothing: {error}.") from error
