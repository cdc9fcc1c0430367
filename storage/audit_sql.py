"""The audit's questions that SQL can answer: each is a sentence with figures, and a query for what
contradicts it.

They say the invariants of the books a second time, in another language than the code that keeps
them, so that one misunderstanding cannot hide in both. Whether the rows are the ones that the
journal leads to is not asked here: that is what the replay is for (storage/audit_replay.py).
"""

from typing import NamedTuple

from rules.ledger import CURRENCY, Code, Reason


class Question(NamedTuple):
    """`wrong` selects one line of text for everything that contradicts; no row means it holds."""

    name: str
    sentence: str
    """Filled with the columns of `figures`."""
    figures: str
    wrong: str


def _values(rows: list[tuple[int | str, ...]]) -> str:
    return ", ".join(str(row) for row in rows)


_CURRENCIES = _values([(str(code), str(currency)) for code, currency in CURRENCY.items()])
_SIDES = _values(
    [
        (Reason.GRANT.value, Code.COINS_GRANTED.value, Code.COINS.value),
        (Reason.GIFT_SPENT.value, Code.COINS.value, Code.COINS_SPENT.value),
        (Reason.GIFT_EARNED.value, Code.DIAMONDS_ISSUED.value, Code.DIAMONDS_PENDING.value),
        (Reason.RETRACT_SPENT.value, Code.COINS_SPENT.value, Code.COINS.value),
        (Reason.RETRACT_EARNED.value, Code.DIAMONDS_PENDING.value, Code.DIAMONDS_ISSUED.value),
    ]
)
"""Which accounts a transfer of each reason goes between."""

KEYS = Question(
    "keys",
    "{} commands, and no key was used twice by one actor.",
    "SELECT count(*) FROM command",
    """
    SELECT printf('%s used the key %s for %d commands', actor, key, count(*))
    FROM command GROUP BY actor, key HAVING count(*) > 1
    UNION ALL
    SELECT printf('command %d is filed under another actor, key or kind than it names', id)
    FROM command
    WHERE (actor, key, kind) IS NOT (body ->> 'actor', body ->> 'key', body ->> 'kind')
    """,
)

CONSERVATION = Question(
    "conservation",
    "Debits equal credits in every currency, over {} accounts.",
    "SELECT count(*) FROM account",
    f"""
    WITH kind (code, currency) AS (VALUES {_CURRENCIES})
    SELECT printf('%s: debits are %d and credits %d', coalesce(currency, 'no known currency'),
                  sum(debits), sum(credits))
    FROM account LEFT JOIN kind USING (code)
    GROUP BY currency HAVING sum(debits) <> sum(credits) OR currency IS NULL
    """,
)

ACCOUNTS = Question(
    "accounts",
    "{} accounts hold what their {} transfers add up to.",
    "SELECT (SELECT count(*) FROM account), (SELECT count(*) FROM transfer)",
    """
    WITH moved AS (
      SELECT account, sum(debit) AS debits, sum(credit) AS credits FROM (
        SELECT debit AS account, amount AS debit, 0 AS credit FROM transfer
        UNION ALL SELECT credit, 0, amount FROM transfer)
      GROUP BY account)
    SELECT printf('account %d has debits %d and credits %d, its transfers add up to %d and %d',
                  a.id, a.debits, a.credits, coalesce(m.debits, 0), coalesce(m.credits, 0))
    FROM account AS a LEFT JOIN moved AS m ON m.account = a.id
    WHERE (a.debits, a.credits) IS NOT (coalesce(m.debits, 0), coalesce(m.credits, 0))
    UNION ALL
    SELECT printf('transfers name the account %d, which does not exist', account)
    FROM moved WHERE account NOT IN (SELECT id FROM account)
    """,
)

NO_DEBT = Question(
    "no debt",
    "None of {} user accounts is below zero.",
    "SELECT count(*) FROM account WHERE owner <> ''",
    """
    SELECT printf('account %d of %s has %d', id, owner, credits - debits)
    FROM account WHERE owner <> '' AND debits > credits
    """,
)

RUNNING_BALANCES = Question(
    "running balances",
    "Each of {} transfers says the balances that the ones before it lead to.",
    "SELECT count(*) FROM transfer",
    """
    WITH posting AS (
      SELECT id, debit AS account, -amount AS step, debit_after AS after FROM transfer
      UNION ALL SELECT id, credit, amount, credit_after FROM transfer
    ), chain AS (
      SELECT id, account, after, sum(step) OVER (PARTITION BY account ORDER BY id) AS summed
      FROM posting)
    SELECT printf('transfer %d says %d for account %d, which has %d', id, after, account, summed)
    FROM chain WHERE after <> summed
    """,
)

