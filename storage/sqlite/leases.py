"""How SQLite keeps the leases (storage/leases.py): a row each, beside the books."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from storage.leases import Lease
from storage.sqlite.rows import Connection
from storage.store import LeaseLost

T = TypeVar("T")


def seen(connection: Connection, name: str) -> Lease:
    row = connection.execute(
        "SELECT name, holder, term, beat FROM lease WHERE name = ?", (name,)
    ).fetchone()
    return Lease(*row) if row else Lease(name, "", 0, 0)


def take(connection: Connection, found: Lease, holder: str) -> Lease | None:
    if seen(connection, found.name) != found:
        return None
    taken = Lease(found.name, holder, found.term + 1, 0)
    connection.execute(
        "INSERT INTO lease (name, holder, term, beat) VALUES (?, ?, ?, ?) ON CONFLICT (name)"
        " DO UPDATE SET holder = excluded.holder, term = excluded.term, beat = excluded.beat",
        taken,
    )
    return taken


def renew(connection: Connection, held: Lease) -> Lease | None:
    found = seen(connection, held.name)
    if not _same_term(found, held):
        return None
    connection.execute("UPDATE lease SET beat = beat + 1 WHERE name = ?", (held.name,))
    return found._replace(beat=found.beat + 1)


def release(connection: Connection, held: Lease) -> None:
    connection.execute(
        "UPDATE lease SET holder = '' WHERE name = ? AND term = ?", (held.name, held.term)
    )


def fenced(connection: Connection, held: Lease, work: Callable[..., T], *arguments: Any) -> T:
    """Do the work if the lease is in the term in which it was held. Raises LeaseLost."""
    if not _same_term(seen(connection, held.name), held):
        raise LeaseLost(f"The lease {held.name} is no longer held in term {held.term}.")
    return work(connection, *arguments)


def end_all_terms(connection: Connection) -> None:
    """For who has just locked the file: nobody else is there, so no holder is alive."""
    connection.execute("UPDATE lease SET holder = '' WHERE holder <> ''")


def _same_term(found: Lease, held: Lease) -> bool:
    return bool(found.holder) and found.term == held.term


class SqliteLeases:
    """See storage.leases.Leases."""

    def __init__(
        self, write: Callable[..., Awaitable[Any]], read: Callable[..., Awaitable[Any]]
    ) -> None:
        self._write = write
        self._read = read

    async def seen(self, name: str) -> Lease:
        lease: Lease = await self._read(seen, name)
        return lease

    async def take(self, seen: Lease, holder: str) -> Lease | None:
        lease: Lease | None = await self._write(take, seen, holder)
        return lease

    async def renew(self, held: Lease) -> Lease | None:
        lease: Lease | None = await self._write(renew, held)
        return lease

    async def release(self, held: Lease) -> None:
        await self._write(release, held)
