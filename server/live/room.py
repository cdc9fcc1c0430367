"""A room as this node shows it: what was settled, what was sent, and who is following.

Everything here is a fold over the room's events, in order of seq, so every node has the same room
and one that missed something can be brought up to date from the ledger. `head` is the last event
known, `sent` the last one that is in a frame; what lies between waits for the next tick. Nothing
here touches a socket, and nothing is sent that was not durable before: events come from the ledger.
"""

from collections import OrderedDict, deque
from itertools import islice
from typing import Any, NamedTuple

import orjson

from protocol import encode, encode_events
from protocol.messages import (
    Board as BoardMessage,
)
from protocol.messages import (
    BoardTop,
    ComboEnded,
    EndedCombo,
    Giver,
    Joined,
    LevelUp,
    Me,
    Notice,
    Person,
    Place,
    Standing,
    Viewers,
)
from rules.boards import Board
from rules.events import Event, speaks_of
from rules.lifecycles import RoomStatus
from server.live.condense import Entry, condense
from storage import RoomState

BOARD_TOP = 10
"""Lines of the live board: a screen's worth. The HTTP board has up to 200."""

COMBOS_ENDED_PER_TICK = 20
"""`combo_ended` messages a tick; clients also know when a combo ends by its `ends_ms`."""

LEVEL_UPS_PER_TICK = 20
"""The newest of a tick; the gifts' own entries say it as well."""

COMMIT_MS = 200
"""How long after its time a combo is said to have ended: a gift that continued it in time may still
be on its way through the ledger, and a combo must not end twice."""

RESUME_FRAMES_KEPT = 32
"""Frames of up to 200 events that are kept for others who resume from the same place."""


class OpenCombo(NamedTuple):
    ends_ms: int
    body: dict[str, Any]


class Frame(NamedTuple):
    """What a tick sends to everyone who follows, as payloads in order."""

    payloads: list[bytes]
    merged: int
    omitted: int


