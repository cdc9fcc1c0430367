"""Creators over HTTP: boards over all of their rooms, what they earn per coin, what they earned."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Router, get, put
from litestar.datastructures import State
from litestar.params import FromPath, JSONBody, QueryParameter

from protocol.messages import MONEY_MAX
from rules.commands import SetRate
from rules.creators import RATE_MAX, rate_of
from server.api.access import backend, backend_or
from server.api.answers import booked
from server.api.context import Context
from server.api.errors import ApiError
from server.api.fields import checked_id, maybe_whole
from server.api.lists import Limit
from server.api.request import idempotency_key, shell_of
from storage import EarningLine

EARNING_DAYS = 30
EARNING_DAYS_MAX = 366
"""A whole year of days; every kind of gift is a line of each."""

BoardWindow = Annotated[Literal["day", "week", "month", "all"], QueryParameter()]
FromDay = Annotated[str | None, QueryParameter(name="from")]
ToDay = Annotated[str | None, QueryParameter(name="to")]

_EPOCH = date(1970, 1, 1)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class RateWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rate_permille: int
    from_ms: int | None = None
    until_ms: int | None = None


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


@get("/creators/{user:str}/board")
async def show_creator_board(
    state: State, user: FromPath[str], window: BoardWindow = "all", limit: Limit = 10
) -> dict[str, Any]:
    """Who gave a creator most over all rooms: today, since Monday, since the 1st, or ever (UTC)."""
    shell = shell_of(state)
    begin = (first_day(window, _today(shell)) - _EPOCH).days
    as_of, lines = await shell.store.money.creator_board(checked_id(user, "user"), begin, limit)
    return {
        "as_of": as_of,
        "window": window,
        "top": [
            {"rank": rank, "user": {"id": line.user, "name": line.name}, "coins": line.coins}
            for rank, line in enumerate(lines, 1)
        ],
    }


def _today(shell: Context) -> date:
    return datetime.fromtimestamp(shell.clock() / 1000, UTC).date()


@put("/creators/{user:str}/rate")
async def set_rate(
    state: State, request: Request[Any, Any, Any], user: FromPath[str], data: JSONBody[RateWish]
) -> dict[str, Any]:
    """Give a creator a rate of their own from now or a later moment on, for ever or until another.
    What was earned before stays as it was earned; of overlapping rates the one set last counts."""
    shell = shell_of(state)
    caller = backend(request, shell)
    checked_id(user, "user")
    rate_permille = await maybe_whole(request, "rate_permille", RATE_MAX)
    assert rate_permille is not None
    command = SetRate(
        actor=caller.actor,
        key=idempotency_key(request),
        creator=user,
        rate_permille=rate_permille,
        from_ms=await maybe_whole(request, "from_ms", MONEY_MAX),
        until_ms=await maybe_whole(request, "until_ms", MONEY_MAX),
    )
    await booked(shell, command)
    return await _rates(shell, user)


@get("/creators/{user:str}/rate")
async def show_rate(
    state: State, request: Request[Any, Any, Any], user: FromPath[str]
) -> dict[str, Any]:
    """Millidiamonds per coin now, and the creator's own rates in the order they were set."""
    shell = shell_of(state)
    backend_or(request, shell, checked_id(user, "user"))
    return await _rates(shell, user)


async def _rates(shell: Context, user: str) -> dict[str, Any]:
    creator = await shell.store.money.creator(user)
    return {
        "rate_permille": rate_of(creator, shell.policy, shell.clock()),
        "rates": [
            {"from_ms": r.from_ms, "until_ms": r.until_ms, "rate_permille": r.permille}
            for r in (creator.rates if creator else ())
        ],
    }


@get("/creators/{user:str}/earnings")
async def show_earnings(
    state: State,
    request: Request[Any, Any, Any],
    user: FromPath[str],
    from_day: FromDay = None,
    to_day: ToDay = None,
) -> dict[str, Any]:
    """What a creator earned by UTC day and kind of gift, net of what was taken back. Both days are
    included; without them, the last 30 days. Days without a gift are left out."""
    shell = shell_of(state)
    backend_or(request, shell, checked_id(user, "user"))
    last = _day(to_day, "to") or _today(shell)
    first = _day(from_day, "from") or last - timedelta(days=EARNING_DAYS - 1)
    if not 1 <= (last - first).days + 1 <= EARNING_DAYS_MAX:
        sentence = f"`from` must not be after `to`, nor more than {EARNING_DAYS_MAX} days before."
        raise ApiError("invalid", sentence, {"field": "from"})
    begin, end = (first - _EPOCH).days, (last - _EPOCH).days
    lines = await shell.store.money.earnings(user, begin, end)
    by_day: dict[int, list[EarningLine]] = {}
    for line in lines:
        by_day.setdefault(line.day, []).append(line)
    return {
        "from": first.isoformat(),
        "to": last.isoformat(),
        "days": [_day_body(day, some) for day, some in sorted(by_day.items())],
        "total": _sums(lines),
    }


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
    raise ApiError("invalid", sentence, {"field": name})


def _day_body(day: int, lines: list[EarningLine]) -> dict[str, Any]:
    by_gift = [{"gift": line.gift} | _sums([line]) for line in lines]
    moment = _EPOCH + timedelta(days=day)
    return {"date": moment.isoformat()} | _sums(lines) | {"by_gift": by_gift}


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
