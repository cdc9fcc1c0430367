"""The `loadtest` verb: settings in, a report and an exit code out.

Exit codes are the contract's: 0 everything adds up, 1 it does not, 2 wrong use, 3 nobody answers.
The report goes to standard output, all that is said on the way to standard error.
"""

import resource
import secrets
import sys
import time
from collections.abc import Callable
from typing import Annotated

import typer
import uvloop
from rich.console import Console

from largesse_client import Unreachable
from loadtest.backend import SetupRefused
from loadtest.plan import Plan, mistakes
from loadtest.report import Report, render, to_json
from loadtest.run import run

SAY_EVERY_S = 5.0


def loadtest(
    url: Annotated[str, typer.Argument(help="The server, such as http://127.0.0.1:8080")],
    token_secret: Annotated[
        str, typer.Option(envvar="LARGESSE_TOKEN_SECRET", help="Signs the users' tokens.")
    ],
    api_key: Annotated[
        str, typer.Option(envvar="LARGESSE_API_KEY", help="Makes the room and grants the coins.")
    ],
    room: Annotated[str, typer.Option(help="Made when it is missing.")] = "loadtest",
    viewers: Annotated[int, typer.Option(help="Connections that only watch.")] = 100,
    gifters: Annotated[int, typer.Option(help="Connections that watch and send.")] = 10,
    rate: Annotated[float, typer.Option(help="Gifts per second, of all gifters together.")] = 50.0,
    duration: Annotated[float, typer.Option(help="Seconds of sending.")] = 10.0,
    closed_loop: Annotated[
        int, typer.Option(help="Keep that many gifts in flight per gifter, whatever the rate.")
    ] = 0,
    reconnects: Annotated[float, typer.Option(help="Connections dropped per second.")] = 0.0,
    slow: Annotated[int, typer.Option(help="Viewers that stop reading for a while.")] = 0,
    gift: Annotated[
        list[str] | None, typer.Option(help="A gift to send, may be repeated; default: cheap ones.")
    ] = None,
    quantity: Annotated[int, typer.Option(help="Quantity of each gift.")] = 1,
    taps: Annotated[int, typer.Option(help="Times a gifter sends one gift before another.")] = 8,
    in_flight: Annotated[int, typer.Option(help="Unanswered gifts per gifter at most.")] = 64,
    seed: Annotated[int, typer.Option(help="The same seed sends the same gifts.")] = 1,
    connect_rate: Annotated[float, typer.Option(help="New connections per second.")] = 2_000.0,
    drain: Annotated[float, typer.Option(help="Seconds to wait for the last answers.")] = 15.0,
    catch_up: Annotated[float, typer.Option(help="Seconds for viewers to reach the head.")] = 15.0,
    coins_each: Annotated[int, typer.Option(help="Coins per gifter; 0: as many as needed.")] = 0,
    others: Annotated[bool, typer.Option(help="Others may gift in the room meanwhile.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    yes_this_is_my_server: Annotated[
        bool, typer.Option("--yes-this-is-my-server", help="Allow another host than this one.")
    ] = False,
) -> None:
    """Send gifts in front of a crowd, then hold what everybody saw against the books."""
    plan = Plan(
        url=url,
        room=room,
        run=f"lt{int(time.time()):x}{secrets.token_hex(2)}",
        viewers=viewers,
        gifters=gifters,
        rate=rate,
        duration_s=duration,
        closed_loop=closed_loop,
        seed=seed,
        gifts=tuple(gift or ()),
        quantity=quantity,
        taps=taps,
        in_flight_max=max(in_flight, closed_loop),
        reconnects=reconnects,
        slow=slow,
        connect_rate=connect_rate,
        drain_s=drain,
        catch_up_s=catch_up,
        coins_each=coins_each,
        others=others,
    )
    raise typer.Exit(carry_out(plan, token_secret, api_key, json=json, mine=yes_this_is_my_server))


def carry_out(plan: Plan, token_secret: str, api_key: str, *, json: bool, mine: bool) -> int:
    """Run the plan and print its report; the exit code."""
    console = Console(stderr=True)
    wrong = mistakes(plan, mine=mine, descriptors=raise_descriptors())
    for sentence in wrong:
        console.print(sentence, style="red")
    if wrong:
        return 2
    try:
        report = _run(plan, token_secret, api_key, console)
    except Unreachable as error:
        console.print(f"The server could not be reached: {error}", style="red")
        return 3
    except SetupRefused as error:
        console.print(f"The set-up was refused: {error}", style="red")
        return 2
    if json:
        sys.stdout.write(to_json(report).decode() + "\n")
    else:
        Console().print(render(report))
    return 0 if report.ok else 1


def raise_descriptors() -> int:
    """Take as many open files as the system allows; how many that is."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return 2**31 if hard == resource.RLIM_INFINITY else hard


def _run(plan: Plan, token_secret: str, api_key: str, console: Console) -> Report:
    def go(say: Callable[[str], None]) -> Report:
        return uvloop.run(run(plan, token_secret=token_secret, api_key=api_key, say=say))

    if console.is_terminal:
        with console.status("setting up", refresh_per_second=2) as status:
            return go(status.update)
    return go(_every_few_seconds(console))


def _every_few_seconds(console: Console) -> Callable[[str], None]:
    """For logs: one line every few seconds instead of one that changes."""
    said_s = 0.0

    def say(sentence: str) -> None:
        nonlocal said_s
        if time.monotonic() - said_s >= SAY_EVERY_S:
            said_s = time.monotonic()
            console.print(sentence, highlight=False, soft_wrap=True)

    return say
