"""The audit's questions about the ledger itself: accounts, transfers, and what commands moved."""

from rules.ledger import CURRENCY, DEBTS, SIDES, SYSTEM_ACCOUNTS, Reason
from storage.sqlite.audit.question import ACCEPTED, RARE, RETRACTED, TAKEN, Question, values

_CURRENCIES = values([(str(code), str(currency)) for code, currency in CURRENCY.items()])
_DEBTS = values([(code,) for code in sorted(DEBTS)])
_SYSTEM = values([(str(code), id) for code, id in SYSTEM_ACCOUNTS.items()])
_SIDES = values(
    [
        (reason.value, source.value, target.value)
        for reason, (sources, targets) in SIDES.items()
        for source in sources
        for target in targets
        if CURRENCY[source] is CURRENCY[target]
    ]
)

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
    f"""
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
    UNION ALL
    SELECT printf('account %d is %s of %s and has never moved anything', id, code, owner)
    FROM account WHERE owner <> '' AND debits = 0 AND credits = 0
    UNION ALL
    SELECT printf('account %d is %s, and that is not whose it is', id, code)
    FROM account WHERE (owner = '' OR id < 100 OR code IN (SELECT column1 FROM (VALUES {_SYSTEM})))
      AND NOT (owner = '' AND (code, id) IN (VALUES {_SYSTEM}))
    """,
)

SIGNS = Question(
    "signs",
    "None of {} user accounts is below zero, and none of {} debts above it.",
    f"""
    SELECT count(*) FILTER (WHERE code NOT IN (VALUES {_DEBTS})),
           count(*) FILTER (WHERE code IN (VALUES {_DEBTS})) FROM account WHERE owner <> ''
    """,
    f"""
    SELECT printf('account %d, %s of %s, has %d', id, code, owner, credits - debits)
    FROM account WHERE owner <> '' AND debits <> credits
      AND (debits < credits) = (code IN (VALUES {_DEBTS}))
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
    WITH counted AS (
      SELECT c.batch, count(*) AS transfers
      FROM transfer AS t CROSS JOIN command AS c ON c.id = t.command GROUP BY c.batch)
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
       OR (d.owner <> '' AND c.owner <> '' AND d.owner <> c.owner)
    UNION ALL
    SELECT printf('batch %d says that its transfers begin with %d', id, next_transfer)
    FROM (SELECT b.id, b.next_transfer, 1 + sum(coalesce(n.transfers, 0)) OVER (ORDER BY b.id)
                 - coalesce(n.transfers, 0) AS expected
          FROM batch AS b LEFT JOIN counted AS n ON n.batch = b.id)
    WHERE next_transfer <> expected
    """,
)

_SAID = f"""
  SELECT id, {Reason.GIFT_SPENT.value} AS reason, sender AS owner, 'coins' AS source,
         'coins_spent' AS target, coins AS amount FROM ({ACCEPTED})
  UNION ALL SELECT id, {Reason.GIFT_EARNED.value}, creator, 'diamonds_issued', 'diamonds_pending',
         millidiamonds FROM ({ACCEPTED})
  UNION ALL SELECT id, {Reason.GRANT.value}, outcome ->> 'user', 'coins_granted', 'coins',
         outcome ->> 'coins' FROM rare WHERE what = 'granted'
  UNION ALL SELECT r.command, {Reason.RETRACT_SPENT.value}, c.body ->> 'sender', 'coins_spent',
         'coins', c.outcome ->> 'coins'
         FROM ({RETRACTED}) AS r CROSS JOIN command AS c ON c.id = r.gift
  UNION ALL SELECT id, {Reason.DEBT_PAID.value}, coalesce(outcome ->> 'user',
           (SELECT c.body ->> 'sender' FROM event AS r
            CROSS JOIN event AS g ON g.room = r.room AND g.seq = r.body ->> 'gift_seq'
            CROSS JOIN command AS c ON c.id = g.command
            WHERE r.room = rare.outcome ->> 'room' AND r.seq = rare.outcome ->> 'seq')),
         'coins', 'coin_debt', outcome ->> 'debt_paid_coins'
         FROM rare WHERE outcome ->> 'debt_paid_coins' > 0
  UNION ALL SELECT id, {Reason.PURCHASE.value}, outcome ->> 'user', 'coins_sold', 'coins',
         outcome ->> 'coins' FROM rare WHERE what = 'purchase_paid'
  UNION ALL SELECT id, {Reason.PURCHASE_MONEY.value}, '', 'money_clearing', 'money_sales',
         outcome ->> 'price_minor' FROM rare WHERE what = 'purchase_paid'
  UNION ALL SELECT id, reason, outcome ->> 'user', 'coins', 'coins_sold',
         (outcome ->> 'coins') - coalesce(outcome ->> 'debt_coins', 0) FROM undone
  UNION ALL SELECT id, reason, outcome ->> 'user', 'coin_debt', 'coins_sold',
         coalesce(outcome ->> 'debt_coins', 0) FROM undone
  UNION ALL SELECT id, money, '', 'money_sales', 'money_clearing', outcome ->> 'amount_minor'
         FROM undone
  UNION ALL SELECT id, reason, creator, 'diamonds_pending', 'diamonds_issued', pending FROM lost
  UNION ALL SELECT id, reason, creator, 'diamonds_available', 'diamonds_issued', available FROM lost
  UNION ALL SELECT id, reason, creator, 'diamond_debt', 'diamonds_issued', debt FROM lost
  UNION ALL SELECT id, {Reason.RELEASE.value}, outcome ->> 'creator', 'diamonds_pending',
         'diamonds_available', outcome ->> 'millidiamonds'
         FROM rare WHERE what = 'diamonds_released'
  UNION ALL SELECT id, {Reason.DIAMOND_DEBT_PAID.value}, outcome ->> 'creator',
         'diamonds_available', 'diamond_debt', outcome ->> 'debt_paid_millidiamonds'
         FROM rare WHERE outcome ->> 'debt_paid_millidiamonds' > 0
  UNION ALL SELECT id, {Reason.PAYOUT_RESERVED.value}, outcome ->> 'creator',
         'diamonds_available', 'diamonds_reserved', outcome ->> 'millidiamonds'
         FROM rare WHERE what = 'payout' AND kind = 'request_payout'
  UNION ALL SELECT id, {Reason.PAYOUT_PAID.value}, outcome ->> 'creator', 'diamonds_reserved',
         'diamonds_paid', outcome ->> 'millidiamonds'
         FROM rare WHERE what = 'payout' AND outcome ->> 'status' = 'paid'
  UNION ALL SELECT id, {Reason.PAYOUT_MONEY.value}, '', 'money_payouts', 'money_clearing',
         outcome ->> 'amount_minor'
         FROM rare WHERE what = 'payout' AND outcome ->> 'status' = 'paid'
  UNION ALL SELECT id, {Reason.PAYOUT_RETURNED.value}, outcome ->> 'creator',
         'diamonds_reserved', 'diamonds_available', outcome ->> 'millidiamonds'
         FROM rare WHERE what = 'payout' AND outcome ->> 'status' = 'rejected'
  UNION ALL SELECT id, {Reason.DIAMOND_DEBT_PAID.value}, owner, 'diamonds_available',
         'diamond_debt', min(millidiamonds, owed) FROM owing WHERE owed > 0
  UNION ALL SELECT id, {Reason.CORRECTION.value}, outcome ->> 'user',
         iif(outcome ->> 'amount' > 0, other, outcome ->> 'account'),
         iif(outcome ->> 'amount' > 0, outcome ->> 'account', other), abs(outcome ->> 'amount')
         FROM (SELECT id, outcome, iif(outcome ->> 'account' IN ('coins', 'coin_debt'),
                                       'coins_corrected', 'diamonds_corrected') AS other
               FROM rare WHERE what = 'correction_decided' AND outcome ->> 'status' = 'approved')
"""
"""What each command says that it moved, read from its body and its answer."""

