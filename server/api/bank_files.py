"""The bank run over HTTP: a file of payouts for the bank, and the file that the bank answers with.

A file of results is read to its end before anything is booked, so a mistake in it books nothing.
Then every line is a command of its own, whose key comes from the request's key and the line: a file
that is sent again, because the answer was lost or by mistake, finds what it did.
"""

import asyncio
import csv
import hashlib
import io
import re
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import orjson
from litestar import Request, Router, get, post
from litestar.params import QueryParameter
from litestar.response import Stream

from protocol.codec import UNSEEN_CHARACTERS
from protocol.codes import RETRY, Retry
from rules.commands import RecordPayoutResult
from rules.lifecycles import PayoutStatus
from rules.outcomes import Refused, Suspended
from rules.refusals import RefusalCode
from rules.results import Result
from rules.rows import Payout
from rules.shop import MINOR_DIGITS
from server.api.access import Caller, backend
from server.api.answers import shaped
from server.api.context import Context
from server.api.errors import ApiCode, ApiError
from server.api.fields import ID, REASON_CHARACTERS_MAX
from server.api.lists import Page
from server.api.request import Asker, InContext, KeyHeader, checked_key
from storage.export import iso, plain_cell

PAGE = 1_000
"""Payouts read at once: a file of any length takes the memory of one page."""
RESULTS_MAX = 10_000
RESULTS_BYTES_MAX = 4 * 1024 * 1024
"""RESULTS_MAX lines with long references, and with room for JSON's names."""
RESULTS_AT_ONCE = 200
"""Lines that wait for the ledger together; gifts that come meanwhile wait for no more than that."""

COLUMNS = ("payout", "creator", "amount", "amount_minor", "currency", "requested_at")
RESULT_COLUMNS = ("payout", "result", "reference")
WORDS = {"paid": True, "failed": False}

ExportStatus = Annotated[PayoutStatus, QueryParameter()]
Format = Annotated[Literal["csv", "json"], QueryParameter()]


class BankLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the bank says of one payout."""

    payout: Annotated[str, msgspec.Meta(examples=["payout-12"])]
    paid: Annotated[bool, msgspec.Meta(examples=[True])]
    reference: Annotated[str, msgspec.Meta(examples=["SEPA-2026-11-27-4"])] = ""


class Results(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The bank's answer."""

    results: list[BankLine]


class _RawResults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    results: list[msgspec.Raw]


class PayoutLine(msgspec.Struct, frozen=True, kw_only=True):
    payout: str
    creator: str
    amount: str
    """In major units, as banks write it."""
    amount_minor: int
    currency: str
    requested_at: str
    """ISO 8601."""


class PayoutList(Page[PayoutLine], frozen=True):
    """All payouts of one status."""


class SuspendedLine(msgspec.Struct, frozen=True, kw_only=True):
    line: int
    payout: str
    entry: int
    """Of the suspense list."""
    why: str


class RefusedLine(msgspec.Struct, frozen=True, kw_only=True):
    line: int
    payout: str
    code: str
    message: str
    retry: Retry


class ResultsBody(msgspec.Struct, frozen=True, kw_only=True):
    resolved: int
    """Lines that were booked now."""
    repeated: int
    """Lines that had been booked before."""
    suspended: list[SuspendedLine]
    refused: list[RefusedLine]


class Numbered(NamedTuple):
    """`line` is where it stands in the file: of a CSV file as an editor counts, else from 1 on."""

    line: int
    said: BankLine


# To the bank


@get(
    "/payouts/export",
    guards=[backend],
    answers={200: PayoutList},
    files={200: ["text/csv", "application/json"]},
)
async def export_payouts(
    context: InContext, format: Format = "csv", status: ExportStatus = PayoutStatus.APPROVED
) -> Stream:
    """The bank's list: every payout of one status, newest first, as a file. Those that are
    approved are left out while their creator's account is frozen."""
    first = await _page(context, status, None)
    pages = _pages(context, status, first)
    parts, media_type = (
        (_csv(pages), "text/csv; charset=utf-8; header=present")
        if format == "csv"
        else (_json(pages), "application/json")
    )
    headers = {"Content-Disposition": f'attachment; filename="payouts-{status}.{format}"'}
    return Stream(parts, media_type=media_type, headers=headers)


