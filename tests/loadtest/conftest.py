"""A small honest server that can be told to lie, to show that the load test finds every lie out.

It speaks the contract over real sockets (websockets' ServerProtocol, one asyncio.Protocol per
connection) with everything in memory, and knows just enough of it: rooms, grants, wallets, the raw
log, gifts, frames per tick, resume, merging, omitting, closing slow viewers. `lie` names one thing
it does wrong. The real server has its own test in test_against_server.py.
"""

import asyncio
import json
import socket
import time
from collections.abc import Callable, Iterator
from threading import Event, Thread
from typing import Any, cast

import jwt
import msgspec
import pytest
import uvloop
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from protocol.codec import decode, encode, encode_events, encode_refusal
from protocol.frames import text_frame
from protocol.messages import (
    Accepted,
    BoardTop,
    Gift,
    GiftEvent,
    Giver,
    Join,
    Joined,
    Me,
    Person,
    Welcome,
)

SECRET = "a secret of the load test's own small server"
API_KEY = "small-server-key"
PRICES = {"rose": 1, "finger_heart": 5, "perfume": 20}
CATALOGUE = [
    {
        "id": gift,
        "name": gift,
        "coins": coins,
        "combo": False,
        "animation": "pop",
        "ttl_ms": 1_000,
        "enabled": True,
    }
    for gift, coins in PRICES.items()
]
NO_LIMIT = dict.fromkeys(("limit_coins", "source", "own_coins", "left_coins", "frees_ms"))
EMPTY = {
    "millidiamonds_pending": 0,
    "millidiamonds_available": 0,
    "millidiamonds_reserved": 0,
    "diamond_debt_millidiamonds": 0,
    "coin_debt": 0,
    "level": 0,
    "level_hidden": False,
    "frozen": False,
    "spent_today": 0,
    "limits": {
        **dict.fromkeys(("daily", "weekly", "monthly"), NO_LIMIT | {"spent_coins": 0}),
        "per_gift_coins": None,
        "raises": [],
        "paused_until_ms": None,
    },
}
TICK_S = 0.04
UNREAD_BYTES_MAX = 2**18
CATCH_UP_BYTES = 2**16
CATCH_UP_EVENTS = 200


