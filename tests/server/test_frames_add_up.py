"""What a viewer can prove: that it missed nothing, and that its sums are the books' (section 1.2).

`Watcher` believes no frame. It checks each by itself, each against the one before, and in the end
everything it was shown against the raw log of the HTTP API: every entry must stand for exactly the
gifts that it says it stands for, and what is in no entry must be in `omitted`.
"""

import asyncio
import contextlib
import json
import random
import socket
from collections.abc import Callable
from typing import Any

import websockets

from kit.servers.serving import Live, live, token
from kit.waiting import until

Check = Callable[[dict[str, Any]], None]


class Broken(AssertionError):
    """The server broke its promise."""


class Watcher:
    """A viewer that may go away and come back as often as it likes."""

    def __init__(self, server: Live, user: str, check: Check, room: str = "r") -> None:
        self.server, self.user, self.check, self.room = server, user, check, room
        self.epoch, self.seq, self.total = "", -1, 0
        self.start = 0
        self.frames: list[dict[str, Any]] = []
        self.board: list[dict[str, Any]] = []
        self.recovered: bool | None = None
        self.resumes = 0

    async def follow(self, until: Callable[[], bool], resume: dict[str, Any] | None = None) -> None:
        """Join, then read and check until the condition holds after a message."""
        headers = {"Authorization": f"Bearer {token(self.user)}"}
        async with websockets.connect(
            self.server.ws, additional_headers=headers, max_size=None, max_queue=None
        ) as connection:
            message: dict[str, Any] = {"type": "join", "room": self.room}
            if resume is None and self.seq >= 0:
                resume = {"epoch": self.epoch, "seq": self.seq}
            await connection.send(json.dumps(message | ({"resume": resume} if resume else {})))
            self._joined(await self._hear(connection, "joined"), resume)
            while not until():
                self._take(json.loads(await connection.recv()))

    async def _hear(self, connection: Any, kind: str) -> dict[str, Any]:
        while True:
            message: dict[str, Any] = json.loads(await connection.recv())
            self.check(message)
            if message["type"] == kind:
                return message
            assert message["type"] != "events", "a frame before `joined`"

    def _joined(self, joined: dict[str, Any], resume: dict[str, Any] | None) -> None:
        self.recovered = joined["recovered"]
        self.board = joined["board"]["top"]
        assert joined["board"]["as_of"] == joined["seq"]
        if self.recovered:
            assert resume is not None and resume["epoch"] == joined["epoch"]
            self.seq = resume["seq"]
            self.resumes += 1
        else:
            self.seq, self.total = joined["seq"], joined["total_coins"]
            self.start, self.frames = self.seq, []
        self.epoch = joined["epoch"]

    def _take(self, message: dict[str, Any]) -> None:
        self.check(message)
        if message["type"] == "board":
            assert message["as_of"] == self.seq, "a board is of the last frame"
            self.board = message["top"]
        if message["type"] != "events":
            return
        assert message["epoch"] == self.epoch and message["room"] == self.room
        if message["first"] != self.seq + 1:
            raise Broken(f"after {self.seq} came a frame from {message['first']}")
        if message["total_before"] != self.total:
            raise Broken(f"{self.total} coins became {message['total_before']} unseen")
        self.seq, self.total = message["last"], message["total_coins"]
        self.frames.append(message)

    def explain(self, log: list[dict[str, Any]]) -> None:
        """Assert that the frames tell the log from `start` on, entry by entry."""
        by_seq = {event["seq"]: event for event in log}
        for frame in self.frames:
            told: set[int] = set()
            for entry in frame["events"]:
                seqs = range(entry["seq"] - entry.get("merged", 1) + 1, entry["seq"] + 1)
                parts = [by_seq[seq] for seq in seqs]
                last = parts[-1]
                if len(parts) == 1:
                    assert entry == last
                    told.add(entry["seq"])
                    continue
                assert {(p["from"].get("id"), p["gift"], p["kind"]) for p in parts} == {
                    (last["from"].get("id"), last["gift"], "gift")
                }
                sums = {name: sum(p[name] for p in parts) for name in ("quantity", "coins")}
                levels = [part["level_up"] for part in parts if "level_up" in part]
                level = {"level_up": levels[-1]} if levels else {}
                assert entry == last | sums | {"merged": len(parts)} | level
                assert not told & set(seqs)
                told.update(seqs)
            rest = [by_seq[s] for s in range(frame["first"], frame["last"] + 1) if s not in told]
            assert {event["kind"] for event in rest} <= {"gift"}, "only gifts may be left out"
            assert frame["omitted"] == {
                "gifts": len(rest),
                "coins": sum(event["coins"] for event in rest),
            }
        covered = sum(frame["last"] - frame["first"] + 1 for frame in self.frames)
        assert self.start + covered == self.seq


