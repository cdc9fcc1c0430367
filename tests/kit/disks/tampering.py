"""Changing books by hand, as somebody with the file can, and what an audit must then say."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from kit.disks.tampering_sums import MONEY, SUMS
from storage import Audit


def failed(found: Audit) -> dict[str, str]:
    return {check.name: check.detail for check in found.checks if not check.ok}


@contextmanager
def without_protection(connection: sqlite3.Connection) -> Iterator[None]:
    """Without the triggers and constraints that keep the books; the tracks are covered after."""
    sql = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
    triggers = connection.execute(sql).fetchall()
    for name, _ in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute("PRAGMA ignore_check_constraints = ON")
    yield
    connection.execute("PRAGMA ignore_check_constraints = OFF")
    for _, trigger in triggers:
        connection.execute(trigger)


def tamper(connection: sqlite3.Connection, script: str) -> None:
    """Change what the schema protects. No text in the script may hold a semicolon."""
    with without_protection(connection):
        for statement in script.split(";"):
            connection.execute(statement)


@contextmanager
def tampered(connection: sqlite3.Connection, script: str) -> Iterator[None]:
    """Books that were changed, for as long as the block lasts; then they are what they were."""
    connection.execute("BEGIN")
    try:
        changes = connection.total_changes
        tamper(connection, script)
        assert connection.total_changes > changes, "the script changed nothing"
        yield
    finally:
        connection.execute("ROLLBACK")


HISTORY = [
    # (what, statement, checks that must fail, among others)
    ("batch at_ms", "UPDATE batch SET at_ms = at_ms + 1 WHERE id = 3", "journal people replay"),
    ("batch hash", "UPDATE batch SET hash = 'x' WHERE id = 7", "journal replay"),
    ("batch next_transfer", "UPDATE batch SET next_transfer = 1 WHERE id = 7", "transfers replay"),
    ("batch last", "UPDATE batch SET last_command = 999 WHERE id = 7", "journal replay"),
    ("batch deleted", "DELETE FROM batch WHERE id = 4", "journal replay"),
    ("last batch deleted", "DELETE FROM batch WHERE id = (SELECT max(id) FROM batch)", "journal"),
    ("batch added", "INSERT INTO batch VALUES (99, 1, 999, 999, 999, 'x')", "journal replay"),
    (
        "command body",
        "UPDATE command SET body = replace(body, '1000', '1001') WHERE kind = 'grant'",
        "journal replay",
    ),
    (
        "a gift's outcome",
        "UPDATE command SET outcome = json_set(outcome, '$.coins', 2) WHERE id = 8",
        "journal legs gifts replay",
    ),
    (
        "the balance of an answer",
        "UPDATE command SET outcome = json_set(outcome, '$.balance_coins', 7) WHERE id = 8",
        "journal gifts replay",
    ),
    (
        "what a gift took of a purchase",
        "UPDATE command SET outcome = json_remove(outcome, '$.lots') WHERE id = 23",
        "journal spent retractions replay",
    ),
    (
        "more than was reversed",
        (
            "UPDATE command SET outcome = json_set(outcome, '$.coins', 999)"
            " WHERE kind = 'reverse_gifts'"
        ),
        "journal retractions",
    ),
    (
        "less than was clawed back",
        (
            "UPDATE command SET outcome = json_set(outcome, '$.taken[0].available', 1)"
            " WHERE kind = 'charge_back' AND body ->> 'purchase' = 'p2'"
        ),
        "journal legs retractions earned",
    ),
    (
        "a refund of more than was moved",
        (
            "UPDATE command SET outcome = json_set(outcome, '$.amount_minor', 50)"
            " WHERE kind = 'refund_purchase'"
        ),
        "journal legs purchases refunds",
    ),
    (
        "a refund of more than the provider told",
        (
            "UPDATE command SET body = json_set(body, '$.refunded_minor', 27)"
            " WHERE kind = 'see_refund' AND outcome ->> 'kind' = 'purchase_refunded'"
        ),
        "journal refunds replay",
    ),
    (
        "the answer of a payout",
        (
            "UPDATE command SET outcome = json_set(outcome, '$.amount_minor', 61)"
            " WHERE kind = 'pay_payout'"
        ),
        "journal legs payouts",
    ),
    (
        "the answer of a correction",
        (
            "UPDATE command SET outcome = json_set(outcome, '$.amount', 70)"
            " WHERE kind = 'decide_correction'"
        ),
        "journal legs corrections",
    ),
    (
        "a limit that was passed",
        (
            "UPDATE command SET outcome = json_set(outcome, '$.limits.daily', 24)"
            " WHERE kind = 'set_limits'"
        ),
        "journal limits people",
    ),
    (
        "a limit for one gift that was passed",
        (
            "UPDATE command SET outcome = json_set(outcome, '$.limits.per_gift', 24)"
            " WHERE kind = 'set_limits'"
        ),
        "journal limits people",
    ),
    (
        "a rate that was too high",
        (
            "UPDATE command SET outcome = json_set(outcome, '$.rate_permille', 500)"
            " WHERE kind = 'set_rate'"
        ),
        "journal gifts creators",
    ),
    (
        "a gift to oneself",
        "UPDATE command SET body = json_set(body, '$.sender', 'cleo') WHERE id = 8",
        "journal forbidden legs replay",
    ),
    (
        "a gift of who was frozen",
        "UPDATE command SET outcome = json_set(outcome, '$.user', 'ada') WHERE kind = 'freeze'",
        "journal forbidden people",
    ),
    (
        "a gift in a pause",
        (
            "UPDATE command SET outcome = json_set(outcome, '$.user', 'ada')"
            " WHERE kind = 'pause_gifting'"
        ),
        "journal forbidden people",
    ),
    (
        "a gift of who was in debt",
        "UPDATE account SET owner = 'ada' WHERE owner = 'fay' AND code = 'coin_debt'",
        "forbidden legs replay",
    ),
    (
        "a release before its time",
        (
            "UPDATE command SET outcome = json_set(outcome, '$.through_day', 19674)"
            " WHERE kind = 'release_diamonds'"
        ),
        "journal releases pending",
    ),
    (
        "a price that was not the shop's",
        (
            "UPDATE command SET outcome = json_set(outcome, '$.price_minor', 1)"
            " WHERE kind = 'start_purchase'"
        ),
        "journal prices purchases",
    ),
    (
        "what was suspended",
        "UPDATE command SET outcome = json_set(outcome, '$.why', 'x') WHERE kind = 'suspend'",
        "journal suspense",
    ),
    (
        "a retraction's line",
        "UPDATE command SET outcome = json_set(outcome, '$.seq', 1) WHERE kind = 'retract_gift'",
        "journal room_logs",
    ),
    (
        "a reversal's line",
        (
            "UPDATE command SET outcome = json_set(outcome, '$.gifts[0][1]', 1)"
            " WHERE kind = 'reverse_gifts'"
        ),
        "journal room_logs",
    ),
    ("command key", "UPDATE command SET key = 'other' WHERE id = 8", "journal keys replay"),
    ("command actor", "UPDATE command SET actor = 'eve' WHERE id = 8", "journal keys replay"),
    ("command kind", "UPDATE command SET kind = 'grant' WHERE id = 1", "journal keys replay"),
    ("fingerprint", "UPDATE command SET fingerprint = 'x' WHERE id = 8", "journal replay"),
    ("command batch", "UPDATE command SET batch = 4 WHERE id = 12", "journal replay"),
    ("command deleted", "DELETE FROM command WHERE id = 8", "journal legs replay"),
    (
        "last command deleted",
        "DELETE FROM command WHERE id = (SELECT max(id) FROM command)",
        "journal legs replay",
    ),
    (
        "command added",
        (
            "INSERT INTO command SELECT id + 1, batch, actor, 'new', kind, fingerprint, body,"
            " outcome, said FROM command ORDER BY id DESC LIMIT 1"
        ),
        "journal keys legs replay",
    ),
    ("no JSON", "UPDATE command SET body = '{' WHERE id = 8", "journal keys replay"),
    (
        "policy rate",
        "UPDATE policy SET body = json_set(body, '$.rate_permille', 900) WHERE command = 1",
        "policies gifts replay",
    ),
    (
        "policy limits",
        "UPDATE policy SET body = json_set(body, '$.limits.daily_coins', 200) WHERE command = 1",
        "policies limits replay",
    ),
    (
        "policy of the first day",
        "UPDATE policy SET body = json_set(body, '$.limits.first_day_coins', 200)",
        "policies limits",
    ),
    (
        "policy of the hold",
        "UPDATE policy SET body = json_set(body, '$.hold_days', 7) WHERE command = 1",
        "policies releases",
    ),
    (
        "policy of payouts",
        "UPDATE policy SET body = json_set(body, '$.payouts.millidiamonds_per_minor', 100)",
        "policies payouts",
    ),
    (
        "policy of chargebacks",
        "UPDATE policy SET body = json_set(body, '$.clawback', 'none')",
        "policies purchases retractions",
    ),
    (
        "policy of the waiting",
        "UPDATE policy SET body = json_set(body, '$.bounds.pending_purchases_max', 1)",
        "policies waiting replay",
    ),
    (
        "sums that a payout was reviewed by",
        (
            "UPDATE command SET body = json_set(body, '$.facts.earned_coins', 7)"
            " WHERE kind = 'request_payout' AND body ->> 'facts' IS NOT NULL"
        ),
        "journal reviews replay",
    ),
    (
        "payout reviewed by what came after it",
        (
            "UPDATE command SET body = json_set(body, '$.facts.as_of', id)"
            " WHERE kind = 'request_payout' AND body ->> 'facts' IS NOT NULL"
        ),
        "journal reviews replay",
    ),
    (
        "payout that no person looked at",
        (
            "UPDATE command SET outcome = json_set(outcome, '$.status', 'approved')"
            " WHERE kind = 'request_payout' AND outcome ->> 'status' = 'requested'"
        ),
        "journal reviews replay",
    ),
    (
        "purchase waits no more",
        "UPDATE purchase SET status = 'failed' WHERE status = 'pending'",
        "purchases waiting replay",
    ),
    (
        "policy of reviews",
        (
            "UPDATE policy SET body = json_set(body, '$.review.new_senders_percent', 100)"
            " WHERE body -> 'review' IS NOT NULL"
        ),
        "policies reviews replay",
    ),
    (
        "policy of payouts without a person",
        "UPDATE policy SET body = json_set(body, '$.payouts.review_first', json('false'))",
        "policies reviews replay",
    ),
    (
        "policy of endpoints",
        "UPDATE policy SET body = json_set(body, '$.bounds.endpoints_max', 2) WHERE command > 1",
        "policies endpoints replay",
    ),
    (
        "policy of ages",
        "UPDATE command SET body = json_remove(body, '$.adult') WHERE kind = 'start_purchase'",
        "journal prices",
    ),
    ("policy deleted", "DELETE FROM policy WHERE command > 1", "policies gifts replay"),
    ("policy added", "INSERT INTO policy SELECT 12, body FROM policy LIMIT 1", "policies replay"),
    ("amount", "UPDATE transfer SET amount = amount + 1 WHERE id = 4", "accounts legs replay"),
    ("credit", "UPDATE transfer SET credit = 101 WHERE id = 1", "accounts legs running_balances"),
    (
        "balance after",
        "UPDATE transfer SET debit_after = 7 WHERE id = 4",
        "running_balances gifts replay",
    ),
    ("transfer's command", "UPDATE transfer SET command = 9 WHERE id = 4", "legs replay"),
    ("transfer's command is none", "UPDATE transfer SET command = 999 WHERE id = 4", "legs"),
    ("reason", "UPDATE transfer SET reason = 1 WHERE id = 4", "transfers legs replay"),
    ("one leg deleted", "DELETE FROM transfer WHERE id = 5", "transfers legs accounts replay"),
    (
        "one leg of two",
        (
            "UPDATE transfer SET amount = 500 WHERE id = 3;"
            "INSERT INTO transfer SELECT 999, 7, 1, debit, credit, 500, 0, 0 FROM transfer"
            " WHERE id = 3"
        ),
        "transfers legs",
    ),
    (
        "transfer added",
        "INSERT INTO transfer VALUES (999, 7, 1, 1, 100, 5, 0, 0)",
        "transfers legs accounts running_balances replay",
    ),
    ("event coins", "UPDATE event SET coins = 9 WHERE seq = 1", "room_logs gifts replay"),
    ("event total", "UPDATE event SET total_coins = 9 WHERE seq = 1", "room_logs gifts replay"),
    (
        "event body",
        "UPDATE event SET body = replace(body, 'Ada', 'Eve') WHERE room = 'r1' AND seq = 1",
        "replay",
    ),
    (
        "event says other coins",
        "UPDATE event SET body = json_set(body, '$.coins', 77) WHERE room = 'r1' AND seq = 1",
        "gifts replay",
    ),
    (
        "event tells of another sum",
        "UPDATE event SET body = json_set(body, '$.from_total', 77) WHERE room = 'r1' AND seq = 5",
        "boards replay",
    ),
    (
        "event names who was anonymous",
        "UPDATE event SET body = json_set(body, '$.from.id', 'bob') WHERE room = 'r1' AND seq = 4",
        "gifts replay",
    ),
    (
        "event number",
        "UPDATE event SET seq = 40 WHERE room = 'r1' AND seq = 3",
        "room_logs gifts replay",
    ),
    ("event deleted", "DELETE FROM event WHERE room = 'r1' AND seq = 1", "room_logs gifts marks"),
    (
        "last event deleted",
        "DELETE FROM event WHERE room = 'r1' AND seq = (SELECT seq FROM room WHERE id = 'r1')",
        "room_logs gifts replay",
    ),
    (
        "retraction's event deleted",
        "DELETE FROM event WHERE kind = 'gift_retracted' AND room = 'r2'",
        "room_logs marks boards creator_boards earnings gifters",
    ),
    (
        "event added",
        (
            "INSERT INTO event SELECT room, 90, command, kind, coins, total_coins, body FROM event"
            " WHERE room = 'r1' AND seq = 1"
        ),
        "room_logs gifts replay",
    ),
    ("event of no room", "UPDATE event SET room = 'x' WHERE room = 'r2'", "room_logs gifts rooms"),
    ("mark deleted", "DELETE FROM mark WHERE kind = 'hidden'", "marks replay"),
    ("retraction deleted", "DELETE FROM mark WHERE kind = 'retracted'", "marks legs retractions"),
    ("mark of another gift", "UPDATE mark SET gift_seq = 3 WHERE gift_seq = 4", "marks"),
    ("mark added", "INSERT INTO mark VALUES ('r1', 3, 'hidden', 5)", "marks replay"),
    ("mark kind", "UPDATE mark SET kind = 'hidden' WHERE room = 'r2'", "marks replay"),
]
"""History, which is only ever added to."""

TAMPERING = HISTORY + SUMS + MONEY
