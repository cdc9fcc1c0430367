"""How a table of the rules is read: one scenario, line by line, settled on a book in memory.

A line is `command | what it answers | what the books say then`; the last two may be left out, and
then the command must succeed. Commands and their fields are those of kit/building/builders.py.
`newest` stands for the newest payout, refund or gift, 0 for the newest entry or correction.

Answers: `ok`, `replay` (the first answer again), or a refusal's code, with `+` when it must be kept
under its key (`retry: new`) and `-` when it must leave no trace (`retry: fix`). Fields of the
answer may follow: `seq=1`, `taken.0.debt=5`, `lots=p1:40,p2:3`; `reminder=80` is told to the user.

Books: `ada=5` coins, `cleo~5` pending millidiamonds, `r1=7@2` a room's total at its head seq,
`r1/ada=7` a line of its board; `ada.debt=-5` another account of ada (see ACCOUNTS), `.sales=95` one
of the system's; `cleo.board=0:ada:25` the creator's board by day, giver and coins, and
`cleo.earned=0:cake:1:12500` what was earned by day and gift; `p1.status=paid` a field of a row,
`payout.status` one of the newest payout.

`@1500` before a command is the time in ms, `@1d2h30m` the same in days, hours and minutes; it stays
until the next `@`, and begins at 0.
"""

import re
from typing import Any

import msgspec

from kit.building import builders
from kit.building.histories import name_newest
from rules.book import Book, new_book
from rules.catalogue import make_catalogue
from rules.commands import AnyCommand
from rules.ledger import DEBTS, SYSTEM, AccountCode
from rules.outcomes import Refused
from rules.results import Result
from rules.settle import settle

LINE = re.compile(r"(?:@(?P<at>[\ddhm]+) )?(?P<verb>\w+) ?(?P<args>[^|]*)(?P<rest>.*)")
NUMBER = re.compile(r"-?[\d_]+(?:\^\d+(?:[+-]\d+)?)?")
MOMENT = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(\d+)?")
VERBS: dict[str, tuple[Any, list[str]]] = {
    "room": (builders.open_room, ["room", "creator"]),
    "close": (builders.close_room, ["room"]),
    "grant": (builders.grant, ["user", "coins"]),
    "gift": (builders.gift, ["sender", "gift"]),
    "retract": (builders.retract, ["gift_id"]),
    "reverse": (builders.reverse_gifts, ["user", "gifts"]),
    "hide": (builders.hide, ["gift_id"]),
    "start": (builders.start_purchase, ["user", "purchase"]),
    "attach": (builders.attach_checkout, ["purchase"]),
    "paid": (builders.settle_purchase, ["purchase"]),
    "fail": (builders.fail_purchase, ["purchase"]),
    "refund": (builders.refund_purchase, ["purchase"]),
    "sent": (builders.refund_sent, ["refund"]),
    "seen": (builders.see_refund, ["purchase", "refunded_minor"]),
    "chargeback": (builders.charge_back, ["purchase"]),
    "won": (builders.win_chargeback, ["purchase"]),
    "suspend": (builders.suspend, ["subject"]),
    "settle": (builders.settle_suspense, ["entry"]),
    "propose": (builders.propose_correction, ["user", "account", "amount"]),
    "decide": (builders.decide_correction, ["correction", "approve"]),
    "limits": (builders.set_limits, ["user"]),
    "pause": (builders.pause, ["user", "days"]),
    "freeze": (builders.freeze, ["user"]),
    "unfreeze": (builders.unfreeze, ["user"]),
    "hide_level": (builders.hide_level, ["user", "hidden"]),
    "erase": (builders.erase, ["user"]),
    "rate": (builders.set_rate, ["creator", "rate_permille"]),
    "release": (builders.release, ["creator"]),
    "request": (builders.request_payout, ["creator", "millidiamonds"]),
    "approve": (builders.approve_payout, ["payout"]),
    "pay": (builders.pay_payout, ["payout"]),
    "reject": (builders.reject_payout, ["payout"]),
    "result": (builders.payout_result, ["payout", "paid"]),
    "endpoint": (builders.set_endpoint, ["endpoint", "kinds"]),
    "rotate": (builders.rotate_endpoint, ["endpoint"]),
    "disable": (builders.disable_endpoint, ["endpoint"]),
    "link": (builders.issue_link, ["room", "token_id"]),
    "revoke": (builders.revoke_token, ["token_id"]),
}
ACCOUNTS = {
    "debt": AccountCode.COIN_DEBT,
    "available": AccountCode.DIAMONDS_AVAILABLE,
    "reserved": AccountCode.DIAMONDS_RESERVED,
    "owed": AccountCode.DIAMOND_DEBT,
    "granted": AccountCode.COINS_GRANTED,
    "spent": AccountCode.COINS_SPENT,
    "issued": AccountCode.DIAMONDS_ISSUED,
    "sold": AccountCode.COINS_SOLD,
    "cashed": AccountCode.DIAMONDS_PAID,
    "clearing": AccountCode.MONEY_CLEARING,
    "sales": AccountCode.MONEY_SALES,
    "payouts": AccountCode.MONEY_PAYOUTS,
    "corrected": AccountCode.COINS_CORRECTED,
}
LISTS = {"gifts", "kinds", "flags"}


