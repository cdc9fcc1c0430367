"""The verbs about people: user (search, freeze, limits, export, erase, reverse) and creator.

The two that cannot be undone, erasing a user and reversing what one gave, ask first and say what
they are about to do.
"""

import contextlib
import dataclasses
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from server.cli.asking import (
    JSON,
    PAGE_MAX,
    Asking,
    Force,
    Limit,
    Once,
    Reason,
    Remote,
    WhatIsLeft,
    Yes,
    at,
    change,
    confirm,
    fetch,
    get,
    listed,
    stranger,
    tell,
    tell_list,
    tell_rows,
    write_file,
)
from server.cli.output import WRONG_USE, clean, fail, print_json, say
from server.cli.remote import UserId
from server.cli.wording import count, moment_ms

RATE_PERMILLE_MAX = 1_000
LIMIT_NAMES = ("daily", "weekly", "monthly", "per_gift")
TO_DEFAULT = "default"
"""What takes a limit of the user's own away."""

user = typer.Typer(
    name="user",
    help="Find users, freeze them, set limits, export, erase, reverse what they gave.",
    no_args_is_help=True,
    add_completion=False,
)
creator = typer.Typer(
    name="creator",
    help="What a creator earns and who gave it.",
    no_args_is_help=True,
    add_completion=False,
)

CreatorId = Annotated[str, typer.Argument(metavar="CREATOR", help="User id of the creator.")]
OwnLimit = Annotated[str | None, typer.Option(metavar="N|default", help="Coins, or: default.")]


# --- users --------------------------------------------------------------------------------------


@user.command("search", cls=Asking)
def user_search(
    ctx: typer.Context,
    text: Annotated[str, typer.Argument(help="A part of the id or the name.")],
    frozen: Annotated[
        bool | None, typer.Option("--frozen/--not-frozen", help="Only these.")
    ] = None,
    limit: Limit = 50,
) -> None:
    """Find users by a part of their id or name.

    Example: largesse user search ada --frozen
    """
    remote: Remote = ctx.obj
    wanted = None if frozen is None else str(frozen).lower()
    found = listed(remote, at("users"), limit, search=text, frozen=wanted)
    tell_list(
        remote, found, ("user", "name", "frozen", "since", "gifted_coins", "paused_until"), limit
    )


@user.command("show", cls=Asking)
def user_show(ctx: typer.Context, name: UserId) -> None:
    """Show a user: who it is, what the wallet holds, which limits apply.

    Example: largesse user show ada
    """
    remote: Remote = ctx.obj
    tell(remote, get(remote, at("users", name)))


@user.command("freeze", cls=Once)
def user_freeze(
    ctx: typer.Context,
    name: UserId,
    reason: Annotated[str | None, typer.Option(help="Why; kept in the books.")] = None,
) -> None:
    """Stop an account from giving, buying and cashing out.

    Example: largesse user freeze mallory --reason "stolen card, case 4711"
    """
    remote: Remote = ctx.obj
    body = None if reason is None else {"reason": reason}
    answer = change(remote, "POST", at("users", name, "freeze"), body)
    tell(remote, answer, f"{name} is frozen.")


@user.command("unfreeze", cls=Once)
def user_unfreeze(ctx: typer.Context, name: UserId) -> None:
    """Let a frozen account go on.

    Example: largesse user unfreeze mallory
    """
    remote: Remote = ctx.obj
    tell(remote, change(remote, "POST", at("users", name, "unfreeze")), f"{name} may go on.")


@user.command("limits", cls=Once)
def user_limits(
    ctx: typer.Context,
    name: UserId,
    daily: OwnLimit = None,
    weekly: OwnLimit = None,
    monthly: OwnLimit = None,
    per_gift: OwnLimit = None,
) -> None:
    """Show a user's limits, or set some: lower ones count at once, higher ones after 24 hours.

    Example: largesse user limits ada --daily 500 --weekly default
    """
    remote: Remote = ctx.obj
    given = dict(zip(LIMIT_NAMES, (daily, weekly, monthly, per_gift), strict=True))
    body = {f"{n}_coins": _limit_coins(n, text) for n, text in given.items() if text is not None}
    if body:
        limits: Any = change(remote, "PUT", at("users", name, "limits"), body)
    else:
        limits = get(remote, at("users", name, "wallet")).get("limits")
    if not isinstance(limits, dict):
        stranger(remote)
    tell(remote, limits)


