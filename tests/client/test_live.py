"""A live connection of the client library against a real server."""

import asyncio
import itertools
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

import largesse_client as largesse
from kit.servers.serving import API_KEY, SECRET, Live, ServerProcess, free_port, live
from largesse_client import (
    Accepted,
    GiftEvent,
    Joined,
    Refused,
    RoomClosed,
    Unknown,
    connection,
    make_token,
)

ROOM, CREATOR = "r", "cara"


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Live]:
    async with live() as running:
        await running.room(ROOM, CREATOR)
        await running.grant("ann", 1_000)
        yield running


def connect(server: Live | ServerProcess, user: str = "ann", **more: Any) -> largesse.Live:
    return largesse.connect(server.url, make_token(SECRET, user, adult=True), **more)


async def told(live: largesse.Live, kind: type, within_s: float = 30.0) -> Any:
    """The next news of a kind."""
    async with asyncio.timeout(within_s):
        async for news in live:
            if isinstance(news, kind):
                return news
    raise AssertionError("the news ended")


async def test_a_gift_is_given_answered_seen_and_checked(server: Live) -> None:
    async with connect(server) as ann, connect(server, "bob") as bob:
        assert isinstance(await ann.join(ROOM), Joined) and isinstance(await bob.join(ROOM), Joined)
        answer = await ann.gift(room=ROOM, gift="spark", quantity=3, message="Hello")
        assert isinstance(answer, Accepted)
        assert (answer.seq, answer.quantity, answer.replayed) == (1, 3, False)
        event = await told(bob, GiftEvent)
        assert (event.room, event.from_.id, event.message) == (ROOM, "ann", "Hello")
        frame = await told(bob, largesse.Frame)
        assert frame.total_coins == answer.total_coins == event.coins
        room = bob.room(ROOM)
        assert room is not None and (room.seq, room.verified) == (1, 1)
        assert ann.balance_coins == answer.balance_coins == 1_000 - answer.coins
        standing = await ann.standing(ROOM)
        assert isinstance(standing, largesse.Standing) and standing.rank == 1
        assert isinstance(await ann.ping(), largesse.Pong)


async def test_a_key_has_one_answer_for_ever(server: Live) -> None:
    async with connect(server) as ann:
        await ann.join(ROOM)
        key = largesse.new_key()
        first, second = await asyncio.gather(
            *(ann.gift(room=ROOM, gift="spark", key=key) for _ in range(2))
        )
        assert first == second
        third = await ann.gift(room=ROOM, gift="spark", key=key)
        assert isinstance(third, Accepted) and third.replayed
    async with largesse.Backend(server.url, API_KEY) as backend:
        assert (await backend.rooms.show(ROOM)).seq == 1


async def test_refusals_are_values(server: Live) -> None:
    async with connect(server, "poor") as poor:
        assert isinstance(await poor.join("nowhere"), Refused)
        not_joined = await poor.gift(room=ROOM, gift="spark")
        assert isinstance(not_joined, Refused)
        assert (not_joined.code, not_joined.local) == ("not_joined", True)
        await poor.join(ROOM)
        answer = await poor.gift(room=ROOM, gift="spark")
        assert isinstance(answer, Refused)
        assert (answer.code, answer.retry, answer.local) == ("insufficient_coins", "new", False)


async def test_a_token_that_is_not_valid_ends_it_before_it_begins(server: Live) -> None:
    token = make_token("another secret of 32 bytes or more", "ann")
    with pytest.raises(largesse.Ended) as ended:
        async with largesse.connect(server.url, token):
            pytest.fail("it was let in")
    assert ended.value.code in (401, 4501, 4502)


async def test_nobody_at_the_address_is_a_timeout_that_says_why() -> None:
    with pytest.raises(TimeoutError, match="cannot be reached"):
        async with largesse.connect(f"http://127.0.0.1:{free_port()}", "t", open_within_s=0.5):
            pytest.fail("it was let in")


async def test_a_token_is_asked_for_before_each_connection(server: Live) -> None:
    made = []

    async def fresh() -> str:
        made.append(make_token(SECRET, "ann", adult=True))
        return made[-1]

    async with largesse.connect(server.url, fresh) as ann:
        await ann.join(ROOM)
        lose_line(ann)
        assert (await told(ann, largesse.Disconnected)).code == 1006
        assert (await told(ann, Joined)).recovered
    assert len(made) == 2


