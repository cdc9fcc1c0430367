"""A viewer's ledger finds every corruption of a stream: gap, repeat, wrong total, wrong omitted."""

from typing import Any

import orjson
import pytest
from websockets.frames import Frame
from websockets.streams import StreamReader

from loadtest.feed import Feed
from loadtest.frames import Summary, frame_bytes, frame_end, masked_text, payload_of
from loadtest.ledger import Ledger
from protocol.frames import text_frame


def gift(seq: int, coins: int = 5, merged: int = 1) -> dict[str, Any]:
    return {
        "kind": "gift",
        "seq": seq,
        "id": f"g{seq}",
        "at_ms": 1000 + seq,
        "from": {"id": "u", "name": "U", "level": 1},
        "to": {"id": "c", "name": "C"},
        "gift": "rose",
        "name": "Rose",
        "animation": "pop",
        "quantity": merged,
        "coins": coins,
        "combo": None,
        "merged": merged,
    }


def frame(first: int, last: int, before: int, **changes: Any) -> dict[str, Any]:
    """An honest frame of gifts of 5 coins each."""
    return {
        "type": "events",
        "room": "r",
        "epoch": "e",
        "first": first,
        "last": last,
        "total_before": before,
        "total_coins": before + 5 * (last - first + 1),
        "events": [gift(seq) for seq in range(first, last + 1)],
        "omitted": {"gifts": 0, "coins": 0},
    } | changes


def read(feed: Feed, message: dict[str, Any]) -> Summary:
    summary = feed.read(text_frame(orjson.dumps(message)))
    assert isinstance(summary, Summary), feed.faults
    return summary


def watch(*messages: dict[str, Any]) -> Ledger:
    feed, ledger = Feed("r"), Ledger()
    ledger.begin("e", 0, 0)
    for message in messages:
        ledger.book(read(feed, message).read)
    return ledger


def test_an_honest_stream_has_no_fault() -> None:
    ledger = watch(frame(1, 3, 0), frame(4, 4, 15), frame(5, 9, 20))
    assert (ledger.fault_count, ledger.seq, ledger.total_coins, ledger.gifts) == (0, 9, 45, 9)


def test_merged_and_omitted_gifts_count_fully() -> None:
    merged = frame(1, 5, 0, events=[gift(3, 15, 3)], omitted={"gifts": 2, "coins": 10})
    ledger = watch(merged, frame(6, 6, 25))
    assert ledger.fault_count == 0
    assert (ledger.gifts, ledger.omitted_gifts, ledger.omitted_coins) == (4, 2, 10)


def test_retractions_take_coins_off_and_unknown_kinds_take_a_seq() -> None:
    retracted = {
        "kind": "gift_retracted",
        "seq": 2,
        "id": "x",
        "at_ms": 1,
        "gift_id": "g1",
        "gift_seq": 1,
        "from": {"anonymous": True},
        "to": {"id": "c", "name": "C"},
        "gift": "rose",
        "coins": 5,
        "reason": "test",
    }
    later = {"kind": "fireworks", "seq": 3, "at_ms": 5, "height": 7}
    ledger = watch(frame(1, 3, 0, events=[gift(1), retracted, later], total_coins=0))
    assert (ledger.fault_count, ledger.seq, ledger.total_coins) == (0, 3, 0)


@pytest.mark.parametrize(
    ("second", "words"),
    [
        (frame(4, 6, 10), "gap: frame 4–6 after 2"),
        (frame(1, 2, 0), "repeat: frame 1–2 after 2"),
        (frame(2, 4, 5), "repeat: frame 2–4 after 2"),
        (frame(3, 4, 11), "starts from 11 coins, we have 10"),
        (frame(3, 4, 10, total_coins=21), "grows from 10 by 10 to 21"),
        (frame(3, 4, 10, epoch="other"), "epoch other"),
        (frame(3, 4, 10, omitted={"gifts": 0, "coins": 1}), "grows from 10 by 11 to 20"),
        (frame(3, 4, 10, omitted={"gifts": 1, "coins": 0}), "accounts for 3 seqs, not 2"),
        (frame(3, 4, 10, events=[gift(3)], omitted={"gifts": 1, "coins": 4}), "by 9 to 20"),
        (frame(3, 4, 10, events=[gift(4), gift(3)]), "seq 3 (merged 1) comes after 4"),
        (frame(3, 4, 10, events=[gift(3), gift(3)]), "seq 3 (merged 1) comes after 3"),
        (frame(3, 4, 10, events=[gift(3), gift(5)]), "holds seq 5"),
        (frame(3, 4, 10, events=[gift(4, 10, 3)]), "accounts for 3 seqs"),
        (frame(3, 4, 10, events=[gift(3), gift(4, 6)]), "grows from 10 by 11 to 20"),
        (frame(3, 4, 10, events=[gift(3)]), "accounts for 1 seqs, not 2"),
        (frame(3, 2, 10, events=[], total_coins=10), "holds seq 2"),
    ],
)
def test_a_corrupted_stream_is_found(second: dict[str, Any], words: str) -> None:
    ledger = watch(frame(1, 2, 0), second)
    assert ledger.fault_count > 0
    assert words in "; ".join(ledger.faults)


