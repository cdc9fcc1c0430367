"""The audit's questions about people as spenders: what they set, what they spent, who may give."""

from rules.spending import WINDOWS
from storage.sqlite.audit.question import (
    ACCEPTED,
    DAY_MS,
    HOUR_MS,
    POLICY_OF,
    RETRACTED,
    STEPS,
    Question,
)

GIFTERS = Question(
    "gifters",
    "{} users have publicly gifted {} coins, as the logs say.",
    "SELECT count(*), coalesce(sum(gifted_coins), 0) FROM user",
    f"""
    WITH given AS (
      SELECT sender, sum(sign * coins * public) AS coins FROM ({STEPS}) GROUP BY sender)
    SELECT printf('%s has gifted %d coins, the logs say %d', u.id, u.gifted_coins, g.coins)
    FROM user AS u LEFT JOIN given AS g ON g.sender = u.id
    WHERE u.gifted_coins <> coalesce(g.coins, 0)
    UNION ALL
    SELECT printf('%s has gifted and is not known', sender)
    FROM given WHERE sender NOT IN (SELECT id FROM user)
    """,
)

PEOPLE = Question(
    "people",
    "{} users, {} of them frozen, are as their commands left them.",
    "SELECT count(*), count(*) FILTER (WHERE frozen) FROM user",
    f"""
    WITH about AS MATERIALIZED (
      SELECT id, kind, body, outcome, CAST(outcome ->> 'user' AS TEXT) AS user FROM command
      WHERE outcome ->> 'kind' IN ('granted', 'limits_set', 'gifting_paused', 'account_frozen',
                                   'account_unfrozen', 'level_hidden', 'user_erased')
      OR (outcome ->> 'kind' = 'purchase_paid' AND outcome ->> 'again' IS NULL)
      OR (outcome ->> 'kind' = 'correction_decided' AND outcome ->> 'status' = 'approved'
          AND outcome ->> 'account' = 'coins')
    ), first AS (
      SELECT user, min(id) AS id FROM (
        SELECT user, id FROM about UNION ALL SELECT sender, id FROM ({ACCEPTED}))
      GROUP BY user
    ), paid AS (
      SELECT user, min(id) AS id FROM about
      WHERE kind IN ('grant', 'settle_purchase') OR outcome ->> 'amount' > 0 GROUP BY user
    ), last AS (
      SELECT user, max(id) FILTER (WHERE kind IN ('freeze', 'unfreeze')) AS froze,
             max(id) FILTER (WHERE kind IN ('hide_level', 'erase_user')) AS hid,
             max(id) FILTER (WHERE kind = 'set_limits') AS chose,
             max(outcome ->> 'until_ms') FILTER (WHERE kind = 'pause_gifting') AS until_ms
      FROM about GROUP BY user)
    SELECT printf('%s is not as their last commands say, or known for another time', f.user)
    FROM first AS f
    LEFT JOIN paid AS p ON p.user = f.user
    LEFT JOIN command AS c ON c.id = p.id LEFT JOIN batch AS b ON b.id = c.batch
    LEFT JOIN user AS u ON u.id = f.user
    LEFT JOIN last AS l ON l.user = f.user
    LEFT JOIN command AS fc ON fc.id = l.froze
    LEFT JOIN command AS hc ON hc.id = l.hid
    LEFT JOIN command AS lc ON lc.id = l.chose
    WHERE (u.since_ms, u.frozen, u.paused_until_ms, u.level_hidden, u.limits, u.raises) IS NOT
          (coalesce(b.at_ms, -1), coalesce(fc.kind = 'freeze', 0), coalesce(l.until_ms, 0),
           coalesce(hc.kind = 'erase_user' OR hc.body ->> 'hidden', 0),
           coalesce(lc.outcome -> 'limits', '{{}}'), coalesce(lc.outcome -> 'raises', '{{}}'))
    UNION ALL
    SELECT printf('%s is known and nothing ever concerned them', id)
    FROM user WHERE id NOT IN (SELECT user FROM first)
    """,
)

