"""The only wiring: settings in, a running server out.

The order of a start: open the ledger (a second process is refused here), take the port, bring the
policy in the books up to what the settings say, listen. The order of a stop: tell everybody, close
them in paced steps, settle what is queued, close the ledger. When the ledger fails in a way that
leaves its content in doubt, the order is: answer nobody, stop.
"""

import asyncio
import contextlib
import gc
import random
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import structlog
import uvicorn
import uvloop

from fanout import Fanout, connect
from rules import catalogue as catalogue_rules
from rules import shop
from rules.catalogue import CatalogueError
from rules.commands import SetPolicy
from rules.outcomes import PolicySet
from rules.policy import Bounds, PayoutRules, Policy, ReviewRules, SpendingLimits
from server import auth, logs
from server.api import Context, Rates, build_site
from server.clock import now_ms
from server.demo import DEMO_ROOM, play
from server.in_force import InForce, differences
from server.live.connection import Connection
from server.live.letters import ALL, Asked
from server.live.post import Post
from server.node import Node
from server.payments import Provider, open_provider
from server.settings.table import Settings
from storage import Store, StoreBroken, StoreError, open_store

log = structlog.get_logger()

BACKLOG = 4_096
"""Connections that the kernel holds while the loop is busy: a stream starts for all at once."""


class App(NamedTuple):
    """A server that is listening."""

    node: Node
    context: Context
    url: str


class Listener(uvicorn.Server):
    """uvicorn without its signal handling: our stop has steps of its own before uvicorn's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def running(
    settings: Settings, *, demo: bool = False, fanout: Fanout | None = None
) -> AsyncIterator[App]:
    """A server that listens while the body runs, and drains when it ends.

    Raises StoreError, CatalogueError, OSError (the port). A StoreBroken of the running server
    cancels the body and comes out in an ExceptionGroup.
    """
    store = await open_store(settings.database)
    try:
        async with serving(settings, store, demo=demo, fanout=fanout) as app:
            yield app
    finally:
        await store.close()
        log.info("server.stopped")


@contextlib.asynccontextmanager
async def serving(
    settings: Settings, store: Store, *, demo: bool = False, fanout: Fanout | None = None
) -> AsyncIterator[App]:
    """One node on a ledger that is open already, and that others may be using as well."""
    listening = _bind(settings.host, settings.port)
    with contextlib.closing(listening):
        verifier = auth.verifier(settings.token_secret, settings.token_public_keys)
        in_force = InForce(store, verifier, now_ms, await _settle_policy(store, _policy(settings)))
        await in_force.catch_up()
        node = Node(
            settings=settings,
            store=store,
            fanout=fanout or connect(settings.fanout),
            verifier=verifier,
            in_force=in_force,
            provider=_provider(settings),
            clock=now_ms,
            rng=random.Random(secrets.randbits(64)),
        )
        context = _context(node, DEMO_ROOM if demo else None)
        listener = _listener(node, context)
        async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
            stack.push_async_callback(node.fanout.close)
            stack.push_async_callback(node.provider.close)
            tasks.create_task(node.run())
            listens = tasks.create_task(listener.serve(sockets=[listening]))
            url = _url(settings.host, listening.getsockname()[1])
            while not (listener.started or listens.done()):  # noqa: ASYNC110 (uvicorn has no event)
                await asyncio.sleep(0.005)
            log.info("server.started", url=url, database=settings.database)
            try:
                yield App(node, context, url)
            finally:
                await node.drain()
                listener.should_exit = True


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise OSError(f"Cannot listen on {host} port {port}: {error.strerror}.") from error
    # Inherited by every connection: asyncio's own switch skips sockets that were made like this
    # one, and without it an answer may wait 40 ms for an acknowledgement.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def _url(host: str, port: int) -> str:
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}"


def _provider(settings: Settings) -> Provider:
    """Who takes payments. Raises ValueError with a sentence."""
    if settings.payment_provider == "sandbox":
        log.warning("payments.sandbox", hint="coins are bought with play money")
    return open_provider(settings)


def _context(node: Node, demo_room: str | None) -> Context:
    return Context(
        settings=node.settings,
        store=node.store,
        settlement=node.settlement,
        clock=node.clock,
        metrics=node.metrics,
        in_force=node.in_force,
        provider=node.provider,
        verifier=node.verifier,
        viewers=node.hub.viewers,
        too_fast=_rates(node.settings, node.post).too_fast,
        not_ready=node.not_ready,
        nudge_webhooks=node.nudge_webhooks,
        demo_room=demo_room,
    )


def _rates(settings: Settings, post: Post) -> Rates:
    def tell(user: str) -> None:
        post.send(ALL, Asked(user))

    rates = Rates(settings.http_rate, settings.http_burst, tell)
    post.on(Asked, lambda letter: rates.asked_elsewhere(letter.user))
    return rates


def _listener(node: Node, context: Context) -> Listener:
    config = uvicorn.Config(
        build_site(context, version("largesse")),
        ws=partial(Connection, node.lobby),  # type: ignore[arg-type]
        http="httptools",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=5,
    )
    return Listener(config)


def _policy(settings: Settings) -> Policy:
    """What the settings want of the books. Raises CatalogueError, ShopError."""
    catalogue, prices = catalogue_rules.built_in(), shop.built_in()
    if settings.catalogue:
        catalogue = catalogue_rules.read_catalogue(_text(settings.catalogue))
    if settings.bundles:
        prices = shop.read_shop(_text(settings.bundles))
    return Policy(
        catalogue=catalogue,
        rate_permille=settings.rate_permille,
        combo_window_ms=settings.combo_window_ms,
        require_adult=settings.require_adult,
        hold_days=settings.hold_days,
        clawback=settings.clawback,
        limits=SpendingLimits(
            daily_coins=settings.daily_limit_coins,
            weekly_coins=settings.weekly_limit_coins,
            monthly_coins=settings.monthly_limit_coins,
            first_day_coins=settings.first_day_limit_coins,
            daily_max_coins=settings.daily_limit_max_coins,
            weekly_max_coins=settings.weekly_limit_max_coins,
            monthly_max_coins=settings.monthly_limit_max_coins,
        ),
        payouts=PayoutRules(
            minimum_millidiamonds=settings.payout_minimum_millidiamonds,
            automatic_millidiamonds=settings.payout_automatic_millidiamonds,
            review_first=settings.payout_review_first,
            millidiamonds_per_minor=settings.millidiamonds_per_minor,
        ),
        shop=prices,
        bounds=Bounds(),
        review=ReviewRules(),
    )


def _text(path: str) -> str:
    try:
        return Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogueError([f"{path} cannot be read: {error}"]) from error


async def _settle_policy(store: Store, wanted: Policy) -> Policy:
    """See to it that the books have the wanted policy; a change is a command like any other, which
    other nodes follow. Whoever is started last with other settings has its way."""
    before = await store.policy()
    if before != wanted:
        key = f"policy-{secrets.token_hex(16)}"
        command = SetPolicy(actor="operator", key=key, policy=wanted)
        [result] = await store.settle([command], now_ms())
        if not isinstance(result.outcome, PolicySet):
            raise StoreError(f"The books did not take the policy: {result.outcome}.")
        log.info("policy.set", catalogue=wanted.catalogue.version)
        if before is not None:
            log.warning("policy.changed", differs=differences(wanted, before))
    return wanted


# The commands


def serve(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT; the exit code. Raises as `running` does, before listening."""
    logs.configure(settings.log_format, settings.log_level)
    return _run(_serve(settings))


