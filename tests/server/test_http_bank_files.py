"""The bank run over HTTP: the file for the bank, the file that comes back, and doing both once."""

import csv
import io
import re

import pytest
import pytest_asyncio

from kit.building.earning import EARNS, asked, diamonds, earn, open_payout, release
from kit.servers.http_asking import bearer, get, refused
from kit.servers.serving import live
from rules.commands import RejectPayout, RequestPayout
from server.api.bank_files import PAGE, RESULTS_MAX, major_units

pytestmark = pytest.mark.asyncio(loop_scope="module")

COLUMNS = ["payout", "creator", "amount", "amount_minor", "currency", "requested_at"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server():
    async with live(**EARNS) as running:
        yield running


async def results(stage, lines, **headers):
    """Send the bank's answer as JSON."""
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    body = {"results": lines}
    return await stage.server.http.post("/v1/payouts/results", json=body, headers=headers)


async def table(stage, text, **headers):
    """Send the bank's answer as CSV."""
    content = text if isinstance(text, bytes) else text.encode()
    headers = {"Content-Type": "text/csv"} | {k.replace("_", "-"): v for k, v in headers.items()}
    return await stage.server.http.post("/v1/payouts/results", content=content, headers=headers)


async def suspended(stage, payout):
    """The entries of the suspense list about a payout."""
    rows = (await get(stage, "suspense", limit=200)).json()["items"]
    return [row for row in rows if row["subject"] == f"payout {payout}"]


# --- to the bank ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (0, "USD", "0.00"),
        (5, "USD", "0.05"),
        (123_456, "EUR", "1234.56"),
        (1_234, "JPY", "1234"),
        (1_234, "KWD", "1.234"),
    ],
)
async def test_amounts_are_written_as_people_do(minor, currency, text):
    assert major_units(minor, currency) == text


async def test_the_banks_list_is_csv_or_json(stage):
    await earn(stage)
    payout = await open_payout(stage, 12_000, approve=True)
    answer = await get(stage, "payouts/export")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/csv")
    assert "payouts-approved.csv" in answer.headers["content-disposition"]
    head, *lines = csv.reader(io.StringIO(answer.text))
    assert head == COLUMNS
    [mine] = [dict(zip(head, line, strict=True)) for line in lines if line[0] == payout]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", mine["requested_at"])
    assert mine == mine | {
        "creator": stage.creator,
        "amount": "0.12",
        "amount_minor": "12",
        "currency": "USD",
    }
    same = (await get(stage, "payouts/export", format="json", status="approved")).json()
    assert same.keys() == {"items", "next_cursor"} and same["next_cursor"] is None
    [item] = [item for item in same["items"] if item["payout"] == payout]
    assert item == mine | {"amount_minor": 12}


async def test_only_payouts_of_that_status_are_listed(stage):
    await earn(stage)
    payout = await open_payout(stage)
    for status, there in (("approved", False), ("requested", True), ("paid", False)):
        assert (payout in (await get(stage, "payouts/export", status=status)).text) is there
    nothing = await get(stage, "payouts/export", status="rejected", format="json")
    assert payout not in nothing.text and isinstance(nothing.json()["items"], list)


async def test_what_is_approved_is_not_paid_while_its_creator_is_frozen(stage):
    await earn(stage)
    payout = await open_payout(stage, approve=True)
    await stage.post(f"users/{stage.creator}/freeze")
    for format in ("csv", "json"):
        assert payout not in (await get(stage, "payouts/export", format=format)).text
    await stage.post(f"users/{stage.creator}/unfreeze")
    assert payout in (await get(stage, "payouts/export")).text
    await stage.post(f"payouts/{payout}/paid")
    await stage.post(f"users/{stage.creator}/freeze")
    assert payout in (await get(stage, "payouts/export", status="paid")).text


async def test_no_cell_is_a_formula(stage):
    stage.creator = f"-2+{stage.number}".replace("+", ":")
    stage.room = f"{stage.room}-formula"
    await stage.open()
    await earn(stage)
    payout = await open_payout(stage, approve=True)
    text = (await get(stage, "payouts/export")).text
    [line] = [line for line in text.splitlines() if line.startswith(f"{payout},")]
    assert line.split(",")[1] == f"'{stage.creator}"
    items = (await get(stage, "payouts/export", format="json")).json()["items"]
    assert stage.creator in {item["creator"] for item in items}


