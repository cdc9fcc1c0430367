"""Creators over HTTP: boards over all of their rooms, what they earn per coin, what they earned."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Literal

import msgspec
from litestar import Router, get, put
from litestar.params import JSONBody, QueryParameter

from rules.commands import SetRate
from rules.creators import RATE_MAX, rate_of
from rules.refusals import RefusalCode
from server.api.access import anybody, backend, backend_or_user
from server.api.answers import booked, shaped
from server.api.boards import BoardBody, board_body
from server.api.context import Context
from server.api.errors import ApiError
from server.api.fields import Moment, UserInPath
from server.api.lists import Limit
from server.api.request import Asker, InContext, Key
from storage import EarningLine

EARNING_DAYS = 30
EARNING_DAYS_MAX = 366
"""A whole year of days; every kind of gift is a line of each."""

BoardWindow = Annotated[
    Literal["day", "week", "month", "all"],
    QueryParameter(description="Today, since Monday, since the 1st (UTC), or ever."),
]
FromDay = Annotated[
    str | None,
    QueryParameter(
        name="from",
        description=f"YYYY-MM-DD; {EARNING_DAYS} days without it.",
        schema_extra={"format": "date"},
    ),
]
ToDay = Annotated[
    str | None,
    QueryParameter(name="to", description="YYYY-MM-DD, included.", schema_extra={"format": "date"}),
]
Permille = Annotated[
    int,
    msgspec.Meta(
        ge=0, le=RATE_MAX, description=f"a whole number from 0 to {RATE_MAX}", examples=[500]
    ),
]

_EPOCH = date(1970, 1, 1)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class RateWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rate_permille: Permille
    from_ms: Moment | None = None
    until_ms: Moment | None = None


class RateLine(msgspec.Struct, frozen=True):
    from_ms: int
    until_ms: int | None
    """Null: for ever, or until another."""
    rate_permille: int


class RateBody(msgspec.Struct, frozen=True):
    rate_permille: int
    """Millidiamonds per coin, now."""
    rates: list[RateLine]
    """The creator's own, in the order in which they were set."""


class GiftSums(msgspec.Struct, frozen=True, kw_only=True):
    gift: str
    gifts: int
    coins: int
    millidiamonds: int


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    gifts: int
    coins: int
    millidiamonds: int


class DaySums(Sums, frozen=True, kw_only=True):
    date: str
    by_gift: list[GiftSums]


class EarningsBody(
    msgspec.Struct, frozen=True, kw_only=True, rename={"from_day": "from", "to_day": "to"}
):
    from_day: str
    to_day: str
    days: list[DaySums]
    """Without empty ones."""
    total: Sums


def first_day(window: str, today: date) -> date:
    """The UTC day with which a board's window begins: weeks with Monday, months with the 1st."""
    match window:
        case "day":
            return today
        case "week":
            return today - timedelta(days=today.weekday())
        case "month":
            return today.replace(day=1)
        case _:
            return _EPOCH


@get("/creators/{user:str}/board", guards=[anybody])
async def show_creator_board(
    context: InContext, user: UserInPath, window: BoardWindow = "all", limit: Limit = 10
) -> BoardBody:
    """Who gave a creator most over all rooms: today, since Monday, since the 1st, or ever (UTC)."""
    begin = (first_day(window, _today(context)) - _EPOCH).days
    as_of, lines = await context.store.money.creator_board(user, begin, limit)
    return board_body(as_of, window, lines)


def _today(context: Context) -> date:
    return datetime.fromtimestamp(context.clock() / 1000, UTC).date()


@put("/creators/{user:str}/rate", guards=[backend], refuses=["wrong_state"])
async def set_rate(
    context: InContext, caller: Asker, key: Key, user: UserInPath, data: JSONBody[RateWish]
) -> RateBody:
    """Give a creator a rate of their own from now or a later moment on, for ever or until another.
    What was earned before stays as it was earned; of overlapping rates the one set last counts."""
    command = SetRate(
        actor=caller.actor,
        key=key,
        creator=user,
        rate_permille=data.rate_permille,
        from_ms=data.from_ms,
        until_ms=data.until_ms,
    )
    await booked(context, command)
    return await _rates(context, user)


@get("/creators/{user:str}/rate", guards=[backend_or_user])
async def show_rate(context: InContext, user: UserInPath) -> RateBody:
    """Millidiamonds per coin now, and the creator's own rates in the order they were set."""
    return await _rates(context, user)


async def _rates(context: Context, user: str) -> RateBody:
    creator = await context.store.money.creator(user)
    rates = [
        shaped(RateLine, rate, rate_permille=rate.permille)
        for rate in (creator.rates if creator else ())
    ]
    return RateBody(rate_of(creator, context.policy, context.clock()), rates)


@get("/creators/{user:str}/earnings", guards=[backend_or_user], refuses=["invalid"])
async def show_earnings(
    context: InContext, user: UserInPath, from_day: FromDay = None, to_day: ToDay = None
) -> EarningsBody:
    """What a creator earned by UTC day and kind of gift, net of what was taken back. Both days are
    included; without them, the last 30 days. Days without a gift are left out."""
    last = _day(to_day, "to") or _today(context)
    first = _day(from_day, "from") or last - timedelta(days=EARNING_DAYS - 1)
    if not 1 <= (last - first).days + 1 <= EARNING_DAYS_MAX:
        sentence = f"`from` must not be after `to`, nor more than {EARNING_DAYS_MAX} days before."
        raise ApiError(RefusalCode.INVALID, sentence, {"field": "from"})
    begin, end = (first - _EPOCH).days, (last - _EPOCH).days
    lines = await context.store.money.earnings(user, begin, end)
    by_day: dict[int, list[EarningLine]] = {}
    for line in lines:
        by_day.setdefault(line.day, []).append(line)
    return EarningsBody(
        from_day=first.isoformat(),
        to_day=last.isoformat(),
        days=[_day_body(day, some) for day, some in sorted(by_day.items())],
        total=Sums(**_sums(lines)),
    )


def _day(text: str | None, name: str) -> date | None:
    if text is None:
        return None
    try:
        if _DATE.fullmatch(text):
            day = date.fromisoformat(text)
            if day >= _EPOCH:
                return day
    except ValueError:
        pass
    sentence = f"`{name}` must be a day since 1970, written YYYY-MM-DD."
    raise ApiError(RefusalCode.INVALID, sentence, {"field": name})


def _day_body(day: int, lines: list[EarningLine]) -> DaySums:
    by_gift = [GiftSums(gift=line.gift, **_sums([line])) for line in lines]
    moment = _EPOCH + timedelta(days=day)
    return DaySums(date=moment.isoformat(), by_gift=by_gift, **_sums(lines))


def _sums(lines: list[EarningLine]) -> dict[str, int]:
    return {
        "gifts": sum(line.gifts for line in lines),
        "coins": sum(line.coins for line in lines),
        "millidiamonds": sum(line.millidiamonds for line in lines),
    }


creators_router = Router(
    path="/v1",
    route_handlers=[show_creator_board, set_rate, show_rate, show_earnings],
    tags=["creators"],
)
