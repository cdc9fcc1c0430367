"""What every fan-out promises (fanout/contract.py): one suite over all adapters.

An adapter joins by a `Network`: how to add a node, and how to wait until what was published has
arrived. What only this or that adapter can do (reconnect, count what it dropped) has its own file.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

import pytest

from fanout import Fanout, LocalBus, connect


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


def text(first: int = 1, by: str = "") -> bytes:
    return f"{by}{first}".encode()


class Heard(list[tuple[str, bytes]]):
    """A receiver that remembers."""

    def __call__(self, channel: str, payload: bytes) -> None:
        self.append((channel, payload))


async def test_the_others_hear_what_one_publishes_and_it_does_not(network: Network) -> None:
    one, two, three = [await network.node() for _ in range(3)]
    heard = [Heard(), Heard(), Heard()]
    for node, its in zip((one, two, three), heard, strict=True):
        await node.listen(["r1"], its)
    one.publish("r1", b"x")
    await network.arrived()
    assert heard == [[], [("r1", b"x")], [("r1", b"x")]]


async def test_every_byte_arrives_as_it_was_on_a_channel_of_any_name(network: Network) -> None:
    one, two = await network.node(), await network.node()
    heard = Heard()
    names = ["r:ö 1\n*?[a]", "r" * 200, "user:Ann.b-c_d"]
    await two.listen(names, heard)
    for name in names:
        one.publish(name, bytes(range(256)) * 300)
        one.publish(name, b"")
    await network.arrived()
    for name in names:
        assert [p for n, p in heard if n == name] == [bytes(range(256)) * 300, b""]


async def test_what_one_node_publishes_on_one_channel_comes_in_order(network: Network) -> None:
    one, two, three = [await network.node() for _ in range(3)]
    heard = Heard()
    await three.listen(["r1", "r2"], heard)
    for first in range(1, 101):
        one.publish("r1", text(first, "one "))
        two.publish("r1", text(first, "two "))
        one.publish("r2", text(first, "one "))
    await network.arrived()
    for channel, by in (("r1", "one "), ("r1", "two "), ("r2", "one ")):
        its = [p for name, p in heard if name == channel and p.startswith(by.encode())]
        assert its == [text(first, by) for first in range(1, 101)]


async def test_a_node_hears_only_the_channels_that_it_listens_to(network: Network) -> None:
    one, two = await network.node(), await network.node()
    heard = Heard()
    await two.listen(["r1"], heard)
    for channel in ("r2", "r1", "r11", "R1", "r", "*", "r?"):
        one.publish(channel, b"x")
    await network.arrived()
    assert heard == [("r1", b"x")]


async def test_a_star_is_a_name_like_any_other(network: Network) -> None:
    one, two = await network.node(), await network.node()
    heard = Heard()
    await two.listen(["r*"], heard)
    one.publish("r1", b"x")
    one.publish("r*", b"y")
    await network.arrived()
    assert heard == [("r*", b"y")]


async def test_what_is_published_after_listen_returned_is_heard(network: Network) -> None:
    """Without a pause: this is what lets a node listen first, then read, and miss nothing."""
    one, two = await network.node(), await network.node()
    heard = Heard()
    for first in range(50):
        await two.listen([f"r{first}"], heard)
        one.publish(f"r{first}", text(first))
    await network.arrived()
    assert heard == [(f"r{first}", text(first)) for first in range(50)]


async def test_many_channels_are_listened_to_at_once(network: Network) -> None:
    one, two = await network.node(), await network.node()
    heard = Heard()
    names = [f"user:{number}" for number in range(2_000)]
    await two.listen(names, heard)
    await two.listen([], heard)
    for name in names:
        one.publish(name, b"x")
    await network.arrived()
    assert sorted(heard) == sorted((name, b"x") for name in names)


async def test_after_ignore_nothing_is_heard_and_one_may_listen_again(network: Network) -> None:
    one, two = await network.node(), await network.node()
    heard = Heard()
    await two.listen(["r1", "r2"], heard)
    two.ignore("r1")
    one.publish("r1", b"1")
    one.publish("r2", b"2")
    await network.arrived()
    assert heard == [("r2", b"2")]
    await two.listen(["r1"], heard)
    one.publish("r1", b"3")
    await network.arrived()
    assert heard == [("r2", b"2"), ("r1", b"3")]


async def test_what_is_on_its_way_when_a_channel_is_ignored_is_not_heard(network: Network) -> None:
    one, two = await network.node(), await network.node()
    heard = Heard()
    await two.listen(["r1"], heard)
    one.publish("r1", b"x")
    two.ignore("r1")
    await network.arrived()
    assert heard == []


async def test_ignoring_a_channel_that_nobody_listened_to_is_nothing(network: Network) -> None:
    node = await network.node()
    node.ignore("r1")


async def test_a_channel_has_one_receiver_and_the_last_one_counts(network: Network) -> None:
    one, two = await network.node(), await network.node()
    first, second = Heard(), Heard()
    await two.listen(["r1"], first)
    await two.listen(["r1"], second)
    one.publish("r1", b"x")
    await network.arrived()
    assert (first, second) == ([], [("r1", b"x")])


async def test_publishing_to_nobody_is_no_error_and_nothing_was_dropped(network: Network) -> None:
    one, _ = await network.node(), await network.node()
    one.publish("r1", b"x")
    await network.arrived()
    assert one.dropped == 0


async def test_a_receiver_that_raises_harms_neither_the_publisher_nor_the_others(
    network: Network,
) -> None:
    one, two, three = [await network.node() for _ in range(3)]
    heard = Heard()

    def broken(channel: str, payload: bytes) -> None:
        raise ZeroDivisionError

    await two.listen(["r1"], broken)
    await two.listen(["r2"], heard)
    await three.listen(["r1"], heard)
    one.publish("r1", b"1")
    one.publish("r1", b"2")
    one.publish("r2", b"3")
    await network.arrived()
    assert sorted(heard) == [("r1", b"1"), ("r1", b"2"), ("r2", b"3")]


async def test_a_receiver_is_never_called_in_the_middle_of_publishing(network: Network) -> None:
    one, two = await network.node(), await network.node()
    heard = Heard()
    await two.listen(["r1"], heard)
    one.publish("r1", b"x")
    assert heard == []
    await network.arrived()
    assert heard == [("r1", b"x")]


async def test_a_receiver_may_ignore_and_publish(network: Network) -> None:
    one, two = await network.node(), await network.node()
    heard, back = Heard(), Heard()

    def once(channel: str, payload: bytes) -> None:
        heard(channel, payload)
        two.ignore("r1")
        two.publish("r3", b"back")

    await two.listen(["r1"], once)
    await one.listen(["r3"], back)
    one.publish("r1", b"1")
    await network.arrived()
    one.publish("r1", b"2")
    await network.arrived()
    assert heard == [("r1", b"1")]
    assert back == [("r3", b"back")]


async def test_nothing_is_heard_by_who_has_closed_and_the_others_go_on(network: Network) -> None:
    one, two, three = [await network.node() for _ in range(3)]
    gone, here = Heard(), Heard()
    await two.listen(["r1"], gone)
    await three.listen(["r1"], here)
    one.publish("r1", b"on its way")
    await two.close()
    one.publish("r1", b"x")
    await network.arrived()
    assert (gone, here) == ([], [("r1", b"on its way"), ("r1", b"x")])
    await two.close()


async def test_nodes_on_two_networks_do_not_hear_each_other(network: Network) -> None:
    elsewhere = type(network)()
    try:
        one, two = await network.node(), await elsewhere.node()
        heard = Heard()
        await two.listen(["r1"], heard)
        one.publish("r1", b"x")
        await network.arrived()
        assert heard == []
    finally:
        await elsewhere.close()


async def test_who_is_not_the_only_one_never_says_so(network: Network) -> None:
    """An `alone` publisher may save itself the encoding: said wrongly, messages would be lost."""
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
    alone.publish("r1", b"x")
    assert alone.dropped == 0
    await alone.close()


@pytest.mark.parametrize("url", ["", "Local", "redis", "nats://localhost"])
def test_a_fan_out_that_does_not_exist_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="no fan-out"):
        connect(url)
