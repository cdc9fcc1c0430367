"""How many watch a room is counted over all nodes, and a dead one watches nothing."""

from kit.servers.leaky import Pair, node, two_nodes
from kit.waiting import until
from server.live.letters import Beat, Stopped


async def told(pair: Pair) -> tuple[int, int]:
    """Viewers of the room as each node tells them over HTTP."""
    one, two = [(await live.http.get("/v1/rooms/r")).json() for live in (pair.one, pair.two)]
    return one["viewers"], two["viewers"]


async def test_viewers_are_summed_over_the_nodes() -> None:
    async with two_nodes() as pair:
        ann = await pair.one.join("ann")
        bob, cleo = await pair.two.join("bob"), await pair.two.join("cleo")
        for client in (ann, bob, cleo):
            if not any(m["type"] == "viewers" and m["count"] == 3 for m in client.heard):
                await client.hear("viewers", count=3)

        async def both() -> bool:
            return await told(pair) == (3, 3)

        await until(both)
        late = await pair.one.connect("late")
        assert (await late.ask("joined", type="join", room="r"))["viewers"] == 4
        await ann.hear("viewers", count=4)
        await bob.ask("left", type="leave", room="r")
        await ann.hear("viewers", count=3)


async def test_a_node_where_nobody_watches_knows_the_viewers_too() -> None:
    async with two_nodes() as pair:
        await pair.two.join("bob")

        async def known() -> bool:
            return await told(pair) == (1, 1)

        await until(known)
        assert "r" not in pair.one.node.hub.halls
        rooms = (await pair.one.http.get("/v1/rooms")).json()["items"]
        assert [room["viewers"] for room in rooms] == [1]


async def test_viewers_of_a_node_that_stops_are_gone_at_once_and_of_one_that_dies_soon() -> None:
    for dies in (False, True):
        async with two_nodes() as pair:
            ann = await pair.one.join("ann")
            await pair.two.join("bob")
            await ann.hear("viewers", count=2)
            if dies:
                pair.from_two.lose = lambda letter: True
            else:
                pair.from_two.lose = lambda letter: isinstance(letter, Beat)
                pair.two.node.hub.say_goodbye()
            await ann.hear("viewers", count=1)


async def test_who_comes_later_learns_of_all_rooms_soon() -> None:
    async with two_nodes() as pair:
        await pair.one.join("ann")

        async def known() -> bool:
            return await told(pair) == (1, 1)

        await until(known)
        bus = pair.from_one.inner._bus  # type: ignore[attr-defined]
        async with node(pair.store, bus.join()) as three:

            async def learnt() -> bool:
                return (await three.http.get("/v1/rooms/r")).json()["viewers"] == 1

            await until(learnt)
        assert any(isinstance(letter, Beat) and letter.whole for letter in pair.from_one.sent)
        assert not any(isinstance(letter, Stopped) for letter in pair.from_one.sent)
