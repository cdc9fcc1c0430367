"""Cases for test_audit_tampering: what is done to rows that are sums, and what must be found.

Each is a name, a statement, and the checks that must fail, among others.
"""

SUMS = [
    (
        "coins from nowhere",
        "UPDATE account SET credits = credits + 5 WHERE owner = 'ada' AND code = 'coins'",
        "conservation accounts replay",
    ),
    (
        "coins from nowhere on both sides",
        (
            "UPDATE account SET credits = credits + 5 WHERE owner = 'ada' AND code = 'coins';"
            "UPDATE account SET debits = debits + 5 WHERE id = 1"
        ),
        "accounts replay",
    ),
    (
        "coins of who owes some",
        "UPDATE account SET credits = credits + 5 WHERE owner = 'fay' AND code = 'coins'",
        "conservation accounts debts replay",
    ),
    (
        "diamonds of who owes some",
        (
            "UPDATE account SET credits = credits + 5"
            " WHERE owner = 'dora' AND code = 'diamonds_available'"
        ),
        "conservation accounts debts earned replay",
    ),
    (
        "a balance below zero",
        "UPDATE account SET debits = credits + 1 WHERE owner = 'ada' AND code = 'coins'",
        "integrity conservation accounts signs replay",
    ),
    (
        "a debt above zero",
        "UPDATE account SET credits = debits + 1 WHERE code = 'coin_debt' AND owner = 'fay'",
        "integrity conservation accounts signs replay",
    ),
    (
        "a wallet that changes hands",
        "UPDATE account SET owner = 'mallory' WHERE owner = 'bob' AND code = 'coins'",
        "legs replay",
    ),
    ("account deleted", "DELETE FROM account WHERE owner = 'eve'", "accounts transfers replay"),
    ("account added", "INSERT INTO account VALUES (900, 'x', 'coins', 0, 0)", "accounts replay"),
    ("account code", "UPDATE account SET code = 'gold' WHERE id = 100", "conservation transfers"),
    (
        "a system account that is somebody's",
        "UPDATE account SET owner = 'x' WHERE id = 4",
        "accounts",
    ),
    ("room total", "UPDATE room SET total_coins = 9 WHERE id = 'r1'", "room_logs replay"),
    ("room seq", "UPDATE room SET seq = 90 WHERE id = 'r1'", "room_logs replay"),
    ("room creator", "UPDATE room SET creator = 'mallory' WHERE id = 'r1'", "rooms replay"),
    ("room status", "UPDATE room SET status = 'open'", "rooms replay"),
    ("room epoch", "UPDATE room SET epoch = 'x'", "replay"),
    ("room's first epoch", "UPDATE room SET epoch = 'epoch-' || id", "rooms replay"),
    ("room deleted", "DELETE FROM room WHERE id = 'r2'", "room_logs rooms replay"),
    ("room added", "INSERT INTO room VALUES ('x', '', '', '', 'open', '', 0, 0, 0)", "rooms"),
    ("standing", "UPDATE member SET coins = 9 WHERE user = 'ada'", "boards replay"),
    ("tie", "UPDATE member SET reached_seq = 1 WHERE user = 'ada'", "boards replay"),
    ("member name", "UPDATE member SET name = 'M' WHERE user = 'ada'", "names replay"),
    ("the name of who was erased", "UPDATE member SET name = 'Fay' WHERE user = 'fay'", "names"),
    ("combo", "UPDATE member SET combo = NULL WHERE user = 'ada'", "replay"),
    ("member deleted", "DELETE FROM member WHERE user = 'ada'", "boards replay"),
    (
        "member added",
        "INSERT INTO member VALUES ('r1', 'x', '', 0, 0, NULL, NULL)",
        "boards replay",
    ),
    ("gifted", "UPDATE user SET gifted_coins = 9 WHERE id = 'ada'", "gifters replay"),
    ("user name", "UPDATE user SET name = 'Mallory' WHERE id = 'ada'", "names replay"),
    ("user's name after erasing", "UPDATE user SET name = 'Fay' WHERE id = 'fay'", "names replay"),
    ("user since", "UPDATE user SET since_ms = 1 WHERE id = 'ada'", "people replay"),
    ("unfrozen", "UPDATE user SET frozen = 0", "people replay"),
    ("pause ended", "UPDATE user SET paused_until_ms = 0", "people replay"),
    ("level shown", "UPDATE user SET level_hidden = 0", "people replay"),
    ("limits", "UPDATE user SET limits = '{}'", "people replay"),
    ("raises", "UPDATE user SET raises = '{}'", "people replay"),
    ("hours", "UPDATE user SET hours = '[]' WHERE id = 'ada'", "spent replay"),
    ("days", "UPDATE user SET days = '[]' WHERE id = 'bob'", "spent replay"),
    ("lots", "UPDATE user SET lots = '[[\"p1\", 2000]]' WHERE id = 'ada'", "lots replay"),
    ("another's lot", "UPDATE user SET lots = '[[\"p1\", 9]]' WHERE id = 'bob'", "lots replay"),
    ("lots gone", "UPDATE user SET lots = '[]' WHERE id = 'liv'", "lots replay"),
    ("user deleted", "DELETE FROM user WHERE id = 'ada'", "gifters people replay"),
    (
        "user added",
        "INSERT INTO user VALUES ('x', '', 0, 0, 0, 0, 0, '{}', '{}', '[]', '[]', '[]')",
        "people replay",
    ),
    (
        "creator board",
        "UPDATE creator_day SET coins = 9 WHERE user = 'ada'",
        "creator_boards replay",
    ),
    (
        "creator board's tie",
        "UPDATE creator_day SET reached = 1 WHERE user = 'ada'",
        "creator_boards",
    ),
    (
        "creator board's day",
        "UPDATE creator_day SET day = day + 100 WHERE user = 'ada'",
        "creator_boards replay",
    ),
    (
        "creator board's name",
        "UPDATE creator_day SET name = 'Fay' WHERE user = 'fay'",
        "names replay",
    ),
    ("creator board deleted", "DELETE FROM creator_day WHERE user = 'gus'", "creator_boards"),
    (
        "creator board added",
        "INSERT INTO creator_day VALUES ('cleo', 1, 'x', '', 0, 0)",
        "creator_boards replay",
    ),
    ("earned gifts", "UPDATE earning SET gifts = gifts + 1", "earnings replay"),
    ("earned coins", "UPDATE earning SET coins = coins + 1", "earnings replay"),
    ("earned", "UPDATE earning SET millidiamonds = 1 WHERE gift = 'cake'", "earnings replay"),
    ("earning deleted", "DELETE FROM earning WHERE gift = 'cake'", "earnings replay"),
    ("earning added", "INSERT INTO earning VALUES ('x', 1, 'cake', 0, 0, 0)", "earnings replay"),
]
"""What is summed up over it: rooms, boards, people as spenders."""