NAMES = Question(
    "names",
    "{} names of {} users are those of their last gifts, and none for {} who were erased since.",
    """
    SELECT (SELECT count(*) FROM member WHERE name <> ''), count(*),
           count(*) FILTER (WHERE name = '' AND id IN (
             SELECT body ->> 'user' FROM command WHERE kind = 'erase_user')) FROM user
    """,
    f"""
    WITH erased AS MATERIALIZED (
      SELECT CAST(body ->> 'user' AS TEXT) AS user, max(id) AS id FROM command
      WHERE kind = 'erase_user' GROUP BY 1
    ), given AS MATERIALIZED (
      SELECT id, room, sender, name, public,
             row_number() OVER (PARTITION BY room, sender ORDER BY id) AS place FROM ({ACCEPTED})
    ), shown AS (
      SELECT sender, max(id) AS id, name FROM given WHERE public GROUP BY sender
    ), seen AS (
      SELECT room, sender, max(id) AS id, name FROM given WHERE public OR place = 1
      GROUP BY room, sender)
    SELECT printf('%s is called "%s", by their last gift "%s"', u.id, u.name, s.name)
    FROM user AS u LEFT JOIN shown AS s ON s.sender = u.id LEFT JOIN erased AS e ON e.user = u.id
    WHERE u.name <> iif(s.id > coalesce(e.id, 0), s.name, '')
    UNION ALL
    SELECT printf('%s is called "%s" in %s, by their last gift "%s"', m.user, m.name, m.room,
                  s.name)
    FROM seen AS s LEFT JOIN member AS m ON m.room = s.room AND m.user = s.sender
    LEFT JOIN erased AS e ON e.user = s.sender
    WHERE m.name IS NOT iif(s.id > coalesce(e.id, 0), s.name, '')
    UNION ALL
    SELECT printf('the gift of command %d is shown with another name or message than it had', c.id)
    FROM command AS c
    CROSS JOIN event AS e ON e.room = c.outcome ->> 'room' AND e.seq = c.outcome ->> 'seq'
    WHERE c.kind = 'gift' AND c.outcome ->> 'kind' = 'gift_accepted' AND (
      e.body ->> 'message' IS NOT c.said ->> 1 OR
      (c.body ->> 'visibility' IS NULL AND e.body ->> '$.from.name' IS NOT c.said ->> 0))
    UNION ALL
    SELECT printf('%s is called "%s" on the board of %s', d.user, d.name, d.creator)
    FROM creator_day AS d LEFT JOIN erased AS e ON e.user = d.user
    LEFT JOIN shown AS s ON s.sender = d.user
    LEFT JOIN command AS c ON c.id = d.reached AND c.kind = 'gift'
    WHERE (c.id IS NOT NULL AND d.name <> iif(c.id > coalesce(e.id, 0), c.said ->> 0, ''))
       OR (d.name <> '' AND e.id > s.id)
    """,
)
"""On a creator's board, a name whose last change was a retraction is checked after an erasure only.
"""

FORBIDDEN = Question(
    "forbidden",
    "None of {} gifts came from somebody who was frozen, paused or in debt, or from its receiver.",
    f"SELECT count(*) FROM ({ACCEPTED})",
    """
    WITH frozen AS MATERIALIZED (
      SELECT id, kind, outcome ->> 'user' AS user, lead(id, 1, 9e18) OVER (
               PARTITION BY outcome ->> 'user' ORDER BY id) AS next
      FROM command WHERE kind IN ('freeze', 'unfreeze') AND outcome ->> 'again' IS NULL
    ), paused AS MATERIALIZED (
      SELECT id, outcome ->> 'user' AS user, outcome ->> 'until_ms' AS until_ms
      FROM command WHERE kind = 'pause_gifting'
    ), owed AS MATERIALIZED (
      SELECT owner, t.id, lead(t.id, 1, 9e18) OVER (PARTITION BY owner ORDER BY t.id) AS next, after
      FROM (SELECT a.owner, t.id, t.debit_after AS after FROM account AS a
            CROSS JOIN transfer AS t ON t.debit = a.id AND t.debit >= 100
            WHERE a.code = 'coin_debt'
            UNION ALL SELECT a.owner, t.id, t.credit_after FROM account AS a
            CROSS JOIN transfer AS t ON t.credit = a.id AND t.credit >= 100
            WHERE a.code = 'coin_debt') AS t)
    SELECT printf('%s gave %s to themselves', c.body ->> 'sender', c.outcome ->> 'gift')
    FROM command AS c
    WHERE c.kind = 'gift' AND c.body ->> 'sender' = c.outcome ->> 'creator'
    UNION ALL
    SELECT printf('%s gave with command %d and was frozen', f.user, t.command)
    FROM frozen AS f CROSS JOIN account AS a ON a.owner = f.user AND a.code = 'coins'
    CROSS JOIN transfer AS t ON t.debit = a.id AND t.debit >= 100
    WHERE f.kind = 'freeze' AND t.reason = 2 AND t.command > f.id AND t.command < f.next
    UNION ALL
    SELECT printf('%s gave with command %d and had paused gifting', p.user, t.command)
    FROM paused AS p CROSS JOIN account AS a ON a.owner = p.user AND a.code = 'coins'
    CROSS JOIN transfer AS t ON t.debit = a.id AND t.debit >= 100
    CROSS JOIN command AS c ON c.id = t.command CROSS JOIN batch AS b ON b.id = c.batch
    WHERE t.reason = 2 AND t.command > p.id AND b.at_ms < p.until_ms
    UNION ALL
    SELECT printf('%s gave with command %d and owed %d coins', o.owner, t.command, -o.after)
    FROM owed AS o CROSS JOIN account AS a ON a.owner = o.owner AND a.code = 'coins'
    CROSS JOIN transfer AS t ON t.debit = a.id AND t.debit >= 100 AND t.id > o.id AND t.id < o.next
    WHERE o.after < 0 AND t.reason = 2
    """,
)