def _limit_coins(name: str, text: str) -> int | None:
    if text == TO_DEFAULT:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        option = "--" + name.replace("_", "-")
        fail(WRONG_USE, f"{option} {text} is no number of coins; write a whole one, or: default.")
    return int(text)


@user.command("export", cls=Asking)
def user_export(
    ctx: typer.Context,
    name: UserId,
    target: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; - to print it.")],
    force: Force = False,
) -> None:
    """Write everything that is kept about a user into a file, as JSON.

    Example: largesse user export ada /tmp/ada.json
    """
    remote: Remote = ctx.obj
    write_file(target, fetch(remote, at("users", name, "export"), JSON), replace=force)
    if str(target) != "-":
        summary = {"user": name, "file": str(target)}
        tell(remote, summary, f"Everything about {name} was written to {target}.")


@user.command("erase", cls=Once)
def user_erase(ctx: typer.Context, name: UserId, yes: Yes = False) -> None:
    """Forget who a user is. What was given and received stays booked under the id.

    Example: largesse user erase ada --yes
    """
    remote: Remote = ctx.obj
    confirm(f"The name of {name} will be forgotten everywhere, for ever. Erase it?", yes=yes)
    tell(remote, change(remote, "POST", at("users", name, "erase")), f"{name} was erased.")


# --- reversing ----------------------------------------------------------------------------------


