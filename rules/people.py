"""What users decide about themselves, and operators about users: limits, pauses, freezing."""

from msgspec import UNSET

from rules.book import Book
from rules.commands import (
    FORGOTTEN,
    EraseUser,
    Freeze,
    HideLevel,
    PauseGifting,
    SetLimits,
    Unfreeze,
)
from rules.days import DAY_MS
from rules.events import forget, speaks_of
from rules.outcomes import (
    AccountFrozen,
    AccountUnfrozen,
    GiftingPaused,
    LevelHidden,
    LimitsSet,
    UserErased,
)
from rules.policy import SpendingLimits
from rules.refusals import RefusalCode
from rules.results import Result, refuse
from rules.rows import LimitRaise, User
from rules.spending import default_limit, own_limit

RAISE_MS = DAY_MS
"""A higher limit counts after a night's sleep."""
PAUSE_DAYS = (1, 7, 30)
PER_GIFT_MAX = 100_000_000


def set_limits(book: Book, command: SetLimits, now_ms: int) -> Result:
    """Lower limits count at once, higher ones after 24 hours."""
    rules = book.policy.limits if book.policy else SpendingLimits()
    wanted = {
        name: value
        for name in ("daily", "weekly", "monthly", "per_gift")
        if (value := getattr(command, f"{name}_coins")) is not UNSET
    }
    for name, value in wanted.items():
        most = PER_GIFT_MAX if name == "per_gift" else getattr(rules, f"{name}_max_coins")
        if value is not None and not 0 <= value <= (most or PER_GIFT_MAX):
            field = f"{name}_coins"
            sentence = (
                f"`{field}` must be a whole number from 0 to {most or PER_GIFT_MAX}, or null."
            )
            return refuse(RefusalCode.INVALID, sentence, field=field, most=most or PER_GIFT_MAX)
    user = book.user(command.user)
    _take_due(user, now_ms)
    for name, value in wanted.items():
        _set_limit(user, rules, name, value, now_ms)
    raises = {name: (waiting.coins, waiting.at_ms) for name, waiting in user.raises.items()}
    return Result(LimitsSet(user=user.id, limits=dict(user.limits), raises=raises))


def _take_due(user: User, now_ms: int) -> None:
    """Enter the raises that have come due."""
    for name, waiting in list(user.raises.items()):
        if now_ms >= waiting.at_ms:
            value = own_limit(user, name, now_ms)
            del user.raises[name]
            _enter(user, name, value)


def _enter(user: User, name: str, value: int | None) -> None:
    if value is None:
        user.limits.pop(name, None)
    else:
        user.limits[name] = value


def _set_limit(
    user: User, rules: SpendingLimits, name: str, value: int | None, now_ms: int
) -> None:
    own = user.limits.get(name)
    default = (0 if name == "per_gift" else default_limit(rules, name)) or PER_GIFT_MAX
    now_coins = default if own is None else own
    if value == own or (value is not None and value <= now_coins):
        _enter(user, name, value)
        user.raises.pop(name, None)
        return
    waiting = user.raises.get(name)
    if waiting is None or waiting.coins != value:
        user.raises[name] = LimitRaise(value, now_ms + RAISE_MS)


def pause(book: Book, command: PauseGifting, now_ms: int) -> Result:
    """No gifts for some days. A pause is never shortened."""
    if command.days not in PAUSE_DAYS:
        return refuse(RefusalCode.INVALID, "`days` must be 1, 7 or 30.", field="days")
    user = book.user(command.user)
    user.paused_until_ms = max(user.paused_until_ms, now_ms + command.days * DAY_MS)
    return Result(GiftingPaused(user=user.id, until_ms=user.paused_until_ms))


def freeze(book: Book, command: Freeze, now_ms: int) -> Result:
    """Stop an account from buying, giving and cashing out."""
    user = book.user(command.user)
    if user.frozen:
        return Result(AccountFrozen(user=user.id), replayed=True)
    user.frozen = True
    return Result(AccountFrozen(user=user.id))


def unfreeze(book: Book, command: Unfreeze, now_ms: int) -> Result:
    """Let an account go on."""
    user = book.user(command.user)
    if not user.frozen:
        return Result(AccountUnfrozen(user=user.id), replayed=True)
    user.frozen = False
    return Result(AccountUnfrozen(user=user.id))


def hide_level(book: Book, command: HideLevel, now_ms: int) -> Result:
    """Show the user's gifter level with their gifts, or do not."""
    user = book.user(command.user)
    user.level_hidden = command.hidden
    return Result(LevelHidden(user=user.id, hidden=command.hidden))


def erase(book: Book, command: EraseUser, now_ms: int) -> Result:
    """Forget a person's name and what they said, everywhere; what was given and got stays booked
    under the id. Storage does it to what was there before this batch."""
    user = book.user(command.user)
    user.name = ""
    user.level_hidden = True
    book.erased.add(user.id)
    for member in book.members.values():
        if member.user == user.id:
            member.name = ""
            book.changed_members[member.room, member.user] = member
    for row in book.creator_days.values():
        if row.user == user.id:
            row.name = ""
    actor = f"user:{user.id}"
    theirs = {entry.id for entry in book.journal if entry.said and entry.actor == actor}
    book.journal = [
        entry._replace(said=FORGOTTEN) if entry.id in theirs else entry for entry in book.journal
    ]
    book.events = [
        event._replace(body=forget(event.body))
        if event.command in theirs or speaks_of(event.body, user.id)
        else event
        for event in book.events
    ]
    return Result(UserErased(user=user.id))
