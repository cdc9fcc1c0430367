"""The audit's questions about creators: earning, holding, releasing, taking back, paying out."""

from rules.review import NEW_SENDER_DAYS
from storage.sqlite.audit.gifts_sql import RATES
from storage.sqlite.audit.question import (
    ACCEPTED,
    DAY_MS,
    POLICY_OF,
    RARE,
    RETRACTED,
    STEPS,
    TAKEN,
    Question,
)

RETRACTIONS = Question(
    "retractions",
    "{} gifts were taken back, and creators lost what these had earned, no more and no less.",
    "SELECT count(*) FROM mark WHERE kind = 'retracted'",
    f"""
    WITH rare AS MATERIALIZED ({RARE}), undone AS MATERIALIZED ({RETRACTED}),
    charged AS MATERIALIZED (
      SELECT r.id, r.outcome ->> 'purchase' AS purchase, q.body ->> 'clawback' AS clawback
      FROM rare AS r LEFT JOIN policy AS q ON q.command = {POLICY_OF.format("r.id")}
      WHERE r.kind = 'charge_back' AND r.outcome ->> 'coins' > 0
    ), lot AS MATERIALIZED (
      SELECT c.id AS gift, x.id AS charged_by, u.command AS undone_by,
             c.outcome ->> 'creator' AS creator,
             (l.value ->> 1) * ((c.outcome ->> 'millidiamonds') / (c.outcome ->> 'coins')) AS earned
      FROM command AS c CROSS JOIN json_each(c.outcome, '$.lots') AS l
      JOIN charged AS x ON x.purchase = l.value ->> 0 LEFT JOIN undone AS u ON u.gift = c.id
      WHERE c.kind = 'gift' AND c.outcome ->> 'kind' = 'gift_accepted' AND x.clawback <> 'none'
    ), loss AS (
      SELECT charged_by AS command, creator, earned, 0 AS taken FROM lot
      WHERE coalesce(undone_by, charged_by + 1) > charged_by
      UNION ALL
      SELECT undone_by, creator, -earned, 0 FROM lot WHERE undone_by > charged_by
      UNION ALL
      SELECT u.command, c.outcome ->> 'creator', c.outcome ->> 'millidiamonds', 0
      FROM undone AS u CROSS JOIN command AS c ON c.id = u.gift
      UNION ALL
      SELECT id, creator, 0, pending + available + debt + borne FROM ({TAKEN})
    ), gift AS (
      SELECT u.command, sum(c.outcome ->> 'coins') AS coins,
             sum(c.outcome ->> 'millidiamonds') AS millidiamonds,
             min(c.body ->> 'sender') AS sender, max(c.body ->> 'sender') AS other
      FROM undone AS u CROSS JOIN command AS c ON c.id = u.gift GROUP BY u.command)
    SELECT printf('command %d took %d millidiamonds from %s and should have taken %d', command,
                  sum(taken), creator, sum(earned))
    FROM loss GROUP BY command, creator HAVING sum(earned) <> sum(taken)
    UNION ALL
    SELECT printf('command %d took a debt or a loss against the policy', t.id)
    FROM ({TAKEN}) AS t LEFT JOIN policy AS q ON q.command = {POLICY_OF.format("t.id")}
    WHERE iif(q.body ->> 'clawback' = 'full', t.borne, t.debt) > 0
    UNION ALL
    SELECT printf('command %d took back %d coins, its gifts cost %d', r.id, r.outcome ->> 'coins',
                  g.coins)
    FROM rare AS r LEFT JOIN gift AS g ON g.command = r.id
    WHERE r.what IN ('gift_retracted', 'gifts_reversed')
      AND ((r.outcome ->> 'coins') IS NOT coalesce(g.coins, 0)
           OR (r.outcome ->> 'millidiamonds') <> g.millidiamonds
           OR (r.outcome ->> 'user') <> g.sender OR g.sender <> g.other)
    """,
)

