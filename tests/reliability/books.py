"""The raw log of a room against what gifters and viewers wrote down: who was promised too much?

Everything is compared over HTTP, as an outsider would, except the audit, which reads the file. Each
function raises AssertionError with the first differences; none repairs or forgives.
"""

from collections import Counter
from itertools import accumulate
from typing import Any, NamedTuple

import httpx

import storage
from kit.servers.serving import BACKEND
from kit.waiting import PATIENCE_S
from largesse_client.messages import Gift
from reliability.load import COINS, ROOM, Ack, Load, Watcher

PAGE = 200


class Entry(NamedTuple):
    user: str
    gift: str
    quantity: int
    message: str | None
    coins: int


def read_log(url: str, after: int = 0) -> list[Entry]:
    """The raw log behind `after`, which has to go on with no gap."""
    entries: list[Entry] = []
    with httpx.Client(base_url=url, headers=BACKEND, timeout=PATIENCE_S) as http:
        while True:
            start = after + len(entries)
            path = f"/v1/rooms/{ROOM}/events?after={start}&limit={PAGE}"
            page = http.get(path).raise_for_status().json()
            assert [e["seq"] for e in page["events"]] == [
                *range(start + 1, start + 1 + len(page["events"]))
            ]
            entries += [_entry(event) for event in page["events"]]
            if not page["events"]:
                assert page["head"] == after + len(entries)
                return entries


def _entry(event: dict[str, Any]) -> Entry:
    assert event["kind"] == "gift" and event["merged"] == 1, event
    message = event.get("message")
    return Entry(event["from"]["id"], event["gift"], event["quantity"], message, event["coins"])


def as_entry(user: str, gift: Gift) -> tuple[str, str, int, str | None]:
    return user, gift.gift, gift.quantity, gift.message


def check_acks(load: Load, log: list[Entry]) -> None:
    """Every promise is in the log, once, with the answered figures.

    Balances and totals are recomputed from the log alone, so that two gifts which were both
    answered from the same old balance are caught although each one is booked.
    """
    assert not load.surprises, load.surprises[:3]
    totals = list(accumulate((entry.coins for entry in log), initial=0))
    balances = _balances(log)
    keys = {}
    for ack in load.acks:
        assert ack.seq <= len(log), f"lost: {ack}; the log ends at {len(log)}"
        entry = log[ack.seq - 1]
        assert (entry.user, entry.coins) == (ack.user, ack.coins), f"{ack} is {entry} in the log"
        assert entry.message in (None, ack.key), f"{ack} is {entry} in the log"
        assert ack.total == totals[ack.seq], ack
        assert ack.balance == balances[ack.seq - 1], ack
        assert keys.setdefault(ack.seq, ack.key) == ack.key, f"{ack} and {keys[ack.seq]}"
        booked_before = ack.seq <= load.heads[ack.life]
        assert ack.replayed == booked_before, f"{ack}, the life began at {load.heads[ack.life]}"


def _balances(log: list[Entry]) -> list[int]:
    """The sender's balance after each entry."""
    now: dict[str, int] = {}
    balances = []
    for entry in log:
        now[entry.user] = now.get(entry.user, COINS) - entry.coins
        balances.append(now[entry.user])
    return balances


def check_no_stranger(load: Load, log: list[Entry]) -> int:
    """What is in the log without an answer is one of the unanswered gifts, each at most once.

    Returns how many there are: booked, and killed before the answer came.
    """
    promised = {ack.seq for ack in load.acks}
    booked = Counter(entry[:4] for seq, entry in enumerate(log, 1) if seq not in promised)
    asked = Counter(as_entry(user, gift) for user, gift in load.unanswered())
    assert booked <= asked, f"booked twice, or by nobody: {list((booked - asked).items())[:3]}"
    return booked.total()


def check_wallets(load: Load, log: list[Entry], url: str) -> None:
    spent: Counter[str] = Counter()
    for entry in log:
        spent[entry.user] += entry.coins
    with httpx.Client(base_url=url, headers=BACKEND, timeout=PATIENCE_S) as http:
        found = {
            user: http.get(f"/v1/users/{user}/wallet").raise_for_status().json()["coins"]
            for user in load.users
        }
        total = http.get(f"/v1/rooms/{ROOM}").json()["total_coins"]
    assert found == {user: COINS - spent[user] for user in load.users}
    assert total == spent.total()


def check_watcher(watcher: Watcher, totals: list[int]) -> None:
    """What a viewer saw has no gap and no repeat and is the log, frame by frame."""
    ledger = watcher.ledger
    assert ledger.fault_count == 0, f"{watcher.name}: {ledger.faults}"
    assert ledger.total_coins == totals[ledger.seq], watcher.name
    for first, last, before, after in watcher.frames:
        assert (before, after) == (totals[first - 1], totals[last]), f"{watcher.name}: {first}"
    for seq, merged, coins in watcher.entries:
        assert coins == totals[seq] - totals[seq - merged], f"{watcher.name}: {seq}"
    for seq, total in watcher.snapshots:
        assert total == totals[seq], f"{watcher.name} joined at {seq}"


def check_watchers(load: Load, log: list[Entry]) -> None:
    totals = list(accumulate((entry.coins for entry in log), initial=0))
    for watcher in load.watchers:
        check_watcher(watcher, totals)


def check_audit(database: str) -> None:
    found = storage.open_books(database).audit()
    assert found.ok, [check for check in found.checks if not check.ok]


def check_after_kill(load: Load, log: list[Entry], url: str, database: str) -> int:
    """Everything that must hold the moment a killed server is back; then its new life begins.

    Returns how many gifts had been booked without an answer.
    """
    check_acks(load, log)
    orphans = check_no_stranger(load, log)
    check_wallets(load, log, url)
    check_watchers(load, log)
    check_audit(database)
    load.heads.append(len(log))
    return orphans


def check_at_the_end(load: Load, url: str, database: str) -> list[Entry]:
    """Everything is answered and seen: keys and seqs are the same set, viewers have it all."""
    log = read_log(url)
    check_acks(load, log)
    assert not load.unanswered()
    assert sorted(ack.seq for ack in load.acks) == [*range(1, len(log) + 1)]
    check_wallets(load, log, url)
    check_watchers(load, log)
    assert {watcher.ledger.seq for watcher in load.watchers} <= {len(log)}
    check_audit(database)
    return log


def replays(acks: list[Ack]) -> int:
    return sum(ack.replayed for ack in acks)