def parts_of(pattern: re.Pattern[str] | str, text: str) -> tuple[str, ...]:
    """The groups of a pattern that the whole text must have."""
    match = re.fullmatch(pattern, text)
    assert match is not None, f"cannot read {text!r}"
    return match.groups()


def value_of(text: str) -> Any:
    """`2^53-1` and `1_000` are numbers, `true`, `false`, `null` as in JSON, all else is text."""
    if text in ("true", "false", "null"):
        return {"true": True, "false": False, "null": None}[text]
    if not NUMBER.fullmatch(text):
        return text
    sign, text = (-1, text[1:]) if text[0] == "-" else (1, text)
    base, power, rest = parts_of(r"([\d_]+)(?:\^(\d+))?([+-]\d+)?", text)
    return sign * (int(base) ** int(power or 1) + int(rest or 0))


def moment_of(text: str) -> int:
    days, hours, minutes, rest = (int(part or 0) for part in parts_of(MOMENT, text))
    return ((days * 24 + hours) * 60 + minutes) * 60_000 + rest


def pairs(words: list[str]) -> dict[str, Any]:
    """Fields of a command; what ends in `_ms` may be a moment."""
    found: dict[str, Any] = {}
    for name, _, text in (word.partition("=") for word in words):
        moment = name.endswith("_ms") and text != "null" and not NUMBER.fullmatch(text)
        found[name] = moment_of(text) if moment else value_of(text)
        if name in LISTS:
            found[name] = tuple(part for part in text.split(",") if part)
    return found