async def test_the_list_has_no_limit(stage_on):
    async with live(**EARNS) as server:
        stage = await stage_on(server)
        await earn(stage, coins=2_200)
        actor, ask, made = "backend", server.node.settlement.ask, []
        for number in range(PAGE + 5):
            wish = RequestPayout(
                actor=actor, key=f"p{number}", creator=stage.creator, millidiamonds=1_000
            )
            made.append((await ask(wish)).outcome.payout)
            await ask(RejectPayout(actor=actor, key=f"r{number}", payout=made[-1], reason="r"))
        for format in ("csv", "json"):
            text = (await get(stage, "payouts/export", format=format, status="rejected")).text
            assert sorted(re.findall(r"payout-\d+", text)) == sorted(made)


@pytest.mark.parametrize("query", [{"format": "xml"}, {"status": "done"}])
async def test_a_wrong_list_is_refused(stage, query):
    assert next(iter(query)) in str(refused(await get(stage, "payouts/export", **query), 400))


async def test_files_are_for_the_backend(stage):
    admin = bearer(stage.user("ada"), role="admin")
    refused(await get(stage, "payouts/export", admin), 403, "forbidden")
    refused(await results(stage, [], **admin), 403, "forbidden")
    refused(await results(stage, [], Authorization=""), 401, "unauthorized")


# --- and back ------------------------------------------------------------------------------------


@pytest.mark.parametrize("keyed", [False, True])
async def test_what_was_exported_is_resolved_exactly_once(stage, keyed):
    await earn(stage)
    payout = await open_payout(stage, approve=True)
    text = (await get(stage, "payouts/export")).text
    mine = [row for row in csv.DictReader(io.StringIO(text)) if row["creator"] == stage.creator]
    answer = "payout,result,reference\n" + f"{mine[0]['payout']},paid,B-1\n"
    headers = {"Idempotency_Key": f"f-{stage.room}"} if keyed else {}
    first = await table(stage, answer, **headers)
    assert first.status_code == 200
    assert first.json() == {"resolved": 1, "repeated": 0, "suspended": [], "refused": []}
    again = await table(stage, answer, **headers)
    assert again.json() == {"resolved": 0, "repeated": 1, "suspended": [], "refused": []}
    other_key = await table(stage, answer, Idempotency_Key=f"other-{stage.room}")
    assert other_key.json() == again.json(), "the bank says again what is so"
    row = await stage.get(f"payouts/{payout}")
    assert (row["status"], row["reference"]) == ("paid", "B-1")
    assert await diamonds(stage) == {"pending": 0, "available": 0, "reserved": 0}
    assert payout not in (await get(stage, "payouts/export")).text
    assert await suspended(stage, payout) == []


async def test_a_failed_transfer_gives_everything_back(stage):
    await earn(stage)
    payout = await open_payout(stage, approve=True)
    line = {"payout": payout, "paid": False, "reference": "no such IBAN"}
    assert (await results(stage, [line])).json()["resolved"] == 1
    assert (await stage.get(f"payouts/{payout}"))["reason"] == "no such IBAN"
    assert (await diamonds(stage))["available"] == 50_000
    second = await open_payout(stage, approve=True)
    assert (await results(stage, [line])).json()["repeated"] == 1
    assert (await stage.get(f"payouts/{second}"))["status"] == "approved"


async def test_what_contradicts_the_books_is_suspended_once(stage):
    await earn(stage)
    payout = await open_payout(stage, approve=True)
    await stage.post(f"payouts/{payout}/reject", {"reason": "recalled"})
    lines = [
        {"payout": payout, "paid": True, "reference": "B-2"},
        {"payout": f"never-{stage.room}", "paid": True},
    ]
    first = (await results(stage, lines)).json()
    assert [(one["line"], one["payout"], one["why"]) for one in first["suspended"]] == [
        (1, payout, "is_rejected"),
        (2, f"never-{stage.room}", "unknown_payout"),
    ]
    assert (await results(stage, lines)).json() == first
    [entry] = await suspended(stage, payout)
    assert entry["entry"] == first["suspended"][0]["entry"]
    assert entry["why"] == "is_rejected" and "B-2" in entry["note"]
    assert await diamonds(stage) == {"pending": 0, "available": 50_000, "reserved": 0}


