"""Figure 3: durable gifts a second without sockets, by how many share a transaction.

Wall time, because waiting for the disk is the point; so this figure suffers from a busy machine,
and from a busy disk most of all at batch 1, where it is the time of one fdatasync. One caller, one
batch after the other: a server under load gathers the next batch meanwhile.
"""

from bench.processes import Child, Workshop
from bench.scale import Scale
from bench.table import Row


def start(shop: Workshop, kind: str, name: str) -> Child:
    child = shop.start("bench.books", kind, str(shop.folder / f"{name}.db"))
    child.answer()
    return child


def measure(shop: Workshop, scale: Scale) -> list[Row]:
    ours, bare = start(shop, "settle", "settle"), start(shop, "bare", "bare")
    rows = []
    for batch in scale.batches:
        runs = [
            [child.ask("run", batch=batch, seconds=scale.settle_s) for child in (ours, bare)]
            for _ in range(scale.repeats)
        ]
        cpu_us = sorted(run[0]["cpu_us"] for run in runs)[scale.repeats // 2]
        rows.append(
            Row(
                figure="settle",
                name=f"durable gifts in-process, {batch} a transaction",
                unit="/s",
                ours=tuple(run[0]["per_s"] for run in runs),
                reference="BEGIN, an INSERT per gift, COMMIT",
                theirs=tuple(run[1]["per_s"] for run in runs),
                note=f"{cpu_us:,.0f} µs CPU a gift: a core allows {1e6 / cpu_us:,.0f}/s",
            )
        )
    return rows
