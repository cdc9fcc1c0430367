"""Reference, in a process of its own: nothing but `send` in a loop over all sockets.

The least that Python can do to show something to a thousand people. It keeps no room, notices no
slow viewer and shares no loop with anybody; the sockets block, so it waits where we would buffer.
"""

import socket
import time

from bench.control import Line
from protocol.frames import text_frame

BACKLOG = 4_096
ANSWER = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


def main() -> None:
    line = Line()
    listening = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    line.say(port=listening.getsockname()[1])
    sockets: list[socket.socket] = []
    for command in line.commands():
        if command["do"] == "accept":
            sockets += [_accept(listening) for _ in range(command["count"])]
            line.say(open=len(sockets))
        else:
            line.say(**_send(sockets, **{k: v for k, v in command.items() if k != "do"}))


def _accept(listening: socket.socket) -> socket.socket:
    peer, _ = listening.accept()
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    peer.settimeout(10)
    heard = b""
    while b"\r\n\r\n" not in heard:
        heard += peer.recv(4_096)
    peer.sendall(ANSWER)
    peer.settimeout(None)
    return peer


def _send(
    sockets: list[socket.socket], *, rounds: int, frames: int, payload_bytes: int, gap_s: float
) -> dict[str, float]:
    """`rounds` times `frames` frames to everyone, one after the other, a pause between rounds."""
    frame = text_frame(b"x" * payload_bytes)
    sends = [peer.send for peer in sockets]
    cpu, began = time.process_time(), time.perf_counter()
    for _ in range(rounds):
        for _ in range(frames):
            for send in sends:
                send(frame)
        time.sleep(gap_s)
    return {
        "cpu_s": time.process_time() - cpu,
        "wall_s": time.perf_counter() - began,
        "frames": rounds * frames * len(sends),
        "bytes": rounds * frames * len(frame),
    }


if __name__ == "__main__":
    main()
