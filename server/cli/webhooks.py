"""The verbs about webhooks out: where the host platform is told of events, and what became of them.

An endpoint's secret is printed when it is set and when it is rotated; nothing here keeps it.
"""

from typing import Annotated, Any, Literal

import typer

from server.cli.asking import (
    Asking,
    Limit,
    Once,
    Remote,
    at,
    change,
    get,
    listed,
    tell,
    tell_list,
)
from server.cli.output import NO, WRONG_USE, fail, say
from server.cli.wording import moment_ms

webhook = typer.Typer(
    name="webhook",
    help="Where events are told to, and what became of each.",
    no_args_is_help=True,
    add_completion=False,
)

EndpointId = Annotated[str, typer.Argument(metavar="ENDPOINT", help="Id of the endpoint.")]
EndpointUrl = Annotated[str, typer.Argument(metavar="ADDRESS", help="Where to post to; https.")]


@webhook.command("set", cls=Once)
def webhook_set(
    ctx: typer.Context,
    name: EndpointId,
    address: EndpointUrl,
    event: Annotated[
        list[str] | None,
        typer.Option(help="Wanted type, such as gift.accepted; repeat for more, none for all."),
    ] = None,
) -> None:
    """Add an endpoint or change one; one that was disabled goes on where it stopped.

    Example: largesse webhook set shop https://shop.example/hooks --event purchase.paid
    """
    remote: Remote = ctx.obj
    body = {"url": address, "events": event or []}
    answer = change(remote, "PUT", at("webhook-endpoints", name), body)
    _tell_secret(remote, answer, f"Events go to {address}.")


@webhook.command("list", cls=Asking)
def webhook_list(ctx: typer.Context, limit: Limit = 1_000) -> None:
    """List the endpoints.

    Example: largesse webhook list
    """
    remote: Remote = ctx.obj
    found = listed(remote, at("webhook-endpoints"), limit)
    tell_list(remote, found, ("id", "url", "events", "enabled", "reason"), limit)


@webhook.command("show", cls=Asking)
def webhook_show(ctx: typer.Context, name: EndpointId) -> None:
    """Show one endpoint.

    Example: largesse webhook show shop
    """
    remote: Remote = ctx.obj
    tell(remote, get(remote, at("webhook-endpoints", name)))


@webhook.command("rotate", cls=Once)
def webhook_rotate(ctx: typer.Context, name: EndpointId) -> None:
    """Give an endpoint a new secret; for a day both sign.

    Example: largesse webhook rotate shop
    """
    remote: Remote = ctx.obj
    answer = change(remote, "POST", at("webhook-endpoints", name, "rotate"))
    _tell_secret(remote, answer, f"{name} has a new secret; for a day the old one signs too.")


def _tell_secret(remote: Remote, answer: dict[str, Any], sentence: str) -> None:
    tell(remote, answer, sentence)
    if not remote.json and answer.get("secret"):
        say(f"Its secret, to verify signatures with: {answer['secret']}")


@webhook.command("remove", cls=Once)
def webhook_remove(ctx: typer.Context, name: EndpointId) -> None:
    """Tell an endpoint nothing more, until it is set again. It stays listed, as disabled.

    Example: largesse webhook remove shop
    """
    remote: Remote = ctx.obj
    answer = change(remote, "DELETE", at("webhook-endpoints", name))
    tell(remote, answer, f"{name} is told nothing more.")


@webhook.command("deliveries", cls=Asking)
def webhook_deliveries(
    ctx: typer.Context,
    name: EndpointId,
    state: Annotated[
        Literal["pending", "delivered", "exhausted"] | None, typer.Option(help="Only these.")
    ] = None,
    limit: Limit = 50,
) -> None:
    """List what an endpoint was told or is to be told, newest first.

    Example: largesse webhook deliveries shop --state exhausted
    """
    remote: Remote = ctx.obj
    path = at("webhook-endpoints", name, "deliveries")
    found = listed(remote, path, limit, state=state)
    tell_list(remote, found, ("delivery", "type", "state", "attempts", "next", "changed"), limit)


@webhook.command("attempts", cls=Asking)
def webhook_attempts(
    ctx: typer.Context,
    name: EndpointId,
    delivery: Annotated[int, typer.Argument(metavar="DELIVERY", min=1, help="Its number.")],
    limit: Limit = 200,
) -> None:
    """List every try of one delivery: when, and what the endpoint answered.

    Example: largesse webhook attempts shop 4711
    """
    remote: Remote = ctx.obj
    path = at("webhook-endpoints", name, "deliveries", delivery, "attempts")
    tell_list(remote, listed(remote, path, limit), ("at", "status", "error", "duration_ms"), limit)


@webhook.command("replay", cls=Asking)
def webhook_replay(
    ctx: typer.Context,
    name: EndpointId,
    delivery: Annotated[
        list[int] | None, typer.Option(min=1, help="Number of a delivery; repeat for more.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Everything since: ISO 8601 with timezone, or Unix ms.")
    ] = None,
) -> None:
    """Send events again, with the ids that they had.

    Example: largesse webhook replay shop --since 2025-06-01T18:00:00Z
    """
    remote: Remote = ctx.obj
    if bool(delivery) == (since is not None):
        fail(WRONG_USE, "Give either --delivery or --since.")
    body: dict[str, object] = {"deliveries": delivery}
    if since is not None:
        body = {"since_ms": moment_ms("--since", since)}
    answer = change(remote, "POST", at("webhook-endpoints", name, "replay"), body)
    if not (answer.get("replayed") or answer.get("from_delivery")):
        fail(NO, f"{name} has nothing of that to be told again.")
    tell(remote, answer, f"{name} is told again: {_replayed(answer)}.")


def _replayed(answer: dict[str, Any]) -> str:
    if "replayed" in answer:
        number = answer["replayed"]
        return "1 delivery" if number == 1 else f"{number} deliveries"
    return f"everything from delivery {answer['from_delivery']} on"
