"""How commands were batched is nobody's business: it changes no answer and no row."""

import random
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.building.builders import gift, grant, open_room, retract, set_policy, start_purchase
from kit.building.histories import AFTER_THE_START, DAY_MS, HOUR_MS, START, name_newest, scripts
from kit.building.ledgers import NOW_MS, dump, dump_without_batches, new_ledger
from rules.book import new_book
from rules.commands import AnyCommand, read_command
from rules.outcomes import GiftAccepted, Refused
from rules.settle import settle
from storage.sqlite.audit.checks import audit_connection
from storage.sqlite.audit.replay import history
from storage.sqlite.rows import load
from storage.sqlite.settle import dry_run, settle_batch

steps_ms = st.sampled_from([0, 0, 1, 2_999, 3_001, HOUR_MS, DAY_MS, 8 * DAY_MS, -3 * DAY_MS])
beginnings: st.SearchStrategy[list[AnyCommand]] = st.sampled_from([[], START, START, START])


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[int, list[AnyCommand]]]:
    """Commands by the moment at which they are settled. Moments may step back as a clock does that
    was wrong; less than a minute would be taken for another node's clock (saving.moment)."""
    now_ms, found, book = NOW_MS, [(NOW_MS, draw(beginnings))], new_book()
    settle(book, found[0][1], NOW_MS)
    for _ in range(draw(st.integers(1, 4))):
        now_ms, asked = now_ms + draw(steps_ms), []
        for command in draw(scripts(12)):
            asked.append(name_newest(book, command))
            settle(book, asked[-1:], now_ms)
        found.append((now_ms, asked))
    return found


@st.composite
def cuts(
    draw: st.DrawFn, history: list[tuple[int, list[AnyCommand]]]
) -> list[tuple[int, list[AnyCommand]]]:
    """The same history in smaller batches."""
    found = []
    for now_ms, asked in history:
        left = asked
        while left:
            size = draw(st.integers(1, len(left)))
            found.append((now_ms, left[:size]))
            left = left[size:]
    return found


@given(st.data())
def test_one_by_one_and_in_random_batches_give_the_same_answers_and_the_same_rows(
    data: st.DataObject,
) -> None:
    history = data.draw(histories())
    batches = data.draw(cuts(history))
    with closing(new_ledger()) as single, closing(new_ledger()) as batched:
        alone = [
            settle_batch(single, [command], now_ms)[0]
            for now_ms, asked in history
            for command in asked
        ]
        book = new_book()
        assert alone == [
            settle(book, [command], now_ms)[0] for now_ms, asked in history for command in asked
        ]
        together = [
            result for now_ms, asked in batches for result in settle_batch(batched, asked, now_ms)
        ]
        assert together == alone
        assert dump_without_batches(batched) == dump_without_batches(single)


@given(histories())
def test_settling_the_journal_again_gives_the_same_rows_and_the_audit_agrees(
    happened: list[tuple[int, list[AnyCommand]]],
) -> None:
    with closing(new_ledger()) as first, closing(new_ledger()) as second:
        for now_ms, asked in happened:
            if asked:
                settle_batch(first, asked, now_ms)
        for batch in history(first):
            asked = [read_command(row.body, row.said) for row in batch.rows]
            results = settle_batch(second, asked, batch.at_ms)
            assert not any(result.replayed for result in results if result.events)
        assert dump(second) == dump(first)
        found = audit_connection(first)
        assert found.ok, [check for check in found.checks if not check.ok]


@pytest.mark.parametrize("name", AFTER_THE_START)
def test_what_the_database_gives_back_is_what_the_rules_gave_it(name: str) -> None:
    """Every kind of row goes to the disk and comes back, and answers as if it had never left."""
    book = new_book()
    with closing(new_ledger()) as batched, closing(new_ledger()) as single:
        for step, wanted in enumerate([START, *AFTER_THE_START[name]]):
            asked, expected, now_ms = [], [], NOW_MS + step
            for command in wanted:
                asked.append(name_newest(book, command))
                expected += settle(book, asked[-1:], now_ms)
            assert settle_batch(batched, asked, now_ms) == expected
            before = dump(single)
            assert dry_run(single, asked, now_ms) == expected
            assert dump(single) == before, "a dry run leaves nothing behind"
            alone = [settle_batch(single, [command], now_ms)[0] for command in asked]
            assert alone == expected
        assert dump_without_batches(batched) == dump_without_batches(single)
        assert audit_connection(batched).ok


