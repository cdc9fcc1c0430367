"""What every fan-out promises (fanout/contract.py): one suite over all adapters.

An adapter joins by a `Network`: how to add a node, and how to wait until what was published has
arrived. What only this or that adapter can do (reconnect, count what it dropped) has its own file.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

import pytest

from fanout import Batch, Fanout, LocalBus, connect


class Network(Protocol):
    async def node(self) -> Fanout:
        """One more member."""

    async def arrived(self) -> None:
        """Wait until everything that was published is where it should be."""

    async def close(self) -> None: ...


class LocalNetwork:
    def __init__(self) -> None:
        self.bus = LocalBus()
        self.nodes: list[Fanout] = []

    async def node(self) -> Fanout:
        self.nodes.append(self.bus.join())
        return self.nodes[-1]

    async def arrived(self) -> None:
        await asyncio.sleep(0)

    async def close(self) -> None:
        for node in self.nodes:
            await node.close()


NETWORKS = {"local": LocalNetwork}


@pytest.fixture(params=NETWORKS)
async def network(request: pytest.FixtureRequest) -> AsyncIterator[Network]:
    made = NETWORKS[request.param]()
    yield made
    await made.close()


def batch(first: int = 1, room: str = "r1", last: int | None = None, by: str = "") -> Batch:
    payload = f"{by}{room} {first}".encode()
    return Batch(room, "epoch", first, last if last is not None else first, payload)


async def test_the_others_get_what_one_publishes_and_it_does_not(network: Network) -> None:
    one, two, three = [await network.node() for _ in range(3)]
    got: dict[str, list[Batch]] = {"one": [], "two": [], "three": []}
    for node, name in ((one, "one"), (two, "two"), (three, "three")):
        node.listen("r1", got[name].append)
    await network.arrived()
    one.publish(batch())
    await network.arrived()
    assert got == {"one": [], "two": [batch()], "three": [batch()]}


async def test_every_byte_and_number_arrives_as_it_was(network: Network) -> None:
    one, two = await network.node(), await network.node()
    got: list[Batch] = []
    strange = Batch("r:ö 1", "e\n2", 2**53 - 2, 2**53 - 1, bytes(range(256)) * 300)
    two.listen(strange.room, got.append)
    await network.arrived()
    one.publish(strange)
    one.publish(strange._replace(payload=b""))
    await network.arrived()
    assert got == [strange, strange._replace(payload=b"")]


async def test_batches_of_one_node_and_room_come_in_the_order_they_were_published(
    network: Network,
) -> None:
    one, two, three = [await network.node() for _ in range(3)]
    got: list[Batch] = []
    three.listen("r1", got.append)
    three.listen("r2", got.append)
    await network.arrived()
    for first in range(1, 101):
        one.publish(batch(first, "r1", by="one "))
        two.publish(batch(first, "r1", by="two "))
        one.publish(batch(first, "r2", by="one "))
    await network.arrived()
    for room, by in (("r1", "one "), ("r1", "two "), ("r2", "one ")):
        mine = [b.first for b in got if b.room == room and b.payload.startswith(by.encode())]
        assert mine == list(range(1, 101))


async def test_a_node_gets_only_the_rooms_it_listens_to(network: Network) -> None:
    one, two = await network.node(), await network.node()
    got: list[Batch] = []
    two.listen("r1", got.append)
    await network.arrived()
    for room in ("r2", "r1", "r11", "R1", "r"):
        one.publish(batch(room=room))
    await network.arrived()
    assert got == [batch(room="r1")]


async def test_listening_begins_now_and_ends_with_ignore(network: Network) -> None:
    one, two = await network.node(), await network.node()
    got: list[Batch] = []
    one.publish(batch(1))
    await network.arrived()
    two.listen("r1", got.append)
    await network.arrived()
    one.publish(batch(2))
    await network.arrived()
    two.ignore("r1")
    await network.arrived()
    one.publish(batch(3))
    await network.arrived()
    assert got == [batch(2)]
    two.listen("r1", got.append)
    await network.arrived()
    one.publish(batch(4))
    await network.arrived()
    assert got == [batch(2), batch(4)]


async def test_ignoring_a_room_that_nobody_listened_to_is_nothing(network: Network) -> None:
    node = await network.node()
    node.ignore("r1")


async def test_a_room_has_one_receiver_and_the_last_one_counts(network: Network) -> None:
    one, two = await network.node(), await network.node()
    first: list[Batch] = []
    second: list[Batch] = []
    two.listen("r1", first.append)
    two.listen("r1", second.append)
    await network.arrived()
    one.publish(batch())
    await network.arrived()
    assert (first, second) == ([], [batch()])


async def test_publishing_to_nobody_is_no_error_and_nothing_was_dropped(network: Network) -> None:
    one, _ = await network.node(), await network.node()
    one.publish(batch())
    await network.arrived()
    assert one.dropped == 0


async def test_a_receiver_that_raises_harms_neither_the_publisher_nor_the_others(
    network: Network,
) -> None:
    one, two, three = [await network.node() for _ in range(3)]
    got: list[Batch] = []

    def broken(_: Batch) -> None:
        raise ZeroDivisionError

    two.listen("r1", broken)
    three.listen("r1", got.append)
    await network.arrived()
    one.publish(batch(1))
    one.publish(batch(2))
    await network.arrived()
    assert got == [batch(1), batch(2)]


async def test_a_receiver_may_listen_ignore_and_publish(network: Network) -> None:
    one, two = await network.node(), await network.node()
    got: list[Batch] = []
    back: list[Batch] = []

    def once(received: Batch) -> None:
        got.append(received)
        two.ignore("r1")
        two.listen("r2", got.append)
        two.publish(batch(room="r3"))

    two.listen("r1", once)
    one.listen("r3", back.append)
    await network.arrived()
    one.publish(batch(1))
    await network.arrived()
    one.publish(batch(2))
    one.publish(batch(room="r2"))
    await network.arrived()
    assert got == [batch(1), batch(room="r2")]
    assert back == [batch(room="r3")]


async def test_nothing_is_delivered_to_who_has_closed_and_the_others_go_on(
    network: Network,
) -> None:
    one, two, three = [await network.node() for _ in range(3)]
    gone: list[Batch] = []
    here: list[Batch] = []
    two.listen("r1", gone.append)
    three.listen("r1", here.append)
    await network.arrived()
    await two.close()
    one.publish(batch())
    await network.arrived()
    assert (gone, here) == ([], [batch()])
    await two.close()


async def test_nodes_on_two_networks_do_not_hear_each_other(network: Network) -> None:
    elsewhere = type(network)()
    try:
        one, two = await network.node(), await elsewhere.node()
        got: list[Batch] = []
        two.listen("r1", got.append)
        one.publish(batch())
        await network.arrived()
        assert got == []
    finally:
        await elsewhere.close()


async def test_who_is_not_the_only_one_never_says_so(network: Network) -> None:
    """An `alone` publisher may save itself the encoding: said wrongly, batches would be lost."""
    one, two = await network.node(), await network.node()
    await network.arrived()
    assert not one.alone and not two.alone


async def test_the_only_local_node_is_alone_until_another_joins() -> None:
    bus = LocalBus()
    one = bus.join()
    assert one.alone
    two = bus.join()
    assert not one.alone
    await two.close()
    assert one.alone
    await one.close()


async def test_a_setting_names_the_adapter() -> None:
    alone = connect("local")
    alone.publish(batch())
    assert alone.dropped == 0
    await alone.close()


@pytest.mark.parametrize("url", ["", "Local", "redis", "nats://localhost"])
def test_a_fan_out_that_does_not_exist_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="no fan-out"):
        connect(url)