async def give(
    server: Live, user: str, count: int, kinds: tuple[str, ...] = ("spark",), at_once: int = 100
) -> int:
    """Send gifts, at most `at_once` in flight; the coins of those accepted."""
    client = await server.join(user)
    coins = waiting = 0
    for number in range(count):
        gift = kinds[number % len(kinds)]
        await client.say(type="gift", room="r", gift=gift, key=f"{user}-{number}")
        waiting += 1
        if waiting == at_once:
            coins += (await client.hear("accepted"))["coins"]
            waiting -= 1
    for _ in range(waiting):
        coins += (await client.hear("accepted"))["coins"]
    await client.socket.close()
    return coins


async def burst(server: Live, raw: Any, user: str, gifts: list[str]) -> int:
    """Send gifts in one write; the coins of those accepted."""
    sender = await raw(server, user)
    await sender.say({"type": "join", "room": "r"})
    await sender.hear("joined")
    wishes = [
        {"type": "gift", "room": "r", "gift": gift, "key": f"{user}-{number}"}
        for number, gift in enumerate(gifts)
    ]
    await sender.say(*wishes)
    coins = sum([(await sender.hear("accepted"))["coins"] for _ in wishes])
    sender.vanish()
    return coins


async def log_of(server: Live) -> list[dict[str, Any]]:
    """The raw log of the room."""
    log: list[dict[str, Any]] = []
    while True:
        query = {"after": len(log), "limit": 200}
        page = (await server.http.get("/v1/rooms/r/events", params=query)).json()
        log += page["events"]
        if len(log) == page["head"]:
            return log


async def books(server: Live) -> dict[str, Any]:
    answer: dict[str, Any] = (await server.http.get("/v1/rooms/r")).json()
    return answer


async def ready(server: Live, users: int, coins: int = 100_000) -> list[str]:
    await server.room()
    names = [f"u{number}" for number in range(users)]
    for name in names:
        await server.grant(name, coins)
    return names


async def test_a_burst_is_merged_and_left_out_and_adds_up(checked: Check, raw: Any) -> None:
    async with live(frame_events_max=5, tick_ms=40) as server:
        names = await ready(server, 30)
        watchers = [Watcher(server, f"w{n}", checked) for n in range(3)]
        async with asyncio.TaskGroup() as tasks:
            for watcher in watchers:
                tasks.create_task(watcher.follow(lambda w=watcher: w.seq == 3_000))
            await until(lambda: server.node.hub.viewers("r") == 3)
            givers = [
                tasks.create_task(burst(server, raw, name, (["spark"] * 9 + ["note"]) * 10))
                for name in names
            ]
        total = sum(giver.result() for giver in givers)
        room, log = await books(server), await log_of(server)
        assert (room["seq"], room["total_coins"]) == (3_000, total)
        for watcher in watchers:
            assert watcher.total == total
            watcher.explain(log)
            entries = [entry for frame in watcher.frames for entry in frame["events"]]
            assert any(entry["merged"] > 1 for entry in entries), "nothing was merged"
            assert sum(frame["omitted"]["gifts"] for frame in watcher.frames) > 0
            assert max(len(frame["events"]) for frame in watcher.frames) <= 5
        seqs = [[(f["first"], f["last"]) for f in watcher.frames[-5:]] for watcher in watchers]
        assert seqs[0] == seqs[1] == seqs[2], "all see the same frames"