async def test_a_file_that_contradicts_itself_is_suspended(stage):
    await earn(stage)
    payout = await open_payout(stage, approve=True)
    text = f"payout,result,reference\n{payout},paid,a\n{payout},failed,b\n{payout},paid,a\n"
    answer = (await table(stage, text, Idempotency_Key=f"k-{stage.room}")).json()
    assert (answer["resolved"], answer["repeated"]) == (1, 1)
    assert [(one["line"], one["why"]) for one in answer["suspended"]] == [(3, "is_paid")]
    assert (await stage.get(f"payouts/{payout}"))["status"] == "paid"


async def test_a_payout_that_was_not_approved_is_suspended(stage):
    await earn(stage)
    payout = await open_payout(stage)
    answer = (await results(stage, [{"payout": payout, "paid": True}])).json()
    assert answer["suspended"][0]["why"] == "is_requested"
    assert (await diamonds(stage))["reserved"] == 50_000


async def test_a_key_is_for_one_file(stage):
    await earn(stage)
    payout = await open_payout(stage, approve=True)
    key = {"Idempotency_Key": f"k-{stage.room}"}
    line = {"payout": payout, "paid": True, "reference": "a"}
    assert (await results(stage, [line], **key)).json()["resolved"] == 1
    other = line | {"paid": False}
    refused(await results(stage, [other], **key), 409, "key_reused")
    longer = (await results(stage, [other, line], **key)).json()
    assert [(one["line"], one["code"]) for one in longer["refused"]] == [(1, "key_reused")]
    assert longer["repeated"] == 1
    assert (await stage.get(f"payouts/{payout}"))["status"] == "paid"
    assert await suspended(stage, payout) == []


async def test_a_long_file_is_taken_whole(stage):
    await earn(stage)
    payout = await open_payout(stage, approve=True)
    rows = "".join(f"x-{stage.number}-{n},failed,{'r' * 100}\n" for n in range(2_000))
    answer = await table(stage, f"payout,result,reference\n{rows}{payout},paid,\n")
    assert answer.status_code == 200, "it is far longer than other bodies may be"
    assert answer.json()["resolved"] == 1 and len(answer.json()["suspended"]) == 2_000


async def test_nothing_to_record_is_no_mistake(stage):
    nothing = {"resolved": 0, "repeated": 0, "suspended": [], "refused": []}
    assert (await results(stage, [])).json() == nothing
    assert (await table(stage, "payout,result,reference\n")).json() == nothing


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffpayout,result,reference\r\n{payout},paid,ref\r\n",
        "reference,result,payout\nref,paid,{payout}\n\n",
        'payout,result,reference\n"{payout}","paid","ref"',
        "payout , result , reference\n {payout} , paid , ref \n",
    ],
)
async def test_csv_as_programs_write_it(stage, text):
    await earn(stage)
    payout = await open_payout(stage, approve=True)
    answer = await table(stage, text.format(payout=payout))
    assert answer.json()["resolved"] == 1, answer.text
    assert (await stage.get(f"payouts/{payout}"))["reference"] == "ref"


# --- mistakes: nothing of the file is booked -----------------------------------------------------

