"""The audit: are these books right, all the way back to the first command?

It reads one moment of the file, also while a server writes to it, and changes nothing. A check that
cannot be made counts as failed. It needs room for one more copy of the books in the temporary
folder, and memory for one batch.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Collection
from functools import partial

from storage.audit import Audit, Check, Wrong
from storage.sqlite.audit import questions
from storage.sqlite.audit import replay as replaying
from storage.sqlite.audit.question import Question
from storage.sqlite.migrations import migrate


def audit_connection(
    connection: sqlite3.Connection, *, replay: bool = True, only: Collection[str] | None = None
) -> Audit:
    """Check the books as the connection's open transaction sees them; `only` names the checks to
    make. Raises KeyError for a name that no check has."""
    works: dict[str, Callable[[sqlite3.Connection], str]] = {
        "integrity": check_integrity,
        "schema": check_schema,
        "journal": replaying.check_journal,
        **{question.name: partial(_answer, question) for question in questions.QUESTIONS},
        "replay": replaying.check_replay,
    }
    if not replay:
        del works["replay"]
    asked = works if only is None else {name: works[name] for name in only}
    return Audit(tuple(_check(name, partial(work, connection)) for name, work in asked.items()))


def _check(name: str, work: Callable[[], str]) -> Check:
    try:
        return Check(name, True, work())
    except Wrong as wrong:
        return Check(name, False, f"{wrong}.")
    except Exception as error:
        # Damaged books can fail a check in any way; that is a finding and not a crash.
        return Check(name, False, f"This could not be checked: {error!r}.")


def _answer(question: Question, connection: sqlite3.Connection) -> str:
    """The sentence of a question that finds nothing wrong. Raises Wrong."""
    rows = connection.execute(question.wrong)
    first = rows.fetchone()
    if first is not None:
        more = sum(1 for _ in rows)
        raise Wrong(f"{first[0]}; {more} more like this" if more else str(first[0]))
    return question.sentence.format(*connection.execute(question.figures).fetchone())


def check_integrity(connection: sqlite3.Connection) -> str:
    """SQLite's own check of pages, indexes and constraints. Raises Wrong."""
    found = connection.execute("PRAGMA integrity_check(5)").fetchall()
    if found != [("ok",)]:
        raise Wrong("SQLite finds " + "; ".join(str(row[0]) for row in found))
    pages, size = connection.execute(
        "SELECT page_count, page_count * page_size FROM pragma_page_count, pragma_page_size"
    ).fetchone()
    return f"SQLite finds {pages} pages ({size} bytes) and every index in order."


def check_schema(connection: sqlite3.Connection) -> str:
    """Tables, indexes and triggers are those of a new ledger: history cannot be edited. Raises
    Wrong."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        migrate(fresh)
        expected = _schema(fresh)
    found = _schema(connection)
    if found != expected:
        names = sorted({name for name, _ in found ^ expected})
        raise Wrong(f"not as largesse made it: {', '.join(names)}")
    triggers = sum(sql.startswith("CREATE TRIGGER") for _, sql in found)
    return f"{len(found)} tables, indexes and triggers, {triggers} of them keep history as it is."


def _schema(connection: sqlite3.Connection) -> set[tuple[str, str]]:
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    # sqlite_stat tables come from ANALYZE or PRAGMA optimize and hold no money.
    return {(name, sql) for name, sql in rows if not name.startswith("sqlite_stat")}
