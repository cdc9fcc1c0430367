"""The real server in a process of its own, with a hand on the moment between durable and shown.

`server.app.running` with everything in it: uvicorn, real connections that joined a real room, hub,
wheels, ticker, metrics. Only the settlement's call of `hub.deliver` is made here, with results that
the store settled beforehand, so a run holds what showing costs and nothing of what booking costs
(figure 3 has that); subtracting one measurement from another would have doubled the noise. Between
two rounds the hall's tick is declared over, or the hub would rightly merge what comes so quickly.
"""

import asyncio
import time
from itertools import islice
from typing import Any

import uvloop

from bench.control import Line
from bench.house import GIFTS_SINGLE, GIFTS_STEADY, ROOM, SENDERS, SETTINGS, gift, opening
from protocol import encode_events
from rules.commands import HideGift
from rules.results import Result
from server import logs
from server.app import App, running
from server.clock import now_ms
from server.live.hall import Hall
from server.settings.table import Settings
from server.settlement import Order, Waiting

Batch = tuple[list[Order], list[Result]]


async def main() -> None:
    line = Line()
    logs.configure("json", "error")
    settings = Settings(port=0, database="sqlite:///:memory:", **SETTINGS)
    async with running(settings) as app:
        await app.node.store.settle(opening(), now_ms())
        line.say(port=int(app.url.rpartition(":")[2]))
        stage = Stage(app)
        async for command in line.commands_async():
            match command["do"]:
                case "quiet":
                    line.say(**await stage.prepare_quiet(command["rounds"], command["payload"]))
                case "busy":
                    line.say(**await stage.prepare_busy(command["rounds"], command["events"]))
                case "send":
                    line.say(**await stage.send(command["gap_s"]))


class Stage:
    def __init__(self, app: App) -> None:
        self.node = app.node
        self._numbers = iter(range(10**9))
        self._batches: list[Batch] = []

    @property
    def hall(self) -> Hall:
        return self.node.hub.halls[ROOM]

    async def _settle(self, commands: list[Any]) -> Batch:
        results = await self.node.store.settle(commands, now_ms())
        assert all(result.events for result in results), results[0]
        return [Order(command, Waiting()) for command in commands], results

    async def prepare_quiet(self, rounds: int, payload_bytes: int) -> dict[str, Any]:
        """One event a frame, blank-padded so that every frame has the same size.

        The events hide gifts: real ones, the smallest, and they change no board, so that each
        round sends one frame and nothing else.
        """
        gifts = await self._settle(
            [gift(n % SENDERS, n, GIFTS_SINGLE) for n in islice(self._numbers, rounds)]
        )
        self._deliver(gifts)
        await asyncio.sleep(1.2)  # boards and viewer counts of the gifts go out
        hides = [
            HideGift(actor="operator", key=f"h{e.seq}", gift_id=f"{ROOM}:{e.seq}")
            for r in gifts[1]
            for e in r.events
        ]
        orders, results = await self._settle(hides)
        padded = [self._pad(result, payload_bytes) for result in results]
        self._batches = [([o], [r]) for o, r in zip(orders, padded, strict=True)]
        return {"payload_bytes": payload_bytes}

    def _pad(self, result: Result, payload_bytes: int) -> Result:
        [event] = result.events
        missing = payload_bytes - len(self._alone(event))
        assert missing >= 0, "the payload is too small for an event"
        return result._replace(events=(event._replace(body=event.body + b" " * missing),))

    def _alone(self, event: Any) -> bytes:
        """The frame that the event would be alone in."""
        room, total = self.hall.room, event.total_coins
        return encode_events(
            room=room.id,
            epoch=room.epoch,
            first=event.seq,
            last=event.seq,
            total_before=total - event.coins,
            total_coins=total,
            bodies=[event.body],
        )

    async def prepare_busy(self, rounds: int, events: int) -> dict[str, Any]:
        """Real gifts of different senders with combos: boards move, nothing can be merged."""
        self._batches = []
        for _ in range(rounds):
            numbers = islice(self._numbers, events)
            gifts = [gift(n % SENDERS, n, GIFTS_STEADY) for n in numbers]
            self._batches.append(await self._settle(gifts))
        shown = [e for _, results in self._batches for r in results for e in r.events]
        alone = sum(len(self._alone(event)) for event in shown) / len(shown)
        bodies = sum(len(event.body) + 1 for event in shown) / rounds
        empty = len(self._alone(shown[0])) - len(shown[0].body if shown[0] else b"")
        return {"alone_bytes": round(alone), "joined_bytes": round(bodies + empty)}

    def _deliver(self, batch: Batch) -> None:
        self.hall.due_ms = 0
        self.node.hub.deliver(*batch)

    def _frames(self) -> float:
        return self.node.metrics.registry.get_sample_value("largesse_frames_sent_total") or 0.0

    async def send(self, gap_s: float) -> dict[str, float]:
        frames, cpu, began = self._frames(), time.process_time(), time.perf_counter()
        for batch in self._batches:
            self._deliver(batch)
            await asyncio.sleep(gap_s)
        return {
            "cpu_s": time.process_time() - cpu,
            "wall_s": time.perf_counter() - began,
            "frames": self._frames() - frames,
            "events": sum(len(results) for _, results in self._batches),
        }


if __name__ == "__main__":
    uvloop.run(main())
