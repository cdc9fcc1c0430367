"""What every ledger store must do: settle, and tell what was settled."""

import asyncio
import json

import pytest

from kit.building.builders import (
    CATALOGUE,
    again,
    charge_back,
    close_room,
    erase,
    gift,
    grant,
    hide,
    open_room,
    release,
    renew_epochs,
    request_payout,
    retract,
    set_limits,
    set_policy,
    settle_purchase,
    start_purchase,
)
from kit.building.ledgers import NOW_MS
from rules.ledger import Reason
from rules.outcomes import GiftAccepted, Refused
from rules.rows import Bucket
from storage import Balances, BoardLine, Head, StatementRow, Store, open_store

DAY_MS = 86_400_000


async def test_a_new_store_is_empty(store: Store) -> None:
    assert await store.policy() is None
    assert await store.rooms("", 10) == []
    assert await store.room("r1", 10) is None
    assert await store.events("r1", 0, 10) == []
    assert await store.board("r1", 10, 10) == []
    assert (await store.balances(["ada"])).coins == {"ada": 0}
    assert await store.wallet("ada") == (0, 0, 0, 0, 0, 0, None)
    assert await store.statement("ada", None, 10) == ([], False)


async def test_settling_nothing_changes_nothing(store: Store) -> None:
    assert await store.settle([], NOW_MS) == []


async def test_results_come_in_the_order_of_the_commands(show: Store) -> None:
    asked = [gift("ada"), gift("bob", "nothing"), gift("bob", "cake"), gift("eve")]
    outcomes = [result.outcome for result in await show.settle(asked, NOW_MS)]
    assert [type(outcome) for outcome in outcomes] == [GiftAccepted, Refused, GiftAccepted, Refused]
    assert [outcome.code for outcome in outcomes if isinstance(outcome, Refused)] == [
        "unknown_gift",
        "insufficient_coins",
    ]


async def test_dry_runs_and_settling_hold_each_other_up_in_no_order(show: Store) -> None:
    async with asyncio.TaskGroup() as tasks:
        trying = [tasks.create_task(show.dry_run([gift("ada")], NOW_MS)) for _ in range(10)]
        for _ in range(10):
            await show.settle([gift("ada")], NOW_MS)
    seqs = {event.seq for task in trying for [result] in [task.result()] for event in result.events}
    assert seqs <= set(range(1, 12)), "each is of one committed state"


async def test_what_was_settled_is_read_at_once(show: Store) -> None:
    for number in range(1, 20):
        await show.settle([gift("ada")], NOW_MS)
        assert (await show.balances(["ada", "bob", "eve"])).coins == {
            "ada": 1_000 - number,
            "bob": 1_000,
            "eve": 0,
        }
        state = await show.room("r1", 5)
        assert state is not None
        assert (state.room.seq, state.room.total_coins) == (number, number)


async def test_the_policy_in_force_is_the_last_one_set(show: Store) -> None:
    await show.settle([set_policy(rate_permille=1), set_policy(rate_permille=700)], NOW_MS)
    policy = await show.policy()
    assert policy is not None
    assert (policy.rate_permille, policy.catalogue) == (700, CATALOGUE)


async def test_rooms_are_paged_in_order_of_id(store: Store) -> None:
    await store.settle([open_room(room) for room in ("b", "a", "d", "c")], NOW_MS)
    assert [room.id for room in await store.rooms("", 3)] == ["a", "b", "c"]
    assert [room.id for room in await store.rooms("c", 3)] == ["d"]


async def test_a_room_comes_with_its_standings_and_its_newest_events(show: Store) -> None:
    await show.settle(
        [
            gift("ada", "cake"),
            gift("bob"),
            gift("bob", "cake", visibility="anonymous"),
            gift("ada"),
        ],
        NOW_MS,
    )
    state = await show.room("r1", 2)
    assert state is not None
    assert sorted(state.standings) == [("ada", "Ada", 26, 4), ("bob", "Bob", 1, 2)]
    assert [event.seq for event in state.recent] == [3, 4]
    assert state.recent == await show.events("r1", 2, 10)