async def test_who_joins_in_the_middle_of_it_starts_right(checked: Check) -> None:
    async with live(tick_ms=10) as server:
        names = await ready(server, 8)
        watchers = [Watcher(server, f"w{n}", checked) for n in range(40)]

        async def come(watcher: Watcher, after: int) -> None:
            await until(lambda: server.node.hub.halls["r"].room.head >= after)
            await watcher.follow(lambda: watcher.seq == 1_600)

        early = await server.join("early")
        await early.socket.close()  # the room stays in memory
        async with asyncio.TaskGroup() as tasks:
            for number, watcher in enumerate(watchers):
                tasks.create_task(come(watcher, number * 35))
            for name in names:
                tasks.create_task(give(server, name, 200, at_once=20))
        room, log = await books(server), await log_of(server)
        for watcher in watchers:
            assert watcher.total == room["total_coins"] == 1_600
            watcher.explain(log)
        assert len({watcher.start for watcher in watchers}) > 3, "they came at different times"


async def test_fifty_reconnects_lose_and_repeat_nothing(checked: Check) -> None:
    dice = random.Random(7)
    async with live(tick_ms=5, ring_events=64) as server:
        names = await ready(server, 3)
        watcher = Watcher(server, "wanda", checked)
        done = asyncio.Event()

        async def watch() -> None:
            for _ in range(51):
                frames = len(watcher.frames) + dice.randrange(3)
                await watcher.follow(
                    lambda f=frames: len(watcher.frames) >= f or watcher.seq == 1_500
                )
                for _ in range(dice.randrange(20)):
                    await asyncio.sleep(0)
                if done.is_set() and watcher.seq == 1_500:
                    break
            await done.wait()
            head = (await books(server))["seq"]
            await watcher.follow(lambda: watcher.seq == head)

        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(watch())
            await until(lambda: watcher.seq >= 0)
            async with asyncio.TaskGroup() as givers:
                for name in names:
                    givers.create_task(give(server, name, 500, at_once=3))
            done.set()
            await watching
        assert watcher.start == 0 and watcher.seq == 1_500
        assert watcher.total == (await books(server))["total_coins"]
        assert watcher.resumes >= 20, "it was never thrown back to a snapshot"
        watcher.explain(await log_of(server))


async def resumed(server: Live, check: Check, seq: int, epoch: str, until: int) -> Watcher:
    watcher = Watcher(server, "wanda", check)
    watcher.total = seq  # every gift here is one coin
    await watcher.follow(lambda: watcher.seq >= until, resume={"epoch": epoch, "seq": seq})
    return watcher


async def test_a_resume_older_than_the_ring_comes_from_the_ledger(checked: Check) -> None:
    async with live(ring_events=16) as server:
        await ready(server, 1)
        await give(server, "u0", 700)
        epoch, log = (await books(server))["epoch"], await log_of(server)
        for seq in (0, 1, 199, 200, 500, 683, 684, 685, 699, 700):
            watcher = await resumed(server, checked, seq, epoch, 700)
            assert watcher.recovered and watcher.seq == watcher.total == 700, seq
            told = [entry for frame in watcher.frames for entry in frame["events"]]
            assert told == log[seq:], "each entry by itself, none twice, none missing"


async def test_a_resume_after_the_room_was_dropped_from_memory(checked: Check) -> None:
    async with live(ring_events=8) as server:
        await ready(server, 1)
        await give(server, "u0", 30)
        hub = server.node.hub
        hub.close_hall(hub.halls["r"])
        epoch = (await books(server))["epoch"]
        watcher = await resumed(server, checked, 5, epoch, 30)
        assert watcher.recovered and watcher.total == 30