GOOD = "{payout},paid,ok\n"
CSV_MISTAKES = [
    ("", 1, "payout"),
    ("payout,reference\n", 1, "result"),
    ("result,reference\n", 1, "payout"),
    ("payout;result;reference\n", 1, "payout;result;reference"),
    ("payout,result,amount\n" + GOOD, 1, "amount"),
    ("payout,payout,result\n", 1, "payout"),
    ("payout,result,reference\n" + GOOD + "payout-2,done,x\n", 3, "result"),
    ("payout,result,reference\n" + GOOD + "payout-2,,x\n", 3, "result"),
    ("payout,result,reference\n" + GOOD + "payout-2,PAID,x\n", 3, "result"),
    ("payout,result,reference\n" + GOOD + ",paid,x\n", 3, "payout"),
    ("payout,result,reference\n" + GOOD + "pay out,paid,x\n", 3, "payout"),
    ("payout,result,reference\n" + GOOD + "payout-2,paid\n", 3, "line"),
    ("payout,result,reference\n" + GOOD + "payout-2,paid,x,y\n", 3, "line"),
    ("payout,result,reference\n" + GOOD + "\npayout-2,paid," + "r" * 201, 4, "reference"),
    ("payout,result,reference\n" + GOOD + "payout-2,paid,\x00", 3, "reference"),
    ("payout,result,reference\n" + GOOD + 'payout-2,paid,"x"y\n', 3, "line"),
    ("payout,result,reference\n" + GOOD + 'payout-2,paid,"x', 3, "line"),
]


@pytest.mark.parametrize(("text", "line", "field"), CSV_MISTAKES)
async def test_a_mistake_in_csv_books_nothing(stage, text, line, field):
    await earn(stage)
    payout = await open_payout(stage, approve=True)
    error = refused(await table(stage, text.replace("{payout}", payout)), 422, "invalid")
    assert error["details"] == {"line": line, "field": field}
    assert f"Line {line}, `{field}`" in error["message"]
    assert (await stage.get(f"payouts/{payout}"))["status"] == "approved"


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        ({}, "payout"),
        ({"payout": "p"}, "paid"),
        ({"payout": "", "paid": True}, "payout"),
        ({"payout": 5, "paid": True}, "payout"),
        ({"payout": "p", "paid": "true"}, "paid"),
        ({"payout": "p", "paid": 1}, "paid"),
        ({"payout": "p", "paid": None}, "paid"),
        ({"payout": "p", "paid": True, "reference": 5}, "reference"),
        ({"payout": "p", "paid": True, "reference": "a\nb"}, "reference"),
        ({"payout": "p", "paid": True, "result": "paid"}, "result"),
        (5, "results"),
        (None, "results"),
    ],
)
async def test_a_mistake_in_json_books_nothing(stage, bad, field):
    await earn(stage)
    payout = await open_payout(stage, approve=True)
    good = {"payout": payout, "paid": True}
    error = refused(await results(stage, [good, bad]), 422, "invalid")
    assert error["details"] == {"line": 2, "field": field}
    assert (await stage.get(f"payouts/{payout}"))["status"] == "approved"


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "application/json"),
        (b"{", "application/json"),
        (b"[]", "application/json"),
        (b'{"results": {}}', "application/json"),
        (b'{"results": [], "more": 1}', "application/json"),
        (b"payout,result\n\xff,paid\n", "text/csv"),
        (b"<results/>", "application/xml"),
    ],
)
async def test_a_file_that_cannot_be_read(stage, content, kind):
    headers = {"Content-Type": kind}
    answer = await stage.server.http.post("/v1/payouts/results", content=content, headers=headers)
    refused(answer, 400, "malformed")


async def test_a_file_has_a_limit(stage):
    lines = [{"payout": "p", "paid": True}] * (RESULTS_MAX + 1)
    error = refused(await results(stage, lines), 422, "invalid")
    assert error["details"]["line"] == RESULTS_MAX + 1
    huge = [{"payout": "p", "paid": True, "reference": "r" * 5_000_000}]
    refused(await results(stage, huge), 413, "too_large")
    assert await suspended(stage, "p") == []


async def test_the_money_of_a_bank_run_adds_up(stage):
    await earn(stage)
    before = await diamonds(stage)
    paid = 0
    for number, said in enumerate(("paid", "failed", "paid")):
        payout = (await asked(stage, 10_000)).json()["payout"]
        await stage.post(f"payouts/{payout}/approve")
        await table(stage, f"payout,result,reference\n{payout},{said},n{number}\n")
        paid += 10_000 if said == "paid" else 0
    await release(stage)
    after = await diamonds(stage)
    assert after == before | {"available": before["available"] - paid}