# Limits


def _spent(columns: str = "", joins: str = "") -> str:
    """What every gift spent, with more columns where they are wanted. A clock that steps back does
    not move a sender into an earlier hour. (Joins come before the windows: SQLite takes what
    follows one for a few rows and would not look for an index.)"""
    bought = "SELECT sum(l.value ->> 1) FROM json_each(a.outcome, '$.lots') AS l"
    return f"""
  spent AS (
    SELECT a.id, a.at_ms, a.sender, a.coins, coalesce(({bought}), 0) AS bought {columns}
    FROM ({ACCEPTED}) AS a {joins}
  ), placed AS MATERIALIZED (
    SELECT *, max(at_ms / {HOUR_MS}) OVER w AS hour, max(at_ms / {DAY_MS}) OVER w AS day
    FROM spent WINDOW w AS (PARTITION BY sender ORDER BY id)
  ), undone AS MATERIALIZED (
    SELECT p.*, r.command AS undone_by FROM ({RETRACTED}) AS r JOIN placed AS p ON p.id = r.gift
  )
"""


_UNITS = {"daily": ("hour", 24), "weekly": ("day", 7), "monthly": ("day", 30)}
assert _UNITS.keys() == WINDOWS.keys()


def _windows() -> str:
    """What had been spent, of all coins and of bought ones, in each window that ends with a gift;
    what was taken back is still in it."""
    columns = []
    for name, (unit, units) in _UNITS.items():
        frame = f"RANGE BETWEEN UNBOUNDED PRECEDING AND {units + 1} PRECEDING"
        columns += [
            f"sum({coins}) OVER so_far - coalesce(sum({coins}) OVER (PARTITION BY sender"
            f" ORDER BY {unit} {frame}), 0) AS {coins}_{name}"
            for coins in ("coins", "bought")
        ]
    return ", ".join(columns)


def _over(what: str, limit: str, coins: str, name: str, condition: str) -> str:
    unit, units = _UNITS[name]
    return f"""
    SELECT printf('%s passed {what} {name} limit of %d coins with command %d', sender, {limit}, id)
    FROM seen AS s WHERE {coins} > 0 AND {condition} AND {coins}_{name} > {limit}
      AND {coins}_{name} - coalesce((SELECT sum(u.{coins}) FROM undone AS u
            WHERE u.sender = s.sender AND u.undone_by < s.id AND u.{unit} >= s.{unit} - {units}), 0)
          > {limit}
    """


def _every_limit() -> str:
    found = [
        """
    SELECT printf('%s passed their own limit for one gift with command %d', sender, id)
    FROM seen WHERE coins > own_per_gift
    """,
        _over("the first day''s", "first_day", "bought", "daily", "is_first_day AND first_day"),
    ]
    for name in _UNITS:
        own, default = f"own_{name}", f"default_{name}"
        found.append(_over("their own", own, "coins", name, f"{own} IS NOT NULL"))
        found.append(_over("the", default, "bought", name, f"{own} IS NULL AND {default}"))
    return " UNION ALL ".join(found)


