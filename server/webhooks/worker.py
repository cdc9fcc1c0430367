"""The task that delivers webhooks: reads the journal, enters events, posts them, records answers.

One round: record what came back, see which endpoints there are, enter what the journal has for
them, hand out the lanes that are due. Each lane handed out is a task that posts the lane's events
one after the other until one fails. After a round the worker rests for `PACE_MS`, so that many
answers share a transaction and gifts do not wait behind webhooks; then it sleeps until a nudge or
the next retry. Everything it knows is in the store: it may be killed at any
point, and what was not recorded is sent again with the same id.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

import structlog

from rules.days import DAY_MS, HOUR_MS
from rules.rows import Endpoint
from server.clock import Clock
from server.webhooks.events import message_id, project
from server.webhooks.poster import Answer, Poster
from server.webhooks.signing import headers, secrets_of
from storage import LeaseLost, StoreBroken
from storage.deliveries import (
    ENTERED_MAX,
    Attempted,
    Cursor,
    Deliveries,
    Due,
    Entered,
    Lane,
    Run,
)

log = structlog.get_logger()

SECOND_MS, MINUTE_MS = 1_000, 60_000

SCHEDULE_MS = (
    0,
    *(5 * SECOND_MS, 5 * MINUTE_MS, 30 * MINUTE_MS, 2 * HOUR_MS, 5 * HOUR_MS),
    *(10 * HOUR_MS, 14 * HOUR_MS, 20 * HOUR_MS, 24 * HOUR_MS),
)
"""Standard Webhooks: how long each try waits after the one before it. After the last, no more."""
JITTER = 0.1
"""A retry comes up to this part of its wait earlier or later, so that not all come at once."""

POSTS_MAX = 16
POSTS_OF_ONE_MAX = 8
"""One endpoint that takes its 15 seconds each time leaves half of the posts to the others."""
RUN_EVENTS_MAX = 16
"""Events of a lane handed out at once: what a kill may send twice."""
JOURNAL_PAGE = 250
"""Projecting a page takes the event loop some 4 ms."""
PACE_MS = 50
TROUBLE_MS = 5_000
"""Pause after a round that failed."""
IDLE_MAX_MS = 60_000
"""The wall clock may step; never sleep longer than this on its word."""
ELSEWHERE_MS = 1_000
"""How often the journal is looked at while other nodes write into it too."""
PRUNE_EVERY_MS = 60_000
DELIVERED_KEPT_MS = 7 * DAY_MS
EXHAUSTED_KEPT_MS = 30 * DAY_MS
GONE = 410


class Outlook(NamedTuple):
    """What a round leaves to do: another round at once, and when the next retry is due."""

    more: bool
    next_ms: int | None


class Worker:
    """`run` is its life; `nudge` may be called whenever something was committed or replayed.

    One worker at a time: what `deliveries` are asked to change is refused with LeaseLost when it is
    another one's turn, and `lasts` says whether it is still ours. `endpoints` answers with the
    books' endpoints; `disable` settles the command that disables one; `alone` says whether every
    command of the books comes with a nudge.
    """

    def __init__(
        self,
        *,
        deliveries: Deliveries,
        endpoints: Callable[[], Awaitable[Sequence[Endpoint]]],
        disable: Callable[[Endpoint, str], Awaitable[None]],
        poster: Poster,
        secret: str,
        clock: Clock,
        rng: random.Random,
        lasts: Callable[[], bool],
        alone: Callable[[], bool],
    ) -> None:
        self._deliveries = deliveries
        self._read_endpoints = endpoints
        self._disable = disable
        self._poster = poster
        self._secret = secret
        self._clock = clock
        self._rng = rng
        self._lasts = lasts
        self._alone = alone
        self._wake = asyncio.Event()
        self._endpoints: dict[str, Endpoint] = {}
        """The enabled ones, as of the last round."""
        self._gone: set[str] = set()
        """Endpoints that answered 410 and are being disabled."""
        self._busy: set[Lane] = set()
        """Lanes that are handed out, until everything that they brought back is recorded."""
        self._posting: dict[str, int] = {}
        self._back: list[Attempted] = []
        self._ended: list[Lane] = []
        self._pruned_ms = 0

    def has_somebody(self) -> bool:
        """Whether anybody is told anything, as of the last round."""
        return bool(self._endpoints)

    def nudge(self) -> None:
        """There may be something to send, or to send elsewhere."""
        self._wake.set()

    async def run(self) -> None:
        """Deliver until cancelled. Raises, in a group, StoreBroken when the books are in doubt and
        LeaseLost when it is another worker's turn.

        No other trouble ends it: the show goes on without webhooks, but not without the server.
        """
        async with self._poster, asyncio.TaskGroup() as tasks:
            while True:
                self._wake.clear()
                try:
                    outlook = await self._round(tasks)
                except (StoreBroken, LeaseLost):
                    raise
                except Exception as error:
                    log.error("webhooks.round_failed", exc_info=error)
                    await asyncio.sleep(TROUBLE_MS / 1000)
                else:
                    await self._rest(outlook)

    async def put_down(self) -> None:
        """Record what came back before `run` was cancelled, so that the next worker need not send
        it again. Raises what recording raises."""
        await self._record()

    async def _rest(self, outlook: Outlook) -> None:
        if outlook.more:
            return
        await asyncio.sleep(PACE_MS / 1000)
        wait_ms = IDLE_MAX_MS if self._alone() else ELSEWHERE_MS
        if outlook.next_ms is not None:
            wait_ms = min(wait_ms, max(0, outlook.next_ms - self._clock()))
        try:
            async with asyncio.timeout(wait_ms / 1000):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _round(self, tasks: asyncio.TaskGroup) -> Outlook:
        await self._record()
        endpoints = {endpoint.id: endpoint for endpoint in await self._read_endpoints()}
        self._endpoints = {id: endpoint for id, endpoint in endpoints.items() if endpoint.enabled}
        cursors = await self._deliveries.cursors()
        settled = await self._align(endpoints, cursors)
        behind = await self._enter(cursors)
        next_ms = await self._hand_out(tasks)
        return Outlook(behind or not settled or await self._prune(), next_ms)

    # What came back

    async def _record(self) -> None:
        """Make answers durable, and only then let their lanes be handed out again. When it is cut
        off, the store goes on with it: these are not recorded again, which would count them twice.
        """
        back, ended = self._back, self._ended
        self._back, self._ended = [], []
        try:
            if back:
                await self._deliveries.record(back)
        except Exception:
            self._back, self._ended = back + self._back, ended + self._ended
            raise
        self._busy.difference_update(ended)

    async def _prune(self) -> bool:
        now_ms = self._clock()
        if now_ms - self._pruned_ms < PRUNE_EVERY_MS:
            return False
        more = await self._deliveries.prune(now_ms - DELIVERED_KEPT_MS, now_ms - EXHAUSTED_KEPT_MS)
        self._pruned_ms = self._pruned_ms if more else now_ms
        return more

    # What there is to send

    async def _align(self, endpoints: Mapping[str, Endpoint], cursors: dict[str, Cursor]) -> bool:
        """Follow new endpoints and forget removed ones; False when that takes another round."""
        done = True
        for id in cursors.keys() - endpoints.keys():
            done &= await self._deliveries.forget(id)
        for id, endpoint in endpoints.items():
            if id not in cursors or cursors[id].since < endpoint.since:
                done &= await self._deliveries.follow(id, endpoint.since)
                done = False  # it is entered in the next round, when its cursor is there
        return done

    async def _enter(self, cursors: Mapping[str, Cursor]) -> bool:
        """Enter the next page of the journal for everyone who follows; whether there is more."""
        enabled = dict(self._endpoints)
        able = [
            (cursors[id].command, id)
            for id in enabled
            if id in cursors and cursors[id].pending < ENTERED_MAX
        ]
        more = False
        for after, group in groupby(sorted(able), key=lambda pair: pair[0]):
            entries = await self._deliveries.journal(after, JOURNAL_PAGE)
            if not entries:
                continue
            followers = [enabled[id] for _, id in group]
            events: list[Entered] = []
            for entry in entries:
                event = project(entry)
                events += [
                    Entered(endpoint.id, entry.command, event.kind, event.lane)
                    for endpoint in followers
                    if event and (not endpoint.kinds or event.kind in endpoint.kinds)
                ]
            moved = {endpoint.id: (after, entries[-1].command) for endpoint in followers}
            await self._deliveries.enter(events, moved, self._clock())
            more = more or len(entries) == JOURNAL_PAGE
        return more

    # Sending

    async def _hand_out(self, tasks: asyncio.TaskGroup) -> int | None:
        """Start a task for each lane that is due and has a place; when the next will be due."""
        free = POSTS_MAX - sum(self._posting.values())
        wanted = {
            id: min(free, POSTS_OF_ONE_MAX - self._posting.get(id, 0))
            for id in self._endpoints
            if id not in self._gone
        }
        runs, next_ms = await self._deliveries.due(
            wanted, self._busy, self._clock(), RUN_EVENTS_MAX
        )
        self._rng.shuffle(runs)  # when there are more than places, no endpoint is always first
        for run in runs[:free]:
            self._busy.add(run.lane)
            self._posting[run.lane[0]] = self._posting.get(run.lane[0], 0) + 1
            tasks.create_task(self._send(run))
        return next_ms

    async def _send(self, run: Run) -> None:
        """Post a lane's events in order until one fails or the endpoint is not to be posted to."""
        try:
            for due in run.events:
                endpoint = self._endpoints.get(run.lane[0])
                if endpoint is None or endpoint.id in self._gone or not self._lasts():
                    break
                answer = await self._post(endpoint, due)
                self._back.append(self._judge(run.lane, due, answer))
                self._wake.set()
                if answer.status == GONE:
                    await self._give_up(endpoint)
                if not answer.delivered:
                    break
        finally:
            self._posting[run.lane[0]] -= 1
            self._ended.append(run.lane)
            self._wake.set()

    async def _post(self, endpoint: Endpoint, due: Due) -> Answer:
        try:
            event = project(due.entry)
            if event is None:  # entered by another version of this program
                return Answer(None, "This version of largesse has no such event.", 0)
            id = message_id(due.entry, endpoint.id)
            now_ms = self._clock()
            secrets = secrets_of(self._secret, endpoint, now_ms)
            signed = headers(secrets, id, event.payload, now_ms)
            return await self._poster.post(endpoint.url, signed, event.payload)
        except Exception as error:
            log.error("webhook.failed", command=due.entry.command, exc_info=error)
            return Answer(None, "largesse failed to send this; its log knows why.", 0)

    def _judge(self, lane: Lane, due: Due, answer: Answer) -> Attempted:
        """What becomes of a delivery after a try."""
        now_ms, tries = self._clock(), due.tries + 1
        seen = (now_ms, answer.status, answer.error, answer.duration_ms)
        if answer.delivered:
            return Attempted(lane, due.entry.command, *seen, "delivered", now_ms)
        if tries >= len(SCHEDULE_MS):
            log.warning("webhook.exhausted", endpoint=lane[0], command=due.entry.command)
            return Attempted(lane, due.entry.command, *seen, "exhausted", now_ms)
        wait_ms = round(SCHEDULE_MS[tries] * self._rng.uniform(1 - JITTER, 1 + JITTER))
        return Attempted(lane, due.entry.command, *seen, "pending", now_ms + wait_ms)

    async def _give_up(self, endpoint: Endpoint) -> None:
        """The receiver says that it wants no more: no post to it until the books say otherwise."""
        if endpoint.id in self._gone:
            return
        self._gone.add(endpoint.id)
        log.warning("webhook.gone", endpoint=endpoint.id)
        try:
            await self._disable(endpoint, "It answered 410 Gone.")
        except StoreBroken:
            raise
        except Exception as error:
            log.error("webhook.disable_failed", endpoint=endpoint.id, exc_info=error)
        finally:
            self._endpoints.pop(endpoint.id, None)  # until the next round has read the books
            self._gone.discard(endpoint.id)