async def test_a_connection_outlives_its_tokens(server: Live) -> None:
    numbers = itertools.count(1)

    def fresh() -> str:
        return make_token(SECRET, "ann", adult=True, jti=f"outlived-{next(numbers)}")

    async with (
        largesse.Backend(server.url, API_KEY) as backend,
        largesse.connect(server.url, fresh) as ann,
    ):
        await ann.join(ROOM)
        await backend.users.revoke_token("outlived-1", reason="test")
        assert (await told(ann, largesse.Disconnected)).code == 4502
        assert (await told(ann, Joined)).recovered
        await backend.users.revoke_token("outlived-2", reason="test")
        assert isinstance(await ann.gift(room=ROOM, gift="spark"), Accepted)


async def test_what_the_tokens_function_raises_comes_out(server: Live) -> None:
    def nothing() -> str:
        raise LookupError("no token today")

    with pytest.raises(LookupError, match="today"):
        async with largesse.connect(server.url, nothing):
            pytest.fail("it was let in")


async def test_whoever_waits_learns_why_nothing_comes_any_more(server: Live) -> None:
    made: list[str] = []

    def once() -> str:
        if made:
            raise LookupError("no token any more")
        made.append(make_token(SECRET, "ann", adult=True))
        return made[0]

    async with largesse.connect(server.url, once) as ann:
        await ann.join(ROOM)
        lose_line(ann)
        with pytest.raises(LookupError, match="any more"):
            await ann.gift(room=ROOM, gift="spark")
        with pytest.raises(LookupError, match="any more"):
            await told(ann, RoomClosed)


def lose_line(live: largesse.Live) -> None:
    """The line is gone without a word, as in a tunnel."""
    assert live._socket is not None
    live._socket.transport.abort()


async def test_after_a_lost_line_it_resumes_and_nothing_is_missing_or_twice(server: Live) -> None:
    async with connect(server) as ann, connect(server, "bob") as bob:
        await ann.join(ROOM)
        await bob.join(ROOM)
        seqs: list[int] = []
        for number in range(3):
            lose_line(bob)
            for gift in range(10):
                answer = await ann.gift(room=ROOM, gift="spark", key=f"g{number}-{gift}")
                assert isinstance(answer, Accepted)
            while not seqs or seqs[-1] < answer.seq:
                event = await told(bob, GiftEvent)
                seqs += range(event.seq - event.merged + 1, event.seq + 1)
        assert seqs == list(range(1, 31))
        await told(bob, largesse.Frame)
        room = bob.room(ROOM)
        assert room is not None and room.total_coins == answer.total_coins
        assert room.verified == 30 and room.mismatches == 0


async def test_gifts_over_a_line_that_breaks_are_booked_once_and_answered(server: Live) -> None:
    async with connect(server) as ann:
        await ann.join(ROOM)
        giving = [
            asyncio.create_task(ann.gift(room=ROOM, gift="spark", key=f"k{n}")) for n in range(40)
        ]
        await asyncio.sleep(0)
        lose_line(ann)
        answers = await asyncio.gather(*giving)
        assert [type(answer) for answer in answers] == [Accepted] * 40
        assert ann.unanswered == 0
    async with largesse.Backend(server.url, API_KEY) as backend:
        assert (await backend.rooms.show(ROOM)).seq == 40
        coins = (await backend.users.wallet("ann")).coins
    assert coins == min(a.balance_coins for a in answers if isinstance(a, Accepted))


async def test_it_outlives_a_server_that_is_killed_and_started_again(
    live_server: ServerProcess,
) -> None:
    async with largesse.Backend(live_server.url, API_KEY) as backend:
        await backend.rooms.open(ROOM, title="A room", creator=CREATOR)
        await backend.users.grant("ann", 1_000, reason="test")
    async with connect(live_server) as ann:
        await ann.join(ROOM)
        await ann.gift(room=ROOM, gift="spark", key="before")
        await asyncio.to_thread(live_server.kill)
        giving = asyncio.create_task(
            ann.gift(room=ROOM, gift="spark", key="meanwhile", within_s=90)
        )
        await asyncio.to_thread(live_server.start)
        answer = await giving
        assert isinstance(answer, Accepted) and answer.seq == 2
        again = await ann.gift(room=ROOM, gift="spark", key="before")
        assert isinstance(again, Accepted) and (again.seq, again.replayed) == (1, True)


async def test_an_answer_that_does_not_come_is_unknown_and_can_be_asked_for(server: Live) -> None:
    async with connect(server) as ann:
        await ann.join(ROOM)
        unknown = await ann.gift(room=ROOM, gift="spark", key="k", within_s=0)
        assert isinstance(unknown, Unknown) and unknown.key == "k"
        answer = await ann.gift(room=ROOM, gift="spark", key="k")
        assert isinstance(answer, Accepted) and answer.seq == 1


async def test_cancelling_a_gift_leaves_it_on_its_way(server: Live) -> None:
    async with connect(server) as ann:
        await ann.join(ROOM)
        giving = asyncio.create_task(ann.gift(room=ROOM, gift="spark", key="k"))
        await asyncio.sleep(0)
        giving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await giving
        assert (await told(ann, Accepted)).key == "k"
        assert ann.unanswered == 0


