"""How the client library's HTTP side tries again, and what it makes of a no."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio

from kit.servers.answering import Backend as Answering
from kit.servers.answering import answering
from kit.servers.serving import free_port
from largesse_client import ApiError, Backend, Unreachable, Unreadable
from largesse_client.http import asking
from largesse_client.http.asking import at, wait_s

GRANTED = {"user": "ann", "coins": 1, "balance_coins": 1, "debt_paid_coins": 0, "replayed": False}


@pytest.fixture
def server() -> Iterator[Answering]:
    with answering() as seen:
        yield seen


@pytest_asyncio.fixture
async def backend(server: Answering) -> AsyncIterator[Backend]:
    async with Backend(server.url, "the-key", tries=3) as one:
        yield one


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits as long as ever, of a second that is short."""
    monkeypatch.setattr(asking, "WAIT_MAX_S", 0.01)


def no(code: str, retry: str = "same", **more: Any) -> dict[str, Any]:
    said = {"code": code, "message": "No.", "retry": retry, "request_id": "abc"}
    return {"error": said | more}


@pytest.mark.parametrize("first", [503, 429, 0], ids=["busy", "too-fast", "hung-up"])
async def test_the_same_key_goes_out_again(server: Answering, backend: Backend, first: int) -> None:
    server.will_answer(no("busy"), status=first)
    server.will_answer(GRANTED, status=201)
    assert (await backend.users.grant("ann", 1, reason="test")).coins == 1
    one, other = server.asked
    assert one.headers["Idempotency-Key"] == other.headers["Idempotency-Key"]
    assert len(one.headers["Idempotency-Key"]) == 36 and one.body == other.body


async def test_each_request_has_a_key_of_its_own(server: Answering, backend: Backend) -> None:
    for _ in range(2):
        server.will_answer(GRANTED)
        await backend.users.grant("ann", 1, reason="test")
    server.will_answer(GRANTED)
    await backend.users.grant("ann", 1, reason="test", key="mine")
    keys = [asked.headers["Idempotency-Key"] for asked in server.asked]
    assert len(set(keys)) == 3 and keys[-1] == "mine"


async def test_a_question_has_no_key(server: Answering, backend: Backend) -> None:
    server.will_answer({"events": [], "head": 0})
    await backend.rooms.log("r")
    assert "Idempotency-Key" not in server.asked[0].headers
    assert server.asked[0].line == "GET /v1/rooms/r/events?after=0&limit=1000"


async def test_a_server_that_stays_busy_is_told_of_after_the_last_try(
    server: Answering, backend: Backend
) -> None:
    for _ in range(3):
        server.will_answer(no("busy"), status=503)
    with pytest.raises(ApiError) as refusal:
        await backend.users.grant("ann", 1, reason="test", key="k")
    assert (refusal.value.code, refusal.value.retry, refusal.value.key) == ("busy", "same", "k")
    assert len(server.asked) == 3


@pytest.mark.parametrize("status", [400, 409, 422, 500])
async def test_other_refusals_are_not_tried_again(
    server: Answering, backend: Backend, status: int
) -> None:
    server.will_answer(no("x", "fix", details={"field": "coins"}), status=status)
    with pytest.raises(ApiError) as refusal:
        await backend.users.grant("ann", 1, reason="test")
    error = refusal.value
    assert (error.status, error.code, error.details) == (status, "x", {"field": "coins"})
    assert (error.request_id, error.message, str(error)) == ("abc", "No.", "x: No.")
    assert len(server.asked) == 1


async def test_a_proxys_error_is_taken_as_it_is(server: Answering, backend: Backend) -> None:
    server.will_answer(b"<h1>Bad Gateway</h1>", status=502, kind="text/html")
    with pytest.raises(ApiError, match="http_502: <h1>Bad Gateway"):
        await backend.rooms.show("r")


@pytest.mark.parametrize("body", [b"not json", b"[]", b'{"id": 7}', b"\xff"])
async def test_an_answer_that_is_none_is_told(
    server: Answering, backend: Backend, body: bytes
) -> None:
    server.will_answer(body)
    with pytest.raises(Unreadable, match="/v1/rooms/r"):
        await backend.rooms.show("r")


async def test_nobody_at_the_address_is_told_with_the_key() -> None:
    async with Backend(f"http://127.0.0.1:{free_port()}", "k", tries=2) as backend:
        with pytest.raises(Unreachable, match="cannot be reached") as error:
            await backend.users.grant("ann", 1, reason="test", key="mine")
        assert (error.value.key, error.value.asked) == ("mine", False)


async def test_what_was_sent_without_a_key_is_not_sent_twice(
    server: Answering, backend: Backend
) -> None:
    server.will_answer({}, status=0)
    with pytest.raises(Unreachable) as error:
        await backend.payouts.results([])
    assert error.value.asked and len(server.asked) == 1


async def test_lists_are_read_page_by_page(server: Answering, backend: Backend) -> None:
    server.will_list({"at_ms": 1, "why": "a"}, cursor="c 1")
    server.will_list({"at_ms": 2, "why": "b"})
    found = [one.why async for one in backend.purchases.refused_notifications()]
    assert found == ["a", "b"]
    assert server.asked[1].line == "GET /v1/notifications/refused?limit=200&cursor=c+1"


async def test_a_log_is_read_page_by_page_up_to_its_head(
    server: Answering, backend: Backend
) -> None:
    for seq, head in ((1, 2), (2, 3), (3, 3)):
        closed = {"kind": "room_closed", "seq": seq, "at_ms": 1}
        server.will_answer({"events": [closed], "head": head})
    assert [event.seq async for event in backend.rooms.events("r")] == [1, 2, 3]
    assert [asked.line.partition("after=")[2][0] for asked in server.asked] == ["0", "1", "2"]


def test_the_server_says_how_long_to_wait_and_else_it_is_longer_every_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asking, "WAIT_MAX_S", 10.0)
    assert wait_s("3", 0) == 3.0 and wait_s("86400", 0) == 10.0
    for said in ("", "soon", "-1", "1.5"):
        assert 0 <= wait_s(said, 0) <= 0.1
    assert max(wait_s("", 4) for _ in range(100)) > 0.1


def test_paths_hold_any_id() -> None:
    assert at("users", "a/b?c", "wallet") == "/v1/users/a%2Fb%3Fc/wallet"
    assert at("rooms", "..") == "/v1/rooms/%2E%2E"
    with pytest.raises(ValueError, match="empty"):
        at("rooms", "")
