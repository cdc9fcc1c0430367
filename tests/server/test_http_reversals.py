"""Taking everything back that an account gave in a period, and seeing before what that would do."""

import asyncio
import itertools

import pytest
import pytest_asyncio

from kit.building.buying import buy, now_ms, wallet
from kit.building.earning import EARNS, earn, open_payout
from kit.servers.http_asking import post, refused
from kit.servers.serving import live
from reliability.books import check_audit
from rules.commands import ReverseGifts
from server.api import reversals

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory):
    """The file's server keeps its books in a file, which is audited in the end."""
    database = f"sqlite:///{tmp_path_factory.mktemp('reversals') / 'books.db'}"
    async with live(database, heartbeat_ms=60_000) as running:
        yield running
    check_audit(database)


async def reverse(stage, name="ann", **changed):
    body = {"from_ms": 0, "to_ms": now_ms() + 60_000, "reason": "stolen card"} | changed
    return await post(stage, f"users/{stage.user(name)}/reverse", body)


async def test_a_dry_run_names_everything_and_moves_nothing(stage):
    second = f"{stage.room}-b"
    await stage.server.room(second, stage.user("cleo"))
    ann, bob = await stage.join("ann", coins=500), await stage.join("bob", coins=100)
    await ann.ask("joined", type="join", room=second)
    for number in range(3):
        await stage.gift(ann, f"a{number}", gift="note")
    await stage.gift(ann, "a3", gift="kite", room=second)
    await stage.gift(bob, "b1", gift="note")
    before = await wallet(stage), await stage.books(), await wallet(stage, "cara")
    answer = await reverse(stage, dry_run=True)
    assert answer.status_code == 200
    cleo = {"creator": stage.user("cleo"), "gifts": 1, "coins": 30, "millidiamonds": 15_000}
    cara = {"creator": stage.creator, "gifts": 3, "coins": 15, "millidiamonds": 7_500}
    assert answer.json() == {
        "gifts": 4,
        "coins": 45,
        "creators": [cara, cleo],
        "rooms": [
            {"room": stage.room, "gifts": 3, "coins": 15},
            {"room": second, "gifts": 1, "coins": 30},
        ],
        "payouts": [],
        "left": False,
        "dry_run": True,
    }
    after = await wallet(stage), await stage.books(), await wallet(stage, "cara")
    assert after == before


async def test_a_dry_run_names_the_payouts_that_are_on_their_way(stage_on):
    async with live(**EARNS) as server:
        stage = await stage_on(server)
        await earn(stage, coins=100)
        payout = await open_payout(stage)
        done = (await reverse(stage, dry_run=True)).json()
        assert done["payouts"] == [
            {"payout": payout, "creator": stage.creator, "status": "requested"}
        ]
        await stage.close()


async def test_a_dry_run_says_what_the_reversal_then_does(stage, monkeypatch):
    """Two rooms, coins that were charged back, a debt, a creator who was paid: all at once, in one
    command and in several."""
    second = f"{stage.room}-b"
    await stage.server.room(second, stage.user("cleo"))
    made = await buy(stage, coins=200)
    ann = await stage.join("ann", coins=50)
    await ann.ask("joined", type="join", room=second)
    for number in range(8):
        await stage.gift(ann, f"a{number}", gift="note", quantity=number + 1)
    await stage.gift(ann, "c1", gift="kite", room=second)
    await stage.post(f"gifts/{stage.room}:2/retract", {"reason": "by mistake"})
    await stage.post(f"purchases/{made['purchase']}/chargeback", {"reason": "stolen card"})
    for at_once in (3, 100):
        monkeypatch.setattr(reversals, "REVERSED_AT_ONCE", at_once)
        before = await stage.books(), await wallet(stage), await wallet(stage, "cara")
        dry = (await reverse(stage, dry_run=True)).json()
        assert (await stage.books(), await wallet(stage), await wallet(stage, "cara")) == before
        done = (await reverse(stage, to_ms=now_ms())).json() if at_once == 3 else None
        if done is None:
            assert (dry["gifts"], dry["creators"], dry["rooms"]) == (0, [], [])
            continue
        assert dry == {name: done[name] for name in dry} | {"dry_run": True}
        assert (dry["gifts"], done["reversed_gifts"]) == (8, 8)
        lost = {one["creator"]: one["millidiamonds"] for one in dry["creators"]}
        given = {one["creator"]: one["coins"] * 500 for one in dry["creators"]}
        assert lost[stage.creator] < given[stage.creator], "the chargeback has taken some before"


async def test_a_dry_run_is_refused_as_the_reversal_is(stage):
    ann = await stage.join("ann", coins=100)
    await stage.gift(ann, "a1", gift="note", quantity=10)
    await stage.server.grant(stage.user("ann"), 2**53 - 1 - 140)
    dry, done = await reverse(stage, dry_run=True), await reverse(stage)
    assert refused(dry, 409, "not_retractable")["message"] == done.json()["error"]["message"]


async def test_people_look_things_up_while_a_dry_run_goes_on(tmp_path):
    async with live(f"sqlite:///{tmp_path / 'books.db'}") as server:
        store = server.node.store
        gifts = [f"r:{number}" for number in range(1, 2_000)]
        tried = [ReverseGifts(actor="backend", key="k", user="ann", gifts=tuple(gifts), reason="x")]
        many = asyncio.gather(*(store.dry_run(tried, now_ms()) for _ in range(20)))
        await store.wallet("ann")
        assert not many.done(), "they wait for each other, and nobody for them"
        assert {result.outcome.code for [result] in await many} == {"unknown_gift"}


