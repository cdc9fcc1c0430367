"""The audit's questions about gifts: prices, rates, the rooms' logs, boards, levels and names."""

from rules.ledger import Reason
from storage.sqlite.audit.question import ACCEPTED, DAY_MS, POLICY_OF, RETRACTED, STEPS, Question

RATES = """
  rate AS MATERIALIZED (
    SELECT c.id, b.at_ms, CAST(c.outcome ->> 'creator' AS TEXT) AS creator,
           c.outcome ->> 'from_ms' AS from_ms,
           c.outcome ->> 'until_ms' AS until_ms, c.outcome ->> 'rate_permille' AS permille,
           row_number() OVER (PARTITION BY c.outcome ->> 'creator' ORDER BY c.id) AS place
    FROM command AS c CROSS JOIN batch AS b ON b.id = c.batch
    WHERE c.kind = 'set_rate' AND c.outcome ->> 'kind' = 'rate_set'
  ), lasting AS MATERIALIZED (
    SELECT r.*, min(s.id) AS forgotten FROM rate AS r
    LEFT JOIN rate AS s ON s.creator = r.creator AND s.place > r.place
      AND s.until_ms IS NULL AND s.from_ms = s.at_ms
    GROUP BY r.id
  )
"""
"""The rates of creators' own, and the command with which each was forgotten: one that set another
rate from that moment on, without an end."""

GIFTS = Question(
    "gifts",
    "{} gifts of {} coins were charged, logged and shared at the prices and rates of their time.",
    f"SELECT count(*), coalesce(sum(coins), 0) FROM ({ACCEPTED})",
    f"""
    WITH accepted AS MATERIALIZED ({ACCEPTED}), {RATES}, price AS (
      SELECT p.command AS policy, g.value ->> 'id' AS gift, g.value ->> 'coins' AS coins,
             p.body ->> 'rate_permille' AS permille, p.body ->> 'require_adult' AS adult,
             g.value ->> 'enabled' AS enabled
      FROM policy AS p, json_each(p.body, '$.catalogue.gifts') AS g
    ), own AS (
      SELECT a.id, max(r.id), r.permille FROM accepted AS a JOIN lasting AS r
        ON r.creator = a.creator AND r.id < a.id AND a.at_ms >= r.from_ms
        AND (r.until_ms IS NULL OR a.at_ms < r.until_ms)
        AND a.id < coalesce(r.forgotten, a.id + 1)
      GROUP BY a.id
    ), totals (outcomes, spent, logged) AS (SELECT
      coalesce((SELECT sum(coins) FROM accepted), 0),
      coalesce((SELECT sum(amount) FROM transfer WHERE reason = {Reason.GIFT_SPENT.value}), 0),
      coalesce((SELECT sum(coins) FROM event WHERE kind = 'gift'), 0))
    SELECT printf('gifts cost %d coins, transfers moved %d, the logs say %d',
                  outcomes, spent, logged)
    FROM totals WHERE outcomes <> spent OR outcomes <> logged
    UNION ALL
    SELECT printf('the gift of command %d is not number %d of the log of %s', a.id, a.seq, a.room)
    FROM accepted AS a LEFT JOIN event AS e ON e.room = a.room AND e.seq = a.seq
    WHERE (e.command, e.kind, e.coins, a.outcome ->> 'total_coins', e.body ->> 'coins',
           e.body ->> 'quantity', e.body ->> 'gift', e.body ->> '$.to.id', e.body ->> 'at_ms',
           a.outcome ->> 'at_ms', coalesce(e.body ->> '$.from.id', ''))
          IS NOT (a.id, 'gift', a.coins, e.total_coins, a.coins,
                  a.quantity, a.gift, a.creator, a.at_ms, a.at_ms, iif(a.public, a.sender, ''))
    UNION ALL
    SELECT printf('command %d: %d × %s for %d coins and %d millidiamonds was not the price or rate',
                  a.id, a.quantity, a.gift, a.coins, a.millidiamonds)
    FROM accepted AS a LEFT JOIN own AS o ON o.id = a.id
    LEFT JOIN price AS p ON p.gift = a.gift AND p.policy = {POLICY_OF.format("a.id")}
    WHERE (a.coins, a.millidiamonds, p.enabled) IS NOT
          (p.coins * a.quantity, a.coins * coalesce(o.permille, p.permille), 1)
       OR (p.adult AND a.adult IS NOT 1)
    UNION ALL
    SELECT printf('command %d: the wallet of %s had %d left, and the answer was %d',
                  c.id, c.body ->> 'sender', t.debit_after, c.outcome ->> 'balance_coins')
    FROM transfer AS t CROSS JOIN command AS c ON c.id = t.command
    WHERE t.reason = {Reason.GIFT_SPENT.value}
      AND t.debit_after IS NOT c.outcome ->> 'balance_coins'
    """,
)