TRANSFERS = Question(
    "transfers",
    "{} transfers follow each other without a gap, in the order of their commands.",
    "SELECT count(*) FROM transfer",
    f"""
    SELECT printf('transfer %d of command %d follows transfer %d of command %d',
                  id, command, before, earlier)
    FROM (SELECT id, command, lag(id, 1, 0) OVER w AS before, lag(command, 1, 0) OVER w AS earlier
          FROM transfer WINDOW w AS (ORDER BY id))
    WHERE id <> before + 1 OR command < earlier
    UNION ALL
    SELECT printf('transfer %d goes between accounts that its reason does not allow', t.id)
    FROM transfer AS t
    LEFT JOIN account AS d ON d.id = t.debit LEFT JOIN account AS c ON c.id = t.credit
    WHERE ((t.reason, d.code, c.code) IN (VALUES {_SIDES})) IS NOT 1
    """,
)

LEGS = Question(
    "legs",
    "{} grants, {} gifts and {} retractions moved what they say, both legs or none.",
    """
    SELECT count(*) FILTER (WHERE outcome ->> 'kind' = 'granted'),
           count(*) FILTER (WHERE outcome ->> 'kind' = 'gift_accepted'),
           count(*) FILTER (WHERE outcome ->> 'kind' = 'gift_retracted') FROM command
    """,
    f"""
    WITH leg AS (
      SELECT command, count(*) AS legs,
             sum(amount * (reason = {Reason.GRANT.value})) AS granted,
             sum(amount * (reason = {Reason.GIFT_SPENT.value})) AS spent,
             sum(amount * (reason = {Reason.GIFT_EARNED.value})) AS earned,
             sum(amount * (reason = {Reason.RETRACT_SPENT.value})) AS unspent,
             sum(amount * (reason = {Reason.RETRACT_EARNED.value})) AS unearned
      FROM transfer GROUP BY command
    ), said AS (
      SELECT id, outcome ->> 'kind' AS kind, coalesce(outcome ->> 'coins', 0) AS coins,
             coalesce(outcome ->> 'millidiamonds', 0) AS millidiamonds FROM command
    ), expected AS (
      SELECT id, CASE WHEN kind = 'granted' THEN 1
                      WHEN kind IN ('gift_accepted', 'gift_retracted')
                        THEN 1 + (millidiamonds > 0) ELSE 0 END AS legs,
             coins * (kind = 'granted') AS granted,
             coins * (kind = 'gift_accepted') AS spent,
             millidiamonds * (kind = 'gift_accepted') AS earned,
             coins * (kind = 'gift_retracted') AS unspent,
             millidiamonds * (kind = 'gift_retracted') AS unearned
      FROM said)
    SELECT printf('command %d should have made %d transfers and made %d, or of other amounts',
                  e.id, e.legs, coalesce(l.legs, 0))
    FROM expected AS e LEFT JOIN leg AS l ON l.command = e.id
    WHERE (e.legs, e.granted, e.spent, e.earned, e.unspent, e.unearned) IS NOT
          (coalesce(l.legs, 0), coalesce(l.granted, 0), coalesce(l.spent, 0),
           coalesce(l.earned, 0), coalesce(l.unspent, 0), coalesce(l.unearned, 0))
    UNION ALL
    SELECT printf('%d transfers belong to command %d, which does not exist', legs, command)
    FROM leg WHERE command NOT IN (SELECT id FROM command)
    """,
)

_ACCEPTED = """
  SELECT id, outcome ->> 'room' AS room, outcome ->> 'seq' AS seq, outcome ->> 'gift' AS gift,
         outcome ->> 'quantity' AS quantity, outcome ->> 'coins' AS coins,
         outcome ->> 'millidiamonds' AS millidiamonds, outcome ->> 'total_coins' AS total_coins
  FROM command WHERE kind = 'gift' AND outcome ->> 'kind' = 'gift_accepted'
"""

