"""A disk that remembers what was asked of it, so that a test can cut the power at any moment.

An apsw VFS records every write, truncation, sync and deletion per file while SQLite runs on real
files. From the record any crash can be rebuilt: what was synced before it is there; of what was
not, each 512-byte sector may have been written or not. A sync is a barrier for its own file only.
What this does not model: a folder entry that is lost, a disk that lies about syncing.
"""

import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import apsw

SECTOR = 512


class Op(NamedTuple):
    kind: Literal["write", "truncate", "sync", "delete"]
    file: str
    offset: int = 0
    data: bytes = b""


class RecordingDisk(apsw.VFS):
    """Open connections with `vfs=disk.vfs_name`; `log` is what happened so far."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "")
        self.vfs_name = name
        self.log: list[Op] = []

    def xOpen(self, name: apsw.URIFilename | str | None, flags: list[int]) -> apsw.VFSFile:
        return RecordingFile(self.log, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self.log.append(Op("delete", Path(filename).name))
        super().xDelete(filename, syncdir)


class RecordingFile(apsw.VFSFile):
    def __init__(
        self, log: list[Op], name: apsw.URIFilename | str | None, flags: list[int]
    ) -> None:
        super().__init__("", name, flags)
        path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        self._file = Path(path).name
        self._log = log

    def xWrite(self, data: bytes, offset: int) -> None:
        self._log.append(Op("write", self._file, offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:
        self._log.append(Op("truncate", self._file, newsize))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        self._log.append(Op("sync", self._file))


class Crash(NamedTuple):
    moment: int
    """How many operations had happened."""
    files: dict[str, bytes]


def crashes(
    before: dict[str, bytes], log: list[Op], moments: Iterable[int], rng: random.Random
) -> Iterator[Crash]:
    """What a power failure at each of these moments can leave, one way each, in order."""
    durable = {name: bytearray(content) for name, content in before.items()}
    unsynced: dict[str, list[Op]] = {}
    done = 0
    for moment in sorted(moments):
        for op in log[done:moment]:
            _advance(durable, unsynced, op)
        done = moment
        files = {name: bytearray(content) for name, content in durable.items()}
        survives = rng.choice((_nothing, _everything, _up_to_somewhere, _some_sectors))
        for name, ops in unsynced.items():
            content = files.setdefault(name, bytearray())
            for op in survives(ops, rng):
                _apply(content, op)
        yield Crash(moment, {name: bytes(content) for name, content in files.items()})


def _advance(durable: dict[str, bytearray], unsynced: dict[str, list[Op]], op: Op) -> None:
    match op.kind:
        case "write" | "truncate":
            unsynced.setdefault(op.file, []).append(op)
        case "sync":
            content = durable.setdefault(op.file, bytearray())
            for earlier in unsynced.pop(op.file, []):
                _apply(content, earlier)
        case "delete":
            durable.pop(op.file, None)
            unsynced.pop(op.file, None)


def _apply(content: bytearray, op: Op) -> None:
    if op.kind == "truncate":
        del content[op.offset :]
        return
    if len(content) < op.offset:
        content.extend(bytes(op.offset - len(content)))
    content[op.offset : op.offset + len(op.data)] = op.data


def _nothing(ops: list[Op], rng: random.Random) -> Iterable[Op]:
    return ()


def _everything(ops: list[Op], rng: random.Random) -> Iterable[Op]:
    return ops


def _up_to_somewhere(ops: list[Op], rng: random.Random) -> Iterable[Op]:
    return ops[: rng.randrange(len(ops) + 1)]


def _some_sectors(ops: list[Op], rng: random.Random) -> Iterator[Op]:
    """Each sector for itself: dropped writes, torn writes, and any order between syncs."""
    for op in ops:
        if op.kind == "truncate":
            if rng.random() < 0.5:
                yield op
            continue
        start, end = op.offset, op.offset + len(op.data)
        while start < end:
            stop = min(end, start - start % SECTOR + SECTOR)
            if rng.random() < 0.5:
                yield Op("write", op.file, start, op.data[start - op.offset : stop - op.offset])
            start = stop