def grouped(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields of fields, `limits.daily_coins=5`, as dictionaries."""
    for name in [name for name in fields if "." in name]:
        group, _, field = name.partition(".")
        fields.setdefault(group, {})[field] = fields.pop(name)
    return fields


def policy_of(fields: dict[str, Any]) -> AnyCommand:
    """`cake=30` changes a price, `rose=off` switches a gift off; the rest are policy fields."""
    gifts = []
    for gift in builders.CATALOGUE.gifts:
        change = fields.pop(gift.id, None)
        if isinstance(change, int):
            gift = builders.again(gift, coins=change)
        elif change is not None:
            gift = builders.again(gift, enabled=change == "on")
        gifts.append(gift)
    return builders.set_policy(catalogue=make_catalogue(gifts), **grouped(fields))


def command_of(verb: str, args: str) -> AnyCommand:
    words = args.split()
    if verb == "policy":
        return policy_of(pairs(words))
    build, names = VERBS[verb]
    given = [word for word in words if "=" not in word]
    fields = pairs([f"{name}={word}" for name, word in zip(names, given, strict=False)])
    command: AnyCommand = build(**fields | grouped(pairs([word for word in words if "=" in word])))
    return command


def field_of(outcome: Any, path: str) -> Any:
    """A field of an outcome or of a refusal's details, as a table writes it."""
    details = outcome.details if isinstance(outcome, Refused) else None
    first, *rest = path.split(".")
    found: Any = (details or {}).get(first, getattr(outcome, first, None))
    for name in rest:
        found = found[int(name)] if name.isdigit() else getattr(found, name, None)
    return written(found)


def written(value: Any) -> Any:
    """Lists of pairs as `p1:40,p2:3`, other lists as `a,b`."""
    value = msgspec.to_builtins(value)
    if isinstance(value, dict):
        value = [
            (k, *v) if isinstance(v, list | tuple) else (k, v) for k, v in sorted(value.items())
        ]
    if isinstance(value, list | tuple):
        each = (":".join(map(str, v)) if isinstance(v, list | tuple) else str(v) for v in value)
        return ",".join(each)
    return value


def check_answer(result: Result, kept: bool, expected: str) -> None:
    word, *fields = expected.split() or ["ok"]
    outcome = result.outcome
    code = outcome.code if isinstance(outcome, Refused) else None
    if word == "ok":
        assert (code, kept, result.replayed) == (None, True, False)
    elif word == "replay":
        assert result.replayed and not result.events and result.balance is None
        assert result.reminder is None
        if fields and "=" not in fields[0]:
            assert code == fields.pop(0)
    else:
        assert (code, kept, result.replayed) == (word[1:], word[0] == "+", False)
    for name, value in pairs(fields).items():
        if name == "reminder":
            found = result.reminder and result.reminder.percent
        else:
            found = field_of(outcome, name)
        wanted = written(value)
        assert found == (wanted or "" if isinstance(found, str) else wanted), (name, found)


def check_books(book: Book, expected: str) -> None:
    for word in expected.split():
        name, sign, text = parts_of(r"([\w/.]*[\w/])([=~])(\S*)", word)
        if "/" in name:
            room_id, _, user = name.partition("/")
            member = book.members.get((room_id, user))
            found: Any = member.coins if member else 0
        elif "." in name:
            found = part_of(book, *name.split("."))
        elif name in book.rooms and sign == "=":
            room = book.rooms[name]
            found, text = 0, f"{0 if f'{room.total_coins}@{room.seq}' == text else text}"
        else:
            code = AccountCode.COINS if sign == "=" else AccountCode.DIAMONDS_PENDING
            found = book.balance(name, code)
        wanted = value_of(text)
        assert found == (text if isinstance(found, str) else wanted), (word, found)


def part_of(book: Book, name: str, part: str) -> Any:
    if part in ACCOUNTS:
        return book.balance(name, ACCOUNTS[part])
    newest: dict[str, dict[Any, Any]] = {
        "payout": book.payouts,
        "refund": book.refunds,
        "entry": book.suspense,
        "correction": book.corrections,
    }
    if name in newest:
        return written(getattr(list(newest[name].values())[-1], part))
    if part == "board":
        days = sorted(book.creator_days.values(), key=lambda row: (row.day, row.user))
        return written([(d.day, d.user, d.coins) for d in days if d.creator == name])
    if part == "earned":
        sums = sorted(book.earnings.values(), key=lambda row: (row.day, row.gift))
        return written(
            [(e.day, e.gift, e.gifts, e.millidiamonds) for e in sums if e.creator == name]
        )
    for rows in (
        book.purchases,
        book.users,
        book.creators,
        book.endpoints,
        book.links,
        book.revocations,
    ):
        if name in rows and hasattr(rows[name], part):
            return written(getattr(rows[name], part))
    raise AssertionError(f"nothing has a {name}.{part}")


def picture(book: Book) -> list[Any]:
    """All that a refusal must leave as it was."""
    rows = [book.rooms, book.users, book.members, book.accounts, book.marks, book.gifts]
    rows += [book.creators, book.purchases, book.refunds, book.payouts, book.suspense]
    rows += [
        book.corrections,
        book.endpoints,
        book.links,
        book.revocations,
        book.creator_days,
        book.earnings,
        book.policy,
    ]
    counted = (book.next_transfer, book.next_account, len(book.transfers), len(book.events))
    return [repr(rows), counted]


def check_line(book: Book, line: str, now_ms: int) -> None:
    match = LINE.fullmatch(line.strip())
    assert match is not None, f"cannot read {line!r}"
    rest: list[str] = match["rest"].split("|")
    _, answer, books, *_ = [*rest, "", "", ""]
    before, journal = picture(book), len(book.journal)
    command = name_newest(book, command_of(match["verb"], match["args"]))
    [result] = settle(book, [command], now_ms)
    check_answer(result, len(book.journal) > journal, answer)
    if result.replayed or isinstance(result.outcome, Refused):
        assert picture(book) == before, "nothing may have moved"
    check_books(book, books)
    check_conserved(book)


def check_conserved(book: Book) -> None:
    """Each transfer is on both of its accounts, no user is below zero and no debt above it."""
    assert sum(a.debits for a in book.accounts.values()) == sum(t.amount for t in book.transfers)
    assert sum(a.credits for a in book.accounts.values()) == sum(t.amount for t in book.transfers)
    for account in book.accounts.values():
        sign = -1 if account.code in DEBTS else 1
        assert account.owner == SYSTEM or sign * account.balance >= 0


def check_table(table: str) -> None:
    book, now_ms = new_book(), 0
    for line in table.replace("\\\n", " ").strip().splitlines():
        try:
            if at := re.match(r"\s*@([\ddhm]+)", line):
                now_ms = moment_of(at[1])
            check_line(book, line, now_ms)
        except Exception as error:
            error.add_note(f"in the line: {line.strip()}")
            raise