EARNED = Question(
    "earned",
    "What {} creators earned is pending, available, reserved, paid out or was taken back: {}"
    " millidiamonds.",
    f"SELECT count(DISTINCT creator), coalesce(sum(millidiamonds), 0) FROM ({ACCEPTED})",
    f"""
    WITH rare AS MATERIALIZED ({RARE}), flow AS (
      SELECT creator, millidiamonds AS came, 0 AS went FROM ({ACCEPTED})
      UNION ALL SELECT creator, 0, pending + available + debt FROM ({TAKEN})
      UNION ALL SELECT user, amount, 0 FROM correction
        WHERE status = 'approved' AND account IN ('diamonds_available', 'diamond_debt')
      UNION ALL SELECT creator, 0, millidiamonds FROM payout WHERE status = 'paid'
      UNION ALL SELECT owner, 0, credits - debits FROM account
        WHERE owner <> '' AND code IN ('diamonds_pending', 'diamonds_available',
                                       'diamonds_reserved', 'diamond_debt'))
    SELECT printf('%s earned %d millidiamonds, and %d are accounted for', creator, sum(came),
                  sum(went))
    FROM flow GROUP BY creator HAVING sum(came) <> sum(went)
    """,
)

_RELEASED = f"""
  earned AS MATERIALIZED (
    SELECT creator, at_ms / {DAY_MS} AS day, sum(millidiamonds) AS millidiamonds
    FROM ({ACCEPTED}) WHERE millidiamonds > 0 GROUP BY 1, 2
  ), released AS MATERIALIZED (
    SELECT id, creator, at_ms / {DAY_MS} AS day, hold_days, millidiamonds,
           sum(millidiamonds) OVER w AS so_far,
           through_day, at_ms / {DAY_MS} - iif(hold_days, hold_days + 1, 0) AS expected,
           max(through_day) OVER w AS due
    FROM (SELECT r.id, r.at_ms, r.outcome ->> 'through_day' AS through_day,
                 r.outcome ->> 'creator' AS creator,
                 r.outcome ->> 'millidiamonds' AS millidiamonds,
                 q.body ->> 'hold_days' AS hold_days
          FROM ({RARE}) AS r JOIN policy AS q ON q.command = {POLICY_OF.format("r.id")}
          WHERE r.what = 'diamonds_released')
    WINDOW w AS (PARTITION BY creator ORDER BY id)
  )
"""

RELEASES = Question(
    "releases",
    "{} releases made {} millidiamonds available, none before its time.",
    "SELECT count(*), coalesce(sum(outcome ->> 'millidiamonds'), 0) FROM command"
    " WHERE kind = 'release_diamonds' AND outcome ->> 'kind' = 'diamonds_released'",
    f"""
    WITH {_RELEASED}, line AS (
      SELECT creator, day, 0 AS id, millidiamonds, 0 AS so_far FROM earned
      UNION ALL SELECT creator, due, id, 0, so_far FROM released)
    SELECT printf('%s had %d millidiamonds released with command %d, and %d were due', creator,
                  so_far, id, due)
    FROM (SELECT *, sum(millidiamonds) OVER (PARTITION BY creator ORDER BY day, id > 0) AS due
          FROM line)
    WHERE so_far > due
    UNION ALL
    SELECT printf('command %d released through day %d and not %d', id, through_day, expected)
    FROM released WHERE through_day IS NOT expected
    """,
)
"""All that was released so far is held against all that had been earned on days that were due: a
bound, which takes no notice of what was taken back in between. Exact are `pending` and the replay.
"""