def test_one_gap_is_one_fault_and_the_rest_is_followed() -> None:
    ledger = watch(frame(1, 2, 0), frame(4, 4, 15), frame(5, 6, 20))
    assert (ledger.fault_count, ledger.seq) == (1, 6)


def test_recovery_keeps_the_place_and_a_snapshot_starts_anew() -> None:
    ledger = watch(frame(1, 2, 0))
    ledger.recover("e", 7)
    assert (ledger.fault_count, ledger.seq, ledger.gifts) == (0, 2, 2)
    ledger.begin("e2", 50, 500)
    assert (ledger.start_seq, ledger.start_total, ledger.gifts) == (50, 500, 0)


def test_recovery_into_another_epoch_or_behind_us_is_a_fault() -> None:
    ledger = watch(frame(1, 2, 0))
    ledger.recover("other", 2)
    ledger.recover("e", 1)
    assert ledger.fault_count == 2


@pytest.mark.parametrize("payload", [b"{}", b"not json", b'{"type":"events"}', b'{"type":5}'])
def test_what_breaks_the_contract_is_a_fault_of_the_feed(payload: bytes) -> None:
    feed = Feed("r")
    assert feed.read(text_frame(payload)) is None
    assert feed.fault_count == 1


def test_a_later_message_type_is_no_fault() -> None:
    feed = Feed("r")
    assert feed.read(text_frame(b'{"type":"fireworks"}')) is None
    assert feed.fault_count == 0


def test_a_known_frame_is_found_again_by_place_or_by_bytes() -> None:
    feed = Feed("r")
    one, two = (text_frame(orjson.dumps(frame(1, last, 0))) for last in (2, 3))
    first, second = feed.read(one), feed.read(two)
    assert feed.known(bytes(one), 0) is first
    assert feed.known(bytes(two), 0) is second
    assert feed.known(bytes(two), 9) is second


def test_every_event_of_every_arrival_counts_as_delivered() -> None:
    feed = Feed("r")
    read(feed, frame(1, 2, 0)).arrivals.update({1011: 3, 1021: 1})
    feed.close()
    figures = feed.delivery.percentiles()
    assert (figures.count, feed.events_seen) == (8, 8)
    assert (figures.p50, figures.max) == (10, 20)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 200_000])
def test_frames_are_cut_exactly(size: int) -> None:
    data = text_frame(b"x" * size)
    assert frame_end(b"??" + data + b"\x81", 2) == len(data) + 2
    assert frame_end(data[:-1], 0) == 0
    assert payload_of(data) == b"x" * size
    assert all(frame_bytes(data[:cut]) in (0, len(data)) for cut in range(min(len(data), 12)))
    assert all(frame_end(data[:cut], 0) == 0 for cut in range(min(len(data), 12)))


def test_a_masked_frame_from_a_server_is_refused() -> None:
    with pytest.raises(ValueError, match="masked"):
        frame_end(masked_text(b"hi"), 0)


@pytest.mark.parametrize("size", [0, 5, 125, 126, 9000])
def test_our_frames_are_what_websockets_reads(size: int) -> None:
    reader = StreamReader()
    reader.feed_data(masked_text(b"y" * size))
    parser = Frame.parse(reader.read_exact, mask=True, max_size=None)
    with pytest.raises(StopIteration) as done:
        next(parser)
    assert done.value.value.data == b"y" * size
