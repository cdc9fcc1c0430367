"""The path of one gift, from a socket through the ledger to everybody."""

from serving import live


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