async def test_the_log_is_read_from_any_place_in_order(show: Store) -> None:
    results = await show.settle([gift("ada"), gift("bob", "cake"), gift("ada")], NOW_MS)
    events = [event for result in results for event in result.events]
    assert await show.events("r1", 0, 10) == events
    assert await show.events("r1", 1, 1) == events[1:2]
    assert await show.events("r1", 3, 10) == []
    assert await show.events("r2", 0, 10) == []


async def test_the_board_is_what_it_was_at_that_moment(show: Store) -> None:
    await show.settle(
        [
            gift("ada", "cake"),  # 1
            gift("bob", "cake"),  # 2
            gift("bob", "lion", visibility="anonymous"),  # 3
            gift("bob"),  # 4
            retract("r1:1"),  # 5
            close_room(),  # 6
        ],
        NOW_MS,
    )
    tie = [BoardLine("ada", "Ada", 25), BoardLine("bob", "Bob", 25)]
    assert await show.board("r1", 2, 10) == tie
    assert await show.board("r1", 3, 10) == tie
    assert await show.board("r1", 4, 10) == [BoardLine("bob", "Bob", 26), tie[0]]
    assert await show.board("r1", 4, 1) == [BoardLine("bob", "Bob", 26)]
    assert await show.board("r1", 6, 10) == [BoardLine("bob", "Bob", 26)]
    assert await show.board("r1", 0, 10) == []


async def test_a_wallet_says_what_a_user_has_owes_and_spent(show: Store) -> None:
    policy = set_policy(hold_days=0, clawback="full", payouts={"minimum_millidiamonds": 1_000})
    bought = [start_purchase("eve"), settle_purchase(), gift("eve", "cake", quantity=4)]
    cashed = [gift("ada", "cake"), release(), request_payout("cleo", 60_000), gift("ada")]
    await show.settle([policy, *bought, *cashed, charge_back(), set_limits("eve")], NOW_MS)
    eve, cleo = await show.wallet("eve"), await show.wallet("cleo")
    assert (eve.coins, eve.coin_debt, eve.diamond_debt) == (0, 100, 0)
    assert cleo[:6] == (0, 0, 0, 60_000, 47_000, 0)
    assert eve.user is not None and eve.user.days == [Bucket(NOW_MS // DAY_MS, 100, 100)]
    assert eve.user.frozen is False and eve.user.level_hidden is False


async def test_a_statement_lists_the_transfers_newest_first_and_in_pages(show: Store) -> None:
    cake = gift("ada", "cake", quantity=2)
    await show.settle([cake, retract("r1:1", reason="fraud"), gift("ada")], NOW_MS)
    rows, more = await show.statement("ada", None, 10)
    assert [(Reason(row.reason), row.amount, row.balance_after) for row in rows] == [
        (Reason.GIFT_SPENT, -1, 999),
        (Reason.RETRACT_SPENT, 50, 1_000),
        (Reason.GIFT_SPENT, -50, 950),
        (Reason.GRANT, 1_000, 1_000),
    ]
    assert [row.place for row in rows] == sorted((row.place for row in rows), reverse=True)
    asked, answered = json.loads(rows[2].command), json.loads(rows[2].outcome)
    assert (asked["gift"], answered["room"], answered["seq"]) == ("cake", "r1", 1)
    assert json.loads(rows[1].command)["reason"] == "fraud"
    assert {row.at_ms for row in rows} == {NOW_MS} and {row.account for row in rows} == {"coins"}
    assert not more and await show.statement("ada", rows[1].place, 1) == (rows[2:3], True)
    earned, _ = await show.statement("cleo", None, 10)
    assert [(row.account, row.amount) for row in earned] == [
        ("diamonds_pending", 500),
        ("diamonds_pending", -25_000),
        ("diamonds_pending", 25_000),
    ]


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 200])
async def test_a_page_of_a_statement_may_end_between_the_two_sides_of_a_transfer(
    show: Store, limit: int
) -> None:
    """A release goes from one account of Cleo's to another: two rows, and neither is lost or
    repeated, and no page is longer than asked for."""
    await show.settle([set_policy(hold_days=0), gift("ada", "cake"), gift("bob")], NOW_MS)
    await show.settle([release(), gift("ada")], NOW_MS)
    paged: list[StatementRow] = []
    before, more = None, True
    while more:
        page, more = await show.statement("cleo", before, limit)
        assert len(page) == limit or (not more and len(page) < limit)
        paged, before = paged + page, page[-1].place
    assert [(row.account, row.amount) for row in paged] == [
        ("diamonds_pending", 500),
        ("diamonds_available", 13_000),
        ("diamonds_pending", -13_000),
        ("diamonds_pending", 500),
        ("diamonds_pending", 12_500),
    ]
    assert paged[1].transfer == paged[2].transfer
    assert await show.statement("cleo", before, limit) == ([], False)