ROOMS = Question(
    "rooms",
    "{} rooms are as they were opened, {} of them closed.",
    "SELECT count(*), count(*) FILTER (WHERE status = 'closed') FROM room",
    """
    WITH opened AS MATERIALIZED (
      SELECT CAST(c.body ->> 'room' AS TEXT) AS room, c.body ->> 'title' AS title,
             c.body ->> 'creator' AS creator, c.body ->> 'creator_name' AS creator_name,
             b.at_ms AS opened_ms, c.id, c.outcome ->> 'epoch' AS epoch
      FROM command AS c CROSS JOIN batch AS b ON b.id = c.batch
      WHERE c.kind = 'open_room' AND c.outcome ->> 'again' IS NULL
    )
    SELECT printf('the room %s is not as it was opened', r.id)
    FROM room AS r LEFT JOIN opened AS o ON o.room = r.id
    WHERE (r.title, r.creator, r.creator_name, r.opened_ms) IS NOT
          (o.title, o.creator, o.creator_name, o.opened_ms)
       OR (r.epoch = o.epoch) = (o.id < coalesce(
             (SELECT max(id) FROM command WHERE kind = 'renew_epochs'), 0))
    UNION ALL
    SELECT printf('the room %s was opened and is missing', room)
    FROM opened WHERE room NOT IN (SELECT id FROM room)
    UNION ALL
    SELECT printf('the room %s is %s, and its log does not say so', r.id, r.status)
    FROM room AS r WHERE r.status <> iif(EXISTS (
      SELECT 1 FROM event AS e WHERE e.room = r.id AND e.kind = 'room_closed'), 'closed', 'open')
    """,
)

