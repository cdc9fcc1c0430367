"""Two nodes show one room: everybody sees every line once and in order, whatever is lost."""

import asyncio
import time

import pytest

from kit.building.builders import gift as gift_command
from kit.building.builders import grant as grant_command
from kit.building.builders import renew_epochs
from kit.servers.leaky import BEAT_MS, Pair, frames_until, two_nodes
from kit.servers.serving import Client
from kit.waiting import until
from rules.commands import AnyCommand
from server.live.beats import WHOLE_EVERY
from server.live.letters import AnyLetter, Batch, Beat, room_channel, write_letter


def is_batch(letter: AnyLetter) -> bool:
    return isinstance(letter, Batch)


def reads(pair: Pair) -> float:
    """How often the second node had to read the ledger for what it missed."""
    value = pair.two.node.metrics.registry.get_sample_value("largesse_fanout_healed_total")
    assert value is not None
    return value


async def book(pair: Pair, *commands: AnyCommand) -> None:
    """Settle as a node does that dies before it tells anybody."""
    for result in await pair.store.settle(commands, int(time.time() * 1000)):
        assert not hasattr(result.outcome, "code"), result


async def test_two_nodes_show_each_others_gifts() -> None:
    async with two_nodes() as pair:
        await pair.one.grant("ann", 100)
        await pair.one.grant("bob", 100)
        ann, bob = await pair.one.join("ann"), await pair.two.join("bob")
        for number in range(5):
            await ann.gift(f"k{number}")
            await bob.gift(f"k{number}", gift="clap")
        for client in (ann, bob):
            frames = await frames_until(client, 10)
            assert (frames[0]["first"], frames[-1]["total_coins"]) == (1, 15)
        await until(lambda: pair.one.node.hub.halls["r"].room.head == 10)
        asked = {"type": "standing", "room": "r"}
        assert (await ann.ask("standing", **asked))["rank"] == 2
        assert (await bob.ask("standing", **asked))["rank"] == 1


async def test_both_nodes_at_once_make_one_log() -> None:
    async with two_nodes() as pair:
        await pair.one.grant("ann", 1_000)
        await pair.one.grant("bob", 1_000)
        ann, bob = await pair.one.join("ann"), await pair.two.join("bob")
        watching = [await pair.one.join("w1"), await pair.two.join("w2")]

        async def give(client: Client) -> None:
            for number in range(100):
                await client.say(type="gift", room="r", gift="spark", key=f"k{number}")
            for _ in range(100):
                await client.hear("accepted")

        await asyncio.gather(give(ann), give(bob))
        for client in watching:
            frames = await frames_until(client, 200)
            assert (frames[0]["first"], frames[-1]["total_coins"]) == (1, 200)


async def test_lines_that_overtook_each_other_are_shown_in_order_without_a_read() -> None:
    async with two_nodes() as pair:
        await pair.one.grant("ann", 100)
        ann, bob = await pair.one.join("ann"), await pair.two.join("bob")
        pair.from_one.lose = lambda letter: True  # a beat would tell how far the log has come
        for number in range(3):
            await ann.gift(f"k{number}")
        late = [letter for letter in pair.from_one.sent if isinstance(letter, Batch)]
        for letter in (late[2], late[1], late[2], late[0]):
            pair.from_one.inner.publish(room_channel("r"), write_letter(letter))
        frames = await frames_until(bob, 3)
        assert (frames[0]["first"], frames[-1]["total_coins"]) == (1, 3)
        assert reads(pair) == 0


async def test_what_was_lost_is_read_from_the_ledger() -> None:
    async with two_nodes(heartbeat_ms=60_000) as pair:
        await pair.one.grant("ann", 100)
        ann, bob = await pair.one.join("ann"), await pair.two.join("bob")
        await ann.gift("k0")
        pair.from_one.lose = lambda letter: True
        for number in range(1, 4):
            await ann.gift(f"k{number}")
        pair.from_one.lose = lambda letter: False
        await ann.gift("k4")
        frames = await frames_until(bob, 5)
        assert (frames[0]["first"], frames[-1]["total_coins"]) == (1, 5)
        assert reads(pair) >= 1