LEGS = Question(
    "legs",
    "{} gifts and {} other commands moved what they say, every leg of it and nothing else.",
    "SELECT count(*) FILTER (WHERE kind = 'gift'), count(*) FILTER (WHERE kind <> 'gift')"
    " FROM command WHERE outcome ->> 'kind' <> 'refused'",
    f"""
    WITH rare AS MATERIALIZED ({RARE}), undone AS (
      SELECT id, outcome, iif(what = 'purchase_refunded', {Reason.REFUND.value},
                              {Reason.CHARGEBACK.value}) AS reason,
             iif(what = 'purchase_refunded', {Reason.REFUND_MONEY.value},
                 {Reason.CHARGEBACK_MONEY.value}) AS money
      FROM rare WHERE what IN ('purchase_refunded', 'purchase_charged_back')
    ), lost AS (
      SELECT id, creator, pending, available, debt,
             iif(what = 'purchase_charged_back', {Reason.CLAWBACK.value},
                 {Reason.RETRACT_EARNED.value}) AS reason
      FROM ({TAKEN})
    ), owing AS (
      SELECT r.id, a.owner, r.outcome ->> 'millidiamonds' AS millidiamonds, (
        SELECT -after FROM (
          SELECT * FROM (SELECT id, debit_after AS after FROM transfer
            WHERE debit = a.id AND debit >= 100 AND command < r.id ORDER BY id DESC LIMIT 1)
          UNION ALL SELECT * FROM (SELECT id, credit_after FROM transfer
            WHERE credit = a.id AND credit >= 100 AND command < r.id ORDER BY id DESC LIMIT 1))
        ORDER BY id DESC LIMIT 1) AS owed
      FROM rare AS r CROSS JOIN account AS a
        ON a.owner = r.outcome ->> 'creator' AND a.code = 'diamond_debt'
      WHERE r.what = 'payout' AND r.outcome ->> 'status' = 'rejected'
    ), posting AS (
      SELECT id AS command, reason, owner, source, target, amount AS said, 0 AS moved, 0 AS legs
      FROM ({_SAID})
      UNION ALL
      SELECT t.command, t.reason, max(d.owner, c.owner), d.code, c.code, 0, t.amount, 1
      FROM transfer AS t
      LEFT JOIN account AS d ON d.id = t.debit LEFT JOIN account AS c ON c.id = t.credit)
    SELECT printf('command %d says that it moved %d from %s to %s of %s, it moved %d in %d legs',
                  command, sum(said), source, target, owner, sum(moved), sum(legs))
    FROM posting GROUP BY command, reason, owner, source, target
    HAVING sum(said) <> sum(moved) OR (sum(legs) > 1 AND
      (SELECT kind FROM command WHERE id = posting.command) NOT IN ('reverse_gifts', 'charge_back'))
    """,
)
"""Reversals and chargebacks go gift by gift; every other command makes one transfer of a kind."""

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
    POLICIES,
    CONSERVATION,
    ACCOUNTS,
    SIGNS,
    RUNNING_BALANCES,
    TRANSFERS,
    LEGS,
)
