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
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
LINES_MAX = 500
FUNCTION_LINES_MAX = 60
PACKAGES = ("rules", "protocol", "storage", "fanout", "server", "loadtest", "client")
PURE = ("rules", "protocol")
CLOCKS_AND_CHANCE = {"time", "datetime", "random", "secrets", "uuid", "asyncio"}
SAYS_NOTHING = set(
    "manager handler helper helpers util utils common base misc data info process".split()
)
NOT_OURS = {".venv", ".git", "build", "dist", "node_modules", "mutants"}

OWNERLESS_TASKS: dict[str, str] = {
    "client/largesse_client/connection.py": "a TaskGroup would wrap what the body of `async with` "
    "raises into a group",
}
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


def offenders(files: list[str], found_in: Callable[[str], Iterable[object]]) -> list[str]:
    """What a rule finds, file by file: one failure shows everything that is to be put right."""
    return [f"{file}: {found}" for file in files for found in found_in(file)]


def test_there_is_something_to_look_at() -> None:
    assert {file.partition("/")[0] for file in OF_PACKAGES} == set(PACKAGES)
    assert len(TESTS) > 10


def test_no_file_is_too_long() -> None:
    lines = {file: text_of(file).count("\n") for file in FILES}
    long = {file: many for file, many in lines.items() if many > LINES_MAX}
    assert not long, f"{long}; what are the two things in it?"


def long_functions(file: str) -> Iterator[str]:
    for node in nodes_of(file):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            lines = node.end_lineno - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                yield f"{node.name} ({lines} lines)"


def test_no_function_is_too_long() -> None:
    assert not offenders(FILES, long_functions)


def words_that_say_nothing(file: str) -> set[str]:
    words = {part.removeprefix("test_") for part in Path(file).with_suffix("").parts}
    return words & SAYS_NOTHING


def test_names_of_files_and_folders_say_something() -> None:
    assert not offenders(FILES, words_that_say_nothing)


def test_every_module_says_why_it_exists() -> None:
    assert not [file for file in OF_PACKAGES if not ast.get_docstring(ast.parse(text_of(file)))]


def impure(file: str) -> Iterator[object]:
    waits = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    yield from (f"line {node.lineno} waits" for node in nodes_of(file) if isinstance(node, waits))
    yield from imports_of(file) & CLOCKS_AND_CHANCE


def test_pure_code_is_not_async_and_knows_neither_clock_nor_chance() -> None:
    assert not offenders(PURE_FILES, impure)


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


def tasks_without_an_owner(file: str) -> Iterator[str]:
    made = [node for node in nodes_of(file) if isinstance(node, ast.Call)]
    for node in made:
        owner, _, name = ast.unparse(node.func).rpartition(".")
        if name in ("create_task", "ensure_future") and owner not in groups_in(file):
            yield f"line {node.lineno}: {owner}.{name}"


def test_every_task_has_an_owner() -> None:
    asked = [file for file in OF_PACKAGES if file not in OWNERLESS_TASKS]
    assert not offenders(asked, tasks_without_an_owner)


def raised_inside_except_star(file: str) -> Iterator[str]:
    """What is raised there comes out in a group once more on Python 3.11.2, Debian 12's own."""
    for star in nodes_of(file):
        if isinstance(star, ast.TryStar):
            inside = [node for caught in star.handlers for node in ast.walk(caught)]
            yield from (f"line {node.lineno}" for node in inside if isinstance(node, ast.Raise))


def test_nothing_is_raised_inside_except_star() -> None:
    assert not offenders(FILES, raised_inside_except_star)


def test_no_exception_outlives_its_reason() -> None:
    assert all((ROOT / file).exists() and why for file, why in OWNERLESS_TASKS.items())


def test_nothing_is_left_unfinished() -> None:
    assert not [file for file in FILES if UNFINISHED.search(text_of(file))]


def stand_ins(file: str) -> Iterator[str]:
    yield from (name for name in imports_of(file) if re.search(r"\bmocke?r?\b", name))
    arguments = {node.arg for node in nodes_of(file) if isinstance(node, ast.arg)}
    yield from arguments & {"mocker"}


def test_tests_use_the_real_thing() -> None:
    assert not offenders(TESTS, stand_ins)


def test_no_package_below_tests() -> None:
    """A `tests/storage` package would shadow `storage`."""
    assert not [file for file in TESTS if file.endswith("__init__.py")]


def test_imports_point_inwards() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "200"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout
