"""One run from set-up to verdict: the only place where the parts meet, and the only clock of it.

Set-up (room, prices, coins, base of the books) → everybody joins → the driver sends → drain (every
gift gets its answer) → catch up (every viewer reaches the head) → log and wallets are read → the
verdict. Every wait is bounded; what is not done by then is reported, not waited for.
"""

import asyncio
import gc
import random
import resource
import socket
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec
from websockets.uri import parse_uri

from largesse_client import make_token
from loadtest.answers import Answers
from loadtest.backend import TOKEN_SPARE_S, Backend, SetupRefused, alone
from loadtest.crowd import Crowd
from loadtest.driver import TICK_S, Driver
from loadtest.feed import Feed
from loadtest.gifter import Gifter, Menu
from loadtest.plan import (
    Plan,
    coins_needed,
    gifter_name,
    is_loopback,
    make_schedule,
    viewer_name,
)
from loadtest.report import (
    Connections,
    Frames,
    Generator,
    Gifts,
    Report,
    Setup,
    Viewers,
    clock_note,
)
from loadtest.verdict import Books, Wallet, explain, judge
from loadtest.viewer import Viewer

WALLETS_MAX = 500
JOIN_SPARE_S = 30.0
GIFTS_PRICE_MAX = 100
"""Without --gift, everything up to this price is sent: the dear gifts are rare in life too."""

COLLECT_EVERY = 200_000
"""Objects between two garbage collections: nothing here makes cycles by the thousand, and the
default of 700 would walk through all gifts in flight many times a second."""

Say = Callable[[str], None]


class Run(msgspec.Struct, kw_only=True):
    """What the phases hand to each other."""

    plan: Plan
    crowd: Crowd
    driver: Driver
    answers: Answers
    feed: Feed
    books: Books
    wallets_before: dict[str, int]
    connect_s: float = 0.0
    send_s: float = 0.0
    cpu_s: float = 0.0
    frames: int = 0


async def run(plan: Plan, *, token_secret: str, api_key: str, say: Say) -> Report:
    """Carry out the plan. Raises Unreachable and SetupRefused."""
    began = time.perf_counter()
    async with Backend(plan, api_key) as backend:
        this = await _prepare(plan, backend, token_secret)
        gc.collect()
        gc.freeze()
        gc.set_threshold(COLLECT_EVERY, 20, 20)
        asyncio.get_running_loop().set_exception_handler(_own_fault(this.feed))
        try:
            with alone():
                await _perform(this, backend, say)
        finally:
            this.crowd.stop()
        say("reading the log and the wallets")
        room = await backend.room()
        seen = [viewer.ledger.seq for viewer in this.crowd.viewers]
        await backend.read_log(this.books, max(room.seq, *seen))
        wallets = await _wallets(this, backend)
        return _report(this, room.seq, room.total_coins, wallets, time.perf_counter() - began)


async def _perform(this: Run, backend: Backend, say: Say) -> None:
    """Everything that needs the crowd, from the first connection to the last frame."""
    async with asyncio.TaskGroup() as group:
        tasks = [*this.crowd.start(group), group.create_task(_progress(this, say))]
        await _join(this)
        await _send(this)
        await _drain(this)
        room = await backend.room()
        await _catch_up(this, room.seq)
        for task in tasks:
            task.cancel()