class Room:
    """Made from a ledger's snapshot. Events come in by `apply`; the `take_…` methods say what is to
    be sent and remember that it was."""

    def __init__(self, state: RoomState, ring_events: int) -> None:
        room = state.room
        self.id = room.id
        self.title = room.title
        self.creator = Person(id=room.creator, name=room.creator_name)
        self.status = room.status
        self.epoch = room.epoch
        self.head = self.sent = room.seq
        self.total_coins = self.sent_total = room.total_coins
        self.board = Board(state.standings, room.seq)
        self.ring: deque[Event] = deque(state.recent, maxlen=ring_events)
        self.pending: list[Entry] = []
        self.combos: OrderedDict[tuple[str, str], OpenCombo] = OrderedDict()
        self._ended: list[OpenCombo] = []
        self._risen: list[dict[str, Any]] = []
        self.board_sent: tuple[Place, ...] | None = self.top()
        self._resumes: dict[int, bytes] = {}

    def apply(self, event: Event) -> None:
        """Take the next event. The caller sees to it that none is missing or repeated."""
        assert event.seq == self.head + 1, (self.id, self.head, event.seq)
        body = orjson.loads(event.body)
        self.head = event.seq
        self.total_coins = event.total_coins
        self.board.apply(event.seq, body)
        self.ring.append(event)
        self.pending.append((event, body))
        if event.kind == "gift":
            self._follow_combo(body)
            if "level_up" in body:
                self._risen.append(body)
        elif event.kind == "room_closed":
            self.status = RoomStatus.CLOSED

    def _follow_combo(self, body: dict[str, Any]) -> None:
        """A giver's next gift continues their combo or ends it. Anonymous combos end by time."""
        combo = body["combo"]
        giver = body["from"].get("id")
        if giver is None and combo is None:
            return
        key = (giver, "") if giver is not None else ("", combo["id"])
        last = self.combos.pop(key, None)
        if last and (combo is None or combo["id"] != last.body["combo"]["id"]):
            self._ended.append(last)
        if combo is not None:
            self.combos[key] = OpenCombo(combo["ends_ms"], body)

    def end_combos(self, now_ms: int) -> None:
        """Combos are in the order of their last gift, so the oldest one ends first."""
        now_ms -= COMMIT_MS
        while self.combos and next(iter(self.combos.values())).ends_ms < now_ms:
            self._ended.append(self.combos.popitem(last=False)[1])

    # What is sent

    def take_frame(self, entries_max: int) -> Frame:
        """Everything since the last frame, as one `events` frame; none when nothing happened."""
        if not self.pending:
            return Frame([], 0, 0)
        shown = condense(self.pending, entries_max)
        payloads = [
            encode_events(
                room=self.id,
                epoch=self.epoch,
                first=self.sent + 1,
                last=self.head,
                total_before=self.sent_total,
                total_coins=self.total_coins,
                bodies=shown.bodies,
                omitted_gifts=shown.omitted_gifts,
                omitted_coins=shown.omitted_coins,
            )
        ]
        if any(event.kind == "room_closed" for event, _ in self.pending):
            sentence = "This stream has ended."
            payloads.append(encode(Notice(code="room_closed", message=sentence)))
        self.sent, self.sent_total = self.head, self.total_coins
        self.pending = []
        self._resumes.clear()
        return Frame(payloads, shown.merged, shown.omitted_gifts)

    def board_changed(self) -> bool:
        return self.top() != self.board_sent

    def take_board(self) -> list[bytes]:
        """The board, if its top has changed since it was last taken."""
        top = self.top()
        if top == self.board_sent:
            return []
        self.board_sent = top
        return [encode(BoardMessage(room=self.id, as_of=self.head, window="session", top=top))]

    def take_ended_combos(self) -> list[bytes]:
        ended, self._ended = self._ended[-COMBOS_ENDED_PER_TICK:], []
        return [encode(_combo_ended(self.id, combo.body)) for combo in ended]

    def take_level_ups(self) -> list[bytes]:
        risen, self._risen = self._risen[-LEVEL_UPS_PER_TICK:], []
        return [
            encode(
                LevelUp(
                    room=self.id,
                    user=Person(id=body["from"]["id"], name=body["from"]["name"]),
                    level=body["level_up"],
                )
            )
            for body in risen
        ]

    def viewers_message(self, count: int) -> bytes:
        return encode(Viewers(room=self.id, count=count))

    # What one connection is told

    def joined(
        self, *, id: str | None, user: str, recovered: bool, balance_coins: int, viewers: int
    ) -> bytes:
        """The snapshot at `sent`. Call it when nothing is pending, or only for a resume."""
        return encode(
            Joined(
                id=id,
                room=self.id,
                title=self.title,
                creator=self.creator,
                status=self.status,
                epoch=self.epoch,
                seq=self.sent,
                recovered=recovered,
                total_coins=self.sent_total,
                viewers=viewers,
                board=BoardTop(
                    room=self.id, as_of=self.board.as_of, window="session", top=self.top()
                ),
                me=self.me(user),
                balance_coins=balance_coins,
            )
        )

    def shows(self, user: str) -> bool:
        """Whether this user's name is on the board or in a line that is kept in memory."""
        return self.board.coins_of(user) > 0 or any(
            speaks_of(event.body, user) for event in self.ring
        )

    def me(self, user: str) -> Me:
        return Me(coins=self.board.coins_of(user), rank=self.board.rank_of(user))

    def standing(self, id: str | None, user: str) -> bytes:
        return encode(
            Standing(
                id=id,
                room=self.id,
                as_of=self.head,
                coins=self.board.coins_of(user),
                rank=self.board.rank_of(user),
                to_next_coins=self.board.to_next(user),
            )
        )

    def top(self) -> tuple[Place, ...]:
        return tuple(
            Place(rank=rank, user=Person(id=line.user, name=line.name), coins=line.coins)
            for rank, line in enumerate(self.board.top(BOARD_TOP), 1)
        )

    # Resuming

    def oldest(self) -> int:
        """The first seq that the ring still has; `head` + 1 when it has none."""
        return self.ring[0].seq if self.ring else self.head + 1

    def resume_frame(self, after: int, events_max: int) -> tuple[bytes, int] | None:
        """The next frame for one who has seen `after`, and the last seq in it; None at `sent`.

        Only for seqs that the ring has. After a restart thousands resume from one place, so a
        frame is kept until the next tick.
        """
        if after >= self.sent:
            return None
        start = after + 1 - self.oldest()
        last = min(self.sent, after + events_max)
        payload = self._resumes.get(after)
        if payload is None:
            events = list(islice(self.ring, start, start + last - after))
            payload = plain_frame(self.id, self.epoch, events)
            if len(self._resumes) < RESUME_FRAMES_KEPT:
                self._resumes[after] = payload
        return payload, last


def plain_frame(room: str, epoch: str, events: list[Event]) -> bytes:
    """An `events` frame in which every entry stands by itself. `events` is not empty."""
    return encode_events(
        room=room,
        epoch=epoch,
        first=events[0].seq,
        last=events[-1].seq,
        total_before=events[0].total_coins - events[0].coins,
        total_coins=events[-1].total_coins,
        bodies=(event.body for event in events),
    )


def _combo_ended(room: str, body: dict[str, Any]) -> ComboEnded:
    combo, source = body["combo"], body["from"]
    return ComboEnded(
        room=room,
        combo=EndedCombo(id=combo["id"], count=combo["count"], coins=combo["coins"]),
        from_=Giver(**source),
        gift=body["gift"],
    )