def busy_evening(rng: random.Random) -> list[AnyCommand]:
    """Few givers, many combos, rooms that open in the middle: denser than Hypothesis draws."""
    asked: list[AnyCommand] = [
        set_policy(),
        open_room("r1", "cleo"),
        *(grant(user, 400) for user in ("ada", "bob")),
    ]
    for number in range(120):
        user, room = rng.choice(("ada", "bob")), rng.choice(("r1", "r1", f"r{number // 40 + 1}"))
        chance = rng.random()
        if number in (40, 80):
            asked.append(open_room(f"r{number // 40 + 1}", "cleo"))
        elif chance < 0.8:
            anonymous = rng.random() < 0.15
            name = "anonymous" if anonymous else "public"
            asked.append(gift(user, rng.choice(("rose", "cake")), room=room, visibility=name))
        elif chance < 0.9:
            asked.append(retract(f"{room}:{rng.randrange(1, 40)}"))
        elif chance < 0.95:
            asked.append(rng.choice(asked))
        else:
            asked.append(grant(user, rng.choice((0, 50))))
    return asked


@pytest.mark.parametrize("seed", range(8))
def test_a_busy_evening_is_the_same_in_every_cut(seed: int) -> None:
    rng = random.Random(seed)
    asked = busy_evening(rng)
    with closing(new_ledger()) as single:
        alone = [settle_batch(single, [command], NOW_MS)[0] for command in asked]
        for size_max in (3, 12, len(asked)):
            left, together = asked, []
            with closing(new_ledger()) as batched:
                while left:
                    size = rng.randint(1, size_max) if size_max < len(asked) else size_max
                    together += settle_batch(batched, left[:size], NOW_MS)
                    left = left[size:]
                assert together == alone
                assert dump_without_batches(batched) == dump_without_batches(single)


def test_a_creator_who_earns_already_opens_another_room_and_gets_a_gift_in_one_batch() -> None:
    with closing(new_ledger()) as connection:
        settle_batch(connection, [set_policy(), open_room("r1"), grant(), gift()], NOW_MS)
        asked = [open_room("r2"), gift(room="r2")]
        results = settle_batch(connection, asked, NOW_MS)
        assert results[1].events
        assert audit_connection(connection).ok


def test_an_order_loads_no_more_of_what_waits_than_it_takes_to_refuse_it() -> None:
    with closing(new_ledger()) as connection:
        many = [start_purchase("ada", purchase=f"p{n}", actor="backend") for n in range(500)]
        settle_batch(connection, [set_policy(bounds={"pending_purchases_max": 50}), *many], NOW_MS)
        own = start_purchase("ada", purchase="own")
        assert len(load(connection, [own]).purchases) == 51
        refused = settle_batch(connection, [own], NOW_MS)[0].outcome
        assert isinstance(refused, Refused) and refused.details == {"most": 50}
        settle_batch(connection, [set_policy(bounds={"pending_purchases_max": 0})], NOW_MS)
        assert not load(connection, [own]).purchases, "where nobody counts, nothing is counted"


def test_a_combo_goes_on_from_batch_to_batch() -> None:
    with closing(new_ledger()) as connection:
        settle_batch(connection, [set_policy(), open_room(), grant()], NOW_MS)
        counts = []
        for step in range(4):
            outcome = settle_batch(connection, [gift()], NOW_MS + step * 2_000)[0].outcome
            assert isinstance(outcome, GiftAccepted) and outcome.combo is not None
            counts.append(outcome.combo.count)
        assert counts == [1, 2, 3, 4]
