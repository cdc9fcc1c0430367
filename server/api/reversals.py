"""Taking back everything that an account gave in a period; or only seeing what that would do.

A dry run is no second calculation: the same commands are settled in a book that is thrown away, and
both answers are put together from what came of them.
"""

import hashlib
from collections.abc import Iterable
from typing import Any

import msgspec
from litestar import Router, post
from litestar.params import JSONBody

from rules.commands import ReverseGifts
from rules.creators import add_up
from rules.lifecycles import OPEN_PAYOUTS
from rules.outcomes import AnyOutcome, GiftsReversed
from rules.refusals import RefusalCode
from server.api.access import backend
from server.api.answers import booked, outcome_of
from server.api.context import Context
from server.api.errors import ApiError
from server.api.fields import Moment, Reason, UserInPath
from server.api.request import Asker, InContext
from storage import GiftLine

REVERSED_AT_ONCE = 100
"""Gifts in one command: others' gifts wait for no more than that."""
REVERSED_PER_REQUEST = 2_000
GIFTS_LOOKED_AT = 20_000
"""In a dry run, which settles them all in one batch: some two seconds of a processor. The events of
a room wait for a piece of it that takes a tenth of one; five times as many gifts take a whole one.
"""


class Reversal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    from_ms: Moment
    to_ms: Moment
    reason: Reason
    dry_run: bool = False
    """Nothing moves; the answer says what would."""


class ReversedCreator(msgspec.Struct, frozen=True):
    creator: str
    gifts: int
    coins: int
    millidiamonds: int


class ReversedRoom(msgspec.Struct, frozen=True):
    room: str
    gifts: int
    coins: int


class OpenPayout(msgspec.Struct, frozen=True):
    payout: str
    creator: str
    status: str


class ReversalBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    gifts: int
    coins: int
    creators: list[ReversedCreator]
    rooms: list[ReversedRoom]
    payouts: list[OpenPayout]
    """Of these creators, and not paid yet."""
    dry_run: bool
    left: bool
    """There is more: ask again."""
    reversed_gifts: int | msgspec.UnsetType = msgspec.UNSET
    """Absent in a dry run."""
    debt_paid_coins: int | msgspec.UnsetType = msgspec.UNSET


@post(
    "/users/{user:str}/reverse",
    guards=[backend],
    status_code=200,
    refuses=["unknown_gift", "not_retractable"],
)
async def reverse_gifts(
    context: InContext, caller: Asker, user: UserInPath, data: JSONBody[Reversal]
) -> ReversalBody:
    """Take back everything that a user gave in a period. With `dry_run` nothing moves, and the
    answer names what would. `left` true: there is more; ask again."""
    if data.from_ms >= data.to_ms:
        raise ApiError(
            RefusalCode.INVALID, "`from_ms` must be before `to_ms`.", {"field": "from_ms"}
        )
    most = GIFTS_LOOKED_AT if data.dry_run else REVERSED_PER_REQUEST
    found = await context.store.money.gifts_of(user, data.from_ms, data.to_ms, most + 1)
    gifts, left = found[:most], len(found) > most
    commands = _reversing(caller.actor, user, gifts, data.reason)
    if data.dry_run:
        tried = await context.store.dry_run(commands, context.clock())
        concerned = await _concerned(context, gifts, [outcome_of(result) for result in tried])
        return ReversalBody(**concerned, dry_run=True, left=left)
    outcomes = [await booked(context, command) for command in commands]
    concerned = await _concerned(context, gifts, outcomes)
    return ReversalBody(
        **concerned,
        dry_run=False,
        left=left,
        reversed_gifts=concerned["gifts"],
        debt_paid_coins=sum(one.debt_paid_coins for one in _reversals(outcomes)),
    )


def _reversing(actor: str, user: str, gifts: list[GiftLine], reason: str) -> list[ReverseGifts]:
    commands = []
    for start in range(0, len(gifts), REVERSED_AT_ONCE):
        names = tuple(f"{gift.room}:{gift.seq}" for gift in gifts[start : start + REVERSED_AT_ONCE])
        # A request that is repeated goes on where the last one stopped: the key is the content.
        key = "reverse-" + hashlib.sha256(" ".join(names).encode()).hexdigest()[:32]
        command = ReverseGifts(actor=actor, key=key, user=user, gifts=names, reason=reason)
        commands.append(command)
    return commands


def _reversals(outcomes: list[AnyOutcome]) -> list[GiftsReversed]:
    return [outcome for outcome in outcomes if isinstance(outcome, GiftsReversed)]


async def _concerned(
    context: Context, gifts: list[GiftLine], outcomes: list[AnyOutcome]
) -> dict[str, Any]:
    """Every creator, board and open payout that these reversals changed, or would change."""
    lines = {f"{gift.room}:{gift.seq}": gift for gift in gifts}
    reversals = _reversals(outcomes)
    reversed_gifts = [lines[gift_id] for one in reversals for gift_id, _ in one.gifts]
    taken_back = add_up([part for one in reversals for part in one.taken])
    creators = _counted((gift.creator, gift.coins) for gift in reversed_gifts)
    rooms = _counted((gift.room, gift.coins) for gift in reversed_gifts)
    lost = {part.creator: part.millidiamonds for part in taken_back}
    payouts = []
    for creator in creators:
        for status in OPEN_PAYOUTS:
            rows = await context.store.money.payouts(creator, status, None, 1)
            payouts += [OpenPayout(row.id, row.creator, row.status) for row in rows]
    return {
        "gifts": len(reversed_gifts),
        "coins": sum(one.coins for one in reversals),
        "creators": [
            ReversedCreator(id, count, coins, lost.get(id, 0))
            for id, (count, coins) in creators.items()
        ],
        "rooms": [ReversedRoom(id, count, coins) for id, (count, coins) in rooms.items()],
        "payouts": payouts,
    }


def _counted(pairs: Iterable[tuple[str, int]]) -> dict[str, tuple[int, int]]:
    """How often each name comes and what it adds up to, in order of the names."""
    sums: dict[str, tuple[int, int]] = {}
    for name, coins in pairs:
        count, so_far = sums.get(name, (0, 0))
        sums[name] = count + 1, so_far + coins
    return dict(sorted(sums.items()))


reversals_router = Router(path="/v1", route_handlers=[reverse_gifts], tags=["users"])
