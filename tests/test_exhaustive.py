"""What is added and handled nowhere fails the type check, and names the places that forgot it.

A copy of the code gets a message, a command, an outcome, a refusal and a status that nobody knows;
mypy has to find each of them. Deep, because it reads the whole of the code without its cache.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LEFT_OUT = (".*", "docs", "*.egg-info", "node_modules", "static")

ADDED = {
    "protocol/messages.py": [
        (
            "ClientMessage = Hello",
            (
                'class Wave(Message, frozen=True, kw_only=True, tag="wave"):\n    room: Id\n\n\n'
                "ClientMessage = Wave | Hello"
            ),
        )
    ],
    "rules/commands.py": [
        (
            "AnyCommand = (\n    SendGift",
            (
                'class Bless(Command, frozen=True, kw_only=True, tag="bless"):\n    user: str\n\n\n'
                "AnyCommand = (\n    Bless\n    | SendGift"
            ),
        )
    ],
    "rules/outcomes.py": [
        (
            "AnyOutcome = (\n    Refused",
            (
                'class Blessed(Outcome, frozen=True, kw_only=True, tag="blessed"):\n'
                "    user: str\n\n\n"
                "AnyOutcome = (\n    Blessed\n    | Refused"
            ),
        )
    ],
    "rules/refusals.py": [('    BUSY = "busy"', '    CURSED = "cursed"\n    BUSY = "busy"')],
    "server/api/errors.py": [
        ('    INTERNAL = "internal"', '    INTERNAL = "internal"\n    NEW = "new"')
    ],
    "rules/lifecycles.py": [
        ('    REFUNDED = "refunded"', '    REFUNDED = "refunded"\n    LOST = "lost"'),
        ('    PAID = "paid"\n    REJECTED', '    PAID = "paid"\n    HELD = "held"\n    REJECTED'),
    ],
}
"""Each file with what is put in the place of what."""

FOUND = {
    "a message": ("Wave", ["protocol/session.py", "server/live/connection.py"]),
    "a command": ("Bless", ["rules/settle.py", "rules/touches.py"]),
    "an outcome": ("Blessed", ["server/webhooks/events.py"]),
    "a refusal": ("RefusalCode.CURSED", ["rules/refusals.py", "server/api/errors.py"]),
    "a refusal of the API's own": ("ApiCode.NEW", ["server/api/errors.py"]),
    "a status of a purchase": ("PurchaseStatus.LOST", ["rules/lifecycles.py"]),
    "a status of a payout": (
        "PayoutStatus.HELD",
        ["rules/lifecycles.py", "server/webhooks/events.py"],
    ),
}
"""What is added, its name, and the files in which it is missed."""


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The lines of mypy about the code with everything in it that nobody handles."""
    copy = tmp_path_factory.mktemp("exhaustive") / "largesse"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*LEFT_OUT))
    for file, changes in ADDED.items():
        text = (copy / file).read_text("utf-8")
        for old, new in changes:
            assert text.count(old) == 1, f"{file} has changed: mend this test"
            text = text.replace(old, new)
        (copy / file).write_text(text, "utf-8")
    command = [sys.executable, "-m", "mypy", "--no-color-output", "--no-error-summary"]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=600)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.mark.deep
@pytest.mark.timeout(660)
@pytest.mark.parametrize("added", FOUND)
def test_what_nobody_handles_fails_the_type_check(added: str, complaints: list[str]) -> None:
    name, files = FOUND[added]
    for file in files:
        found = [line for line in complaints if line.startswith(file) and name in line]
        assert found, "\n".join(complaints)


@pytest.mark.deep
@pytest.mark.timeout(660)
def test_the_type_check_complains_of_nothing_else(complaints: list[str]) -> None:
    names = [name for name, _ in FOUND.values()]
    errors = [line for line in complaints if ": error:" in line]
    assert not [line for line in errors if not any(name in line for name in names)]