@user.command("reverse", cls=WhatIsLeft)
def user_reverse(
    ctx: typer.Context,
    name: UserId,
    start: Annotated[str, typer.Option("--from", help="ISO 8601 with timezone, or Unix ms.")],
    end: Annotated[str, typer.Option("--to", help="The same; the moment itself is excluded.")],
    reason: Reason,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would change.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Take back everything that a user gave in a period.

    The coins go back to the user and the diamonds leave the creators. It may be repeated: what was
    taken back before is passed over.

    Example: largesse user reverse mallory --from 2025-06-01T18:00:00Z --to 2025-06-02T00:00:00Z
    --reason "stolen card" --dry-run
    """
    remote: Remote = ctx.obj
    from_ms, to_ms = moment_ms("--from", start), moment_ms("--to", end)
    if from_ms >= to_ms:
        fail(WRONG_USE, "--from must be before --to.")
    body = {"from_ms": from_ms, "to_ms": to_ms, "reason": reason}
    if dry_run or not yes:
        coming = _reverse(remote, name, body, dry_run=True)
        if dry_run:
            _tell_reversal(remote, name, coming)
            return
        _tell_before_asking(remote, name, coming)
        confirm("Take these gifts back?", yes=False)
    done = _reverse(remote, name, body, dry_run=False)
    while done["left"]:
        typer.echo(clean(f"Took back {done['gifts']} gifts so far."), err=True)
        step = _reverse(remote, name, body, dry_run=False)
        if not step["gifts"]:
            stranger(remote)
        done = _added(done, step)
    _tell_reversal(remote, name, done)


def _reverse(remote: Remote, name: str, body: dict[str, Any], *, dry_run: bool) -> dict[str, Any]:
    """One answer. It has no key: the server finds what is still to be reversed each time."""
    path = at("users", name, "reverse")
    answer = change(remote, "POST", path, body | {"dry_run": dry_run})
    counts = all(type(answer.get(field)) is int for field in ("gifts", "coins"))
    lists = all(isinstance(answer.get(field), list) for field in ("creators", "rooms", "payouts"))
    if not (counts and lists and type(answer.get("left")) is bool):
        stranger(remote)
    return answer


def _added(done: dict[str, Any], step: dict[str, Any]) -> dict[str, Any]:
    """Two answers as one: the sums of what changed, and the newest state of the payouts."""
    sums = {name: count + step.get(name, 0) for name, count in done.items() if type(count) is int}
    return (
        done
        | sums
        | {
            "creators": _summed("creator", done["creators"], step["creators"]),
            "rooms": _summed("room", done["rooms"], step["rooms"]),
            "payouts": list(
                {p.get("payout"): p for p in done["payouts"] + step["payouts"]}.values()
            ),
            "left": step["left"],
        }
    )


def _summed(name: str, *lists: list[dict[str, Any]]) -> list[dict[str, Any]]:
    sums: dict[Any, dict[str, Any]] = {}
    for entry in (entry for entries in lists for entry in entries):
        row = sums.setdefault(entry.get(name), {name: entry.get(name)})
        for field in entry.keys() - {name}:
            row[field] = row.get(field, 0) + entry[field]
    return list(sums.values())


def _tell_before_asking(remote: Remote, name: str, coming: dict[str, Any]) -> None:
    """What is about to change, where a program that reads the answer does not see it."""
    with contextlib.redirect_stdout(sys.stderr):
        _tell_reversal(dataclasses.replace(remote, json=False), name, coming)


def _tell_reversal(remote: Remote, name: str, told: dict[str, Any]) -> None:
    if remote.json:
        print_json(told)
        return
    did = "Would take" if told.get("dry_run") else "Took"
    gifts, coins = count(told["gifts"], "gift"), count(told["coins"], "coin")
    say(f"{did} back {gifts} of {name}: {coins}.")
    if told["left"]:
        say("There are more: these are the first of them.")
    for lines, columns in (
        ("creators", ("creator", "gifts", "coins", "millidiamonds")),
        ("rooms", ("room", "gifts", "coins")),
        ("payouts", ("payout", "creator", "status")),
    ):
        if told[lines]:
            tell_rows(told[lines], columns)
    if told["payouts"]:
        say("Look at these payouts before money leaves: their creators lose diamonds.")


# --- creators -----------------------------------------------------------------------------------


@creator.command("earnings", cls=Asking)
def creator_earnings(
    ctx: typer.Context,
    name: CreatorId,
    start: Annotated[str | None, typer.Option("--from", help="UTC day, as 2025-06-01.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="The last UTC day.")] = None,
) -> None:
    """Show what a creator earned, by UTC day and gift.

    Example: largesse creator earnings ada --from 2025-06-01 --to 2025-06-30
    """
    remote: Remote = ctx.obj
    answer = get(remote, at("creators", name, "earnings"), **{"from": start, "to": end})
    days, total = answer.get("days"), answer.get("total")
    if not isinstance(days, list) or not isinstance(total, dict):
        stranger(remote)
    if remote.json:
        print_json(answer)
        return
    lines = [line | {"date": day.get("date")} for day in days for line in day.get("by_gift", ())]
    tell_rows(
        [*lines, total | {"date": "total"}], ("date", "gift", "gifts", "coins", "millidiamonds")
    )


@creator.command("rate", cls=Once)
def creator_rate(
    ctx: typer.Context,
    name: CreatorId,
    permille: Annotated[
        int | None, typer.Argument(min=0, max=RATE_PERMILLE_MAX, help="Millidiamonds per coin.")
    ] = None,
    start: Annotated[
        str | None, typer.Option("--from", help="ISO 8601 with timezone, or Unix ms; else now.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", help="The same; open-ended if left out.")
    ] = None,
) -> None:
    """Show what a creator earns per coin, or set it; never for what was earned before.

    Example: largesse creator rate ada 600 --until 2025-07-01T00:00:00Z
    """
    remote: Remote = ctx.obj
    path = at("creators", name, "rate")
    if permille is None:
        if start is not None or until is not None:
            fail(WRONG_USE, "Give the rate too, in millidiamonds per coin.")
        answer = get(remote, path)
    else:
        body: dict[str, object] = {"rate_permille": permille}
        if start is not None:
            body["from_ms"] = moment_ms("--from", start)
        if until is not None:
            body["until_ms"] = moment_ms("--until", until)
        answer = change(remote, "PUT", path, body)
    now = f"{name} earns {answer.get('rate_permille')} millidiamonds per coin now."
    tell(remote, answer, now)
    if answer.get("rates") and not remote.json:
        tell_rows(answer["rates"], ("from", "until", "rate_permille"))


@creator.command("board", cls=Asking)
def creator_board(
    ctx: typer.Context,
    name: CreatorId,
    window: Annotated[
        Literal["day", "week", "month", "all"], typer.Option(help="UTC window.")
    ] = "all",
    limit: Annotated[int, typer.Option(min=1, max=PAGE_MAX, help="At most so many.")] = 20,
) -> None:
    """Show who gave a creator most, over all rooms.

    Example: largesse creator board ada --window week
    """
    remote: Remote = ctx.obj
    answer = get(remote, at("creators", name, "board"), window=window, limit=str(limit))
    if not isinstance(answer.get("top"), list):
        stranger(remote)
    if remote.json:
        print_json(answer)
    else:
        tell_rows(answer["top"], ("rank", "user", "coins"))