async def test_what_cannot_be_resumed_starts_from_a_snapshot(checked: Check) -> None:
    async with live(resume_events_max=100, ring_events=10) as server:
        await ready(server, 1)
        await give(server, "u0", 150)
        epoch = (await books(server))["epoch"]
        cases = [
            (50, epoch, True),
            (49, epoch, False),
            (0, epoch, False),
            (150, epoch, True),
            (151, epoch, False),
            (2**53 - 1, epoch, False),
            (140, "another", False),
            (140, "", False),
        ]
        for seq, name, recovered in cases:
            watcher = await resumed(server, checked, seq, name, 150)
            assert watcher.recovered is recovered, (seq, name)
            assert (watcher.seq, watcher.total) == (150, 150)
            assert recovered or not watcher.frames, "never partly"
            await give(server, "u0", 0)


async def test_a_resume_goes_on_with_live_frames(checked: Check) -> None:
    """Also right after the end of what was missed, and also when nothing was missed."""
    async with live(ring_events=8, tick_ms=5) as server:
        await ready(server, 2)
        await give(server, "u0", 50)
        epoch = (await books(server))["epoch"]
        watchers = [Watcher(server, f"w{seq}", checked) for seq in (0, 41, 42, 43, 49, 50)]
        async with asyncio.TaskGroup() as tasks:
            for watcher in watchers:
                watcher.total = int(watcher.user[1:])
                resume = {"epoch": epoch, "seq": watcher.total}
                tasks.create_task(watcher.follow(lambda w=watcher: w.seq == 80, resume=resume))
            await until(lambda: len(server.node.hub.halls["r"].viewers) == len(watchers))
            tasks.create_task(give(server, "u1", 30, at_once=1))
        log = await log_of(server)
        for watcher in watchers:
            watcher.start = int(watcher.user[1:])
            assert watcher.recovered and watcher.total == 80
            watcher.explain(log)


async def test_a_resume_while_the_room_is_busy(checked: Check) -> None:
    async with live(ring_events=32, tick_ms=5) as server:
        names = await ready(server, 4)
        await give(server, "u0", 400)
        epoch = (await books(server))["epoch"]
        watchers = [Watcher(server, f"w{n}", checked) for n in range(12)]
        async with asyncio.TaskGroup() as tasks:
            for name in names:
                tasks.create_task(give(server, f"{name}", 0))
            for name in names[1:]:
                tasks.create_task(give(server, name, 400, at_once=10))
            for number, watcher in enumerate(watchers):
                watcher.start = watcher.total = number * 30
                resume = {"epoch": epoch, "seq": number * 30}
                tasks.create_task(watcher.follow(lambda w=watcher: w.seq == 1_600, resume=resume))
        log = await log_of(server)
        for watcher in watchers:
            assert watcher.recovered and watcher.total == 1_600
            watcher.explain(log)


async def test_who_has_caught_up_has_the_newest_board(checked: Check, raw: Any) -> None:
    """A board that went out while a viewer was catching up must reach that viewer too."""
    async with live(ring_events=4, tick_ms=5) as server:
        await ready(server, 2)
        await give(server, "u0", 600)
        epoch = (await books(server))["epoch"]
        other, sender = await server.join("other"), await server.join("u1")
        late = await raw(server, "late", receive_bytes=4_096)
        [connection] = server.node.users.here["late"].guests
        connection.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_SNDBUF, 8_192
        )
        resume = {"epoch": epoch, "seq": 0}
        await late.say({"type": "join", "room": "r", "resume": resume})
        await until(lambda: connection in server.node.hub.paused)
        await sender.gift("k1", gift="crownlet", quantity=100)
        await other.hear("board", as_of=601)
        joined = await late.hear("joined")
        assert joined["board"]["top"][0]["user"]["id"] == "u0"
        seen = 0
        while seen < 601:
            seen = (await late.hear("events"))["last"]
        board = await late.hear("board")
        assert board["top"][0]["user"]["id"] == "u1" and board["as_of"] == 601
        late.vanish()


