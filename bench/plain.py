"""Reference, in a process of its own: the websockets library as its manual shows it, over uvloop.

`serve` with a handler per connection that waits, `broadcast` to send to all, no compression. With
`--pings` it keeps connections alive by its own default (20 s); without, nothing disturbs a figure.
"""

import asyncio
import sys
import time

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

from bench.control import Line

BACKLOG = 4_096


async def main(pings: bool) -> None:
    line, connections = Line(), set[ServerConnection]()

    async def follow(connection: ServerConnection) -> None:
        connections.add(connection)
        try:
            await connection.wait_closed()
        finally:
            connections.discard(connection)

    interval_s = 20.0 if pings else None
    async with serve(
        follow, "127.0.0.1", 0, compression=None, ping_interval=interval_s, backlog=BACKLOG
    ) as server:
        line.say(port=next(iter(server.sockets)).getsockname()[1])
        async for command in line.commands_async():
            given = {name: value for name, value in command.items() if name != "do"}
            line.say(**await _send(connections, **given))


async def _send(
    connections: set[ServerConnection],
    *,
    rounds: int,
    frames: int,
    payload_bytes: int,
    gap_s: float,
) -> dict[str, float]:
    message = "x" * payload_bytes
    cpu, began = time.process_time(), time.perf_counter()
    for _ in range(rounds):
        for _ in range(frames):
            broadcast(connections, message)
        await asyncio.sleep(gap_s)
    return {
        "cpu_s": time.process_time() - cpu,
        "wall_s": time.perf_counter() - began,
        "frames": rounds * frames * len(connections),
        "bytes": rounds * frames * payload_bytes,
    }


if __name__ == "__main__":
    uvloop.run(main("--pings" in sys.argv))