PENDING = Question(
    "pending",
    "{} creators have {} millidiamonds pending, by the days on which they were earned.",
    "SELECT count(DISTINCT c.id), coalesce(sum(p.value ->> 1), 0)"
    " FROM creator AS c CROSS JOIN json_each(c.pending) AS p",
    f"""
    WITH {_RELEASED}, rare AS MATERIALIZED ({RARE}), part AS MATERIALIZED (
      SELECT c.id AS creator, p.key AS place, p.value ->> 0 AS day, p.value ->> 1 AS millidiamonds
      FROM creator AS c CROSS JOIN json_each(c.pending) AS p
    ), line AS (
      SELECT creator, day, millidiamonds AS earned, 0 AS pending FROM earned
      UNION ALL SELECT creator, day, 0, millidiamonds FROM part
    ), visit AS (
      SELECT id, creator, at_ms / {DAY_MS} AS day FROM ({ACCEPTED}) WHERE millidiamonds > 0
      UNION ALL SELECT id, creator, day FROM released
    ), plain AS (
      SELECT creator FROM (
        SELECT creator, day < lag(day, 1, 0) OVER (PARTITION BY creator ORDER BY id) AS back
        FROM visit)
      WHERE creator NOT IN (SELECT creator FROM ({TAKEN}) WHERE pending > 0)
        AND creator NOT IN (SELECT creator FROM released WHERE hold_days = 0)
      GROUP BY creator HAVING NOT max(back)
    ), expected AS (
      SELECT creator, json_group_array(json_array(day, millidiamonds)) AS pending FROM (
        SELECT e.creator, e.day, e.millidiamonds FROM earned AS e
        LEFT JOIN (SELECT CAST(creator AS TEXT) AS creator, max(due) AS due FROM released
                   GROUP BY 1) AS r
          ON r.creator = e.creator
        WHERE e.day > coalesce(r.due, -1) ORDER BY e.creator, e.day)
      GROUP BY creator)
    SELECT printf('%s has %d millidiamonds pending by day, the account has %d', c.id,
                  coalesce(s.millidiamonds, 0), coalesce(a.credits - a.debits, 0))
    FROM creator AS c
    LEFT JOIN (SELECT creator, sum(millidiamonds) AS millidiamonds FROM part GROUP BY creator) AS s
      ON s.creator = c.id
    LEFT JOIN account AS a ON a.owner = c.id AND a.code = 'diamonds_pending'
    WHERE coalesce(s.millidiamonds, 0) <> coalesce(a.credits - a.debits, 0)
    UNION ALL
    SELECT printf('%s has %d millidiamonds pending on day %d, which is out of place', creator,
                  millidiamonds, day)
    FROM (SELECT *, lag(day, 1, -1) OVER (PARTITION BY creator ORDER BY place) AS before FROM part)
    WHERE (day > before AND millidiamonds > 0) IS NOT 1
    UNION ALL
    SELECT printf('%s has more pending up to day %d than was earned until then', creator, day)
    FROM (SELECT creator, day, sum(earned) OVER w AS earned, sum(pending) OVER w AS pending
          FROM line WINDOW w AS (PARTITION BY creator ORDER BY day))
    WHERE pending > earned
    UNION ALL
    SELECT printf('%s has %s pending, by the gifts it is %s', c.id, c.pending,
                  coalesce(e.pending, '[]'))
    FROM plain AS p JOIN creator AS c ON c.id = p.creator
    LEFT JOIN expected AS e ON e.creator = p.creator
    WHERE c.pending <> coalesce(e.pending, '[]')
    """,
)
"""Day by day exact for creators from whom nothing that was pending was taken back, where diamonds
were held and the clock did not step back over a day; for the others an upper bound."""

