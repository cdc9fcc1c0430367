"""`largesse export` and the trial balance of `largesse audit`, on books in a file."""

import csv
import io
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from beancount.loader import load_string
from typer.testing import CliRunner, Result

from kit.building.builders import gift, grant, open_room, set_policy
from kit.building.ledgers import book, new_ledger
from kit.servers import children
from server.cli.main import app
from server.settings import table as config
from storage.sqlite.store import FileLock

TRANSFERS = 5


@pytest.fixture(autouse=True)
def books(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The books of a server that is running: its lock is taken and its connection open."""
    monkeypatch.chdir(tmp_path)
    for name in config.TABLE:
        monkeypatch.delenv(config.variable(name), raising=False)
    path = tmp_path / "largesse.db"
    lock = FileLock(str(path))
    with closing(new_ledger(path)) as connection:
        book(connection, set_policy(), open_room(), grant(), gift(), gift("ada", "cake"))
        yield path
    lock.release()


def run(*args: str) -> Result:
    return CliRunner().invoke(app, list(args))


def accepted(text: str) -> bool:
    entries, errors, _ = load_string(text)
    return bool(entries) and not errors


def test_a_table_is_written_into_a_file_that_only_its_owner_reads() -> None:
    result = run("export", "--format", "csv", "j.csv")
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{TRANSFERS} transfers were written to j.csv.\n"
    rows = list(csv.DictReader(io.StringIO(Path("j.csv").read_text("utf-8"))))
    assert [row["reason"] for row in rows].count("gift_spent") == 2
    assert len(rows) == TRANSFERS
    assert stat.S_IMODE(Path("j.csv").stat().st_mode) == 0o600


def test_a_file_for_beancount_is_accepted_by_it() -> None:
    assert run("export", "--format", "beancount", "j.beancount").exit_code == 0
    assert accepted(Path("j.beancount").read_text("utf-8"))


@pytest.mark.parametrize("format", ["csv", "beancount"])
def test_a_hyphen_prints_the_same_and_nothing_else(format: str) -> None:
    printed = run("export", "--format", format, "-")
    assert printed.exit_code == 0 and printed.stderr == ""
    assert run("export", "--format", format, "file").exit_code == 0
    assert printed.stdout == Path("file").read_text("utf-8")


def test_an_existing_file_is_kept_unless_it_is_forced() -> None:
    target = Path("j.csv")
    target.write_text("mine")
    target.chmod(0o644)
    result = run("export", "--format", "csv", "j.csv")
    assert result.exit_code == 1 and "--force" in result.stderr and result.stdout == ""
    assert target.read_text() == "mine"
    assert run("export", "--format", "csv", "j.csv", "--force").exit_code == 0
    assert target.read_text().startswith("transfer,at,")
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


@pytest.mark.parametrize("suffix", ["", "-wal", ".lock"])
def test_the_books_themselves_are_never_replaced(books: Path, suffix: str) -> None:
    before = books.read_bytes()
    result = run("export", "--format", "csv", "--force", f"largesse.db{suffix}")
    assert result.exit_code == 1 and "belongs to the database" in result.stderr
    assert books.read_bytes() == before
    Path("link").symlink_to(f"largesse.db{suffix}")
    assert run("export", "--format", "csv", "--force", "link").exit_code == 1


def test_what_is_no_file_is_not_replaced() -> None:
    Path("folder").mkdir()
    os.mkfifo("pipe")
    for target in ("folder", "pipe"):
        result = run("export", "--format", "csv", "--force", target)
        assert result.exit_code == 1 and "no file" in result.stderr


def test_an_export_that_fails_leaves_nothing_behind(books: Path) -> None:
    with closing(new_ledger(books)) as connection:
        connection.execute("INSERT INTO transfer VALUES (99, 888, 1, 1, 100, 5, 0, 0)")
    Path("old.csv").write_text("old")
    before = sorted(os.listdir())
    for target in ("new.csv", "old.csv"):
        result = run("export", "--format", "csv", "--force", target)
        assert result.exit_code == 1 and "largesse audit" in result.stderr
    assert sorted(os.listdir()) == before and Path("old.csv").read_text() == "old"


def test_a_folder_that_does_not_exist_is_a_sentence() -> None:
    result = run("export", "--format", "csv", "no/where.csv")
    assert result.exit_code == 1
    assert result.stderr.startswith("largesse: No such file or directory")


def test_wrong_use_ends_with_2() -> None:
    assert run("export", "j.csv").exit_code == 2
    assert run("export", "--format", "xls", "j.csv").exit_code == 2
    assert run("export", "--format", "csv").exit_code == 2


@pytest.mark.parametrize("database", ["sqlite:///none.db", "sqlite:///:memory:"])
@pytest.mark.parametrize("target", ["j.csv", "-"])
def test_books_that_are_not_there_are_a_sentence(database: str, target: str) -> None:
    result = run("export", "--format", "csv", target, "--database", database)
    assert result.exit_code == 1 and result.stdout == ""
    assert result.stderr.startswith("largesse: ") and "Traceback" not in result.stderr
    assert not Path("j.csv").exists()


EXPORT = [sys.executable, "-m", "server.cli", "export", "-", "--format"]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}


def test_standard_output_is_utf_8_whatever_the_terminal_says(books: Path) -> None:
    with closing(new_ledger(books)) as connection:
        book(connection, grant("ada", key="café"))
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    environment = ENVIRONMENT | ascii_only
    done = children.run([*EXPORT, "csv"], env=environment)
    assert done.returncode == 0, done.stderr
    assert "café" in done.stdout.decode("utf-8")


def test_a_reader_that_leaves_ends_the_export_quietly(books: Path) -> None:
    with closing(new_ledger(books)) as connection:
        book(connection, grant("ada", 10_000), *(gift() for _ in range(2_000)))
    pipe = subprocess.PIPE
    started = children.start([*EXPORT, "beancount"], env=ENVIRONMENT, stdout=pipe, stderr=pipe)
    try:
        assert started.stdout is not None and started.stderr is not None
        assert started.stdout.readline()
        started.stdout.close()
        assert started.stderr.read() == b""
        assert started.wait(60) == 1
    finally:
        children.end(started)


def test_audit_shows_the_trial_balance_below_the_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    result = run("audit")
    text = result.stdout
    assert text.index("conservation") < text.index("held by")
    assert re.search(r"coin +users +coins +1 +26 +1000 +974", text)
    assert re.search(r"coin +total +\d+ +1026 +1026 +0", text)


def test_audit_gives_programs_the_same_trial_balance() -> None:
    lines = json.loads(run("audit", "--json").stdout)["trial_balance"]
    assert {
        "currency": "coin",
        "holder": "users",
        "code": "coins",
        "accounts": 1,
        "debits": 26,
        "credits": 1000,
        "balance": 974,
    } in lines
    totals = [line for line in lines if line["code"] == "total"]
    assert totals and all(line["debits"] == line["credits"] for line in totals)


def test_audit_of_books_that_are_damaged_still_says_so(books: Path) -> None:
    path = books.with_name("damaged.db")
    with closing(new_ledger(path)) as connection:
        book(connection, set_policy(), open_room(), grant())
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()
        page = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'account'"
        ).fetchone()[0]
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)
    result = run("audit", "--json", "--database", f"sqlite:///{path}")
    assert result.exit_code == 1, result.output
    told = json.loads(result.stdout)
    assert told["ok"] is False and told["trial_balance"] == []