def demo(settings: Settings, *, gifters: int) -> int:
    """Run with one seeded room and simulated gifters until SIGTERM or SIGINT."""
    logs.configure(settings.log_format, settings.log_level)
    return _run(_serve(settings, gifters=gifters))


def _run(main: Coroutine[Any, Any, int]) -> int:
    # Connections and rooms live long and hold no cycles: looking for some among ten thousand of
    # them every 700 allocations is what makes a Python server stutter.
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    # The writer's thread needs the interpreter after every SQL statement. Beside a loop that is
    # never idle it waits this long each time; at the default of 5 ms a full server books nothing.
    sys.setswitchinterval(0.0005)
    try:
        return uvloop.run(main)
    except BaseExceptionGroup as group:
        broken = group.subgroup(StoreBroken)
        if broken is None:
            raise
        log.critical("server.broken", error=str(_first(broken)))
        return 1


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _serve(settings: Settings, gifters: int | None = None) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    async with running(settings, demo=gifters is not None) as app:
        if gifters is None:
            await stop.wait()
        else:
            print_demo(app.url)
            async with asyncio.TaskGroup() as tasks:
                secret, key = settings.token_secret, settings.api_key
                playing = tasks.create_task(play(app.url, secret, key, app.node.rng, gifters))
                await stop.wait()
                playing.cancel()
    return 0


def print_demo(url: str) -> None:
    from rich import print as show

    show(f"\n[bold]largesse demo[/bold] with play money. Open  [link]{url}/[/link]")
    show("Open it twice to see your own gifts fly. Ctrl-C ends it.\n")
