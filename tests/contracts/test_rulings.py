"""What every store tells its nodes: the policy that was set, the tokens that were revoked."""

from kit.building.builders import grant, issue_link, open_room, revoke_token, set_policy
from kit.building.ledgers import NOW_MS
from rules.commands import AnyCommand
from storage import Rulings, Store

LATER_MS = NOW_MS + 1_000_000


async def settle(store: Store, *commands: AnyCommand) -> None:
    await store.settle(commands, NOW_MS)


def ids(found: Rulings) -> list[str]:
    return [row.id for row in found.revoked]


async def test_of_empty_books_there_is_nothing_to_follow(store: Store) -> None:
    assert await store.rulings(0, NOW_MS, 10) == Rulings(0, None, [], False)


async def test_the_policy_that_was_set_last_is_told_once(store: Store) -> None:
    await settle(store, set_policy(rate_permille=100), set_policy(rate_permille=200), grant())
    first = await store.rulings(0, NOW_MS, 10)
    assert first.policy is not None and first.policy.rate_permille == 200
    assert first == Rulings(2, await store.policy(), [], False)
    assert await store.rulings(2, NOW_MS, 10) == Rulings(2, None, [], False)
    await settle(store, set_policy(rate_permille=300))
    again = await store.rulings(2, NOW_MS, 10)
    assert again.policy is not None and (again.policy.rate_permille, again.command) == (300, 4)


async def test_revoked_tokens_are_told_in_order_of_their_commands(store: Store) -> None:
    await settle(store, revoke_token("t2"), grant(), revoke_token("t1"))
    found = await store.rulings(0, NOW_MS, 10)
    assert (ids(found), found.command) == (["t2", "t1"], 3)
    assert ids(await store.rulings(1, NOW_MS, 10)) == ["t1"]
    assert await store.rulings(3, NOW_MS, 10) == Rulings(3, None, [], False)


async def test_a_link_that_was_replaced_is_revoked_and_a_link_that_stands_is_not(
    store: Store,
) -> None:
    await settle(store, open_room("r1"), open_room("r2"))
    await settle(store, issue_link("r1", "t1", expires_ms=LATER_MS), issue_link("r2", "t2"))
    assert ids(await store.rulings(0, NOW_MS, 10)) == []
    await settle(store, issue_link("r1", "t3", expires_ms=LATER_MS))
    [row] = (await store.rulings(0, NOW_MS, 10)).revoked
    assert (row.id, row.expires_ms, row.at_ms) == ("t1", LATER_MS, NOW_MS)


async def test_tokens_that_have_expired_are_left_out(store: Store) -> None:
    await settle(
        store,
        revoke_token("t1", expires_ms=LATER_MS),
        revoke_token("t2"),
        revoke_token("t3", expires_ms=LATER_MS + 1),
    )
    assert ids(await store.rulings(0, LATER_MS - 1, 10)) == ["t1", "t2", "t3"]
    assert ids(await store.rulings(0, LATER_MS, 10)) == ["t2", "t3"]


async def test_a_token_that_is_revoked_for_longer_is_told_again(store: Store) -> None:
    await settle(store, revoke_token("t1", expires_ms=LATER_MS), revoke_token("t2"))
    await settle(store, revoke_token("t1"), revoke_token("t2"))
    found = await store.rulings(2, NOW_MS, 10)
    assert [(row.id, row.expires_ms) for row in found.revoked] == [("t1", 0)]


async def test_what_is_long_is_told_in_parts_and_nothing_of_it_is_passed_over(
    store: Store,
) -> None:
    revocations = [revoke_token(f"t{n}") for n in range(5)]
    await settle(store, *revocations[:3], set_policy(rate_permille=7), *revocations[3:])
    heard: list[Rulings] = []
    after, more = 0, True
    while more:
        heard.append(await store.rulings(after, NOW_MS, 2))
        after, more = heard[-1].command, heard[-1].more
    assert [id for part in heard for id in ids(part)] == [f"t{n}" for n in range(5)]
    assert [part.policy.rate_permille for part in heard if part.policy] == [7]
    assert after == 6
