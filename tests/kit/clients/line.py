"""A client's session without a socket, fed by hand, and the messages that a server would say."""

import json
from typing import Any

from largesse_client.effects import Effect, Reply, Send, Tell, Timer
from largesse_client.messages import Gift, Join
from largesse_client.session import Session

PERSON = {"id": "ann", "name": "Ann"}


def entry(seq: int, coins: int, **more: Any) -> dict[str, Any]:
    return {
        "kind": "gift",
        "seq": seq,
        "id": f"r:{seq}",
        "at_ms": 1,
        "from": PERSON | {"level": 1},
        "to": {"id": "cara", "name": "Cara"},
        "gift": "spark",
        "name": "Spark",
        "animation": "spark",
        "quantity": 1,
        "coins": coins,
        "combo": None,
        "merged": 1,
    } | more


def frame(before: int, *entries: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A frame of these entries that adds up, unless `more` says otherwise."""
    signs = {"gift": 1, "gift_retracted": -1}
    growth = sum(signs.get(e["kind"], 0) * e.get("coins", 0) for e in entries)
    return {
        "type": "events",
        "room": "r",
        "epoch": "e1",
        "first": entries[0]["seq"] - entries[0].get("merged", 1) + 1,
        "last": entries[-1]["seq"],
        "total_before": before,
        "total_coins": before + growth,
        "events": entries,
        "omitted": {"gifts": 0, "coins": 0},
    } | more


def joined(seq: int, total: int, **more: Any) -> dict[str, Any]:
    return {
        "type": "joined",
        "room": "r",
        "title": "A room",
        "creator": {"id": "cara", "name": "Cara"},
        "status": "open",
        "epoch": "e1",
        "seq": seq,
        "recovered": False,
        "total_coins": total,
        "viewers": 3,
        "board": {"room": "r", "as_of": seq, "window": "session", "top": []},
        "me": {"coins": 0, "rank": None},
        "balance_coins": 500,
    } | more


def accepted(key: str, seq: int, **more: Any) -> dict[str, Any]:
    return {
        "type": "accepted",
        "key": key,
        "room": "r",
        "seq": seq,
        "gift": "spark",
        "quantity": 1,
        "coins": 1,
        "balance_coins": 499,
        "total_coins": 101,
        "me": {"coins": 1, "rank": 1},
        "combo": None,
        "at_ms": 1,
        "replayed": False,
    } | more


def refused(**more: Any) -> dict[str, Any]:
    given = {"type": "refused", "code": "busy", "message": "Busy.", "retry": "same"}
    return given | more


WELCOME = {
    "type": "welcome",
    "protocol": 1,
    "session": "s",
    "user": PERSON,
    "role": "viewer",
    "now_ms": 1,
    "heartbeat_ms": 10_000,
    "catalogue": "c1",
}


class Line:
    """Feeds inputs one by one, and keeps what the last one led to."""

    def __init__(self, session: Session | None = None) -> None:
        self.session = session or Session()
        self.effects: list[Effect] = []
        self.now_ms = 0

    def did(self, effects: list[Effect]) -> "Line":
        self.effects = effects
        return self

    def at(self, now_ms: int) -> "Line":
        self.now_ms = now_ms
        return self

    def start(self) -> "Line":
        return self.did(self.session.start(self.now_ms))

    def opened(self) -> "Line":
        return self.did(self.session.opened())

    def say(self, message: object) -> "Line":
        text = json.dumps(message).encode()
        return self.did(self.session.heard(text, self.now_ms, 0.5))

    def join(self, room: str = "r") -> "Line":
        return self.did(self.session.join(room))

    def leave(self, room: str = "r") -> "Line":
        return self.did(self.session.leave(room))

    def give(self, key: str, room: str = "r") -> "Line":
        return self.did(self.session.gift(Gift(key=key, room=room, gift="spark"), self.now_ms))

    def ring(self, name: str, room: str = "r") -> "Line":
        return self.did(self.session.rang(name, room, self.now_ms))

    def broken(self, code: int = 1006, **more: Any) -> "Line":
        return self.did(self.session.closed(code, "", self.now_ms, 0.5, **more))

    def back(self) -> "Line":
        """Broken, and welcomed again."""
        return self.broken().ring("reconnect", "").opened().say(WELCOME)

    @property
    def sent(self) -> list[Any]:
        return [effect.message for effect in self.effects if isinstance(effect, Send)]

    @property
    def answers(self) -> list[Reply]:
        return [effect for effect in self.effects if isinstance(effect, Reply)]

    def told(self, kind: type) -> list[Any]:
        news = [effect.news for effect in self.effects if isinstance(effect, Tell)]
        return [one for one in news if isinstance(one, kind)]

    def timer(self, name: str) -> int | None:
        times = [e.in_ms for e in self.effects if isinstance(e, Timer) and e.name == name]
        return times[0] if times else None

    @property
    def id(self) -> str:
        """Of the join that was just sent."""
        [sent] = [message for message in self.sent if isinstance(message, Join)]
        return str(sent.id)


def asking() -> Line:
    """Welcomed, and a join was just sent."""
    return Line().start().opened().say(WELCOME).join()


def live(seq: int = 10, total: int = 100) -> Line:
    """In the room `r`, which has `total` coins at `seq`."""
    line = asking()
    return line.say(joined(seq, total, id=line.id))