class SmallServer:
    """State of the one process; `port` is set when it listens."""

    def __init__(
        self,
        lie: str = "",
        gift_rate: float = 0,
        omit: bool = False,
        unread_bytes_max: int = UNREAD_BYTES_MAX,
    ) -> None:
        self.unread_bytes_max = unread_bytes_max
        self.lie = lie
        self.gift_rate = gift_rate
        self.omit = omit
        self.port = 0
        self.room: dict[str, Any] | None = None
        self.wallets: dict[str, int] = {}
        self.outcomes: dict[tuple[str, str], Accepted] = {}
        self.log: list[tuple[GiftEvent, bytes]] = []
        self.totals = [0]
        self.told = 0
        self.people: set[Connection] = set()
        self.connections: set[Connection] = set()
        self.refusals = 0
        self.doors = 0
        self.ticks = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def token_secret(self) -> str:
        return SECRET

    @property
    def api_key(self) -> str:
        return API_KEY

    def http(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        path, _, query = path.partition("?")
        match (method, path.strip("/").split("/")[1:]):
            case ("GET", ["catalogue"]):
                return 200, {"version": "v", "currency": "USD", "gifts": CATALOGUE}
            case ("POST", ["rooms"]):
                self.room = body | {"creator_name": body["creator"], "status": "open"}
                return 201, self.now()
            case ("POST", ["grants"]):
                self.wallets[body["user"]] = self.wallets.get(body["user"], 0) + body["coins"]
                return 201, body | {"balance_coins": 0, "debt_paid_coins": 0, "replayed": False}
            case ("GET", ["users", user, "wallet"]):
                return 200, EMPTY | {"coins": self.wallets.get(user, 0)}
            case ("GET", ["rooms", _]) if self.room:
                return 200, self.now()
            case ("GET", ["rooms", _, "events"]):
                ask = dict(part.split("=") for part in query.split("&"))
                after = int(ask["after"])
                page = self.log[after : after + min(int(ask["limit"]), 200)]
                events = b",".join(encoded for _, encoded in page)
                return 200, b'{"events":[%b],"head":%d}' % (events, len(self.log))
        return 404, {"error": {"code": "not_found", "message": "Not here."}}

    def now(self) -> dict[str, Any]:
        """The room; one of the lies is told here."""
        assert self.room is not None
        total = self.totals[-1] + (self.lie == "room total" and len(self.log) > 50)
        state = {"epoch": "e1", "seq": len(self.log), "total_coins": total, "viewers": 0}
        return self.room | state

    def give(self, user: str, gift: Gift) -> bytes:
        """Book a gift and answer it; the lies about books are told here."""
        known = self.outcomes.get((user, gift.key))
        if known is not None and self.lie != "book twice":
            return encode(_replayed(known))
        self.refusals += 1
        if self.gift_rate and self.refusals % 10 == 0:
            return encode_refusal("busy", "Later.", key=gift.key, retry_after_ms=20)
        coins = PRICES[gift.gift] * gift.quantity
        if self.wallets.get(user, 0) < coins:
            return encode_refusal("insufficient_coins", "Too poor.", key=gift.key)
        self.wallets[user] -= coins
        at_ms, n = int(time.time() * 1000), len(self.log)
        if not (self.lie == "lose a gift" and n == 20 and known is None):
            self._book(user, gift, coins, at_ms)
        if self.lie == "charge twice" and n == 20:
            self.wallets[user] -= coins
        answer = Accepted(
            key=gift.key,
            room=gift.room,
            seq=len(self.log),
            gift=gift.gift,
            quantity=gift.quantity,
            coins=coins,
            balance_coins=self.wallets[user],
            total_coins=self.totals[-1],
            me=Me(coins=coins, rank=None),
            combo=None,
            at_ms=at_ms,
            replayed=False,
        )
        self.outcomes[user, gift.key] = answer
        return b"" if self.lie == "no answer" and n == 20 else encode(answer)

    def _book(self, user: str, gift: Gift, coins: int, at_ms: int) -> None:
        event = GiftEvent(
            seq=len(self.log) + 1,
            id=f"gift-{len(self.log)}",
            at_ms=at_ms,
            from_=Giver(id=user, name=user, level=1),
            to=Person(id="c", name="c"),
            gift=gift.gift,
            name=gift.gift,
            animation="pop",
            quantity=gift.quantity,
            coins=coins,
            combo=None,
            merged=1,
        )
        self.log.append((event, msgspec.json.encode(event)))
        self.totals.append(self.totals[-1] + coins)

    def frame(self, after: int, to: int) -> bytes:
        """An honest frame; with `omit` the roses are left out and counted."""
        entries = self.log[after:to]
        left_out = [event for event, _ in entries if self.omit and event.gift == "rose"]
        omitted = sum(event.coins for event in left_out)
        return text_frame(
            encode_events(
                room="r",
                epoch="e1",
                first=after + 1,
                last=to,
                total_before=self.totals[after],
                total_coins=self.totals[to],
                bodies=[
                    body for event, body in entries if not (self.omit and event.gift == "rose")
                ],
                omitted_gifts=len(left_out),
                omitted_coins=omitted + (self.lie == "wrong omitted" and self.told > 40),
            )
        )

    def flush(self) -> None:
        if self.told == len(self.log):
            return
        self.ticks += 1
        frame = self.frame(self.told, len(self.log))
        lie = self.lie if self.ticks == 5 else ""
        for place, person in enumerate(list(self.people)):
            if lie == "gap" and place == 0:
                continue
            sent = frame
            if lie == "wrong total" and place == 0:
                total = b'"total_coins":%d,' % self.totals[-1]
                assert total in frame
                sent = frame.replace(total, b'"total_coins":%d,' % (self.totals[-1] ^ 1))
            person.send(sent)
            if lie == "repeat" and place == 0:
                person.send(frame)
        self.told = len(self.log)


def _replayed(answer: Accepted) -> Accepted:
    return Accepted(
        **{name: getattr(answer, name) for name in answer.__struct_fields__} | {"replayed": True}
    )


class Connection(asyncio.Protocol):
    """HTTP/1.1 until an upgrade, a WebSocket afterwards."""

    def __init__(self, server: SmallServer) -> None:
        self.server = server
        self.buffer = b""
        self.ws: ServerProtocol | None = None
        self.user = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        if self.server.unread_bytes_max < UNREAD_BYTES_MAX:
            # What is not read must be felt here, and not fill the kernel's megabytes first.
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
        self.server.connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.server.people.discard(self)
        self.server.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        if self.ws is not None:
            self._websocket(data)
            return
        self.buffer += data
        while b"\r\n\r\n" in self.buffer:
            head, _, rest = self.buffer.partition(b"\r\n\r\n")
            lines = head.decode().split("\r\n")
            headers = {k.lower(): v.strip() for k, _, v in (x.partition(":") for x in lines[1:])}
            if "upgrade" in headers:
                self.ws = ServerProtocol()
                self._websocket(self.buffer)
                return
            length = int(headers.get("content-length", 0))
            if len(rest) < length:
                return
            self.buffer = rest[length:]
            self._http(lines[0].split(" "), rest[:length])

    def _http(self, line: list[str], body: bytes) -> None:
        status, answer = self.server.http(line[0], line[1], json.loads(body) if body else {})
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        head = b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        self.transport.write(head % (status, len(data)) + data)

    def _websocket(self, data: bytes) -> None:
        assert self.ws is not None
        self.ws.receive_data(data)
        said: list[bytes] = []
        for event in self.ws.events_received():
            if isinstance(event, Request):
                if self._turned_away(event):
                    continue
                token = event.headers["Authorization"].removeprefix("Bearer ")
                self.user = jwt.decode(token, SECRET, algorithms=["HS256"])["sub"]
                said.append(encode(self._welcome()))
            elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                said.append(self._hear(decode(bytes(event.data))))
        out = b"".join(self.ws.data_to_send())
        out += b"".join(text_frame(payload) for payload in said if payload)
        if out:
            self.transport.write(out)
        if self.ws.close_expected():
            self.transport.close()

    def _turned_away(self, request: Request) -> bool:
        """Answer the upgrade; True when this one may not come in (now)."""
        assert self.ws is not None
        self.server.doors += 1
        if self.server.lie == "full" and self.server.doors <= 5:
            response = self.ws.reject(503, "Full.")
            response.headers["Retry-After"] = "1"
            self.ws.send_response(response)
            return True
        self.ws.send_response(self.ws.accept(request))
        if self.server.lie == "turn away" and self.server.doors == 1:
            self.ws.send_close(4505)
            return True
        return False

    def _welcome(self) -> Welcome:
        person = Person(id=self.user, name=self.user)
        return Welcome(
            protocol=1,
            session="s",
            user=person,
            role="viewer",
            now_ms=0,
            heartbeat_ms=15000,
            catalogue="1",
        )

    def _hear(self, message: object) -> bytes:
        if isinstance(message, Gift):
            return self.server.give(self.user, message)
        assert isinstance(message, Join), message
        server = self.server
        head = server.told
        answer = Joined(
            room=message.room,
            title="t",
            creator=Person(id="c", name="c"),
            status="open",
            epoch="e1",
            seq=head,
            recovered=message.resume is not None,
            total_coins=server.totals[head],
            viewers=1,
            board=BoardTop(room=message.room, as_of=head, window="session", top=()),
            me=Me(coins=0, rank=None),
            balance_coins=0,
        )
        after = head if message.resume is None else message.resume.seq
        asyncio.get_running_loop().call_soon(self._follow, after)
        return encode(answer)

    def _follow(self, after: int) -> None:
        """Send what was missed, as fast as it is read; then it is a viewer like the others."""
        unread, told = self.transport.get_write_buffer_size, self.server.told
        if self.transport.is_closing():
            return
        while after < told and unread() <= CATCH_UP_BYTES:
            last = min(told, after + CATCH_UP_EVENTS)
            self.transport.write(self.server.frame(after, last))
            after = last
        if after < told or unread() > self.server.unread_bytes_max // 2:
            asyncio.get_running_loop().call_later(TICK_S / 8, self._follow, after)
        else:
            self.server.people.add(self)

    def send(self, frame: bytes) -> None:
        if self.transport.get_write_buffer_size() > self.server.unread_bytes_max:
            assert self.ws is not None
            self.ws.send_close(4001)
            self.server.people.discard(self)
            self.transport.write(b"".join(self.ws.data_to_send()))
            self.transport.close()
            return
        self.transport.write(frame)


async def serve(server: SmallServer, ready: Event, stop: Event) -> None:
    """Listen until `stop`, one frame per tick."""
    listener = await asyncio.get_running_loop().create_server(
        lambda: Connection(server), "127.0.0.1", server.port, backlog=4096
    )
    server.port = listener.sockets[0].getsockname()[1]
    ready.set()
    while not stop.is_set():
        await asyncio.sleep(TICK_S)
        server.flush()
        if server.lie == "die" and server.ticks > 10:
            listener.close()
            for connection in list(server.connections):
                connection.transport.abort()
    listener.close()
    for connection in list(server.connections):
        connection.transport.abort()
    await asyncio.sleep(TICK_S)


@pytest.fixture
def small_server() -> Iterator[Callable[..., SmallServer]]:
    """Start small servers in threads of their own."""
    stop, threads = Event(), []

    def start(**how: Any) -> SmallServer:
        server, ready = SmallServer(**how), Event()
        thread = Thread(target=lambda: uvloop.run(serve(server, ready, stop)))
        threads.append(thread)
        thread.start()
        ready.wait(5)
        return server

    yield start
    stop.set()
    for thread in threads:
        thread.join(5)
