"""The worker against real receivers: what arrives, in which order, how often, and what is kept."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest
from standardwebhooks import Webhook

from kit.building.builders import gift, grant, open_room
from kit.servers.receiving import SECRET, Receiver, Rig, receiving
from kit.waiting import PATIENCE_S
from server.webhooks import secret_of, worker
from server.webhooks.signing import OVERLAP_MS
from storage import StoreBroken, StoreUnavailable

SINCE = 5
"""The number of the first command after the show."""
PATIENCE = (1 + worker.JITTER) * 1.001


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "PACE_MS", 2)


async def test_a_gift_arrives_signed(rig: Rig, receiver: Receiver) -> None:
    rig.endpoint(receiver.url, since=SINCE)
    rig.start()
    await rig.settle(gift("ada", "cake", message="for you"))
    await rig.settled("delivered")
    [post] = receiver.posts
    verified = Webhook(secret_of(SECRET, "e1", 1)).verify(post.body, post.headers)
    assert verified["type"] == "gift.accepted"
    assert verified["data"]["coins"] == 25
    assert post.headers["content-type"] == "application/json"
    assert post.path == "/hooks"
    [attempt] = await rig.attempts()
    assert (attempt.status, attempt.error, attempt.at_ms) == (200, None, rig.now_ms)


async def test_an_endpoint_is_told_only_what_it_wants_and_from_its_first_command_on(
    rig: Rig, receiver: Receiver
) -> None:
    await rig.settle(gift())
    rig.endpoint(receiver.url, since=SINCE + 1, kinds=["gift.accepted"])
    rig.start()
    await rig.settle(open_room("r3"), gift("ada", "lion"), grant("bob"))
    await rig.settled("delivered")
    await rig.quiet()
    assert [post.event["data"]["gift"] for post in receiver.posts] == ["lion"]


async def test_the_events_of_a_room_arrive_in_order_and_each_once(
    rig: Rig, receiver: Receiver
) -> None:
    rig.endpoint(receiver.url, since=SINCE)
    rig.start()
    for _ in range(5):
        await rig.settle(*[gift() for _ in range(9)])
    await rig.settled(*["delivered"] * 45)
    assert receiver.seqs() == list(range(1, 46))
    assert receiver.open_most == 1


async def test_a_lane_waits_for_its_failed_event_and_others_do_not_wait_for_the_lane(
    rig: Rig, receiver: Receiver
) -> None:
    receiver.decide = lambda post: 500 if post.event["data"]["room"] == "r1" else 200
    rig.endpoint(receiver.url, since=SINCE)
    rig.start()
    await rig.settle(gift(), gift(), gift(room="r2"), gift(room="r2"))
    await rig.settled("pending", "pending", "delivered", "delivered")
    await rig.quiet()
    assert (receiver.seqs("r1"), receiver.seqs("r2")) == ([1], [1, 2])
    receiver.decide = lambda post: 200
    rig.pass_ms(6_000)
    await rig.settled(*["delivered"] * 4)
    assert receiver.seqs("r1") == [1, 1, 2]


async def test_order_holds_while_an_endpoint_fails_now_and_then(
    rig: Rig, receiver: Receiver
) -> None:
    tries: dict[str, int] = {}

    def every_third_fails_first(post: Any) -> int:
        tries[post.id] = tries.get(post.id, 0) + 1
        return 503 if post.seq % 3 == 0 and tries[post.id] == 1 else 204

    receiver.decide = every_third_fails_first
    rig.endpoint(receiver.url, since=SINCE)
    rig.start()
    await rig.settle(*[gift() for _ in range(9)], *[gift(room="r2") for _ in range(9)])
    for _ in range(4):
        await rig.quiet()
        rig.pass_ms(6_000)
    await rig.settled(*["delivered"] * 18)
    for room in ("r1", "r2"):
        assert receiver.seqs(room) == [1, 2, 3, 3, 4, 5, 6, 6, 7, 8, 9, 9]


async def test_one_endpoint_that_is_down_does_not_hold_up_another(
    rig: Rig, receiver: Receiver
) -> None:
    rig.endpoint("http://127.0.0.1:9/hooks", "down", since=SINCE)
    rig.endpoint(receiver.url, "up", since=SINCE)
    rig.start()
    await rig.settle(gift(), gift())
    await rig.settled("delivered", "delivered", endpoint="up")
    await rig.settled("pending", "pending", endpoint="down")
    [attempt] = await rig.attempts("down")
    assert attempt.status is None
    assert "cannot be reached" in str(attempt.error)


async def test_an_endpoint_that_hangs_leaves_half_of_the_posts_to_others(
    rig: Rig, receiver: Receiver
) -> None:
    await rig.settle(*[open_room(f"x{n}") for n in range(20)])
    async with receiving() as hanging:
        hanging.hangs = True
        rig.endpoint(hanging.url, "hangs", since=SINCE + 20)
        rig.start()
        await rig.settle(*[gift(room=f"x{n}") for n in range(20)])
        await rig.until(lambda: hanging.open == worker.POSTS_OF_ONE_MAX)
        rig.endpoint(receiver.url, "up", since=SINCE + 20)
        await rig.settled(*["delivered"] * 20, endpoint="up")
        assert hanging.open_most == worker.POSTS_OF_ONE_MAX


# Retries


async def test_retries_keep_the_schedule_and_then_the_lane_goes_on(
    rig: Rig, receiver: Receiver
) -> None:
    receiver.decide = lambda post: 500 if post.seq == 1 else 200
    rig.endpoint(receiver.url, since=SINCE)
    rig.start()
    await rig.settle(gift(), gift())
    for number, wait_ms in enumerate(worker.SCHEDULE_MS[1:], 1):
        await rig.tried(number)
        [first] = [d for d in await rig.listed() if d.next_ms is not None]
        assert abs(first.next_ms - rig.now_ms - wait_ms) <= worker.JITTER * wait_ms
        rig.pass_ms(first.next_ms - rig.now_ms - 1)
        await rig.quiet()
        assert len(receiver.posts) == number
        rig.pass_ms(1)
    await rig.settled("exhausted", "delivered")
    assert len(set(receiver.ids()[:10])) == 1
    assert receiver.seqs() == [1] * 10 + [2]
    assert [a.status for a in await rig.attempts()] == [500] * 10


async def test_each_try_is_signed_with_its_own_moment(rig: Rig, receiver: Receiver) -> None:
    receiver.status = 500
    rig.endpoint(receiver.url, since=SINCE)
    rig.start()
    await rig.settle(gift())
    await rig.tried(1)
    rig.pass_ms(6_000)
    await rig.tried(2)
    first, second = receiver.posts
    assert first.body == second.body
    moments = [int(post.headers["webhook-timestamp"]) for post in receiver.posts]
    assert moments[1] - moments[0] == 6
    Webhook(secret_of(SECRET, "e1", 1)).verify(second.body, second.headers)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_a_failure_and_is_not_followed(
    rig: Rig, receiver: Receiver, status: int
) -> None:
    async with receiving() as elsewhere:
        receiver.status = status
        receiver.headers = {"Location": elsewhere.url}
        rig.endpoint(receiver.url, since=SINCE)
        rig.start()
        await rig.settle(gift())
        await rig.tried(1)
        await rig.quiet()
        assert elsewhere.posts == []
        assert await rig.states() == ["pending"]
        [attempt] = await rig.attempts()
        assert "redirects are not followed" in str(attempt.error)


@pytest.mark.parametrize("status", [201, 202, 204, 299])
async def test_every_2xx_is_a_success(rig: Rig, receiver: Receiver, status: int) -> None:
    receiver.status = status
    rig.endpoint(receiver.url, since=SINCE)
    rig.start()
    await rig.settle(gift())
    await rig.settled("delivered")


async def test_gone_disables_the_endpoint_and_what_is_pending_waits(
    rig: Rig, receiver: Receiver
) -> None:
    receiver.status = 410
    endpoint = rig.endpoint(receiver.url, since=SINCE)
    rig.start()
    await rig.settle(gift(), gift(), gift(room="r2"))
    await rig.until(lambda: bool(rig.disabled))
    assert set(rig.disabled) == {("e1", "It answered 410 Gone.")}
    sent = len(receiver.posts)
    rig.pass_ms(worker.DAY_MS)
    await rig.quiet()
    assert len(receiver.posts) <= max(sent, 2)
    receiver.status, receiver.posts = 200, []
    endpoint.enabled = True
    rig.pass_ms(worker.DAY_MS)
    await rig.settled(*["delivered"] * 3)
    assert (receiver.seqs("r1"), receiver.seqs("r2")) == ([1, 2], [1])


async def test_what_happened_while_an_endpoint_was_disabled_is_sent_afterwards(
    rig: Rig, receiver: Receiver
) -> None:
    endpoint = rig.endpoint(receiver.url, since=SINCE, enabled=False)
    rig.start()
    await rig.settle(gift(), gift())
    await rig.quiet()
    assert receiver.posts == []
    endpoint.enabled = True
    rig.worker.nudge()
    await rig.settled("delivered", "delivered")
    assert receiver.seqs() == [1, 2]


async def test_a_receiver_that_never_answers_is_a_failure(rig: Rig, receiver: Receiver) -> None:
    receiver.hangs = True
    rig.timeout_s = 0.1
    rig.endpoint(receiver.url, since=SINCE)
    rig.start()
    await rig.settle(gift())
    await rig.tried(1)
    [attempt] = await rig.attempts()
    assert "no answer within 0.1 seconds" in str(attempt.error)
    assert attempt.duration_ms >= 99
    assert await rig.states() == ["pending"]


async def test_the_timeout_of_the_real_worker_is_fifteen_seconds() -> None:
    from server.webhooks import poster

    assert poster.TIMEOUT_S == 15


async def test_a_body_without_an_end_is_not_read_to_its_end(rig: Rig, receiver: Receiver) -> None:
    receiver.body = b"x" * 5_000_000
    rig.endpoint(receiver.url, since=SINCE)
    rig.start()
    await rig.settle(gift(), gift())
    await rig.settled("delivered", "delivered")
    assert receiver.seqs() == [1, 2]


# Rotation


async def test_for_a_day_after_a_rotation_both_secrets_sign(rig: Rig, receiver: Receiver) -> None:
    endpoint = rig.endpoint(receiver.url, since=SINCE)
    rig.start()
    endpoint.version, endpoint.rotated_ms = 2, rig.now_ms - OVERLAP_MS + 1
    await rig.settle(gift())
    await rig.settled("delivered")
    endpoint.rotated_ms = rig.now_ms - OVERLAP_MS
    await rig.settle(gift())
    await rig.settled("delivered", "delivered")
    both, one = receiver.posts
    old, new = (Webhook(secret_of(SECRET, "e1", version)) for version in (1, 2))
    for secret in (old, new):
        secret.verify(both.body, both.headers)
    new.verify(one.body, one.headers)
    assert len(both.headers["webhook-signature"].split(" ")) == 2
    assert len(one.headers["webhook-signature"].split(" ")) == 1


# Killed, and started again


async def test_a_worker_that_is_killed_in_mid_post_sends_it_again_with_the_same_id(
    rig: Rig, receiver: Receiver
) -> None:
    receiver.hangs = True
    rig.endpoint(receiver.url, since=SINCE)
    rig.start()
    await rig.settle(gift(), gift())
    await rig.until(lambda: len(receiver.posts) == 1)
    await rig.kill()
    receiver.hangs = False
    rig.start()
    await rig.settled("delivered", "delivered")
    assert receiver.seqs() == [1, 1, 2]
    assert receiver.ids()[0] == receiver.ids()[1] != receiver.ids()[2]


async def test_kills_at_any_moment_lose_nothing_and_keep_the_order(
    rig: Rig, receiver: Receiver
) -> None:
    rig.endpoint(receiver.url, since=SINCE)
    await rig.settle(*[gift() for _ in range(25)], *[gift(room="r2") for _ in range(25)])
    for step in range(30):
        rig.start()
        await asyncio.sleep(0.001 * step)
        await rig.kill()
    rig.start()
    await rig.settled(*["delivered"] * 50)
    for room in ("r1", "r2"):
        seqs = receiver.seqs(room)
        assert list(dict.fromkeys(seqs)) == list(range(1, 26))
    assert len(set(receiver.ids())) == 50


async def test_what_was_booked_while_no_worker_ran_is_sent_by_the_next(
    rig: Rig, receiver: Receiver
) -> None:
    rig.endpoint(receiver.url, since=SINCE)
    await rig.settle(*[gift() for _ in range(3)])
    rig.start()
    await rig.settled(*["delivered"] * 3)


async def test_a_store_that_is_unavailable_for_a_while_does_not_end_the_worker(
    rig: Rig,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    logs: list[MutableMapping[str, Any]],
) -> None:
    monkeypatch.setattr(worker, "TROUBLE_MS", 20)
    rig.fault = StoreUnavailable("the disk is full")
    rig.endpoint(receiver.url, since=SINCE)
    rig.start()
    await rig.until(lambda: any(entry["event"] == "webhooks.round_failed" for entry in logs))
    rig.fault = None
    await rig.settle(gift())
    await rig.settled("delivered")


async def test_books_in_doubt_end_the_worker(rig: Rig, receiver: Receiver) -> None:
    rig.endpoint(receiver.url, since=SINCE)
    rig.store._broken = True
    with pytest.raises(ExceptionGroup) as ended:
        async with asyncio.timeout(PATIENCE_S):
            await rig.worker.run()
    assert ended.group_contains(StoreBroken)
    rig.store._broken = False


# Again


async def test_a_replay_sends_deliveries_again_with_their_ids_and_in_order(
    rig: Rig, receiver: Receiver
) -> None:
    rig.endpoint(receiver.url, since=SINCE)
    rig.start()
    await rig.settle(*[gift() for _ in range(4)])
    await rig.settled(*["delivered"] * 4)
    commands = [d.command for d in await rig.listed()]
    assert await rig.deliveries.replay("e1", [commands[0], commands[2], 999], rig.now_ms) == 2
    rig.worker.nudge()
    await rig.tried(6)
    assert receiver.seqs() == [1, 2, 3, 4, 2, 4]
    assert receiver.ids()[4:] == [receiver.ids()[1], receiver.ids()[3]]
    assert len(await rig.attempts(place=1)) == 2


async def test_a_replayed_delivery_that_was_exhausted_has_the_whole_schedule_again(
    rig: Rig, receiver: Receiver
) -> None:
    receiver.status = 500
    rig.endpoint(receiver.url, since=SINCE)
    rig.start()
    await rig.settle(gift())
    for number in range(1, 10):
        await rig.tried(number)
        rig.pass_ms(round(worker.SCHEDULE_MS[number] * PATIENCE))
    await rig.settled("exhausted")
    [delivery] = await rig.listed()
    assert await rig.deliveries.replay("e1", [delivery.command], rig.now_ms) == 1
    rig.worker.nudge()
    await rig.tried(11)
    assert await rig.states() == ["pending"]
    receiver.status = 200
    rig.pass_ms(6_000)
    await rig.settled("delivered")
    assert len(await rig.attempts()) == 12


async def test_a_replay_since_a_moment_sends_also_what_was_pruned(
    rig: Rig, receiver: Receiver
) -> None:
    rig.endpoint(receiver.url, since=SINCE)
    rig.start()
    await rig.settle(gift())
    rig.pass_ms(60_000)
    since_ms = rig.now_ms
    await rig.settle(gift(), gift())
    await rig.settled(*["delivered"] * 3)
    rig.pass_ms(worker.DELIVERED_KEPT_MS + worker.PRUNE_EVERY_MS + 1)
    await rig.settled()
    assert await rig.deliveries.replay_since("e1", since_ms) == SINCE + 1
    rig.worker.nudge()
    await rig.settled("delivered", "delivered")
    assert receiver.seqs() == [1, 2, 3, 2, 3]
    assert receiver.ids()[1:3] == receiver.ids()[3:]


# Endpoints come and go


async def test_a_removed_endpoint_is_forgotten_with_all_that_was_pending(
    rig: Rig, receiver: Receiver
) -> None:
    receiver.status = 500
    endpoint = rig.endpoint(receiver.url, since=SINCE)
    rig.start()
    await rig.settle(gift(), gift())
    await rig.tried(1)
    rig.endpoints.remove(endpoint)
    rig.worker.nudge()
    await rig.settled()
    assert await rig.deliveries.cursors() == {}


async def test_a_retry_goes_to_the_url_that_the_endpoint_has_by_then(
    rig: Rig, receiver: Receiver
) -> None:
    receiver.status = 500
    endpoint = rig.endpoint(receiver.url, since=SINCE)
    rig.start()
    await rig.settle(gift())
    await rig.tried(1)
    async with receiving() as moved:
        endpoint.url = moved.url
        rig.pass_ms(6_000)
        await rig.settled("delivered")
        assert moved.ids() == receiver.ids()