async def test_the_last_line_is_found_although_no_other_follows() -> None:
    async with two_nodes() as pair:
        pair.by_letters_alone()
        await pair.one.grant("ann", 100)
        ann, bob = await pair.one.join("ann"), await pair.two.join("bob")
        pair.from_one.lose = is_batch
        await ann.gift("k0")
        assert (await frames_until(bob, 1))[-1]["total_coins"] == 1


async def test_a_beat_that_is_lost_is_made_good_by_a_later_one() -> None:
    async with two_nodes() as pair:
        pair.by_letters_alone()
        await pair.one.grant("ann", 100)
        ann, bob = await pair.one.join("ann"), await pair.two.join("bob")
        beats = 0

        def lose(letter: AnyLetter) -> bool:
            nonlocal beats
            beats += isinstance(letter, Beat)
            return is_batch(letter) or beats <= WHOLE_EVERY

        pair.from_one.lose = lose
        await ann.gift("k0")
        assert (await frames_until(bob, 1))[-1]["total_coins"] == 1


async def test_what_nobody_told_is_found_in_the_ledger() -> None:
    """A node that dies between its commit and its letter."""
    async with two_nodes() as pair:
        await pair.one.grant("ann", 100)
        watching = [await pair.one.join("w1"), await pair.two.join("w2")]
        await book(pair, gift_command("ann", gift="spark", room="r"))
        for client in watching:
            assert (await frames_until(client, 1))[-1]["total_coins"] == 1


async def test_what_is_settled_where_nobody_watches_is_shown_at_once_and_names_its_log() -> None:
    async with two_nodes(heartbeat_ms=60_000) as pair:
        await pair.one.grant("ann", 100)
        ann = await pair.two.join("ann")
        await ann.gift("k0")
        assert "r" not in pair.one.node.hub.halls
        room = (await pair.one.http.post("/v1/rooms/r/close")).raise_for_status().json()
        await frames_until(ann, 2)
        [letter] = [letter for letter in pair.from_one.sent if isinstance(letter, Batch)]
        assert letter.epoch == room["epoch"] != ""


async def test_what_is_settled_where_nobody_watches_is_found_when_its_letter_is_lost() -> None:
    async with two_nodes() as pair:
        pair.by_letters_alone()
        bob = await pair.two.join("bob")
        pair.from_one.lose = is_batch
        await pair.one.http.post("/v1/rooms/r/close")
        await frames_until(bob, 1)


async def test_another_log_is_read_anew_and_its_viewers_come_back_to_it() -> None:
    async with two_nodes() as pair:
        await pair.one.grant("ann", 100)
        ann, bob = await pair.one.join("ann"), await pair.two.join("bob")
        await ann.gift("k0")
        await frames_until(bob, 1)
        joined = next(m for m in bob.heard if m["type"] == "joined")
        await book(pair, renew_epochs())
        assert await bob.closed() == 4003
        again = await pair.two.connect("bob")
        resume = {"epoch": joined["epoch"], "seq": 1}
        answer = await again.ask("joined", type="join", room="r", resume=resume)
        assert (answer["recovered"], answer["seq"], answer["total_coins"]) == (False, 1, 1)
        assert answer["epoch"] != joined["epoch"]
        carl = await pair.one.connect("ann")
        await carl.ask("joined", type="join", room="r")
        await carl.gift("k1")
        await frames_until(again, 2)


async def test_a_node_on_another_log_is_noticed_by_its_first_letter() -> None:
    async with two_nodes(heartbeat_ms=60_000) as pair:
        pair.by_letters_alone()
        await pair.one.grant("ann", 100)
        ann, bob = await pair.one.join("ann"), await pair.two.join("bob")
        await book(pair, renew_epochs())
        pair.two.node.hub.close_hall(pair.two.node.hub.halls["r"])
        again = await pair.two.join("bob2")
        await ann.gift("k0")  # the first node still shows the old log
        await again.say(type="ping")
        await again.hear("pong")
        hall = pair.two.node.hub.halls["r"]
        await until(lambda: hall.foreign != "")
        await asyncio.sleep(0.3)
        assert pair.two.node.hub.halls["r"] is hall, "whose log is the books' own stays as it is"
        await pair.two.grant("bob2", 10)
        await again.gift("k1")
        assert await ann.closed() == 4003
        await bob.socket.close()