CREATORS = Question(
    "creators",
    "{} creators have the rates that were set for them, and {} an open payout.",
    "SELECT count(*), count(*) FILTER (WHERE payout <> '') FROM creator",
    f"""
    WITH {RATES}, kept AS (
      SELECT creator, json_group_array(json_array(from_ms, until_ms, permille)) AS rates FROM (
        SELECT * FROM lasting WHERE forgotten IS NULL ORDER BY creator, id)
      GROUP BY creator
    ), paid AS (
      SELECT creator, count(*) FILTER (WHERE status = 'paid') AS paid,
             coalesce(max(id) FILTER (WHERE status IN ('requested', 'approved')), '') AS open
      FROM payout GROUP BY creator
    ), known AS MATERIALIZED (
      SELECT creator FROM ({ACCEPTED}) WHERE millidiamonds > 0
      UNION SELECT outcome ->> 'creator' FROM command
      WHERE kind IN ('set_rate', 'release_diamonds', 'request_payout')
        AND outcome ->> 'kind' <> 'refused')
    SELECT printf('%s has the rates %s, the payout "%s" and %d payouts; other ones were booked',
                  c.id, c.rates, c.payout, c.payouts_paid)
    FROM creator AS c
    LEFT JOIN kept AS k ON k.creator = c.id LEFT JOIN paid AS p ON p.creator = c.id
    WHERE (c.rates, c.payout, c.payouts_paid)
       <> (coalesce(k.rates, '[]'), coalesce(p.open, ''), coalesce(p.paid, 0))
    UNION ALL
    SELECT printf('%s is a creator and earned nothing', id)
    FROM creator WHERE id NOT IN (SELECT creator FROM known)
    UNION ALL
    SELECT printf('%s earned and is not known', creator)
    FROM known WHERE creator NOT IN (SELECT id FROM creator)
    """,
)

PAYOUTS = Question(
    "payouts",
    "{} payouts of {} millidiamonds were decided at most once; {} minor units were paid.",
    "SELECT count(*), coalesce(sum(millidiamonds), 0),"
    " coalesce(sum(amount_minor) FILTER (WHERE status = 'paid'), 0) FROM payout",
    f"""
    WITH rare AS ({RARE}), said AS MATERIALIZED (
      SELECT *, outcome ->> 'payout' AS payout, outcome ->> 'status' AS status FROM rare
      WHERE what = 'payout'
    ), story AS (
      SELECT payout, min(id) AS requested, max(id) AS last,
             count(*) FILTER (WHERE status IN ('paid', 'rejected')) AS ends,
             min(id) FILTER (WHERE status IN ('paid', 'rejected')) AS ended,
             min(id) FILTER (WHERE status = 'approved') AS approved
      FROM said GROUP BY payout
    ), held AS (
      SELECT creator, sum(millidiamonds) AS millidiamonds, count(*) AS payouts FROM payout
      WHERE status IN ('requested', 'approved') GROUP BY creator)
    SELECT printf('the payout %s of %s is not as it was asked for and decided', s.payout, p.creator)
    FROM story AS s LEFT JOIN payout AS p ON p.id = s.payout
    JOIN said AS r ON r.id = s.requested JOIN said AS l ON l.id = s.last
    LEFT JOIN said AS e ON e.id = s.ended
    LEFT JOIN policy AS q ON q.command = {POLICY_OF.format("s.requested")}
    WHERE (p.id, p.creator, p.millidiamonds, p.amount_minor, p.currency, p.flags, p.requested_ms)
      IS NOT ('payout-' || r.id, r.body ->> 'creator', r.body ->> 'millidiamonds',
              p.millidiamonds / (q.body ->> '$.payouts.millidiamonds_per_minor'),
              q.body ->> '$.shop.currency', coalesce(r.outcome -> 'flags', '[]'), r.at_ms)
       OR (p.status, p.decided_ms, p.reference) IS NOT (l.status, coalesce(e.at_ms, 0), CASE
           WHEN e.id IS NULL THEN ''
           WHEN e.kind = 'record_payout_result' AND e.status = 'rejected'
             THEN coalesce(nullif(e.body ->> 'reference', ''), 'the bank did not pay it')
           ELSE coalesce(e.body ->> 'reference', e.body ->> 'reason', '') END)
       OR r.kind <> 'request_payout' OR s.ends > 1 OR s.last > s.ended
       OR (e.status = 'paid' AND coalesce(s.approved, e.id) >= e.id)
       OR (l.outcome ->> 'creator', l.outcome ->> 'millidiamonds', l.outcome ->> 'amount_minor')
         IS NOT (p.creator, p.millidiamonds, p.amount_minor)
       OR p.millidiamonds < (q.body ->> '$.payouts.minimum_millidiamonds')
       OR p.millidiamonds % (q.body ->> '$.payouts.millidiamonds_per_minor')
    UNION ALL
    SELECT printf('the payout %s of %s was never asked for', id, creator)
    FROM payout WHERE id NOT IN (SELECT payout FROM story)
    UNION ALL
    SELECT printf('%s has %d open payouts of %d millidiamonds, and %d are reserved', h.creator,
                  h.payouts, h.millidiamonds, coalesce(a.credits - a.debits, 0))
    FROM held AS h LEFT JOIN account AS a ON a.owner = h.creator AND a.code = 'diamonds_reserved'
    WHERE h.payouts > 1 OR h.millidiamonds IS NOT a.credits - a.debits
    UNION ALL
    SELECT printf('%s has %d millidiamonds reserved and no open payout', owner, credits - debits)
    FROM account WHERE code = 'diamonds_reserved' AND credits <> debits
      AND owner NOT IN (SELECT creator FROM held)
    UNION ALL
    SELECT printf('payouts paid %d millidiamonds and %d minor units, the accounts say %d and %d',
                  millidiamonds, minor, diamonds, money)
    FROM (SELECT coalesce(sum(millidiamonds), 0) AS millidiamonds,
                 coalesce(sum(amount_minor), 0) AS minor,
                 (SELECT credits FROM account WHERE id = 5) AS diamonds,
                 (SELECT debits FROM account WHERE id = 8) AS money
          FROM payout WHERE status = 'paid')
    WHERE (millidiamonds, minor) IS NOT (diamonds, money)
    """,
)