async def test_the_same_key_gets_the_first_answer_and_moves_nothing(show: Store) -> None:
    wish = gift("ada", "cake")
    first = (await show.settle([wish], NOW_MS))[0]
    for retry in (wish, again(wish, name="Ada L.", adult=False)):
        second = (await show.settle([retry], NOW_MS + 5_000))[0]
        assert second.outcome == first.outcome
        assert second.replayed and not second.events and second.balance is None
    assert (await show.balances(["ada"])).coins == {"ada": 975}


async def test_a_refusal_for_want_of_coins_stays_under_its_key(show: Store) -> None:
    wish = gift("eve", "cake")
    first = (await show.settle([wish], NOW_MS))[0]
    retry = (await show.settle([grant("eve"), wish], NOW_MS))[1]
    assert isinstance(first.outcome, Refused) and first.outcome.code == "insufficient_coins"
    assert retry.replayed and retry.outcome == first.outcome


async def test_a_key_that_was_used_for_something_else_is_refused(show: Store) -> None:
    wish = gift("ada", "cake")
    other = again(wish, gift="lion")
    asked = [wish, other, again(wish, sender="ada", message="!"), wish]
    outcomes = [result.outcome for result in await show.settle(asked, NOW_MS)]
    assert [getattr(outcome, "code", "booked") for outcome in outcomes] == [
        "booked",
        "key_reused",
        "key_reused",
        "booked",
    ]
    assert (await show.settle([other], NOW_MS))[0].outcome == outcomes[1]
    assert (await show.balances(["ada"])).coins == {"ada": 975}


async def test_two_actors_may_use_the_same_key(show: Store) -> None:
    asked = [gift("ada", key="same"), gift("bob", key="same")]
    assert not any(result.replayed for result in await show.settle(asked, NOW_MS))
    assert (await show.balances(["ada", "bob"])).coins == {"ada": 999, "bob": 999}


async def test_a_backend_that_gifts_for_two_users_under_one_key_is_refused(show: Store) -> None:
    asked = [gift(user, key="same", actor="backend") for user in ("ada", "bob")]
    outcomes = [result.outcome for result in await show.settle(asked, NOW_MS)]
    assert isinstance(outcomes[1], Refused) and outcomes[1].code == "key_reused"


async def test_a_thousand_gifts_with_one_key_are_one_gift(show: Store) -> None:
    wish = gift("ada")
    results = await show.settle([wish] * 1_000, NOW_MS)
    results += await show.settle([wish] * 10, NOW_MS)
    assert all(result.outcome == results[0].outcome for result in results)
    assert [result.replayed for result in results] == [False] + [True] * 1_009
    assert (await show.balances(["ada"])).coins == {"ada": 999}
    assert len(await show.events("r1", 0, 10)) == 1


@pytest.mark.parametrize("batch", [1, 7, 1_000])
async def test_the_last_coin_is_spent_once(show: Store, batch: int) -> None:
    await show.settle([grant("eve", 1)], NOW_MS)
    asked = [gift("eve") for _ in range(1_000)]
    results = [
        result
        for start in range(0, len(asked), batch)
        for result in await show.settle(asked[start : start + batch], NOW_MS)
    ]
    accepted = [isinstance(result.outcome, GiftAccepted) for result in results]
    assert accepted == [True] + [False] * 999
    assert (await show.balances(["eve"])).coins == {"eve": 0}
    state = await show.room("r1", 10)
    assert state is not None
    assert state.room.total_coins == 1


