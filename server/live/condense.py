"""What a busy room's frame shows: which gifts by themselves, which together, which only as a sum.

Pure. Below `MERGE_ABOVE` entries everything is shown as it is. Above it, gifts of one sender and
kind that stand next to each other become one entry; if there are still too many for people to see,
the cheapest are left out and counted. Nothing is ever left out of the sums.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from rules.events import Event

Entry = tuple[Event, dict[str, Any]]
"""An event and its decoded body."""

MERGE_ABOVE = 20
"""Entries a frame; with 25 frames a second that is 500 a second, more than anyone can follow."""


class Shown(NamedTuple):
    bodies: list[bytes]
    merged: int
    """Gifts that are inside another one's entry."""
    omitted_gifts: int
    omitted_coins: int


def condense(entries: Sequence[Entry], entries_max: int) -> Shown:
    """Choose what a frame shows. `entries` are of one room, in order of seq."""
    if len(entries) <= min(MERGE_ABOVE, entries_max):
        return Shown([event.body for event, _ in entries], 0, 0, 0)
    groups: list[list[Entry]] = []
    for entry in entries:
        if groups and _belongs(groups[-1][-1][1], entry[1]):
            groups[-1].append(entry)
        else:
            groups.append([entry])
    left_out = _cheapest(groups, len(groups) - entries_max)
    shown = [group for number, group in enumerate(groups) if number not in left_out]
    omitted = [entry for number in left_out for entry in groups[number]]
    return Shown(
        [_together(group) for group in shown],
        sum(len(group) - 1 for group in shown),
        len(omitted),
        sum(event.coins for event, _ in omitted),
    )


def _belongs(last: dict[str, Any], this: dict[str, Any]) -> bool:
    """Whether two neighbours may be one entry. A message would be lost in a merger; and anonymous
    neighbours are known to be one giver only by their combo."""
    return (
        this["kind"] == "gift" == last["kind"]
        and this["gift"] == last["gift"]
        and this["from"].get("id") == last["from"].get("id")
        and this["to"] == last["to"]
        and "message" not in this
        and "message" not in last
        and ("id" in this["from"] or _combo_id(this) == _combo_id(last) is not None)
    )


def _combo_id(body: dict[str, Any]) -> str | None:
    return body["combo"]["id"] if body["combo"] else None


def _cheapest(groups: list[list[Entry]], count: int) -> set[int]:
    """The places of the `count` groups of gifts with the fewest coins, older ones first."""
    if count <= 0:
        return set()
    gifts = [number for number, group in enumerate(groups) if group[0][1]["kind"] == "gift"]
    gifts.sort(key=lambda number: sum(event.coins for event, _ in groups[number]))
    return set(gifts[:count])


def _together(group: list[Entry]) -> bytes:
    event, body = group[-1]
    if len(group) == 1:
        return event.body
    sums = {
        "quantity": sum(each["quantity"] for _, each in group),
        "coins": sum(each["coins"] for _, each in group),
        "merged": len(group),
    }
    levels = [each["level_up"] for _, each in group if "level_up" in each]
    return orjson.dumps(body | sums | ({"level_up": levels[-1]} if levels else {}))
