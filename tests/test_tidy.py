"""Style as an ordinary test, over the repository's own Python files.

What ruff and mypy cannot say and a reviewer would have to: sizes, names, docstrings, purity, owners
of tasks, and which package may import which. An exception to a rule is a line in this file with its
reason beside it.
"""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LINES_MAX = 500
FUNCTION_LINES_MAX = 60
PACKAGES = ("rules", "protocol", "storage", "fanout", "server", "loadtest")
PURE = ("rules", "protocol")
CLOCKS_AND_CHANCE = {"time", "datetime", "random", "secrets", "uuid", "asyncio"}
SAYS_NOTHING = set(
    "manager handler helper helpers util utils common base misc data info process".split()
)
NOT_OURS = {".venv", ".git", "build", "dist", "node_modules"}

OWNERLESS_TASKS: dict[str, str] = {}
"""`file: reason` for each file that may call create_task outside a TaskGroup."""

UNFINISHED = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3]) + r")\b")


def own_files() -> Iterator[Path]:
    for folder, names, files in os.walk(ROOT):
        names[:] = [n for n in names if n not in NOT_OURS and not n.startswith(".")]
        yield from (Path(folder) / file for file in files if file.endswith(".py"))


FILES = sorted(str(path.relative_to(ROOT)) for path in own_files())
OF_PACKAGES = [file for file in FILES if file.startswith(PACKAGES)]
PURE_FILES = [file for file in FILES if file.startswith(PURE)]
TESTS = [file for file in FILES if file.startswith("tests/")]


@cache
def text_of(file: str) -> str:
    return (ROOT / file).read_text("utf-8")


@cache
def nodes_of(file: str) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(text_of(file))))


def imports_of(file: str) -> set[str]:
    """Every module that the file names, with all its parents: `a.b` gives `a` and `a.b`."""
    found: set[str] = set()
    for node in nodes_of(file):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found | {name.partition(".")[0] for name in found}


def test_there_is_something_to_look_at() -> None:
    assert {file.partition("/")[0] for file in OF_PACKAGES} == set(PACKAGES)
    assert len(TESTS) > 10


@pytest.mark.parametrize("file", FILES)
def test_no_file_is_too_long(file: str) -> None:
    lines = text_of(file).count("\n")
    assert lines <= LINES_MAX, f"{file} has {lines} lines; what are the two things in it?"


@pytest.mark.parametrize("file", FILES)
def test_no_function_is_too_long(file: str) -> None:
    long = [
        f"{node.name} ({node.end_lineno - node.lineno + 1} lines)"
        for node in nodes_of(file)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > FUNCTION_LINES_MAX
    ]
    assert not long, f"{file}: {', '.join(long)}"


@pytest.mark.parametrize("file", FILES)
def test_names_of_files_and_folders_say_something(file: str) -> None:
    words = {part.removeprefix("test_") for part in Path(file).with_suffix("").parts}
    assert not words & SAYS_NOTHING


@pytest.mark.parametrize("file", OF_PACKAGES)
def test_every_module_says_why_it_exists(file: str) -> None:
    assert ast.get_docstring(ast.parse(text_of(file))), f"{file} has no docstring"


@pytest.mark.parametrize("file", PURE_FILES)
def test_pure_code_is_not_async_and_knows_neither_clock_nor_chance(file: str) -> None:
    waits = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    assert not [node for node in nodes_of(file) if isinstance(node, waits)]
    assert not imports_of(file) & CLOCKS_AND_CHANCE


def groups_in(file: str) -> set[str]:
    """Names that stand for a TaskGroup: `async with TaskGroup() as x`, `x: TaskGroup`."""
    found = set()
    for node in nodes_of(file):
        match node:
            case ast.withitem(context_expr=ast.Call(func=made), optional_vars=name) if name:
                if "TaskGroup" in ast.unparse(made):
                    found.add(ast.unparse(name))
            case ast.arg(arg=name, annotation=kind) if kind and "TaskGroup" in ast.unparse(kind):
                # A group that a class was given may also be kept under an attribute.
                found |= {name, f"self.{name}", f"self._{name}"}
            case ast.AnnAssign(target=name, annotation=kind) if "TaskGroup" in ast.unparse(kind):
                found |= {ast.unparse(name), f"self.{ast.unparse(name)}"}
    return found


@pytest.mark.parametrize("file", OF_PACKAGES)
def test_every_task_has_an_owner(file: str) -> None:
    groups = groups_in(file)
    bare = [
        f"line {node.lineno}: {ast.unparse(node.func)}"
        for node in nodes_of(file)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).rpartition(".")[2] in ("create_task", "ensure_future")
        and ast.unparse(node.func).rpartition(".")[0] not in groups
    ]
    assert not bare or file in OWNERLESS_TASKS, f"{file}: {bare}"


def test_no_exception_outlives_its_reason() -> None:
    assert all((ROOT / file).exists() and why for file, why in OWNERLESS_TASKS.items())


@pytest.mark.parametrize("file", FILES)
def test_nothing_is_left_unfinished(file: str) -> None:
    assert not UNFINISHED.search(text_of(file))


@pytest.mark.parametrize("file", TESTS)
def test_tests_use_the_real_thing(file: str) -> None:
    assert not {name for name in imports_of(file) if re.search(r"\bmocke?r?\b", name)}
    arguments = {node.arg for node in nodes_of(file) if isinstance(node, ast.arg)}
    assert "mocker" not in arguments


def test_no_package_below_tests() -> None:
    """A `tests/storage` package would shadow `storage`."""
    assert not [file for file in TESTS if file.endswith("__init__.py")]


def test_imports_point_inwards() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "200"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout
