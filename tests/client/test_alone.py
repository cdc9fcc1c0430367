"""The client library without the rest: what it imports, what it ships, and what carries it."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "client"
OURS = ("rules", "protocol", "storage", "fanout", "server", "web", "loadtest", "largesse")
PROJECT = tomllib.loads((CLIENT / "pyproject.toml").read_text("utf-8"))["project"]
SERVERS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

WHAT_CAME = """
import sys
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
sys.path.insert(0, {client!r})
import largesse_client
print(*sorted({{name.partition(".")[0] for name in sys.modules}}))
"""


def test_importing_it_brings_nothing_of_the_server() -> None:
    code = WHAT_CAME.format(client=str(CLIENT))
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True
    )
    modules = set(done.stdout.split())
    assert "largesse_client" in modules and "msgspec" in modules
    assert not modules & {*OURS, "litestar", "uvicorn", "uvloop", "orjson", "aiosqlite"}


def test_it_needs_no_other_versions_than_the_server() -> None:
    """One environment holds both, and `pip install .` gets all that the library needs."""
    needs = {name(line): line for line in PROJECT["dependencies"]}
    has = {name(line): line for line in SERVERS["dependencies"]}
    assert set(needs) <= set(has)
    for package, line in needs.items():
        least, servers = (re.search(r">=([\d.]+)", one) for one in (line, has[package]))
        assert least and servers and parts(least[1]) <= parts(servers[1]), line


def name(requirement: str) -> str:
    return re.split(r"[\[<>=~ ]", requirement)[0].lower()


def parts(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def test_it_has_the_version_of_the_server_that_carries_it() -> None:
    assert PROJECT["version"] == SERVERS["version"]
    assert PROJECT["requires-python"] == SERVERS["requires-python"]


def test_every_folder_of_it_is_shipped() -> None:
    shipped = tomllib.loads((CLIENT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    folders = {path.parent for path in CLIENT.glob("largesse_client/**/*.py")}
    assert set(shipped["packages"]) == {
        str(folder.relative_to(CLIENT)).replace("/", ".") for folder in folders
    }


@pytest.mark.deep
def test_it_is_built_and_installed_alone(tmp_path: Path) -> None:
    """`make client` makes a wheel that a fresh environment can use, and that holds nothing else."""
    wheel = wheel_of(CLIENT, tmp_path)
    with zipfile.ZipFile(wheel) as archive:
        files = {info.filename: info.file_size for info in archive.infolist()}
    assert {file.partition("/")[0].partition("-")[0] for file in files} == {"largesse_client"}
    assert "largesse_client/py.typed" in files and "largesse_client/http/rooms.py" in files
    [licence] = [file for file in files if file.endswith("/LICENSE")]
    assert files[licence] == (ROOT / "LICENSE").stat().st_size

    python = tmp_path / "env" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], check=True)
    constraints = str(ROOT / "constraints.txt")
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--constraint", constraints, wheel], check=True
    )
    code = "import largesse_client as c; print(c.make_token('s' * 32, 'ann').count('.'))"
    done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "2"
    for other in OURS:
        asked = [python, "-I", "-c", f"import {other}"]
        found = subprocess.run(asked, capture_output=True, text=True)
        assert "ModuleNotFoundError" in found.stderr, other


@pytest.mark.deep
def test_the_server_carries_it(tmp_path: Path) -> None:
    """`pip install .` needs no index that knows the client library."""
    wheel = wheel_of(ROOT, tmp_path)
    with zipfile.ZipFile(wheel) as archive:
        files = set(archive.namelist())
    for path in CLIENT.glob("largesse_client/**/*.py"):
        assert str(path.relative_to(CLIENT)) in files
    assert "largesse_client/py.typed" in files and "server/app.py" in files


def wheel_of(project: Path, folder: Path) -> Path:
    """Built from a copy: what is left over from an earlier build would come along."""
    ignored = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "tests")
    copy = shutil.copytree(project, folder / "copy", ignore=ignored)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, copy]
    subprocess.run(command, check=True)
    [wheel] = folder.glob("*.whl")
    return wheel