async def test_a_refusal_that_is_not_kept_leaves_no_trace(show: Store) -> None:
    wish = gift("ada", "rose", price=7)
    first, second = [(await show.settle([wish], NOW_MS + step))[0] for step in (0, 1)]
    assert isinstance(first.outcome, Refused) and first.outcome.code == "price_changed"
    assert not first.replayed and not second.replayed
    assert (await show.settle([again(wish, price=1)], NOW_MS))[0].events


async def test_a_gift_can_be_hidden_and_retracted_once_each(show: Store) -> None:
    asked = [gift("ada"), hide("r1:1"), hide("r1:1"), retract("r1:1"), retract("r1:1")]
    outcomes = [result.outcome for result in await show.settle(asked, NOW_MS)]
    outcomes += [result.outcome for result in await show.settle([hide("r1:1")], NOW_MS)]
    assert [outcome.code for outcome in outcomes if isinstance(outcome, Refused)] == [
        "already_hidden",
        "already_retracted",
        "already_hidden",
    ]
    assert (await show.balances(["ada"])).coins == {"ada": 1_000}


async def test_renewing_the_epochs_renames_every_log_and_moves_nothing(show: Store) -> None:
    await show.settle([open_room("r2"), gift("ada")], NOW_MS)
    before = await show.rooms("", 10)
    await show.settle([renew_epochs()], NOW_MS)
    after = await show.rooms("", 10)
    assert all(old.epoch != new.epoch for old, new in zip(before, after, strict=True))
    assert [(room.id, room.seq, room.total_coins) for room in after] == [
        (room.id, room.seq, room.total_coins) for room in before
    ]


async def test_an_erased_user_has_no_name_on_any_board_and_keeps_their_place(show: Store) -> None:
    await show.settle([gift("ada", "cake"), gift("bob")], NOW_MS)
    await show.settle([erase("ada")], NOW_MS)
    await show.settle([gift("bob")], NOW_MS)
    _, earned_by = await show.money.creator_board("cleo", 0, 10)
    state = await show.room("r1", 10)
    assert earned_by == [BoardLine("ada", "", 25), BoardLine("bob", "Bob", 2)]
    assert state is not None
    assert [(user, name) for user, name, _, _ in state.standings] == [("ada", ""), ("bob", "Bob")]
    user = await show.money.user("ada")
    assert user is not None and (user.name, user.level_hidden) == ("", True)


async def test_any_text_comes_back_as_it_was(show: Store) -> None:
    message = "quote ' \" \\ 👩‍👩‍👧 \u202e é e\u0301 <b>\u2028 end"
    results = await show.settle([gift("ada", message=message, name="Å'); --")], NOW_MS)
    assert await show.events("r1", 0, 1) == list(results[0].events)
    assert (await show.board("r1", 1, 1))[0].name == "Å'); --"


async def test_reads_may_overlap_with_writing_and_with_each_other(show: Store) -> None:
    async def read() -> int:
        state = await show.room("r1", 100)
        assert state is not None
        # One moment: the parts belong together.
        assert sum(event.coins for event in state.recent) == state.room.total_coins
        assert sum(coins for _, _, coins, _ in state.standings) == state.room.total_coins
        return state.room.seq

    async def write() -> None:
        for _ in range(40):
            await show.settle([gift("ada")], NOW_MS)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(write())
        readers = [tasks.create_task(read()) for _ in range(60)]
    assert all(0 <= reader.result() <= 40 for reader in readers)


async def test_balances_say_of_which_command_they_are(show: Store) -> None:
    first = await show.balances(["ada", "nobody"])
    assert first.coins["nobody"] == 0
    [result] = await show.settle([grant("ada", 25)], NOW_MS)
    assert result.balance is not None
    then = await show.balances(["ada"])
    assert (then.as_of, then.coins) == (result.balance.command, {"ada": result.balance.coins})
    assert then.as_of > first.as_of
    assert await show.balances([]) == Balances(then.as_of, {})