async def _pages(
    context: Context, status: PayoutStatus, page: list[Payout]
) -> AsyncIterator[list[Payout]]:
    while page:
        yield page
        if len(page) < PAGE:
            return
        last = page[-1].requested_ms, page[-1].id
        page = await _page(context, status, last)


async def _page(
    context: Context, status: PayoutStatus, before: tuple[int, str] | None
) -> list[Payout]:
    if status is PayoutStatus.APPROVED:
        return await context.store.money.payable(before, PAGE)
    return await context.store.money.payouts(None, status, before, PAGE)


async def _csv(pages: AsyncIterator[list[Payout]]) -> AsyncIterator[str]:
    yield ",".join(COLUMNS) + "\n"
    async for page in pages:
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        for row in page:
            # Ids may begin with `-`, which spreadsheets compute.
            writer.writerow(
                plain_cell(cell) if isinstance(cell, str) else cell
                for cell in _fields(row).values()
            )
        yield out.getvalue()


async def _json(pages: AsyncIterator[list[Payout]]) -> AsyncIterator[bytes]:
    yield b'{"items":['
    separator = b""
    async for page in pages:
        yield separator + b",".join(orjson.dumps(_fields(row)) for row in page)
        separator = b","
    yield b'],"next_cursor":null}'


def _fields(row: Payout) -> dict[str, str | int]:
    amount = major_units(row.amount_minor, row.currency)
    cells = (row.id, row.creator, amount, row.amount_minor, row.currency, iso(row.requested_ms))
    return dict(zip(COLUMNS, cells, strict=True))


def major_units(amount_minor: int, currency: str) -> str:
    """An amount of money as people and banks write it: 1234 is 12.34 USD and 1234 JPY."""
    digits = MINOR_DIGITS.get(currency, 2)
    units, rest = divmod(amount_minor, 10**digits)
    return f"{units}.{rest:0{digits}d}" if digits else str(units)


# From the bank


@post(
    "/payouts/results",
    guards=[backend],
    status_code=200,
    request_max_body_size=RESULTS_BYTES_MAX,
    takes={"application/json": Results, "text/csv": str},
    refuses=["malformed", "invalid", "too_large", "key_reused", "unknown_payout", "wrong_state"],
)
async def take_results(
    context: InContext, caller: Asker, request: Request[Caller, Any, Any], given: KeyHeader = None
) -> ResultsBody:
    """Take the bank's answer: JSON `{results: [{payout, paid, reference?}]}`, or text/csv with the
    columns payout, result (paid or failed) and reference. What contradicts the books moves nothing
    and goes to the suspense list. The same file again changes nothing."""
    key = None if given is None else checked_key(given)
    kind = request.headers.get("Content-Type", "application/json").partition(";")[0].strip().lower()
    # In a thread: ten thousand lines would hold up a room's gifts for some frames.
    lines = await asyncio.to_thread(read_results, kind, await request.body())
    commands = [_command(caller.actor, key, place, line.said) for place, line in enumerate(lines)]
    results: list[Result] = []
    for start in range(0, len(commands), RESULTS_AT_ONCE):
        some = commands[start : start + RESULTS_AT_ONCE]
        results += await asyncio.gather(*map(context.settlement.ask, some))
    return _summary(lines, results)


def _command(actor: str, key: str | None, place: int, said: BankLine) -> RecordPayoutResult:
    """With a key of the request, a line of the file is a wish of its own; without one its content
    is, so that it counts once in whichever file it comes."""
    content = [key, place] if key is not None else [said.payout, said.paid, said.reference]
    digest = hashlib.blake2b(orjson.dumps(content), digest_size=16).hexdigest()
    return RecordPayoutResult(
        actor=actor,
        key=f"result-{digest}",
        payout=said.payout,
        paid=said.paid,
        reference=said.reference,
    )


