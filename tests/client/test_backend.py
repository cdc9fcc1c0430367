"""The client library's HTTP side against a real server: every operation, every field."""

import inspect
import json
from collections.abc import AsyncIterator, Awaitable
from typing import Any, TypeVar

import httpx
import msgspec
import pytest
import pytest_asyncio

from kit.building.buying import paid, tell
from kit.building.earning import EARNS
from kit.servers.serving import API_KEY, SECRET, Live, live
from largesse_client import (
    KEEP,
    ApiError,
    Backend,
    BankResult,
    GiftEvent,
    GiftHidden,
    RoomClosed,
    connect,
    make_token,
)
from rules.commands import ReleaseDiamonds

pytestmark = pytest.mark.asyncio(loop_scope="module")

T = TypeVar("T")

NOT_FOR_BACKENDS = {
    ("POST", "/v1/webhooks/{provider}"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/version"),
    ("GET", "/metrics"),
}
"""What the payment provider says, and what the operator's tools ask."""

NOT_PUBLIC = {"taken"}
"""From whom a gift's diamonds were taken: sent, but no part of the contract."""


class Heard:
    """The keys that went over one HTTP client, and the last answer as it came."""

    def __init__(self) -> None:
        self.keys: list[str | None] = []
        self.last: Any = None
        self.http = httpx.AsyncClient(event_hooks={"response": [self._hear]})

    async def _hear(self, response: httpx.Response) -> None:
        await response.aread()
        self.keys.append(response.request.headers.get("Idempotency-Key"))
        if response.headers["Content-Type"].startswith("application/json"):
            self.last = json.loads(response.content)

    async def whole(self, asking: Awaitable[T]) -> T:
        """An answer, of which no field was passed over."""
        value = await asking
        is_read(self.last, msgspec.to_builtins(value))
        return value

    async def items(self, listing: AsyncIterator[T]) -> list[T]:
        found = [item async for item in listing]
        for raw, item in zip(self.last["items"], found[-len(self.last["items"]) :], strict=False):
            is_read(raw, msgspec.to_builtins(item))
        return found


def is_read(raw: Any, value: Any, where: str = "") -> None:
    """Assert that everything in `raw` is in `value`."""
    if isinstance(raw, dict) and isinstance(value, dict):
        for name in raw.keys() - NOT_PUBLIC:
            assert name in value, f"{where}.{name} was passed over"
            is_read(raw[name], value[name], f"{where}.{name}")
    elif isinstance(raw, list) and isinstance(value, list):
        assert len(raw) == len(value), where
        for one, other in zip(raw, value, strict=True):
            is_read(one, other, where)
    else:
        assert raw == value, where


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[Live]:
    async with live(webhook_allow_private=True, require_adult=False, **EARNS) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def heard() -> AsyncIterator[Heard]:
    one = Heard()
    async with one.http:
        yield one


@pytest.fixture
def backend(server: Live, heard: Heard) -> Backend:
    return Backend(server.url, API_KEY, http=heard.http)


def of_user(server: Live, heard: Heard, user: str, role: Any = "viewer") -> Backend:
    """What a user does with a token of their own."""
    return Backend(server.url, make_token(SECRET, user, role=role, adult=True), http=heard.http)


async def give(server: Live, user: str, room: str, **more: Any) -> None:
    async with connect(server.url, make_token(SECRET, user, adult=True)) as one:
        await one.join(room)
        answer = await one.gift(room=room, gift="spark", **more)
        assert type(answer).__name__ == "Accepted", answer


async def test_rooms_and_gifts(server: Live, heard: Heard, backend: Backend) -> None:
    opened = await heard.whole(
        backend.rooms.open("r1", title="A room", creator="cara", creator_name="Cara")
    )
    assert (opened.id, opened.status, opened.creator_name) == ("r1", "open", "Cara")
    assert await backend.rooms.open("r2", title="B", creator="cara")
    with pytest.raises(ApiError) as refusal:
        await backend.rooms.open("r1", title="Another room", creator="cara")
    error = refusal.value
    assert (error.status, error.code, error.retry) == (409, "room_exists", "fix")
    assert error.request_id and error.message and error.key
    assert [room.id for room in await heard.items(backend.rooms.all())] == ["r1", "r2"]
    await heard.whole(backend.users.grant("ann", 500, reason="welcome"))
    for number in range(3):
        await give(server, "ann", "r1", quantity=number + 1)
    page = await backend.rooms.log("r1", after=1, limit=1)
    assert ([event.seq for event in page.events], page.head) == ([2], 3)
    events = [event async for event in backend.rooms.events("r1")]
    assert [event.seq for event in events] == [1, 2, 3]
    assert all(isinstance(event, GiftEvent) and event.room == "r1" for event in events)
    board = await heard.whole(backend.rooms.board("r1", as_of=2))
    assert (board.as_of, board.top[0].user.id, board.top[0].coins) == (2, "ann", 3)
    assert (await heard.whole(backend.rooms.overlay("r1"))).token
    retracted = await heard.whole(backend.gifts.retract("r1:1", reason="a mistake"))
    assert (retracted.gift_id, retracted.coins) == ("r1:1", 1)
    assert (await heard.whole(backend.gifts.hide("r1:2"))).gift_id == "r1:2"
    assert (await heard.whole(backend.rooms.close("r1"))).status == "closed"
    kinds = [type(event) async for event in backend.rooms.events("r1", after=4)]
    assert kinds == [GiftHidden, RoomClosed]
    assert (await heard.whole(backend.rooms.show("r1"))).total_coins == 5
    spark = [g for g in (await heard.whole(backend.gifts.catalogue())).gifts if g.id == "spark"]
    assert spark[0].coins == 1


async def test_users(server: Live, heard: Heard, backend: Backend) -> None:
    granted = await heard.whole(backend.users.grant("bea", 300, reason="welcome", key="g1"))
    assert (granted.balance_coins, granted.replayed) == (300, False)
    assert (await backend.users.grant("bea", 300, reason="welcome", key="g1")).replayed
    for number in range(205):
        await backend.users.grant("bea", 1, reason=f"more {number}")
    lines = await heard.items(backend.users.statement("bea"))
    assert len(lines) == 206 and lines[0].balance_after == 505, "over two pages"
    wallet = await heard.whole(backend.users.wallet("bea"))
    assert (wallet.coins, wallet.limits.daily.own_coins) == (505, None)
    limits = await heard.whole(backend.users.set_limits("bea", daily_coins=100))
    assert (limits.daily.limit_coins, limits.weekly.own_coins) == (100, None)
    raised = await backend.users.set_limits("bea", daily_coins=None, weekly_coins=KEEP)
    assert (raised.raises[0].limit, raised.raises[0].coins) == ("daily", None)
    assert (await heard.whole(backend.users.hide_level("bea"))).hidden
    assert (await heard.whole(backend.users.freeze("bea", reason="looks odd"))).frozen
    assert [u.user for u in await heard.items(backend.users.search("be", frozen=True))] == ["bea"]
    assert not (await heard.whole(backend.users.unfreeze("bea"))).frozen
    assert (await heard.whole(backend.users.show("bea"))).gifted_coins == 0
    for end in (None, 2**52):
        wish = backend.users.revoke_token(f"t{end}", reason="leaked", expires_ms=end)
        assert (await heard.whole(wish)).expires_ms == end
    paused = await heard.whole(of_user(server, heard, "bea").users.pause("bea", 1))
    assert paused.until_ms > 0
    assert b"bea" in await backend.users.export("bea")
    await backend.rooms.open("r3", title="C", creator="cara")
    await backend.users.grant("dan", 9, reason="welcome")
    await give(server, "dan", "r3", quantity=9)
    period = {"from_ms": 0, "to_ms": 2**52, "reason": "a stolen card"}
    dry = await heard.whole(backend.users.reverse("dan", dry_run=True, **period))
    assert (dry.gifts, dry.coins, dry.reversed_gifts) == (1, 9, 0)
    done = await heard.whole(backend.users.reverse("dan", **period))
    assert (done.reversed_gifts, done.left, done.creators[0].creator) == (1, False, "cara")
    assert (await heard.whole(backend.users.erase("bea"))).user == "bea"
    with pytest.raises(ApiError) as refusal:
        await backend.users.show("nobody")
    assert (refusal.value.status, refusal.value.code) == (404, "unknown_user")


async def test_purchases(server: Live, heard: Heard, backend: Backend) -> None:
    shop = await heard.whole(backend.purchases.shop())
    assert shop.bundles
    order = await heard.whole(backend.purchases.start(user="eve", coins=200))
    assert order.status == "pending" and order.checkout_url
    assert (await tell(server.http, paid(msgspec.to_builtins(order)))).status_code == 200
    bought = await heard.whole(backend.purchases.show(order.purchase))
    assert (bought.status, bought.coins) == ("paid", 200)
    refund = await heard.whole(
        backend.purchases.refund(order.purchase, coins=50, reason="asked for")
    )
    assert (refund.coins, refund.balance_coins, refund.debt_coins) == (50, 150, 0)
    back = await heard.whole(backend.purchases.charge_back(order.purchase, reason="the bank"))
    assert back.purchase == order.purchase
    second = await backend.purchases.start(user="eve", coins=60)
    await tell(server.http, paid(msgspec.to_builtins(second)))
    await backend.purchases.refund(second.purchase, reason="asked for")
    late = await heard.whole(backend.purchases.charge_back(second.purchase, reason="the bank"))
    assert late.subject == f"purchase {second.purchase}"
    bundle = await of_user(server, heard, "eve").purchases.start(bundle=shop.bundles[0].id)
    assert bundle.coins == shop.bundles[0].coins
    found = await heard.items(backend.purchases.all(user="eve", status="charged_back"))
    assert [one.purchase for one in found] == [order.purchase]
    bad = await server.http.post("/v1/webhooks/sandbox", content=b"{}")
    assert bad.status_code == 400
    assert (await heard.items(backend.purchases.refused_notifications()))[0].why


async def test_creators_and_payouts(server: Live, heard: Heard, backend: Backend) -> None:
    await backend.rooms.open("r4", title="D", creator="fay")
    await backend.users.grant("gus", 300, reason="welcome")
    await give(server, "gus", "r4", quantity=300)
    release = ReleaseDiamonds(actor="operator", key="release-fay", creator="fay")
    await server.node.settlement.ask(release)
    board = await heard.whole(backend.creators.board("fay", window="day"))
    assert (board.window, board.top[0].user.id) == ("day", "gus")
    earned = await heard.whole(backend.creators.earnings("fay"))
    assert (earned.total.coins, earned.days[0].by_gift[0].gift) == (300, "spark")
    rates = await heard.whole(backend.creators.set_rate("fay", 600))
    assert rates.rate_permille == 600
    assert (await heard.whole(backend.creators.rates("fay"))).rates[0].until_ms is None
    fay = of_user(server, heard, "fay", "creator")
    states = []
    for number in range(3):
        asked = await heard.whole(fay.payouts.request(10_000))
        assert asked.creator == "fay"
        if number == 0:
            states.append(await heard.whole(backend.payouts.reject(asked.payout, reason="no")))
            continue
        if asked.status == "requested":
            await heard.whole(backend.payouts.approve(asked.payout))
        if number == 1:
            states.append(await heard.whole(backend.payouts.paid(asked.payout, reference="T1")))
    assert [(one.status, one.reference or one.reason) for one in states] == [
        ("rejected", "no"),
        ("paid", "T1"),
    ]
    assert asked.payout.encode() in await backend.payouts.export()
    line = BankResult(payout=asked.payout, paid=True, reference="T2")
    results = await heard.whole(backend.payouts.results([line]))
    assert (results.resolved, results.repeated) == (1, 0)
    assert heard.keys[-1] is None, "the lines' content makes them count once"
    file = f"payout,result,reference\n{asked.payout},paid,T2\npay_x,paid,\n".encode()
    again = await heard.whole(backend.payouts.results(file, key="file-1"))
    assert (again.resolved, len(again.suspended) + len(again.refused)) == (0, 1)
    assert (await heard.whole(backend.payouts.show(asked.payout))).status == "paid"
    paid_out = await heard.items(backend.payouts.all(status="paid", creator="fay"))
    assert len(paid_out) == 2


async def test_the_books(server: Live, heard: Heard, backend: Backend) -> None:
    nobodys = {"purchase": "pur_unknown", "price_minor": 5, "currency": "USD"}
    assert (await tell(server.http, paid(nobodys))).status_code == 200
    [entry, *_] = await heard.items(backend.books.suspense(settled=False))
    settled = await heard.whole(backend.books.settle(entry.entry, note="sent back"))
    assert settled.settled_note == "sent back"
    one, two = (of_user(server, heard, name, "admin") for name in ("ada", "ben"))
    wish = {"user": "gus", "account": "coins", "amount": 5, "reason": "a mistake"}
    first = await heard.whole(one.books.propose(**wish))
    second = await one.books.propose(**(wish | {"amount": 6}))
    assert (await heard.whole(two.books.approve(first.correction))).status == "approved"
    assert (await heard.whole(two.books.reject(second.correction))).decided_by == "user:ben"
    found = await heard.items(backend.books.corrections(status="approved"))
    assert [correction.amount for correction in found] == [5]


async def test_webhook_endpoints(server: Live, heard: Heard, backend: Backend) -> None:
    url = "http://127.0.0.1:9/hook"
    made = await heard.whole(backend.endpoints.set("shop", url=url, events=["room.opened"]))
    assert made.secret and made.events == ["room.opened"]
    rotated = await heard.whole(backend.endpoints.rotate("shop"))
    assert rotated.secret != made.secret
    assert (await heard.whole(backend.endpoints.show("shop"))).secret == rotated.secret
    assert [one.secret for one in await heard.items(backend.endpoints.all())] == [None]
    await backend.rooms.open("r5", title="E", creator="cara")
    while not (sent := await heard.items(backend.endpoints.deliveries("shop"))):
        pass
    number = sent[0].delivery
    while not await heard.items(backend.endpoints.attempts("shop", number)):
        pass
    replayed = await heard.whole(backend.endpoints.replay("shop", deliveries=[number]))
    assert replayed.replayed == 1
    assert (await heard.whole(backend.endpoints.replay("shop", since_ms=0))).from_delivery
    removed = await heard.whole(backend.endpoints.remove("shop"))
    assert not removed.enabled and removed.reason


class NoAnswer(httpx.AsyncBaseTransport):
    """A server that knows nothing, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: set[tuple[str, str]] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.add((request.method, request.url.path))
        return httpx.Response(404)


def groups(backend: Backend) -> list[object]:
    return [value for name, value in vars(backend).items() if not name.startswith("_")]


def asking(group: object) -> list[Any]:
    return [
        call
        for name, call in inspect.getmembers(group, callable)
        if not name.startswith("_") and name != "events"
    ]


async def test_every_operation_of_the_server_can_be_asked_for(server: Live) -> None:
    transport = NoAnswer()
    async with httpx.AsyncClient(transport=transport) as http:
        for group in groups(Backend("http://nobody", API_KEY, http=http)):
            for call in asking(group):
                required = {
                    name: 1 if "int" in str(parameter.annotation) else "x"
                    for name, parameter in inspect.signature(call).parameters.items()
                    if parameter.default is inspect.Parameter.empty
                }
                with pytest.raises(ApiError):
                    answer = call(**required)
                    await (answer if inspect.isawaitable(answer) else anext(answer))
    page = (await server.http.get("/openapi.json")).json()
    operations = {
        (method.upper(), path) for path, methods in page["paths"].items() for method in methods
    }
    assert not {
        (method, path)
        for method, path in operations - NOT_FOR_BACKENDS
        if not any(asked[0] == method and _is(path, asked[1]) for asked in transport.asked)
    }


def _is(template: str, path: str) -> bool:
    parts, given = template.split("/"), path.split("/")
    return len(parts) == len(given) and all(
        part.startswith("{") or part == one for part, one in zip(parts, given, strict=True)
    )
