"""The path of one gift, from a socket through the ledger to everybody."""

import time

from kit.servers.serving import live
from rules.commands import SendGift


async def test_a_gift_is_booked_seen_and_answered() -> None:
    async with live() as server:
        await server.room()
        await server.grant("ann", 100)
        ann, bob = await server.join("ann"), await server.join("bob")
        answer = await ann.gift("k1", gift="note", quantity=2, price=5)
        assert answer["type"] == "accepted"
        assert (answer["seq"], answer["coins"], answer["balance_coins"]) == (1, 10, 90)
        assert answer["me"] == {"coins": 10, "rank": 1} and not answer["replayed"]
        frame = await bob.hear("events")
        assert (frame["first"], frame["last"]) == (1, 1)
        assert (frame["total_before"], frame["total_coins"]) == (0, 10)
        event = frame["events"][0]
        assert event["from"] == {"id": "ann", "name": "Ann", "level": 1}
        assert event["combo"]["count"] == 2 and event["from_total"] == 10
        board = await bob.hear("board")
        assert board["top"] == [{"rank": 1, "user": {"id": "ann", "name": "Ann"}, "coins": 10}]


async def test_a_transport_that_fails_costs_nobody_else_the_frame() -> None:
    async with live() as server:
        await server.room()
        await server.grant("ann", 100)
        ann, bob, cleo = [await server.join(name) for name in ("ann", "bob", "cleo")]
        broken = next(c for c in server.node.lobby.guests if c.identity.user == "bob")
        broken.transport.write_eof()  # from here on a write to it raises
        assert (await ann.gift("k1"))["type"] == "accepted"
        assert (await cleo.hear("events"))["last"] == 1
        await bob.closed()
        assert (await ann.gift("k2"))["seq"] == 2


async def test_the_first_gift_after_silence_does_not_wait_for_a_tick() -> None:
    async with live(tick_ms=1_000) as server:
        await server.room()
        await server.grant("ann", 100)
        ann, bob = await server.join("ann"), await server.join("bob")
        await bob.hear("viewers", count=2)
        hall = server.node.hub.halls["r"]
        hall.due_ms = 0  # the viewer count was the last thing sent, long ago
        await ann.gift("k1")
        assert hall.room.sent == 1


async def test_a_gift_that_was_booked_and_never_shown_is_shown_when_its_key_comes() -> None:
    async with live() as server:
        await server.room()
        await server.grant("ann", 100)
        ann, bob = await server.join("ann"), await server.join("bob")
        # What a COMMIT leaves behind that raised and had been done all the same.
        unseen = SendGift(
            actor="user:ann", key="k1", sender="ann", name="Ann", adult=True, room="r", gift="note"
        )
        await server.node.store.settle([unseen], int(time.time() * 1000))
        answer = await ann.gift("k1", gift="note")
        assert answer["replayed"] and answer["seq"] == 1
        frame = await bob.hear("events")
        assert (frame["first"], frame["last"], frame["total_coins"]) == (1, 1, 5)
        assert (await ann.gift("k2"))["seq"] == 2
        assert (await bob.hear("events"))["total_before"] == 5
