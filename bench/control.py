"""The child's end of the line to the bench: one JSON object a line, on stdin and stdout.

A child does one command at a time and answers each with one line. When its stdin ends the bench is
gone, and the child ends too.
"""

import asyncio
import gc
import os
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import orjson

COLLECT_EVERY = (50_000, 20, 50)
"""As the server sets it (server/app.py), for every child: or the collector would be measured."""


class Line:
    """Takes over stdout, so that a stray print cannot be read as an answer."""

    def __init__(self) -> None:
        self._out = os.dup(1)
        os.dup2(2, 1)
        gc.freeze()
        gc.set_threshold(*COLLECT_EVERY)

    def say(self, **fields: Any) -> None:
        os.write(self._out, orjson.dumps(fields) + b"\n")

    def commands(self) -> Iterator[dict[str, Any]]:
        for line in sys.stdin.buffer:
            yield orjson.loads(line)

    async def commands_async(self) -> AsyncIterator[dict[str, Any]]:
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
        )
        while line := await reader.readline():
            yield orjson.loads(line)