GIFTS = Question(
    "gifts",
    "{} gifts of {} coins were charged, logged and shared at the prices and rates of their time.",
    f"SELECT count(*), coalesce(sum(coins), 0) FROM ({_ACCEPTED})",
    f"""
    WITH accepted AS ({_ACCEPTED}), price AS (
      SELECT p.command AS policy, g.value ->> 'id' AS gift, g.value ->> 'coins' AS coins,
             p.body ->> 'rate_permille' AS rate
      FROM policy AS p, json_each(p.body, '$.catalogue.gifts') AS g
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
    WHERE (e.command, e.kind, e.coins, e.total_coins, e.body ->> 'coins', e.body ->> 'quantity')
          IS NOT (a.id, 'gift', a.coins, a.total_coins, a.coins, a.quantity)
    UNION ALL
    SELECT printf('command %d: %d × %s for %d coins and %d millidiamonds was not the price or rate',
                  a.id, a.quantity, a.gift, a.coins, a.millidiamonds)
    FROM accepted AS a LEFT JOIN price AS p ON p.gift = a.gift
      AND p.policy = (SELECT max(command) FROM policy WHERE command < a.id)
    WHERE (a.coins, a.millidiamonds) IS NOT (p.coins * a.quantity, a.coins * p.rate)
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
      SELECT room, max(seq) AS seq, sum(coins) AS coins FROM event GROUP BY room)
    SELECT printf('%s: number %d is in place %d, and its total is %d where the log adds up to %d',
                  room, seq, place, total_coins, summed)
    FROM line WHERE seq <> place OR total_coins <> summed OR command <= earlier
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
    WHERE (c.outcome ->> 'room', c.outcome ->> 'seq', e.body ->> 'seq', e.body ->> 'kind')
          IS NOT (e.room, e.seq, e.seq, e.kind)
       OR replace(c.outcome ->> 'kind', 'gift_accepted', 'gift') IS NOT e.kind
    """,
)

_STEPS = """
  SELECT e.room, e.seq, e.coins, c.body ->> 'sender' AS user,
         coalesce(c.body ->> 'visibility', 'public') = 'public' AS public
  FROM event AS e JOIN command AS c ON c.id = e.command WHERE e.kind = 'gift'
  UNION ALL
  SELECT e.room, e.seq, e.coins, c.body ->> 'sender',
         coalesce(c.body ->> 'visibility', 'public') = 'public'
  FROM event AS e
  JOIN event AS g ON g.room = e.room AND g.seq = e.body ->> 'gift_seq'
  JOIN command AS c ON c.id = g.command WHERE e.kind = 'gift_retracted'
"""
"""What each line of a log did for the user who gave the gift."""

BOARDS = Question(
    "boards",
    "{} standings are the sums of the public gifts in their rooms' logs.",
    "SELECT count(*) FROM member",
    f"""
    WITH given AS (
      SELECT room, user, sum(coins * public) AS coins, max(seq * public) AS reached_seq
      FROM ({_STEPS}) GROUP BY room, user)
    SELECT printf('%s in %s stands at %d coins since %d, the log says %d since %d', g.user, g.room,
                  m.coins, m.reached_seq, g.coins, g.reached_seq)
    FROM given AS g LEFT JOIN member AS m ON m.room = g.room AND m.user = g.user
    WHERE (m.coins, m.reached_seq) IS NOT (g.coins, g.reached_seq)
    UNION ALL
    SELECT printf('%s stands in %s and has given nothing there', user, room)
    FROM member WHERE (room, user) NOT IN (SELECT room, user FROM given)
    """,
)

GIFTERS = Question(
    "gifters",
    "{} users have gifted {} coins, as the logs say.",
    "SELECT count(*), coalesce(sum(gifted_coins), 0) FROM user",
    f"""
    WITH given AS (
      SELECT user, sum(coins) AS coins FROM ({_STEPS}) WHERE public GROUP BY user)
    SELECT printf('%s has gifted %d coins, the logs say %d', g.user, u.gifted_coins, g.coins)
    FROM given AS g LEFT JOIN user AS u ON u.id = g.user WHERE u.gifted_coins IS NOT g.coins
    UNION ALL
    SELECT printf('%s is a gifter and has gifted nothing', id)
    FROM user WHERE id NOT IN (SELECT user FROM given)
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

POLICIES = Question(
    "policies",
    "{} policies are the ones that were set.",
    "SELECT count(*) FROM policy",
    """
    SELECT printf('policy %d is not the one that command %d set', p.command, p.command)
    FROM policy AS p LEFT JOIN command AS c ON c.id = p.command AND c.kind = 'set_policy'
    WHERE c.id IS NULL OR c.body -> 'policy' IS NOT p.body
    UNION ALL
    SELECT printf('command %d set a policy that is missing', id)
    FROM command WHERE kind = 'set_policy' AND id NOT IN (SELECT command FROM policy)
    """,
)

QUESTIONS = (
    KEYS,
    CONSERVATION,
    ACCOUNTS,
    NO_DEBT,
    RUNNING_BALANCES,
    TRANSFERS,
    LEGS,
    GIFTS,
    ROOM_LOGS,
    BOARDS,
    GIFTERS,
    MARKS,
    POLICIES,
)
