"""The hash chain: no two different pasts have the same seal."""

from dataclasses import dataclass
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from kit.building import builders
from rules.book import new_book
from rules.commands import fingerprint, read_command
from rules.journal import GENESIS, seal
from rules.outcomes import read_outcome
from rules.rows import JournalRow
from rules.settle import settle

# Few characters, among them those that a seal might use itself: collisions should be found.
words = st.text(st.sampled_from("a1 \n:é"), max_size=5)
bodies = st.binary(max_size=4) | st.sampled_from([b"1 1 1\n1", b"a", b" "])
rows = st.builds(
    JournalRow, st.integers(1, 12), words, words, words, words, bodies, bodies, st.none()
)


@dataclass(frozen=True)
class Batch:
    previous: str
    id: int
    at_ms: int
    rows: tuple[JournalRow, ...]

    def seal(self) -> str:
        return seal(self.previous, self.id, self.at_ms, self.rows)


batches = st.builds(
    Batch,
    st.sampled_from([GENESIS, "0" * 64]),
    st.integers(1, 12),
    st.integers(0, 112),
    st.lists(rows, max_size=3).map(tuple),
)


@given(batches, batches)
def test_two_different_batches_never_have_one_seal(one: Batch, other: Batch) -> None:
    assert (one == other) == (one.seal() == other.seal())


@given(rows, st.data())
def test_moving_characters_from_one_field_to_the_next_breaks_the_seal(
    row: JournalRow, data: Any
) -> None:
    name, following = data.draw(
        st.sampled_from([("actor", "key"), ("kind", "fingerprint"), ("body", "outcome")])
    )
    joined = getattr(row, name) + (b" " if name == "body" else " ") + getattr(row, following)
    cut = data.draw(st.integers(0, len(joined) - 1))
    moved = row._replace(**{name: joined[:cut], following: joined[cut + 1 :]})
    assume(moved != row)
    assert seal(GENESIS, 1, 0, [row]) != seal(GENESIS, 1, 0, [moved])


def journal() -> list[JournalRow]:
    book = new_book()
    commands = [builders.set_policy(), builders.open_room(), builders.grant(), builders.gift()]
    settle(book, [*commands, builders.gift(gift="lion", quantity=99)], 5)
    return book.journal


def others(value: Any) -> list[Any]:
    """A longer value, and one of the same length."""
    if isinstance(value, int):
        return [value + 1]
    last = b"?" if isinstance(value, bytes) else "?"
    return [value + value[-1:], value[:-1] + last]


def test_any_single_changed_field_changes_the_seal() -> None:
    rows = journal()
    sealed = {seal(GENESIS, 1, 5, rows)}
    sealed |= {seal("f" * 64, 1, 5, rows), seal(GENESIS, 2, 5, rows), seal(GENESIS, 1, 6, rows)}
    sealed |= {seal(GENESIS, 1, 5, rows[:-1]), seal(GENESIS, 1, 5, rows[1:])}
    sealed |= {seal(GENESIS, 1, 5, [rows[1], rows[0], *rows[2:]])}
    changes = 0
    for place, row in enumerate(rows):
        for name, value in row._asdict().items():
            if name == "said":
                continue  # may be forgotten, and is not sealed
            for other in others(value) if name != "said" else ():
                changed = [*rows[:place], row._replace(**{name: other}), *rows[place + 1 :]]
                sealed.add(seal(GENESIS, 1, 5, changed))
                changes += 1
    assert len(sealed) == 7 + changes


def test_what_was_said_is_not_sealed_for_it_may_be_forgotten() -> None:
    rows = journal()
    assert any(row.said for row in rows)
    silent = [row._replace(said=None) for row in rows]
    assert seal(GENESIS, 1, 5, rows) == seal(GENESIS, 1, 5, silent)


def test_the_seal_of_a_known_batch_stays_what_it_is() -> None:
    row = JournalRow(1, "user:ada", "k", "gift", "f" * 32, b"{}", b"[]")
    assert seal(GENESIS, 1, 5, [row]) == seal(GENESIS, 1, 5, iter([row]))
    assert seal(GENESIS, 1, 5, []) != GENESIS


def test_the_journal_tells_commands_and_outcomes_apart_and_reads_them_back() -> None:
    book = new_book()
    commands = [
        builders.set_policy(),
        builders.open_room(),
        builders.grant(),
        builders.gift(message="h\u00e9llo", to="cleo", price=1, visibility="anonymous"),
        builders.gift(gift="lion", quantity=99),
        builders.hide(),
        builders.retract(),
        builders.close_room(),
        builders.renew_epochs(),
    ]
    results = settle(book, commands, 5)
    assert [row.id for row in book.journal] == list(range(1, len(commands) + 1))
    for row, command, result in zip(book.journal, commands, results, strict=True):
        assert read_command(row.body, row.said) == command
        assert read_outcome(row.outcome) == result.outcome
        assert (row.actor, row.key, row.fingerprint) == (
            command.actor,
            command.key,
            fingerprint(command),
        )
