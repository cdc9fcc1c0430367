"""Two servers on one ledger: chores and webhooks are done by one of them, and once."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from kit.servers.described import asking
from kit.servers.receiving import Receiver, receiving
from kit.servers.serving import BACKEND, Live, settings
from kit.servers.two import Nodes
from kit.waiting import until
from server.app import App, serving
from server.duty import DUTY
from server.webhooks import worker
from storage import Lease, Leases, Store, StoreBroken, StoreError, StoreUnavailable

TTL_MS = 1_500
"""Where a node has to be silent. Elsewhere it may be slow: then a term is longer than the test."""


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as opened:
        yield opened


async def started(nodes: Nodes, duty_ms: int = 60_000, store: Store | None = None) -> Live:
    return await nodes.start(store, duty_ms=duty_ms, hold_days=0, webhook_allow_private=True)


def on_duty(node: Live) -> bool:
    return node.node.webhooks is not None


async def endpoint(node: Live, receiver: Receiver) -> None:
    body = {"url": receiver.url, "events": ["gift.accepted"]}
    (await node.http.put("/v1/webhook-endpoints/e1", json=body)).raise_for_status()


async def delivered(node: Live) -> int:
    answer = await node.http.get("/v1/webhook-endpoints/e1/deliveries?state=delivered")
    return len(answer.raise_for_status().json()["items"])


async def released(node: Live) -> bool:
    wallet = (await node.http.get("/v1/users/cara/wallet")).json()
    return wallet["millidiamonds_available"] > 0 and not wallet["millidiamonds_pending"]


class CutOff:
    """A store whose leases a node reaches no more; all else it still reaches."""

    def __init__(self, store: Store, error: type[StoreError] = StoreUnavailable) -> None:
        self._store = store
        self._error = error
        self.is_cut = False

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    @property
    def leases(self) -> Leases:
        return self  # type: ignore[return-value]

    def _way(self) -> Leases:
        if self.is_cut:
            raise self._error("cut off")
        return self._store.leases

    async def seen(self, name: str) -> Lease:
        return await self._way().seen(name)

    async def take(self, seen: Lease, holder: str) -> Lease | None:
        return await self._way().take(seen, holder)

    async def renew(self, held: Lease) -> Lease | None:
        return await self._way().renew(held)

    async def release(self, held: Lease) -> None:
        await self._way().release(held)


async def test_every_event_is_posted_once_whichever_node_settled_it(
    nodes: Nodes, receiver: Receiver
) -> None:
    one, two = await started(nodes), await started(nodes)
    await until(lambda: on_duty(one))
    await one.room()
    await one.grant("ann", 1_000)
    await endpoint(two, receiver)
    a, b = await one.join("ann"), await two.join("ann")
    for number in range(10):
        await a.gift(f"a{number}")
        await b.gift(f"b{number}")

    async def all_of_them() -> bool:
        return await delivered(one) == 20

    await until(all_of_them)
    assert receiver.seqs("r") == list(range(1, 21))
    assert len(set(receiver.ids())) == 20
    assert not on_duty(two)


async def test_what_the_other_node_settles_is_told_within_seconds(
    nodes: Nodes, receiver: Receiver
) -> None:
    one, two = await started(nodes), await started(nodes)
    await until(lambda: on_duty(one))
    await two.room()
    await two.grant("ann", 1_000)
    await endpoint(two, receiver)
    ann = await two.join("ann")
    await ann.gift("g1")
    await until(lambda: receiver.seqs("r") == [1])


async def test_chores_are_done_by_one_node(nodes: Nodes) -> None:
    one, two = await started(nodes), await started(nodes)
    await until(lambda: one.node.chores.rounds >= 4)
    await two.room()
    await two.grant("ann", 1_000)
    ann = await two.join("ann")
    await ann.gift("g1")
    await until(lambda: released(two))
    assert two.node.chores.rounds == 0
    entries = await nodes.store.deliveries.journal(0, 1_000)
    assert [entry.kind for entry in entries].count("release_diamonds") == 1


async def test_a_node_that_stops_hands_over_and_what_was_delivered_is_not_sent_again(
    nodes: Nodes, receiver: Receiver
) -> None:
    one, two = await started(nodes), await started(nodes, 5_000)
    await until(lambda: on_duty(one))
    await two.room()
    await two.grant("ann", 1_000)
    await endpoint(two, receiver)
    ann = await two.join("ann")
    await ann.gift("g1")

    async def known() -> bool:
        return await delivered(two) == 1

    await until(known)
    await nodes.stop(one)
    await until(lambda: on_duty(two))
    await ann.gift("g2")
    await until(lambda: len(receiver.posts) >= 2)
    await until(lambda: released(two))
    assert receiver.seqs("r") == [1, 2]


async def test_what_came_back_before_a_node_stops_is_recorded_by_it(
    nodes: Nodes, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await started(nodes)
    await until(lambda: on_duty(one))
    await one.room()
    await one.grant("ann", 1_000)
    await endpoint(one, receiver)
    ann = await one.join("ann")
    await until(lambda: one.node.webhooks.has_somebody())
    await asyncio.sleep(2 * worker.PACE_MS / 1000)
    monkeypatch.setattr(worker, "PACE_MS", 600_000)  # no round of its own records the answer
    await ann.gift("g1")
    await until(lambda: bool(one.node.webhooks._back))
    await nodes.stop(one)
    [delivery] = await nodes.store.deliveries.listed("e1", None, None, 9)
    assert delivery.state == "delivered"


async def test_a_node_that_dies_is_relieved_after_its_silence(
    nodes: Nodes, receiver: Receiver, store: Store
) -> None:
    dead = await store.leases.take(await store.leases.seen(DUTY), "a node that dies")
    assert dead is not None
    began_s = asyncio.get_running_loop().time()
    two = await started(nodes, TTL_MS)
    await two.room()
    await two.grant("ann", 1_000)
    await endpoint(two, receiver)
    ann = await two.join("ann")
    await ann.gift("g1")
    await until(lambda: len(receiver.posts) == 1)
    assert asyncio.get_running_loop().time() - began_s >= TTL_MS / 1000
    assert (await store.leases.seen(DUTY)).term == dead.term + 1


async def test_a_node_that_cannot_renew_stops_before_the_other_begins(
    nodes: Nodes, store: Store
) -> None:
    cut = CutOff(store)
    one = await started(nodes, TTL_MS, cut)  # type: ignore[arg-type]
    await until(lambda: on_duty(one))
    two = await started(nodes, TTL_MS)
    cut.is_cut = True
    both = 0

    def relieved() -> bool:
        nonlocal both
        both += on_duty(one) and on_duty(two)
        return on_duty(two)

    await until(relieved)
    assert (both, on_duty(one)) == (0, False)


async def test_a_node_that_froze_with_a_post_in_hand_stops_when_it_wakes_up(
    nodes: Nodes, receiver: Receiver, store: Store
) -> None:
    one, two = await started(nodes, 5_000), await started(nodes, 5_000)
    await until(lambda: on_duty(one))
    await one.room()
    await one.grant("ann", 1_000)
    await endpoint(one, receiver)
    ann = await one.join("ann")
    receiver.hangs = True
    await ann.gift("g1")
    await until(lambda: len(receiver.posts) == 1)
    receiver.hangs = False
    # While it was frozen, another one saw nothing of it for `duty_ms`, and took over.
    between = await store.leases.take(await store.leases.seen(DUTY), "another")
    assert between is not None
    await until(lambda: not on_duty(one))
    await store.leases.release(between)

    async def known() -> bool:
        return await delivered(two) == 1

    await until(known)
    assert receiver.ids()[0] == receiver.ids()[1] and len(receiver.ids()) == 2


async def test_when_the_lease_tells_that_the_books_are_in_doubt_all_are_sent_away_at_once(
    store: Store,
) -> None:
    broken = CutOff(store, StoreBroken)
    begun: asyncio.Future[App] = asyncio.get_running_loop().create_future()

    async def serve() -> None:
        quick = settings(duty_ms=500, drain_ms=600_000)
        async with serving(quick, broken) as app:  # type: ignore[arg-type]
            begun.set_result(app)
            await asyncio.Future()

    stopping = asyncio.create_task(serve())
    app = await begun
    async with asking(app.url, BACKEND) as http:
        node = Live(app.url, http, app)
        ann = await node.connect("ann")
        await until(lambda: on_duty(node))
        broken.is_cut = True
        assert await ann.closed() == 4003
        await node.close()
    with pytest.raises(BaseExceptionGroup) as errors:
        await stopping
    assert errors.value.subgroup(StoreBroken)
