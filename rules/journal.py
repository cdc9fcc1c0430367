"""The journal's hash chain: every batch seals the one before it.

A row that is changed, left out, added or moved anywhere in the past breaks every hash after it.
"""

import hashlib
from collections.abc import Iterable

from rules.rows import JournalRow

GENESIS = hashlib.sha256(b"largesse journal 1").hexdigest()


def seal(previous: str, batch: int, at_ms: int, rows: Iterable[JournalRow]) -> str:
    """The hash of a batch: over the previous hash, its place and time, and each row in order.

    Every field is preceded by its length, so no two different batches have the same bytes.
    """
    digest = hashlib.sha256(f"{previous} {batch} {at_ms}\n".encode())
    for row in rows:
        who = f"{len(row.actor)} {row.actor} {len(row.key)} {row.key}"
        what = f"{len(row.kind)} {row.kind} {len(row.fingerprint)} {row.fingerprint}"
        head = f"{row.id} {who} {what}"
        digest.update(f"{len(head)} {len(row.body)} {len(row.outcome)}\n{head}".encode())
        digest.update(row.body)
        digest.update(row.outcome)
    return digest.hexdigest()