def _flag(name: str, part: str, percent: str, whole: str, condition: str = "1") -> str:
    test = f"{part} * 100 > {whole} * (policy ->> '$.review.{percent}') AND {condition}"
    return f"""iif({test}, '"{name}",', '')"""


_FOUND = " || ".join(
    (
        _flag(
            "one_sender",
            "top_coins",
            "top_sender_percent",
            "coins",
            "top_coins >= (policy ->> '$.review.top_sender_coins_min')",
        ),
        _flag("new_senders", "new_sender_coins", "new_senders_percent", "coins"),
        _flag("anonymous_senders", "(earned_coins - coins)", "anonymous_percent", "earned_coins"),
        """iif(gave_back, '"gives_back",', '')""",
        """iif(charged_back, '"charged_back_senders",', '')""",
    )
)
_FACTS = ("earned_coins", "coins", "top_coins", "new_sender_coins", "gave_back", "charged_back")

REVIEWS = Question(
    "reviews",
    "{} payouts were asked for; {} had something to look at, by what had been given until then, and"
    " the policy.",
    "SELECT count(*), count(*) FILTER (WHERE flags <> '[]') FROM payout",
    f"""
    WITH RECURSIVE rare AS MATERIALIZED ({RARE}), paid AS MATERIALIZED (
      SELECT CAST(outcome ->> 'creator' AS TEXT) AS creator, min(id) AS id FROM rare
      WHERE what = 'payout' AND outcome ->> 'status' = 'paid' GROUP BY 1
    ), asked AS MATERIALIZED (
      SELECT r.id, CAST(r.outcome ->> 'creator' AS TEXT) AS creator, r.at_ms, r.outcome,
             coalesce(r.outcome -> 'flags', '[]') AS flags,
             coalesce(r.body -> 'flags', '[]') AS said,
             r.body ->> '$.facts.as_of' AS as_of, r.body ->> '$.facts.from_day' AS from_day,
             {", ".join(f"coalesce(r.body ->> '$.facts.{n}', 0) AS {n}" for n in _FACTS)},
             q.body AS policy
      FROM rare AS r LEFT JOIN policy AS q ON q.command = {POLICY_OF.format("r.id")}
      WHERE r.kind = 'request_payout'
    ), judged AS (
      SELECT a.*, a.at_ms / {DAY_MS} - (policy ->> 'hold_days')
                  - (policy ->> '$.review.look_back_days') AS first_day,
             (policy ->> '$.payouts.review_first') AND coalesce(p.id, a.id) >= a.id AS first
      FROM asked AS a LEFT JOIN paid AS p ON p.creator = a.creator
    ), expected AS (
      SELECT id, creator, flags, outcome, policy, '[' || rtrim(
               iif(first, '"first_payout",', '') ||
               CASE WHEN policy -> 'review' IS NULL THEN trim(said, '[]')
                    WHEN (from_day IN (first_day, first_day - 1)) IS NOT 1
                      THEN '"unknown_senders"' ELSE {_FOUND} END, ',') || ']' AS wanted
      FROM judged
    ), step AS MATERIALIZED (
      SELECT command, at_ms / {DAY_MS} AS day, sender, CAST(creator AS TEXT) AS creator, public,
             sign * coins AS coins FROM ({STEPS})
    ), clock AS MATERIALIZED (
      SELECT id, max(at_ms) OVER (ORDER BY id) / {DAY_MS} AS day FROM batch
    ), span (id, creator, as_of, day, last) AS (
      SELECT a.id, a.creator, a.as_of, a.from_day, k.day FROM asked AS a
      CROSS JOIN command AS c ON c.id = a.as_of CROSS JOIN clock AS k ON k.id = c.batch
      UNION ALL SELECT id, creator, as_of, day + 1, last FROM span WHERE day < last
    ), given AS (
      SELECT s.id, sum(g.coins) AS earned, sum(g.coins * g.public) AS coins,
             sum(g.coins * g.public * (g.day * {DAY_MS} - u.since_ms < {NEW_SENDER_DAYS * DAY_MS}))
               AS new_coins
      FROM span AS s CROSS JOIN step AS g
        ON g.creator = s.creator AND g.day = s.day AND g.command <= s.as_of
      CROSS JOIN user AS u ON u.id = g.sender GROUP BY s.id, g.sender
    ), seen AS MATERIALIZED (
      SELECT id, sum(earned) AS earned, sum(coins) AS coins, max(coins) AS top,
             sum(new_coins) AS new_coins FROM given GROUP BY id)
    SELECT printf('the payout of command %d has the flags %s, and should have %s', id, flags,
                  wanted)
    FROM expected WHERE flags <> wanted
    UNION ALL
    SELECT printf('the payout of command %d was %s without a person, or not', id,
                  outcome ->> 'status')
    FROM expected WHERE (outcome ->> 'status') IS NOT iif(flags = '[]' AND
      (outcome ->> 'millidiamonds') <= (policy ->> '$.payouts.automatic_millidiamonds'),
      'approved', 'requested')
    UNION ALL
    SELECT printf('the payout of command %d was reviewed by %d coins of %d, given were %d of %d',
                  a.id, a.coins, a.earned_coins, coalesce(s.coins, 0), coalesce(s.earned, 0))
    FROM asked AS a LEFT JOIN seen AS s ON s.id = a.id
    WHERE a.as_of >= a.id OR (a.as_of IS NOT NULL
      AND (a.earned_coins, a.coins, a.top_coins, a.new_sender_coins)
          IS NOT (coalesce(s.earned, 0), coalesce(s.coins, 0), coalesce(s.top, 0),
                  coalesce(s.new_coins, 0)))
    """,
)
"""Whether a creator gave back to their givers, and whether these had a payment charged back, is
taken from the command as it was found."""

QUESTIONS = (RETRACTIONS, EARNED, RELEASES, PENDING, CREATORS, PAYOUTS, REVIEWS)