ROOM_LOGS = Question(
    "room logs",
    "The logs of {} rooms count their {} events without a gap and add up to their totals.",
    "SELECT (SELECT count(*) FROM room), (SELECT count(*) FROM event)",
    """
    WITH line AS (
      SELECT room, seq, command, total_coins, row_number() OVER w AS place,
             sum(coins) OVER w AS summed, lag(command, 1, 0) OVER w AS earlier
      FROM event WINDOW w AS (PARTITION BY room ORDER BY seq)
    ), newest AS (
      SELECT room, max(seq) AS seq, sum(coins) AS coins FROM event GROUP BY room
    ), reversed AS MATERIALIZED (
      SELECT c.id, g.value ->> 0 AS gift, g.value ->> 1 AS seq
      FROM command AS c CROSS JOIN json_each(c.outcome, '$.gifts') AS g
      WHERE c.kind = 'reverse_gifts' AND c.outcome ->> 'kind' = 'gifts_reversed'
    ), said AS (
      SELECT id, outcome ->> 'room' AS room, outcome ->> 'seq' AS seq FROM command
      WHERE kind IN ('retract_gift', 'hide_gift', 'close_room') AND outcome ->> 'again' IS NULL
        AND outcome ->> 'kind' <> 'refused'
      UNION ALL SELECT r.id, m.room, r.seq FROM reversed AS r
      LEFT JOIN mark AS m ON m.kind = 'retracted' AND m.gift_seq = CAST(
          substr(r.gift, length(rtrim(r.gift, '0123456789')) + 1) AS INTEGER)
        AND m.room = substr(r.gift, 1, length(rtrim(r.gift, '0123456789')) - 1))
    SELECT printf('%s: number %d is in place %d, and its total is %d where the log adds up to %d',
                  room, seq, place, total_coins, summed)
    FROM line WHERE seq <> place OR total_coins <> summed OR command < earlier
      OR (command = earlier AND command NOT IN (SELECT id FROM reversed))
    UNION ALL
    SELECT printf('the room %s stands at number %d and %d coins, its log at %d and %d', r.id,
                  r.seq, r.total_coins, coalesce(n.seq, 0), coalesce(n.coins, 0))
    FROM room AS r LEFT JOIN newest AS n ON n.room = r.id
    WHERE (r.seq, r.total_coins) IS NOT (coalesce(n.seq, 0), coalesce(n.coins, 0))
    UNION ALL
    SELECT printf('there is a log of the room %s, which does not exist', room)
    FROM newest WHERE room NOT IN (SELECT id FROM room)
    UNION ALL
    SELECT printf('%s: number %d is not what command %d did', e.room, e.seq, e.command)
    FROM event AS e LEFT JOIN command AS c ON c.id = e.command
    WHERE (e.body ->> 'seq', e.body ->> 'kind') IS NOT (e.seq, e.kind)
       OR CASE c.outcome ->> 'kind' WHEN 'gifts_reversed' THEN e.kind = 'gift_retracted'
            AND (c.id, e.body ->> 'gift_id', e.seq) IN (SELECT id, gift, seq FROM reversed)
          ELSE (c.outcome ->> 'room', c.outcome ->> 'seq',
                replace(c.outcome ->> 'kind', 'gift_accepted', 'gift')) IS (e.room, e.seq, e.kind)
          END IS NOT 1
    UNION ALL
    SELECT printf('command %d says that it is number %d of the log of %s', s.id, s.seq, s.room)
    FROM said AS s LEFT JOIN event AS e ON e.room = s.room AND e.seq = s.seq
    WHERE e.command IS NOT s.id
    """,
)

BOARDS = Question(
    "boards",
    "{} standings are the sums of the public gifts in their rooms' logs, as every line told them.",
    "SELECT count(*) FROM member",
    f"""
    WITH step AS (
      SELECT room, seq, sender AS user, coins, public FROM ({ACCEPTED})
      UNION ALL
      SELECT r.room, e.seq, c.body ->> 'sender', e.coins,
             coalesce(c.body ->> 'visibility', 'public') = 'public'
      FROM ({RETRACTED}) AS r CROSS JOIN command AS c ON c.id = r.gift
      CROSS JOIN mark AS m ON m.room = r.room AND m.gift_seq = r.gift_seq AND m.kind = 'retracted'
      CROSS JOIN event AS e ON e.room = m.room AND e.seq = m.seq
    ), told AS (
      SELECT room, seq, user, public, sum(coins * public) OVER (
               PARTITION BY room, user ORDER BY seq) AS total FROM step
    ), given AS (
      SELECT room, user, sum(coins * public) AS coins, max(seq * public) AS reached_seq
      FROM step GROUP BY room, user)
    SELECT printf('%s in %s stands at %d coins since %d, the log says %d since %d', g.user, g.room,
                  m.coins, m.reached_seq, g.coins, g.reached_seq)
    FROM given AS g LEFT JOIN member AS m ON m.room = g.room AND m.user = g.user
    WHERE (m.coins, m.reached_seq) IS NOT (g.coins, g.reached_seq)
    UNION ALL
    SELECT printf('%s stands in %s and has given nothing there', user, room)
    FROM member WHERE (room, user) NOT IN (SELECT room, user FROM given)
    UNION ALL
    SELECT printf('%s: number %d told of another sum of %s than %d', t.room, t.seq, t.user, t.total)
    FROM told AS t CROSS JOIN event AS e ON e.room = t.room AND e.seq = t.seq
    WHERE e.body ->> 'from_total' IS NOT iif(t.public, t.total, NULL)
    """,
)