MONEY = [
    ("pending", "UPDATE creator SET pending = '[]' WHERE id = 'cleo'", "pending replay"),
    (
        "more of it on the later day",
        (
            "UPDATE creator SET pending = json_set(pending, '$[0][1]', 400, '$[1][1]', 7600)"
            " WHERE id = 'kim'"
        ),
        "pending replay",
    ),
    (
        "pending since earlier",
        "UPDATE creator SET pending = json_set(pending, '$[0][0]', 19679) WHERE id = 'kim'",
        "pending replay",
    ),
    ("rates", "UPDATE creator SET rates = '[]'", "creators replay"),
    ("another open payout", "UPDATE creator SET payout = ''", "creators replay"),
    ("payouts paid", "UPDATE creator SET payouts_paid = 0", "creators replay"),
    ("creator deleted", "DELETE FROM creator WHERE id = 'dora'", "creators replay"),
    ("creator added", "INSERT INTO creator VALUES ('x', '[]', '[]', '', 0)", "creators replay"),
    ("purchase user", "UPDATE purchase SET user = 'bob' WHERE id = 'p1'", "purchases lots replay"),
    ("purchase unpaid", "UPDATE purchase SET status = 'failed' WHERE id = 'p1'", "purchases lots"),
    ("purchase paid", "UPDATE purchase SET status = 'paid' WHERE id = 'p4'", "purchases replay"),
    ("purchase coins", "UPDATE purchase SET coins = 101 WHERE id = 'p1'", "purchases replay"),
    ("purchase price", "UPDATE purchase SET price_minor = 96 WHERE id = 'p6'", "purchases replay"),
    ("purchase transfer", "UPDATE purchase SET first_transfer = 4", "purchases replay"),
    ("purchase payment", "UPDATE purchase SET payment = 'x' WHERE id = 'p1'", "purchases replay"),
    ("checkout", "UPDATE purchase SET url = 'https://x'", "purchases replay"),
    (
        "refunded",
        "UPDATE purchase SET refunded_coins = 11, refunded_minor = 10 WHERE id = 'p1'",
        "purchases refunds replay",
    ),
    ("clawback", "UPDATE purchase SET clawback = '' WHERE id = 'p2'", "purchases replay"),
    ("parked", "UPDATE purchase SET parked = '' WHERE id = 'p5'", "purchases replay"),
    ("purchase deleted", "DELETE FROM purchase WHERE id = 'p1'", "purchases lots replay"),
    (
        "purchase added",
        (
            "INSERT INTO purchase SELECT 'p9', user, status, provider, bundle, coins, price_minor,"
            " currency, started_ms, checkout, url, payment, paid_ms, first_transfer, 0, 0, '', ''"
            " FROM purchase WHERE id = 'p1'"
        ),
        "purchases replay",
    ),
    ("refund of more", "UPDATE refund SET coins = 11 WHERE id = 'f1'", "refunds replay"),
    ("refund sent", "UPDATE refund SET status = 'sent'", "refunds replay"),
    ("refund deleted", "DELETE FROM refund WHERE id = 'f3'", "refunds replay"),
    (
        "refund added",
        "INSERT INTO refund VALUES ('f9', 'p1', 'ada', 1, 1, 'requested', 1)",
        "refunds replay",
    ),
    (
        "payout of more",
        "UPDATE payout SET millidiamonds = 70000, amount_minor = 70 WHERE status = 'paid'",
        "payouts earned replay",
    ),
    ("payout paid", "UPDATE payout SET status = 'paid' WHERE status = 'requested'", "payouts"),
    (
        "payout for another",
        "UPDATE payout SET creator = 'x' WHERE status = 'paid'",
        "payouts earned",
    ),
    ("payout reference", "UPDATE payout SET reference = 'b2'", "payouts replay"),
    ("payout flags", "UPDATE payout SET flags = '[]'", "payouts replay"),
    ("payout deleted", "DELETE FROM payout WHERE status = 'paid'", "payouts earned creators"),
    (
        "payout added",
        (
            "INSERT INTO payout SELECT 'payout-1', 'x', 'requested', 1000, 1, currency, 1, 0, '',"
            " '[]' FROM payout LIMIT 1"
        ),
        "payouts replay",
    ),
    ("suspense settled", "UPDATE suspense SET settled_by = 'x'", "suspense replay"),
    ("suspense note", "UPDATE suspense SET note = 'x'", "suspense replay"),
    ("suspense deleted", "DELETE FROM suspense WHERE why = 'wrong_amount'", "suspense replay"),
    ("suspense added", "INSERT INTO suspense VALUES (1, '', '', '', 0, '', '')", "suspense"),
    (
        "a correction by one alone",
        "UPDATE correction SET decided_by = proposed_by",
        "integrity corrections replay",
    ),
    ("correction amount", "UPDATE correction SET amount = 70", "corrections replay"),
    ("correction of diamonds", "UPDATE correction SET amount = -4 WHERE user = 'hal'", "earned"),
    ("correction deleted", "DELETE FROM correction WHERE status = 'proposed'", "corrections"),
    (
        "correction added",
        "INSERT INTO correction VALUES (1, 'x', 'coins', 5, '', 'approved', 'a', 1, 'b')",
        "corrections replay",
    ),
    ("endpoint url", "UPDATE endpoint SET url = 'https://x' WHERE id = 'mail'", "endpoints replay"),
    ("endpoint enabled", "UPDATE endpoint SET enabled = 1", "endpoints replay"),
    ("endpoint since", "UPDATE endpoint SET since = 1", "endpoints replay"),
    ("endpoint deleted", "DELETE FROM endpoint WHERE id = 'mail'", "endpoints replay"),
    (
        "endpoint added",
        "INSERT INTO endpoint VALUES ('x', '', '[]', 1, '', 1, 0, 1)",
        "endpoints replay",
    ),
    ("link set back", "UPDATE link SET token_id = 't1' WHERE id = 'r1'", "links replay"),
    ("link deleted", "DELETE FROM link WHERE id = 'r3'", "links replay"),
    ("link added", "INSERT INTO link VALUES ('r2', 't8', 1, 1)", "links replay"),
    ("token good again", "DELETE FROM revocation WHERE id = 't1'", "revocations replay"),
    ("token good sooner", "UPDATE revocation SET expires_ms = 1", "revocations replay"),
    ("token revoked", "INSERT INTO revocation VALUES ('t3', 0, '', 1, 1)", "revocations replay"),
]
"""Buying, earning, cashing out; tokens."""