def _own_fault(feed: Feed) -> Callable[[asyncio.AbstractEventLoop, dict[str, Any]], None]:
    """A bug of ours in a callback must not hide as a reconnection: it fails the run."""

    def note(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        feed.fault(f"the load test itself: {context.get('message')}: {context.get('exception')!r}")

    return note


async def _prepare(plan: Plan, backend: Backend, token_secret: str) -> Run:
    room = await backend.open_room()
    if room.status == "closed":
        raise SetupRefused(f"the room {plan.room} is closed; give another one with --room")
    prices = {gift.id: gift.coins for gift in await backend.catalogue()}
    plan = msgspec.structs.replace(plan, gifts=_choose(plan, prices))
    names = [gifter_name(plan, index) for index in range(plan.gifters)]
    coins = coins_needed(plan, max((prices[gift] for gift in plan.gifts), default=0))
    if coins:
        await backend.grant(names, coins)
    before = await backend.wallets(names[:WALLETS_MAX])
    base = await backend.room()
    feed, answers = Feed(plan.room), Answers()
    driver = Driver(
        plan, make_schedule(plan), Menu(plan, prices), answers, random.Random(plan.seed)
    )
    crowd = _make_crowd(plan, feed, token_secret)
    driver.gifters = [
        Gifter(crowd, driver, answers, index, name) for index, name in enumerate(names)
    ]
    crowd.viewers = [*driver.gifters, *_make_viewers(plan, crowd)]
    return Run(
        plan=plan,
        crowd=crowd,
        driver=driver,
        answers=answers,
        feed=feed,
        books=Books(base.seq, base.total_coins),
        wallets_before=before,
    )


def _choose(plan: Plan, prices: dict[str, int]) -> tuple[str, ...]:
    """The gifts to send: those of the plan, or all cheap ones of the catalogue."""
    missing = [gift for gift in plan.gifts if gift not in prices]
    if missing:
        raise SetupRefused(f"not in the catalogue: {', '.join(missing)}")
    if not prices:
        raise SetupRefused("the catalogue has no gift that may be sent")
    cheap = [gift for gift, coins in prices.items() if coins <= GIFTS_PRICE_MAX]
    cheap.sort(key=lambda gift: (prices[gift], gift))
    return plan.gifts or tuple(cheap or [min(prices, key=lambda gift: prices[gift])])


def _make_crowd(plan: Plan, feed: Feed, token_secret: str) -> Crowd:
    parts = urlsplit(plan.url)
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    host = parts.hostname or ""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    address = min(found, key=lambda one: one[0] != socket.AF_INET)[4]
    ttl_s = int(plan.duration_s + plan.drain_s + plan.catch_up_s) + TOKEN_SPARE_S
    netloc = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return Crowd(
        plan,
        feed,
        uri=parse_uri(f"{'wss' if secure else 'ws'}://{netloc}/v1/ws"),
        address=(str(address[0]), port),
        token=lambda user: make_token(token_secret, user, adult=True, ttl_s=ttl_s),
        dice=random.Random(plan.seed + 1),
    )


def _make_viewers(plan: Plan, crowd: Crowd) -> list[Viewer]:
    viewers = []
    for index in range(plan.viewers):
        viewer = Viewer(crowd, plan.gifters + index, viewer_name(plan, index))
        viewer.slow = index < plan.slow
        viewers.append(viewer)
    return viewers


async def _join(this: Run) -> None:
    """Wait until everybody is in; who is not by then will be missed in the verdict."""
    began = time.perf_counter()
    limit_s = JOIN_SPARE_S + this.plan.connections / this.plan.connect_rate * 4
    await _until(lambda: this.crowd.settled, limit_s)
    this.connect_s = time.perf_counter() - began


async def _send(this: Run) -> None:
    began, cpu = time.perf_counter(), time.process_time()
    frames = _frames_received(this)
    await this.driver.send(this.crowd)
    this.send_s = time.perf_counter() - began
    this.cpu_s = time.process_time() - cpu
    this.frames = _frames_received(this) - frames


async def _drain(this: Run) -> None:
    def done() -> bool:
        this.driver.resend()
        return this.answers.unanswered == 0

    await _until(done, this.plan.drain_s)


async def _catch_up(this: Run, head: int) -> None:
    def done() -> bool:
        return all(viewer.ledger.seq >= head for viewer in this.crowd.viewers)

    await _until(done, this.plan.catch_up_s)


async def _until(done: Callable[[], bool], limit_s: float) -> None:
    deadline = time.perf_counter() + limit_s
    while not done():
        if time.perf_counter() > deadline:
            return
        await asyncio.sleep(TICK_S * 5)


async def _wallets(this: Run, backend: Backend) -> list[Wallet]:
    """Before minus accepted, per gifter, against what the server says now."""
    spent: dict[int, int] = {}
    answers = this.answers
    for sender, seq, coins in zip(answers.sender, answers.seqs, answers.coins, strict=True):
        if seq > 0:
            spent[sender] = spent.get(sender, 0) + coins
    now = await backend.wallets(this.wallets_before)
    return [
        Wallet(
            user=user,
            expected_coins=before - spent.get(index, 0),
            found_coins=now[user],
        )
        for index, (user, before) in enumerate(this.wallets_before.items())
    ]


async def _progress(this: Run, say: Say) -> None:
    frames = accepted = 0
    while True:
        await asyncio.sleep(1)
        now_frames, now_accepted = _frames_received(this), this.answers.accepted
        say(
            f"{len(this.crowd.open):,} of {len(this.crowd.viewers):,} in the room, "
            f"{this.answers.offered:,} offered, {now_accepted:,} accepted "
            f"({now_accepted - accepted:,}/s), {this.answers.unanswered:,} in flight, "
            f"{this.answers.held_back:,} held back, {now_frames - frames:,} frames/s"
        )
        frames, accepted = now_frames, now_accepted


def _frames_received(this: Run) -> int:
    return sum(viewer.frames for viewer in this.crowd.viewers)


def _report(
    this: Run, room_seq: int, room_total: int, wallets: list[Wallet], seconds: float
) -> Report:
    this.feed.close()
    named = [(viewer.name, viewer.ledger) for viewer in this.crowd.viewers]
    checks = judge(
        answers=this.answers,
        feed=this.feed,
        books=this.books,
        room_seq=room_seq,
        room_total=room_total,
        viewers=named,
        wallets=wallets,
        others=this.plan.others,
    )
    equal = sum(ledger.started and not explain(ledger, this.books, room_seq) for _, ledger in named)
    return Report(
        ok=all(check.ok for check in checks),
        setup=_setup(this.plan),
        gifts=_gifts(this),
        acknowledge_ms=this.answers.acknowledge.percentiles(),
        delivery_ms=this.feed.delivery.percentiles(),
        delivery_clock=clock_note(is_loopback(this.plan.url)),
        frames=_frames(this),
        connections=_connections(this),
        viewers=Viewers(equal=equal, not_equal=len(named) - equal),
        checks=tuple(checks),
        generator=Generator(
            cpu_share=this.cpu_s / this.send_s,
            late_ms_max=this.driver.late_ms_max,
            memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        ),
        seconds=seconds,
    )


def _setup(plan: Plan) -> Setup:
    return Setup(**{name: getattr(plan, name) for name in Setup.__struct_fields__})


def _gifts(this: Run) -> Gifts:
    answers = this.answers
    return Gifts(
        due=this.plan.gifts_due,
        offered=answers.offered,
        held_back=answers.held_back,
        accepted=answers.accepted,
        accepted_coins=answers.accepted_coins(),
        accepted_per_s=answers.accepted / this.send_s,
        replayed=answers.replayed,
        refused=dict(answers.refused),
        sent_again=dict(answers.again),
        unanswered=answers.unanswered,
    )


def _frames(this: Run) -> Frames:
    ledgers = [viewer.ledger for viewer in this.crowd.viewers]
    merged = sum(this.feed.entries[1::3]) - len(this.feed.entries) // 3
    return Frames(
        received=_frames_received(this),
        received_per_s=this.frames / this.send_s,
        distinct=len(this.feed.frames) // 4,
        events=this.feed.events_seen,
        events_per_s=this.feed.events_seen / this.send_s,
        gifts_seen=sum(ledger.gifts for ledger in ledgers),
        merged=merged,
        omitted_gifts=sum(ledger.omitted_gifts for ledger in ledgers),
        omitted_coins=sum(ledger.omitted_coins for ledger in ledgers),
    )


def _connections(this: Run) -> Connections:
    crowd = this.crowd
    return Connections(
        joined=sum(viewer.ledger.started for viewer in crowd.viewers),
        connect_s=this.connect_s,
        connect_ms=crowd.connect.percentiles(),
        doors=dict(crowd.doors),
        dropped=this.driver.dropped,
        slow=this.driver.paused,
        recovered=crowd.recovered,
        snapshots=crowd.snapshots,
        closes=dict(crowd.closes),
    )
