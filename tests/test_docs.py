"""Documentation that cannot fall behind: what exists is described, and links lead somewhere."""

import dataclasses
import re
import tomllib
from pathlib import Path
from typing import get_args

import pytest

from protocol.codes import CloseCode, Code
from protocol.messages import ClientMessage, Event, ServerMessage
from server.metrics import Metrics
from server.settings.table import Settings
from server.webhooks import TYPES

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("docs/*.md"), *ROOT.glob("*.md"), *ROOT.glob("client/*.md")])


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text("utf-8")


@pytest.mark.parametrize("field", dataclasses.fields(Settings), ids=lambda field: field.name)
def test_every_setting_is_in_the_operators_guide(field: dataclasses.Field[object]) -> None:
    if field.name != "origins":
        assert f"`{field.name}`" in page("operations.md")


@pytest.mark.parametrize("union", [ClientMessage, ServerMessage, Event])
def test_every_message_and_event_is_in_the_contract(union: object) -> None:
    for struct in get_args(union):
        tag = struct.__struct_config__.tag
        assert re.search(rf"`{tag}`|^{tag}:|\b{tag}: `", page("protocol.md"), re.M), tag


def test_every_field_of_every_message_is_in_the_contract() -> None:
    text = page("protocol.md")
    for struct in (*get_args(ClientMessage), *get_args(ServerMessage), *get_args(Event)):
        for name in struct.__struct_encode_fields__:
            assert re.search(rf"\b{name}\b", text), f"{struct.__name__}.{name}"


def test_every_code_is_in_the_contract() -> None:
    text = page("protocol.md")
    for code in Code:
        assert re.search(rf"\b{code.value}\b", text), code
    for close in CloseCode:
        assert str(close.value) in text


def test_every_type_of_webhook_is_in_the_contract() -> None:
    text = page("protocol.md")
    for kind in TYPES:
        assert f"`{kind}`" in text, kind


def test_every_metric_is_in_the_operators_guide() -> None:
    text = page("operations.md")
    for metric in Metrics().registry.collect():
        assert metric.name in text, metric.name


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_link_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", path.read_text("utf-8")):
        if not target.startswith(("http://", "https://")):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_the_readme_has_the_commands_that_the_makefile_has() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for name in ("README.md", "CONTRIBUTING.md"):
        for target in re.findall(r"^make ([a-z-]+)", (ROOT / name).read_text("utf-8"), re.M):
            assert re.search(rf"^{target}:", makefile, re.M), target


def test_ci_runs_the_readmes_test_command() -> None:
    assert "make test" in (ROOT / "README.md").read_text("utf-8")
    said = (ROOT / ".ci" / "run").read_text("utf-8")
    assert re.search(r"^make test ", said, re.M) and re.search(r"^make test-deep ", said, re.M)
    assert "system=/usr/bin/python3" in said


def test_the_readme_names_the_versions_of_python_that_are_declared() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["classifiers"]
    versions = [name.split(" :: ")[-1] for name in declared if ":: Python ::" in name]
    readme = (ROOT / "README.md").read_text("utf-8")
    assert f"Python {versions[0]} to {versions[-1]}" in readme
    tried = re.findall(r"\b3\.\d+\.\d+\b", readme)
    assert {version.rpartition(".")[0] for version in tried} == {*versions}
