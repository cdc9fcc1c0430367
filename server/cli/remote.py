"""The verbs of a show: room, grant, wallet (protocol.md, section 2).

What operators do with money, people and webhooks is in money.py, people.py and webhooks.py; how any
of them asks the server is in asking.py.
"""

from typing import Annotated

import typer

from server.cli.asking import (
    COINS_MAX,
    Asking,
    Limit,
    Once,
    Reason,
    Remote,
    at,
    change,
    get,
    listed,
    tell,
    tell_list,
)
from server.cli.wording import count

room = typer.Typer(
    name="room",
    help="Open, close, list and show rooms.",
    no_args_is_help=True,
    add_completion=False,
)

RoomId = Annotated[str, typer.Argument(metavar="ROOM", help="Id of the room.")]
UserId = Annotated[str, typer.Argument(metavar="USER", help="User id.")]


@room.command("open", cls=Once)
def room_open(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="ROOM", help="Id of the new room.")],
    creator: Annotated[str, typer.Option(help="User id of the creator.")],
    title: Annotated[str | None, typer.Option(help="What viewers read; the id by default.")] = None,
    creator_name: Annotated[str | None, typer.Option(help="What viewers call the creator.")] = None,
) -> None:
    """Open a room.

    Example: largesse room open evening --creator ada --title "Ada, live"
    """
    remote: Remote = ctx.obj
    body = {"id": name, "title": title or name, "creator": creator}
    if creator_name is not None:
        body["creator_name"] = creator_name
    tell(remote, change(remote, "POST", at("rooms"), body), f"Room {name} is open.")


@room.command("close", cls=Once)
def room_close(ctx: typer.Context, name: RoomId) -> None:
    """Close a room: it takes no more gifts.

    Example: largesse room close evening
    """
    remote: Remote = ctx.obj
    tell(remote, change(remote, "POST", at("rooms", name, "close")), f"Room {name} is closed.")


@room.command("show", cls=Asking)
def room_show(ctx: typer.Context, name: RoomId) -> None:
    """Show one room.

    Example: largesse room show evening --json
    """
    remote: Remote = ctx.obj
    tell(remote, get(remote, at("rooms", name)))


@room.command("list", cls=Asking)
def room_list(ctx: typer.Context, limit: Limit = 1_000) -> None:
    """List the rooms.

    Example: largesse room list --limit 50
    """
    remote: Remote = ctx.obj
    columns = ("id", "title", "creator", "status", "seq", "total_coins", "viewers")
    tell_list(remote, listed(remote, at("rooms"), limit), columns, limit)


def grant(
    ctx: typer.Context,
    user: UserId,
    coins: Annotated[int, typer.Argument(min=1, max=COINS_MAX, help="How many coins.")],
    reason: Reason,
) -> None:
    """Give coins to a user without a payment.

    Example: largesse grant ada 500 --reason "welcome gift"
    """
    remote: Remote = ctx.obj
    body = {"user": user, "coins": coins, "reason": reason}
    tell(
        remote,
        change(remote, "POST", at("grants"), body),
        f"{user} was granted {count(coins, 'coin')}.",
    )


def wallet(ctx: typer.Context, user: UserId) -> None:
    """Show what a user has, owes and may still spend.

    Example: largesse wallet ada
    """
    remote: Remote = ctx.obj
    tell(remote, get(remote, at("users", user, "wallet")))