CREATOR_BOARDS = Question(
    "creator boards",
    "{} days of givers on {} creators' boards are the sums of their public gifts.",
    "SELECT count(*), count(DISTINCT creator) FROM creator_day",
    f"""
    WITH given AS (
      SELECT creator, at_ms / {DAY_MS} AS day, sender AS user, sum(sign * coins) AS coins,
             max(command) AS reached
      FROM ({STEPS}) WHERE public GROUP BY 1, 2, 3)
    SELECT printf('%s gave %s %d coins on day %d, the board says %d', g.user, g.creator, g.coins,
                  g.day, d.coins)
    FROM given AS g LEFT JOIN creator_day AS d
      ON d.creator = g.creator AND d.day = g.day AND d.user = g.user
    WHERE (d.coins, d.reached) IS NOT (g.coins, g.reached)
    UNION ALL
    SELECT printf('%s is on the board of %s for day %d and gave nothing', user, creator, day)
    FROM creator_day WHERE (creator, day, user) NOT IN (SELECT creator, day, user FROM given)
    """,
)

EARNINGS = Question(
    "earnings",
    "{} lines of what was earned, by day and gift, are the sums of the gifts: {} millidiamonds.",
    "SELECT count(*), coalesce(sum(millidiamonds), 0) FROM earning",
    f"""
    WITH earned AS (
      SELECT creator, at_ms / {DAY_MS} AS day, gift, sum(sign * quantity) AS gifts,
             sum(sign * coins) AS coins, sum(sign * millidiamonds) AS millidiamonds
      FROM ({STEPS}) GROUP BY 1, 2, 3)
    SELECT printf('%s earned %d millidiamonds by %s on day %d, the books say %d', g.creator,
                  g.millidiamonds, g.gift, g.day, e.millidiamonds)
    FROM earned AS g LEFT JOIN earning AS e
      ON e.creator = g.creator AND e.day = g.day AND e.gift = g.gift
    WHERE (e.gifts, e.coins, e.millidiamonds) IS NOT (g.gifts, g.coins, g.millidiamonds)
    UNION ALL
    SELECT printf('%s earned nothing by %s on day %d, the books say so', creator, gift, day)
    FROM earning WHERE (creator, day, gift) NOT IN (SELECT creator, day, gift FROM earned)
    """,
)

MARKS = Question(
    "marks",
    "{} gifts were retracted or hidden, each by one line of its log.",
    "SELECT count(*) FROM mark",
    """
    SELECT printf('gift %s:%d is marked as %s, and its log does not say so',
                  m.room, m.gift_seq, m.kind)
    FROM mark AS m
    LEFT JOIN event AS e ON e.room = m.room AND e.seq = m.seq
      AND e.kind = 'gift_' || m.kind AND e.body ->> 'gift_seq' = m.gift_seq
    LEFT JOIN event AS g ON g.room = m.room AND g.seq = m.gift_seq AND g.kind = 'gift'
    WHERE e.seq IS NULL OR g.seq IS NULL OR
          (m.kind = 'retracted' AND (e.coins <> -g.coins OR e.coins IS NOT -(e.body ->> 'coins')))
    UNION ALL
    SELECT printf('%s: number %d marks a gift that is not marked', e.room, e.seq)
    FROM event AS e LEFT JOIN mark AS m ON m.room = e.room
      AND m.gift_seq = e.body ->> 'gift_seq' AND m.kind = substr(e.kind, length('gift_') + 1)
    WHERE e.kind IN ('gift_retracted', 'gift_hidden') AND m.seq IS NOT e.seq
    """,
)

QUESTIONS = (
    GIFTS,
    ROOMS,
    ROOM_LOGS,
    BOARDS,
    CREATOR_BOARDS,
    EARNINGS,
    MARKS,
)