def _summary(lines: list[Numbered], results: list[Result]) -> ResultsBody:
    """What came of every line. Raises ApiError when all were refused, and for one reason."""
    resolved = repeated = 0
    suspended: list[SuspendedLine] = []
    no: list[RefusedLine] = []
    for (line, said), result in zip(lines, results, strict=True):
        outcome = result.outcome
        match outcome:
            case Refused():
                retry = RETRY.get(outcome.code, Retry.FIX)
                no.append(shaped(RefusedLine, outcome, line=line, payout=said.payout, retry=retry))
            case Suspended():
                suspended.append(shaped(SuspendedLine, outcome, line=line, payout=said.payout))
            case _ if result.replayed:
                repeated += 1
            case _:
                resolved += 1
    codes = {line.code for line in no}
    if len(codes) == 1 and len(no) == len(lines):
        raise ApiError(RefusalCode(no[0].code), no[0].message)
    return ResultsBody(resolved=resolved, repeated=repeated, suspended=suspended, refused=no)


# Reading a file of results. Every mistake names the line and the field.


def read_results(kind: str, body: bytes) -> list[Numbered]:
    """The lines of a file of results. Raises ApiError `malformed`, `invalid`; pure."""
    if kind == "text/csv":
        lines = _read_csv(body)
    elif kind == "application/json":
        lines = _read_json(body)
    else:
        raise ApiError(
            ApiCode.MALFORMED, "Send text/csv or application/json.", {"field": "Content-Type"}
        )
    read: list[Numbered] = []
    for line in lines:
        if len(read) == RESULTS_MAX:
            raise _wrong(line.line, "results", f"a file has at most {RESULTS_MAX} results")
        read.append(_checked(line))
    return read


def _wrong(line: int, field: str, what: str) -> ApiError:
    sentence = f"Line {line}, `{field}`: {what}. Nothing of the file was booked."
    return ApiError(RefusalCode.INVALID, sentence, {"line": line, "field": field})


def _checked(read: Numbered) -> Numbered:
    line, said = read
    if not ID.fullmatch(said.payout):
        raise _wrong(line, "payout", "must be the id of a payout, such as payout-12")
    text = said.reference
    if len(text) > REASON_CHARACTERS_MAX or UNSEEN_CHARACTERS.search(text):
        most = f"at most {REASON_CHARACTERS_MAX} characters, without control characters"
        raise _wrong(line, "reference", most)
    return read


_read_list = msgspec.json.Decoder(_RawResults).decode
_read_line = msgspec.json.Decoder(BankLine).decode


def _read_json(body: bytes) -> Iterator[Numbered]:
    try:
        found = _read_list(body).results
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        sentence = f"The body must be JSON, {{results: [{{payout, paid, reference}}]}}: {error}."
        raise ApiError(ApiCode.MALFORMED, sentence, {"field": "results"}) from None
    for number, raw in enumerate(found, 1):
        try:
            yield Numbered(number, _read_line(raw))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            named = re.search(r"`\$\.(\w+)|field `(\w+)`", str(error))
            field = (named[1] or named[2]) if named else "results"
            raise _wrong(number, field, str(error).lower()) from None


def _read_csv(body: bytes) -> Iterator[Numbered]:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ApiError(ApiCode.MALFORMED, "The file must be UTF-8.", {"field": "body"}) from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = [name.strip() for name in next(reader, [])]
        _check_columns(columns)
        for cells in reader:
            if cells:
                yield _csv_line(reader.line_num, columns, cells)
    except csv.Error as error:
        raise _wrong(reader.line_num, "line", f"is no CSV ({error})") from None


def _check_columns(columns: list[str]) -> None:
    for name in columns:
        if name not in RESULT_COLUMNS or columns.count(name) > 1:
            most = f"the columns are {', '.join(RESULT_COLUMNS)}, each once and with commas between"
            raise _wrong(1, name[:REASON_CHARACTERS_MAX], most)
    for name in ("payout", "result"):
        if name not in columns:
            raise _wrong(1, name, "this column is missing")


def _csv_line(line: int, columns: list[str], cells: list[str]) -> Numbered:
    if len(cells) != len(columns):
        raise _wrong(line, "line", f"has {len(cells)} cells for {len(columns)} columns")
    row = dict(zip(columns, map(str.strip, cells), strict=True))
    paid = WORDS.get(row["result"])
    if paid is None:
        raise _wrong(line, "result", f"must be {' or '.join(WORDS)}")
    return Numbered(line, BankLine(row["payout"], paid, row.get("reference", "")))


bank_router = Router(path="/v1", route_handlers=[export_payouts, take_results], tags=["payouts"])