async def test_heads_say_how_far_each_room_has_come(show: Store) -> None:
    rooms = await show.rooms("", 10)
    assert rooms
    asked = [room.id for room in rooms]
    assert await show.heads([*asked, "nowhere"]) == {r.id: Head(r.epoch, r.seq) for r in rooms}
    await show.settle([gift("ada", room=asked[0])], NOW_MS)
    assert (await show.heads(asked[:1]))[asked[0]].seq == rooms[0].seq + 1
    assert await show.heads([]) == {}


async def test_a_room_is_found_by_itself(show: Store) -> None:
    await show.settle([gift("ada", "cake"), close_room()], NOW_MS)
    assert await show.find_room("r2") is None
    found = await show.find_room("r1")
    assert found is not None
    assert (found.id, found.creator, found.status, found.seq) == ("r1", "cleo", "closed", 2)
    assert found == (await show.rooms("", 9))[0] and found.total_coins == 25


async def test_the_board_of_now_is_the_one_after_the_last_line(show: Store) -> None:
    """Ties go to who was there first; who has nothing any more is not on it."""
    await show.settle([grant("eve"), gift("ada"), gift("bob", "cake"), gift("eve")], NOW_MS)
    await show.settle([gift("ada", quantity=24), retract("r1:3")], NOW_MS)
    as_of, lines = await show.current_board("r1", 9)
    assert (as_of, lines) == (5, [BoardLine("bob", "Bob", 25), BoardLine("ada", "Ada", 25)])
    assert await show.board("r1", as_of, 9) == lines
    assert await show.current_board("r1", 1) == (5, lines[:1])
    assert await show.current_board("r2", 9) == (0, [])


async def test_a_room_without_gifts_has_an_empty_board(show: Store) -> None:
    assert await show.current_board("r1", 9) == (0, [])


async def test_what_was_settled_is_there_when_the_books_are_opened_again(address: str) -> None:
    if ":memory:" in address:
        pytest.skip("books in memory end with their store")
    first = await open_store(address)
    await first.settle([set_policy(), open_room(), grant("ada"), gift("ada")], NOW_MS)
    await first.close()
    second = await open_store(address)
    assert await second.balances(["ada"]) == Balances(4, {"ada": 999})
    assert (await second.settle([gift("ada")], NOW_MS))[0].events[0].seq == 2
    await second.close()


async def test_a_batch_is_not_before_the_one_before_it(show: Store) -> None:
    """A node whose clock is a little behind, or that waited, does not turn time back."""
    for step_ms in (0, 5_000, 3_000, 4_999, 6_000):
        await show.settle([gift("ada")], NOW_MS + step_ms)
    rows, _ = await show.statement("ada", None, 5)
    assert [row.at_ms - NOW_MS for row in rows] == [6_000, 5_000, 5_000, 5_000, 0]
    assert [json.loads(row.outcome)["at_ms"] for row in rows] == [row.at_ms for row in rows]


async def test_a_clock_that_was_wrong_is_not_waited_for(show: Store) -> None:
    for at_ms in (NOW_MS + 60_001, NOW_MS, NOW_MS + 60_000, NOW_MS):
        await show.settle([gift("ada")], at_ms)
    rows, _ = await show.statement("ada", None, 4)
    assert [row.at_ms - NOW_MS for row in rows] == [60_000, 60_000, 0, 60_001]


async def test_a_dry_run_answers_as_settling_would_and_leaves_nothing(show: Store) -> None:
    await show.settle([gift("ada", "cake")], NOW_MS)
    asked = [gift("ada", "lion", key="k"), retract("r1:1"), gift("ada", "lion"), gift("eve")]
    before = await show.room("r1", 9), await show.wallet("ada"), await show.balances(["ada"])
    tried = await show.dry_run(asked, NOW_MS - 1)
    assert await show.dry_run(asked, NOW_MS - 1) == tried, "no key was spent"
    assert before == (
        await show.room("r1", 9),
        await show.wallet("ada"),
        await show.balances(["ada"]),
    )
    assert await show.settle(asked, NOW_MS - 1) == tried
    assert [result.replayed for result in await show.dry_run(asked[:2], NOW_MS)] == [True, True]