def _own(name: str) -> str:
    return (
        f"iif(a.at_ms >= o.outcome ->> '$.raises.{name}[1]', o.outcome ->> '$.raises.{name}[0]',"
        f" o.outcome ->> '$.limits.{name}') AS own_{name}"
    )


_LIMIT_COLUMNS = f"""
  , d.*, {", ".join(map(_own, (*_UNITS, "per_gift")))},
  a.at_ms - u.since_ms < {DAY_MS} AS is_first_day
"""
_LIMIT_JOINS = f"""
  LEFT JOIN latest AS o ON o.id = a.id LEFT JOIN user AS u ON u.id = a.sender
  LEFT JOIN policies AS d ON d.command = {POLICY_OF.format("a.id")}
"""

LIMITS = Question(
    "limits",
    "{} gifts of {} coins stayed within the limits that held at their moment, {} of which were set"
    " by users.",
    f"""
    SELECT count(*), coalesce(sum(coins), 0),
           (SELECT count(*) FROM command WHERE kind = 'set_limits') FROM ({ACCEPTED})
    """,
    f"""
    WITH chosen AS MATERIALIZED (
      SELECT id, CAST(outcome ->> 'user' AS TEXT) AS user, outcome FROM command
      WHERE kind = 'set_limits'
    ), latest AS MATERIALIZED (
      SELECT a.id, max(o.id), o.outcome FROM ({ACCEPTED}) AS a
      JOIN chosen AS o ON o.user = a.sender AND o.id < a.id GROUP BY a.id
    ), policies AS MATERIALIZED (
      SELECT command, body ->> '$.limits.first_day_coins' AS first_day,
             {", ".join(f"body ->> '$.limits.{n}_coins' AS default_{n}" for n in _UNITS)}
      FROM policy
    ), {_spent(_LIMIT_COLUMNS, _LIMIT_JOINS)}, seen AS MATERIALIZED (
      SELECT *, {_windows()} FROM placed
      WINDOW so_far AS (PARTITION BY sender ORDER BY id ROWS UNBOUNDED PRECEDING)
    )
    {_every_limit()}
    """,
)


def _buckets(unit: str, kept: int) -> str:
    milliseconds = HOUR_MS if unit == "hour" else DAY_MS
    return f"""
    SELECT printf('%s: the books say %s by {unit}, the gifts %s', u.id, u.{unit}s, e.buckets)
    FROM user AS u LEFT JOIN (
      SELECT sender, json_group_array(json_array({unit}, coins, bought)) AS buckets,
             min(steady) AS steady
      FROM (
        SELECT k.sender, k.{unit}, max(k.{unit}) OVER (PARTITION BY k.sender) AS newest,
               k.coins - coalesce(x.coins, 0) AS coins, k.bought - coalesce(x.bought, 0) AS bought,
               min(k.steady) OVER (PARTITION BY k.sender) AS steady
        FROM (SELECT sender, {unit}, sum(coins) AS coins, sum(bought) AS bought,
                     min({unit} = at_ms / {milliseconds}) AS steady
              FROM placed GROUP BY sender, {unit}) AS k
        LEFT JOIN (SELECT sender, {unit}, sum(coins) AS coins, sum(bought) AS bought
                   FROM undone GROUP BY sender, {unit}) AS x
          ON x.sender = k.sender AND x.{unit} = k.{unit}
        ORDER BY k.sender, k.{unit})
      WHERE {unit} >= newest - {kept} GROUP BY sender) AS e ON e.sender = u.id
    WHERE u.{unit}s <> coalesce(e.buckets, '[]') AND coalesce(e.steady, 1)
    """


SPENT = Question(
    "spent",
    "What {} users spent by the hour and by the day is what their gifts add up to.",
    "SELECT count(*) FROM user WHERE days <> '[]'",
    f"WITH {_spent()} {_buckets('hour', 24)} UNION ALL {_buckets('day', 30)}",
)
"""Not asked of a sender in whose gifts the clock stepped back into an earlier hour or day."""

QUESTIONS = (GIFTERS, PEOPLE, NAMES, FORBIDDEN, LIMITS, SPENT)