async def test_the_iteration_ends_after_close_and_waits_are_over(server: Live) -> None:
    async with connect(server) as ann:
        await ann.join(ROOM)
        listening = asyncio.create_task(_last(ann))
        await asyncio.sleep(0)
    async with asyncio.timeout(30):
        assert await listening is not None
    closed = await ann.gift(room=ROOM, gift="spark")
    assert isinstance(closed, Refused) and closed.code == "not_connected"


async def _last(live: largesse.Live) -> largesse.News | None:
    last = None
    async for news in live:
        last = news
    return last


async def test_what_the_body_raises_comes_out_as_it_is(server: Live) -> None:
    with pytest.raises(ZeroDivisionError):
        async with connect(server):
            raise ZeroDivisionError


async def test_a_bot_that_never_listens_gets_its_answers_and_is_told_what_it_missed(
    server: Live,
) -> None:
    async with connect(server, news_max=10) as ann:
        await ann.join(ROOM)
        for number in range(30):
            assert isinstance(await ann.gift(room=ROOM, gift="spark", key=f"g{number}"), Accepted)
        missed = await told(ann, largesse.Missed)
        assert missed.count > 10
        room = ann.room(ROOM)
        assert room is not None
        while room.seq < 30:
            await asyncio.sleep(0.01)
        assert room.verified == 30


async def test_joining_again_goes_on_where_it_was(server: Live) -> None:
    async with connect(server) as ann, connect(server, "bob") as bob:
        await ann.join(ROOM)
        await bob.join(ROOM)
        await ann.gift(room=ROOM, gift="spark")
        await told(bob, GiftEvent)
        again = await bob.join(ROOM)
        assert isinstance(again, Joined) and again.recovered and again.seq == 1
        await ann.gift(room=ROOM, gift="spark")
        assert (await told(bob, GiftEvent)).seq == 2
        room = bob.room(ROOM)
        assert room is not None and room.mismatches == 0


async def test_a_token_that_does_not_come_is_waited_for_no_longer_than_the_line(
    server: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "OPEN_TIMEOUT_S", 0.05)

    async def never() -> str:
        await asyncio.Event().wait()
        raise AssertionError("nothing sets it")

    with pytest.raises(TimeoutError, match="cannot be reached"):
        async with largesse.connect(server.url, never, open_within_s=0.5):
            pytest.fail("it was let in")


async def test_leaving_is_told_and_ends_the_frames(server: Live) -> None:
    async with connect(server) as ann, connect(server, "bob") as bob:
        await ann.join(ROOM)
        await bob.join(ROOM)
        bob.leave(ROOM)
        assert (await told(bob, largesse.Left)).room == ROOM
        await ann.gift(room=ROOM, gift="spark")
        assert isinstance(await bob.ping(), largesse.Pong)
        assert bob.room(ROOM) is None


def test_addresses_are_those_of_the_server_or_of_its_websocket() -> None:
    for url in ("http://h:1", "http://h:1/", "ws://h:1/v1/ws", "http://h:1/v1/ws"):
        assert largesse.websocket_url(url) == "ws://h:1/v1/ws"
    assert largesse.websocket_url("https://h/gifts") == "wss://h/gifts/v1/ws"
    for wrong in ("h:1", "ftp://h", ""):
        with pytest.raises(ValueError, match="address"):
            largesse.websocket_url(wrong)


README = Path(__file__).parents[2] / "client" / "README.md"


@pytest.mark.parametrize("number", [0, 1], ids=["bot", "backend"])
async def test_the_examples_of_the_readme_run(
    server: Live, number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """As they stand, but for the address, the secrets and the last line."""
    source = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.S)[number]
    source = source.replace("http://127.0.0.1:8080", server.url)
    source = source.replace("asyncio.run(main())", "")
    names: dict[str, Any] = {"SECRET": SECRET, "API_KEY": API_KEY}
    exec(compile(source, str(README), "exec"), names)
    running = asyncio.create_task(names["main"]())
    said = ""
    async with asyncio.timeout(30), connect(server) as ann:
        await ann.join(ROOM)
        while not running.done() and "spark" not in said:
            await ann.gift(room=ROOM, gift="spark")
            await asyncio.sleep(0.02)
            said += capsys.readouterr().out
    said += capsys.readouterr().out
    expected = ["Thank you, ann, for", "unknown_gift There is no gift harbour:1."][number]
    assert expected in said, said
    running.cancel()
    [end] = await asyncio.gather(running, return_exceptions=True)
    assert end is None or isinstance(end, asyncio.CancelledError)
