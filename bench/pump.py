"""Closed-loop senders: every connection keeps `depth` gifts in flight, and nothing else.

Frames are cut from a template and masked with zeros, which is legal and costs the server the same.
Answers are counted by their bytes, not parsed, so one core of Python keeps ahead of the server; the
share of its core that it used is part of the answer, because a pump at 100 % measures itself.
"""

import select
import socket
import time
from typing import Any

import orjson

from bench.house import GIFTS_STEADY, ROOM
from bench.processes import cpu_seconds

WARM_S = 0.5
"""Not counted: the first batches find cold caches."""
DRAIN_S = 10.0
ACCEPTED, REFUSED = b'"type":"accepted"', b'"type":"refused"'
TAIL = len(ACCEPTED) - 1
"""Bytes kept of a read: less than a whole mark, so that none is missed and none counted twice."""


class Template:
    """One gift as a client's frame, with a place for the number in its key."""

    def __init__(self, tag: str) -> None:
        wish = {"type": "gift", "room": ROOM, "gift": GIFTS_STEADY, "key": f"{tag}-########"}
        payload = orjson.dumps(wish)
        assert len(payload) < 126
        front, _, self._back = payload.partition(b"########")
        self._front = bytes((0x81, 0x80 | len(payload), 0, 0, 0, 0)) + front
        self._next = 0

    def cut(self, count: int) -> bytes:
        first, self._next = self._next, self._next + count
        front, back = self._front, self._back
        return b"".join([b"%b%08x%b" % (front, n, back) for n in range(first, self._next)])


def pump(
    sockets: list[socket.socket], *, tag: str, depth: int, seconds: float, server: int
) -> dict[str, Any]:
    """Send for `seconds` after the warm-up. `server` is the pid whose CPU time is read.

    Raises RuntimeError when a gift is refused or not answered in time.
    """
    epoll, template = select.epoll(), Template(tag)
    peers = {peer.fileno(): peer for peer in sockets}
    tails = dict.fromkeys(peers, b"")
    for fd, peer in peers.items():
        epoll.register(fd, select.EPOLLIN)
        peer.send(template.cut(depth))
    starts, ends = time.monotonic() + WARM_S, time.monotonic() + WARM_S + seconds
    answered, marks, in_flight = 0, [_mark(0, server)], depth * len(peers)
    while in_flight:
        now = time.monotonic()
        if len(marks) == 1 and now >= starts:
            marks = [_mark(answered, server), ()]
        if len(marks) == 2 and now >= ends:
            marks = [marks[0], _mark(answered, server), ()]
        if now > ends + DRAIN_S:
            raise RuntimeError(f"{in_flight} gifts were not answered")
        for fd, _ in epoll.poll(1.0, 1_024):
            count, tails[fd] = _answers(peers[fd].recv(1 << 18), tails[fd])
            answered += count
            if count and now < ends:
                peers[fd].send(template.cut(count))
            else:
                in_flight -= count
    epoll.close()
    return _sum_up(*marks[:2])


def _answers(data: bytes, tail: bytes) -> tuple[int, bytes]:
    if not data:
        raise RuntimeError("the server closed a sender's connection")
    heard = tail + data
    if REFUSED in heard:
        raise RuntimeError(f"a gift was refused: {heard[heard.index(REFUSED) :][:300]!r}")
    return heard.count(ACCEPTED), heard[-TAIL:]


def _mark(answered: int, server: int) -> tuple[float, ...]:
    return answered, time.monotonic(), cpu_seconds(server), time.process_time()


def _sum_up(first: tuple[float, ...], last: tuple[float, ...]) -> dict[str, Any]:
    gifts, wall_s, cpu_s, own_s = (b - a for a, b in zip(first, last, strict=True))
    return {
        "per_s": gifts / wall_s,
        "cpu_us": cpu_s / max(gifts, 1) * 1e6,
        "server_share": cpu_s / wall_s,
        "pump_share": own_s / wall_s,
    }