async def test_letters_of_another_log_are_not_shown_and_asked_about_once() -> None:
    async with two_nodes() as pair:
        await pair.one.grant("ann", 100)
        ann, bob = await pair.one.join("ann"), await pair.two.join("bob")
        await ann.gift("k0")
        await frames_until(bob, 1)
        [real] = [letter for letter in pair.from_one.sent if isinstance(letter, Batch)]
        asked = 0
        heads = pair.store.heads

        async def counted(rooms: object) -> object:
            nonlocal asked
            asked += list(rooms) == ["r"]  # type: ignore[call-overload]
            return await heads(rooms)  # type: ignore[arg-type]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pair.store, "heads", counted)
            line = real.events[0]._replace(seq=2, total_coins=999_999)
            for _ in range(5):
                other = Batch("r", "another epoch", [line])
                pair.from_one.inner.publish(room_channel("r"), write_letter(other))
                await asyncio.sleep(BEAT_MS / 1000)
        hall = pair.two.node.hub.halls["r"]
        assert (hall.room.head, hall.room.total_coins) == (1, 1)
        assert asked <= 2, "once for the epoch, and perhaps once with all rooms"


async def test_a_room_that_is_read_while_others_give_misses_nothing() -> None:
    async with two_nodes(heartbeat_ms=60_000) as pair:
        await book(pair, grant_command("ann", 10_000))
        ann = await pair.one.join("ann")

        async def give() -> None:
            for number in range(100):
                await ann.gift(f"k{number}")

        giving = asyncio.create_task(give())
        for name in range(10):
            client = await pair.two.join(f"w{name}")
            await client.ask("left", type="leave", room="r")
            hub = pair.two.node.hub
            if "r" in hub.halls:
                hub.close_hall(hub.halls["r"])
        last = await pair.two.join("last")
        await giving
        seq = next(m for m in last.heard if m["type"] == "joined")["seq"]
        if seq < 100:
            frames = await frames_until(last, 100)
            assert (frames[0]["first"], frames[-1]["total_coins"]) == (seq + 1, 100)


async def test_what_is_told_while_a_room_is_read_is_not_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with two_nodes() as pair:
        pair.by_letters_alone()
        await pair.one.grant("ann", 100)
        ann = await pair.one.join("ann")
        pair.from_one.lose = lambda letter: not isinstance(letter, Batch)
        read = pair.store.room

        async def read_slowly(id: str, recent: int) -> object:
            found = await read(id, recent)
            await ann.gift("k0")
            await until(lambda: bool(pair.two.node.hub.loading["r"].events))
            return found

        monkeypatch.setattr(pair.store, "room", read_slowly)
        bob = await pair.two.join("bob")
        if next(m for m in bob.heard if m["type"] == "joined")["seq"] == 0:
            await frames_until(bob, 1)
        assert pair.two.node.hub.halls["r"].room.total_coins == 1
        assert reads(pair) == 0


async def test_who_is_erased_while_a_room_is_read_is_not_shown_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with two_nodes() as pair:
        await pair.one.grant("ann", 100)
        ann = await pair.one.join("ann")
        await ann.gift("k0")
        read, reading = pair.store.room, 0

        async def read_slowly(id: str, recent: int) -> object:
            nonlocal reading
            reading += 1
            found = await read(id, recent)
            if reading == 1:
                (await pair.one.http.post("/v1/users/ann/erase")).raise_for_status()
                await until(lambda: pair.two.node.hub.loading["r"].outdated)
            return found

        monkeypatch.setattr(pair.store, "room", read_slowly)
        bob = await pair.two.join("bob")
        assert reading == 2
        assert "Ann" not in str(bob.heard)
