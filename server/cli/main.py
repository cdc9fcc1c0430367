"""The command `largesse`: one verb per thing an operator does (protocol.md, section 3).

A verb reads its settings, calls the part that does the work, prints the answer and turns it into an
exit code: 0 done, 1 the answer is no, 2 wrong use, 3 the server could not be reached. The parts are
imported inside the verbs, so that `--help` answers at once and a broken part breaks only its verb.
"""

import contextlib
import io
import os
import re
import secrets
import sys
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from server.cli import money, people, remote, tokens, webhooks
from server.cli.asking import Asking, Once
from server.cli.output import DONE, NO, WRONG_USE, fail, print_json, print_table, say
from server.cli.settings import load, with_settings
from server.clock import now_ms
from server.settings import table as config

TTL_S_MAX = 3_660 * 86_400  # ten years; a token that lives longer is a mistake
SECRET_BYTES = 32
DURATION_S = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}

Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]

app = typer.Typer(
    name="largesse",
    help="Self-hosted live-stream gifting.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # its boxes cut off the long names of flags
)


def main() -> None:
    """The entry point of the command."""
    app(prog_name="largesse")


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        say(f"largesse {version('largesse')}")
        raise typer.Exit(DONE)


@app.callback()
def _global(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


# --- running ------------------------------------------------------------------------------------


@app.command("demo", cls=with_settings("host", "port", takes_file=False))
def demo(
    ctx: typer.Context,
    gifters: Annotated[int, typer.Option(min=0, max=1_000, help="Simulated gifters.")] = 12,
) -> None:
    """Try it: play money, one room, simulated gifters, nothing kept afterwards.

    Example: largesse demo --port 9000
    """
    with tempfile.TemporaryDirectory(prefix="largesse-demo-") as folder:
        own = {
            "database": f"sqlite:///{folder}/demo.db",
            "token_secret": secrets.token_hex(SECRET_BYTES),
            "api_key": secrets.token_hex(SECRET_BYTES),
            "play_money": "true",
        }
        try:
            # Not the environment's settings: a demo must never touch the real books.
            settings = config.load({**ctx.obj.flags, **own}, {}, None, need=config.SERVE_NEEDS)
        except config.SettingsError as error:
            fail(WRONG_USE, *map(str, error.mistakes))
        with _faults_as_sentences():
            from server.app import demo as run_demo

            code = run_demo(settings, gifters=gifters)
    raise typer.Exit(code)


@app.command("serve", cls=with_settings(*config.TABLE))
def serve(ctx: typer.Context) -> None:
    """Run the server. Every flag is also a variable LARGESSE_<NAME> and a key of largesse.toml.

    Example: largesse serve --config /etc/largesse/largesse.toml
    """
    settings = load(ctx, need=config.SERVE_NEEDS)
    with _faults_as_sentences():
        from server.app import serve as run_server

        code = run_server(settings)
    raise typer.Exit(code)


@app.command("config", cls=with_settings(*config.TABLE))
def _config(ctx: typer.Context, json: Json = False) -> None:
    """Print the effective settings, secrets masked, and where each comes from.

    Example: largesse config --json
    """
    rows = config.describe(load(ctx))
    if json:
        print_json([asdict(row) for row in rows])
    else:
        print_table(("setting", "value", "from"), [(r.name, r.value, r.origin) for r in rows])


@app.command("token", cls=with_settings("token_secret"))
def token(
    ctx: typer.Context,
    user: Annotated[str, typer.Option(help="User id.")],
    name: Annotated[str | None, typer.Option(help="What others read; the id by default.")] = None,
    role: Annotated[str, typer.Option(help="viewer, creator, overlay or admin.")] = "viewer",
    room: Annotated[
        list[str] | None, typer.Option(help="Allowed room; repeat for more, leave out for all.")
    ] = None,
    adult: Annotated[bool, typer.Option("--adult", help="May gift and buy.")] = False,
    ttl: Annotated[str, typer.Option(help="How long it lives, such as 90s, 1h30m or 7d.")] = "1h",
    json: Json = False,
) -> None:
    """Print a token for a user, signed with the token_secret.

    Example: largesse token --user ada --name Ada --adult --ttl 12h
    """
    ttl_s = duration_s(ttl)
    if ttl_s is None:
        fail(WRONG_USE, f"--ttl {ttl} is no time from 1s to ten years; write 90s, 1h30m or 7d.")
    settings = load(ctx, need=("token_secret",))
    from server import auth

    if role not in auth.ROLES:
        fail(WRONG_USE, f"--role {role} is none of {', '.join(auth.ROLES)}.")
    try:
        issued = auth.issue(
            settings.token_secret,
            user=user,
            name=name,
            role=role,
            rooms=room or None,
            adult=adult,
            ttl_s=ttl_s,
            now_ms=now_ms(),
            jti=uuid.uuid4().hex,
        )
    except ValueError as error:
        fail(WRONG_USE, str(error))
    if json:
        print_json({"token": issued, "user": user, "role": role, "ttl_s": ttl_s})
    else:
        typer.echo(issued)


def duration_s(text: str) -> int | None:
    """Seconds of a duration such as 90s, 1h30m, 7d or plain 90; None when it is none."""
    if re.fullmatch(r"[0-9]{1,9}", text):
        text += "s"
    match = re.fullmatch(r"(?:[0-9]{1,9}[dhms])+", text)
    total_s = sum(
        int(count) * DURATION_S[unit] for count, unit in re.findall(r"([0-9]+)([dhms])", text)
    )
    return total_s if match and 0 < total_s <= TTL_S_MAX else None


# --- the books ----------------------------------------------------------------------------------


@app.command("audit", cls=with_settings("database"))
def audit(ctx: typer.Context, json: Json = False) -> None:
    """Check the books against their whole history; ends with 1 on any difference.

    Example: largesse audit --database sqlite:////var/lib/largesse/largesse.db
    """
    settings = load(ctx)
    with _faults_as_sentences():
        import storage

        books = storage.open_books(settings.database)
        found, balance = books.audit(), books.trial_balance()
    if json:
        checks = [{"name": c.name, "ok": c.ok, "detail": c.detail} for c in found.checks]
        lines = [{**line._asdict(), "balance": line.balance} for line in balance]
        print_json({"ok": found.ok, "checks": checks, "trial_balance": lines})
    else:
        rows = [("ok" if c.ok else "WRONG", c.name, c.detail) for c in found.checks]
        print_table(("", "check", "found"), rows)
        print_table(
            ("currency", "held by", "account", "accounts", "debits", "credits", "balance"),
            [(*line, line.balance) for line in balance],
        )
        say("The books are right." if found.ok else "The books are WRONG: see above.")
    raise typer.Exit(DONE if found.ok else NO)


@app.command("export", cls=with_settings("database"))
def export(
    ctx: typer.Context,
    target: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; - to print it.")],
    format: Annotated[
        Literal["csv", "beancount"],
        typer.Option(help="A table of transfers, or plain-text accounting for bean-check."),
    ],
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it exists.")] = False,
) -> None:
    """Write the journal for a spreadsheet or an accounting program, also while the server runs.

    Example: largesse export --format beancount /tmp/largesse.beancount
    """
    settings = load(ctx)
    with _faults_as_sentences():
        import storage
        from storage.export.files import export_file

        books = storage.open_books(settings.database)
        if str(target) == "-":
            with _standard_output() as out:
                books.export(format, out)
            return
        count = export_file(books, format, target, replace=force)
    say(f"{count} transfers were written to {target}.")


@contextlib.contextmanager
def _standard_output() -> Iterator[io.TextIOWrapper]:
    """Standard output as UTF-8, whatever the terminal says; ends quietly when its reader does."""
    out = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8", newline="")
    try:
        yield out
        out.flush()
    except BrokenPipeError:
        # What is left in the buffer would fail once more when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(NO) from None
    finally:
        with contextlib.suppress(BrokenPipeError):
            out.detach()


@app.command("backup", cls=with_settings("database"))
def backup(
    ctx: typer.Context,
    target: Annotated[Path, typer.Argument(metavar="FILE", help="Where to.")],
) -> None:
    """Copy the books into a file, also while the server runs.

    Example: largesse backup /backup/largesse-2025-06-01.db
    """
    settings = load(ctx)
    with _faults_as_sentences():
        import storage

        storage.open_books(settings.database).backup(target)
    say(f"The books were copied to {target}.")


@app.command("restore", cls=with_settings("database"))
def restore(
    ctx: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A file that backup wrote.")],
) -> None:
    """Put a backup in the place of the books; the server must be stopped.

    Example: largesse restore /backup/largesse-2025-06-01.db
    """
    settings = load(ctx)
    with _faults_as_sentences():
        import storage

        storage.open_books(settings.database).restore(source)
    say(f"The books were restored from {source}; run `largesse audit` before serving.")


@app.command("migrate", cls=with_settings("database"))
def migrate(ctx: typer.Context, json: Json = False) -> None:
    """Bring the books to this version's schema.

    Example: largesse migrate
    """
    settings = load(ctx)
    with _faults_as_sentences():
        import storage

        before, after = storage.open_books(settings.database).migrate()
    if json:
        print_json({"from": before, "to": after})
    elif before == after:
        say(f"The books have schema version {after} already.")
    else:
        say(f"The books went from schema version {before} to {after}.")


@contextlib.contextmanager
def _faults_as_sentences() -> Iterator[None]:
    """Turns what can go wrong outside of our code into sentences: exit code 2 for mistakes in the
    operator's files, 1 for the rest."""
    from rules.catalogue import CatalogueError
    from rules.shop import ShopError
    from storage import StoreError

    try:
        yield
    except CatalogueError as error:
        fail(WRONG_USE, *(f"catalogue: {mistake}" for mistake in error.mistakes))
    except ShopError as error:
        fail(WRONG_USE, *(f"bundles: {mistake}" for mistake in error.mistakes))
    except StoreError as error:
        fail(NO, str(error))
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        fail(NO, f"{error.strerror or error}{where}")


# --- asking a running server --------------------------------------------------------------------

for group in (
    remote.room,
    money.purchase,
    money.payout,
    people.user,
    people.creator,
    webhooks.webhook,
    money.suspense,
    money.correction,
):
    app.add_typer(group)
app.command("grant", cls=Once)(remote.grant)
app.command("wallet", cls=Asking)(remote.wallet)
app.command("revoke", cls=Once)(tokens.revoke)


@app.command(
    "loadtest",
    add_help_option=False,
    context_settings={
        "allow_extra_args": True,
        "ignore_unknown_options": True,
        "help_option_names": [],
    },
)
def _loadtest(ctx: typer.Context) -> None:
    """Put load on a server and check every coin; see largesse loadtest --help.

    Example: largesse loadtest http://127.0.0.1:8080 --room load --viewers 500
    """
    try:
        from loadtest.cli import loadtest
    except ModuleNotFoundError as error:
        if error.name not in {"loadtest", "loadtest.cli"}:
            raise
        fail(NO, "This installation has no load test.")
    # A program of its own, with its own flags, imported only now because it is heavy.
    own = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    own.command("loadtest")(loadtest)
    code = own(ctx.args, prog_name="largesse loadtest", standalone_mode=False)
    raise typer.Exit(code if isinstance(code, int) else DONE)