async def test_a_huge_gap_is_no_slowness(checked: Check, raw: Any) -> None:
    """Megabytes through a small window to one who reads all the time: that is not too slow."""
    async with live(slow_bytes=80_000, slow_ms=1_000, ring_events=100) as server:
        await ready(server, 1)
        await give(server, "u0", 4_000)
        epoch = (await books(server))["epoch"]
        reader = await raw(server, "wanda", receive_bytes=8_192)
        await reader.say({"type": "join", "room": "r", "resume": {"epoch": epoch, "seq": 0}})
        joined = await reader.hear("joined")
        assert joined["recovered"]
        seen = 0
        while seen < 4_000:
            frame = await reader.hear("events")
            checked(frame)
            assert frame["first"] == seen + 1
            seen = frame["last"]
        reader.vanish()


async def test_who_joins_again_while_catching_up_starts_from_there(raw: Any) -> None:
    """Also when the ledger is being read for the first join as the second one comes."""
    async with live(ring_events=4) as server:
        await ready(server, 1)
        await give(server, "u0", 500)
        epoch = (await books(server))["epoch"]
        client = await raw(server, "wanda")
        await client.hear("welcome")
        for turns in range(20):
            for seq in (0, 300):
                resume = {"epoch": epoch, "seq": seq}
                await client.say({"type": "join", "room": "r", "resume": resume, "id": str(seq)})
                for _ in range(turns):
                    await asyncio.sleep(0)
            while (await client.hear("joined"))["id"] != "300":
                pass
            seen = 300
            while seen < 500:
                frame = await client.hear("events")
                assert frame["first"] == seen + 1, turns
                seen = frame["last"]
            await client.say({"type": "leave", "room": "r"})
            await client.hear("left")
        client.vanish()


async def test_every_kind_of_event_adds_up(checked: Check) -> None:
    """Retractions, hidden gifts, anonymous ones and the end, in the middle of a burst."""
    async with live(frame_events_max=3, tick_ms=20) as server:
        names = await ready(server, 4)
        watcher = Watcher(server, "wanda", checked)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(watcher.follow(lambda: closed(watcher)))
            sender = await server.join("u0")
            for number in range(40):
                hidden = {"visibility": "anonymous"} if number % 3 == 0 else {}
                spoken = {"message": f"no {number}"} if number % 7 == 0 else {}
                wish = {"type": "gift", "room": "r", "gift": "clap", "key": f"a{number}"}
                await sender.say(**wish, **hidden, **spoken)
            for _ in range(40):
                await sender.hear("accepted")
            await sender.socket.close()
            for number in range(1, 41, 4):
                answer = {"status_code": 404}
                while answer["status_code"] == 404:
                    back = await server.http.post(
                        f"/v1/gifts/r:{number}/retract", json={"reason": "x"}
                    )
                    answer["status_code"] = back.status_code
                with contextlib.suppress(AssertionError):
                    await server.http.post(f"/v1/gifts/r:{number + 1}/hide")
            async with asyncio.TaskGroup() as givers:
                for name in names[1:]:
                    givers.create_task(give(server, name, 100))
            await server.http.post("/v1/rooms/r/close")
        log = await log_of(server)
        kinds = {event["kind"] for event in log}
        assert kinds == {"gift", "gift_retracted", "gift_hidden", "room_closed"}
        assert watcher.total == (await books(server))["total_coins"]
        watcher.explain(log)
        shown = {e["seq"] for frame in watcher.frames for e in frame["events"]}
        assert {e["seq"] for e in log if e["kind"] != "gift"} <= shown


def closed(watcher: Watcher) -> bool:
    last = watcher.frames[-1]["events"][-1:] if watcher.frames else []
    return bool(last) and last[0]["kind"] == "room_closed"