async def test_reversing_takes_everything_of_a_period_back_before_every_viewer(stage):
    await buy(stage, coins=100)
    ann, bob = await stage.join("ann", coins=20), await stage.join("bob", coins=100)
    await stage.gift(ann, "a1", gift="note", quantity=10)
    await stage.gift(ann, "a2", gift="note", visibility="anonymous")
    await stage.gift(bob, "b1", gift="note")
    await asyncio.sleep(0.01)
    until = now_ms()
    await asyncio.sleep(0.01)
    await stage.gift(ann, "a3", gift="kite")
    done = (await reverse(stage, to_ms=until)).json()
    assert (done["gifts"], done["reversed_gifts"], done["coins"]) == (2, 2, 55)
    seen = [await stage.event(bob, seq) for seq in (5, 6)]
    assert [each["kind"] for each in seen] == ["gift_retracted"] * 2
    assert [each["gift_id"] for each in seen] == [f"{stage.room}:1", f"{stage.room}:2"]
    assert [each["coins"] for each in seen] == [50, 5]
    assert seen[0]["from"]["id"] == stage.user("ann") and seen[1]["from"] == {"anonymous": True}
    books = await stage.books()
    assert (books["total_coins"], books["seq"]) == (35, 6)
    board = (await stage.get(f"rooms/{stage.room}/board"))["top"]
    assert [(each["user"]["id"], each["coins"]) for each in board] == [
        (stage.user("ann"), 30),
        (stage.user("bob"), 5),
    ]
    found = await wallet(stage)
    assert (found["coins"], found["spent_today"], found["level"]) == (90, 30, 1)
    assert found["limits"]["daily"]["spent_coins"] == 30, "bought coins count again as unspent"
    cara = await stage.get(f"users/{stage.creator}/wallet")
    assert cara["millidiamonds_pending"] == 17_500
    again = (await reverse(stage, to_ms=until)).json()
    assert (again["gifts"], again["reversed_gifts"], again["left"]) == (0, 0, False)
    assert (await stage.books())["seq"] == 6


async def test_reversing_at_the_same_time_takes_each_gift_back_once(stage):
    ann = await stage.join("ann", coins=500)
    for number in range(30):
        await stage.gift(ann, f"k{number}", gift="note")
    answers = await asyncio.gather(*(reverse(stage) for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert await stage.coins("ann") == 500
    assert (await stage.books())["seq"] == 60


async def test_hundreds_of_gifts_are_reversed_in_pieces(stage, monkeypatch):
    monkeypatch.setattr(reversals, "REVERSED_AT_ONCE", 40)
    monkeypatch.setattr(reversals, "REVERSED_PER_REQUEST", 200)
    ann, bob = await stage.join("ann", coins=1_000), await stage.join("bob", coins=300)
    for number in range(300):
        await ann.say(type="gift", room=stage.room, gift="spark", key=f"k{number}")
    await ann.hear("accepted", key="k299")
    await stage.gift(bob, "b1", gift="note")
    whole = (await reverse(stage, dry_run=True)).json()
    assert (whole["gifts"], whole["coins"], whole["left"]) == (300, 300, False)
    counts = []
    for _ in range(3):
        done = (await reverse(stage)).json()
        counts.append((done["reversed_gifts"], done["left"]))
    assert counts == [(200, True), (100, False), (0, False)]
    books = await stage.books()
    assert (books["seq"], books["total_coins"]) == (601, 5)
    assert await stage.coins("ann") == 1_000
    await stage.frame_with(bob, 601)
    frames = [m for m in bob.heard if m["type"] == "events"]
    assert frames[-1]["total_coins"] == 5
    assert all(a["last"] + 1 == b["first"] for a, b in itertools.pairwise(frames))


async def test_reversed_coins_pay_what_is_owed_first(stage):
    made = await buy(stage, coins=100)
    ann = await stage.join("ann")
    await stage.gift(ann, "g1", gift="note", quantity=16)
    path = f"purchases/{made['purchase']}/chargeback"
    await stage.post(path, {"reason": "stolen card"})
    assert (await wallet(stage))["coin_debt"] == 80
    done = (await reverse(stage)).json()
    assert (done["reversed_gifts"], done["debt_paid_coins"]) == (1, 80)
    found = await wallet(stage)
    assert (found["coins"], found["coin_debt"]) == (0, 0)
    cara = await stage.get(f"users/{stage.creator}/wallet")
    assert cara["millidiamonds_pending"] == 0, "taken back once, not by both"


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"from_ms": 5, "to_ms": 5}, 422),
        ({"from_ms": -1}, 422),
        ({"to_ms": 2**60}, 422),
        ({"reason": ""}, 422),
        ({"from_ms": "0"}, 400),
        ({"to_ms": 1.0}, 400),
        ({"dry_run": "perhaps"}, 400),
        ({"all": True}, 400),
    ],
)
async def test_a_wrong_reversal_is_refused(stage, changed, status):
    ann = await stage.join("ann", coins=10)
    await stage.gift(ann, "g1")
    refused(await reverse(stage, **changed), status)
    assert (await stage.books())["seq"] == 1
