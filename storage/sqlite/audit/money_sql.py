"""The audit's questions about coins for money: purchases, refunds, lots, debts, corrections, and
what was listed for a person."""

from rules.shop import MINOR_DIGITS
from storage.sqlite.audit.question import POLICY_OF, RARE, RETRACTED, Question, values

_POWERS = values([(currency, 10**digits) for currency, digits in MINOR_DIGITS.items()])

PRICES = Question(
    "prices",
    "{} orders of {} coins had the price of their moment.",
    "SELECT count(*), coalesce(sum(coins), 0) FROM purchase",
    f"""
    WITH power (currency, units) AS (VALUES {_POWERS}), ordered AS (
      SELECT c.id, c.body ->> 'bundle' AS bundle, c.body ->> 'coins' AS wanted,
             c.outcome ->> 'coins' AS coins, c.outcome ->> 'price_minor' AS price_minor,
             c.outcome ->> 'currency' AS currency, c.body ->> 'adult' AS adult, p.body AS policy,
             p.body ->> '$.shop.coin_price_micros' AS micros,
             (SELECT b.value FROM json_each(p.body, '$.shop.bundles') AS b
              WHERE b.value ->> 'id' = c.body ->> 'bundle' LIMIT 1) AS offer
      FROM command AS c LEFT JOIN policy AS p ON p.command = {POLICY_OF.format("c.id")}
      WHERE c.kind = 'start_purchase' AND c.outcome ->> 'kind' = 'purchase_started')
    SELECT printf('command %d sold %d coins for %d %s, which was not the price', o.id, o.coins,
                  o.price_minor, o.currency)
    FROM ordered AS o
    WHERE (o.coins, o.price_minor) IS NOT (
            iif(o.bundle IS NULL, o.wanted, o.offer ->> 'coins'),
            iif(o.bundle IS NULL, max(1, (o.wanted * o.micros * coalesce(
              (SELECT units FROM power AS w WHERE w.currency = o.currency), 100) + 999999)
                                         / 1000000), o.offer ->> 'price_minor'))
       OR o.currency IS NOT o.policy ->> '$.shop.currency'
       OR (o.policy ->> 'require_adult' AND o.adult IS NOT 1)
    """,
)

PURCHASES = Question(
    "purchases",
    "{} purchases are what came of their orders: {} were paid, with {} minor units of money.",
    """
    SELECT count(*), count(*) FILTER (WHERE first_transfer > 0),
           coalesce(sum(price_minor) FILTER (WHERE first_transfer > 0), 0) FROM purchase
    """,
    f"""
    WITH rare AS ({RARE}), said AS MATERIALIZED (
      SELECT *, outcome ->> 'purchase' AS purchase, outcome ->> 'coins' AS coins FROM rare
      WHERE kind IN ('start_purchase', 'attach_checkout', 'settle_purchase', 'fail_purchase',
                     'refund_purchase', 'see_refund', 'charge_back')
    ), story AS (
      SELECT purchase, max(id) FILTER (WHERE kind = 'start_purchase') AS started,
             count(*) FILTER (WHERE kind = 'start_purchase') AS starts,
             count(*) FILTER (WHERE kind = 'attach_checkout') AS attachments,
             min(id) FILTER (WHERE kind = 'attach_checkout' AND body ->> 'checkout' <> '')
               AS attached,
             max(id) FILTER (WHERE kind = 'settle_purchase') AS settled,
             count(*) FILTER (WHERE kind = 'settle_purchase') AS settlements,
             max(id) FILTER (WHERE what = 'purchase_paid') AS paid,
             max(id) FILTER (WHERE kind = 'fail_purchase') AS failed,
             max(id) FILTER (WHERE kind = 'charge_back' AND coins > 0) AS charged,
             max(id) FILTER (WHERE kind = 'charge_back' AND coins = 0) AS parked,
             coalesce(sum(coins) FILTER (WHERE what = 'purchase_refunded'), 0) AS refunded_coins,
             coalesce(sum(outcome ->> 'amount_minor') FILTER (WHERE what = 'purchase_refunded'), 0)
               AS refunded_minor
      FROM said GROUP BY purchase)
    SELECT printf('the purchase %s of %s is not as it was ordered or paid', s.purchase, p.user)
    FROM story AS s LEFT JOIN purchase AS p ON p.id = s.purchase
    LEFT JOIN command AS o ON o.id = s.started LEFT JOIN batch AS ob ON ob.id = o.batch
    LEFT JOIN command AS a ON a.id = s.attached
    LEFT JOIN command AS m ON m.id = s.settled LEFT JOIN batch AS mb ON mb.id = m.batch
    LEFT JOIN transfer AS t ON t.id = p.first_transfer AND t.reason = 6 AND t.command = s.paid
    WHERE (p.user, p.provider, p.bundle, p.coins, p.price_minor, p.currency, p.started_ms,
           s.starts, p.payment, p.paid_ms, s.settlements, p.first_transfer)
          IS NOT (o.outcome ->> 'user', o.body ->> 'provider', coalesce(o.body ->> 'bundle', ''),
           o.outcome ->> 'coins', o.outcome ->> 'price_minor', o.outcome ->> 'currency', ob.at_ms,
           1, coalesce(m.body ->> 'payment', ''), coalesce(mb.at_ms, 0), s.settled IS NOT NULL,
           iif(s.paid IS NULL, 0, t.id))
       OR (s.attached IS NOT NULL
           AND (p.checkout, p.url) IS NOT (a.body ->> 'checkout', a.body ->> 'url'))
       OR (s.attached IS NULL AND p.checkout <> '') OR (s.attachments = 0 AND p.url <> '')
       OR (s.paid IS NOT NULL AND (m.outcome ->> 'coins', m.outcome ->> 'price_minor',
           m.body ->> 'amount_minor', m.body ->> 'currency', m.outcome ->> 'user') IS NOT
           (p.coins, p.price_minor, p.price_minor, p.currency, p.user))
    UNION ALL
    SELECT printf('the purchase %s of %s is %s with %d coins and %d minor units refunded, its'
                  || ' commands say %d and %d', p.id, p.user, p.status, p.refunded_coins,
                  p.refunded_minor, s.refunded_coins, s.refunded_minor)
    FROM story AS s JOIN purchase AS p ON p.id = s.purchase
    LEFT JOIN command AS x ON x.id = s.charged LEFT JOIN command AS k ON k.id = s.parked
    LEFT JOIN policy AS q ON q.command = {POLICY_OF.format("s.charged")}
    WHERE (p.refunded_coins, p.refunded_minor, p.clawback, p.parked, p.status)
          IS NOT (s.refunded_coins, s.refunded_minor, coalesce(q.body ->> 'clawback', ''),
           iif(k.id IS NULL, '', coalesce(nullif(k.body ->> 'reason', ''), 'charged back')),
           CASE WHEN s.charged OR s.settled > coalesce(s.paid, 0) THEN 'charged_back'
                WHEN s.paid AND s.refunded_coins = p.coins THEN 'refunded'
                WHEN s.paid THEN 'paid' WHEN s.failed THEN 'failed' ELSE 'pending' END)
       OR p.refunded_coins > p.coins OR p.refunded_minor > p.price_minor
       OR p.refunded_minor <> p.price_minor * p.refunded_coins / p.coins
       OR (x.id IS NOT NULL AND (x.outcome ->> 'coins', x.outcome ->> 'amount_minor')
           <> (p.coins - p.refunded_coins, p.price_minor - p.refunded_minor))
    UNION ALL
    SELECT printf('the purchase %s of %s was never ordered', id, user)
    FROM purchase WHERE id NOT IN (SELECT purchase FROM story)
    """,
)

WAITING = Question(
    "waiting",
    "{} purchases wait for a payment; no user ordered another beyond the bound of the moment.",
    "SELECT count(*) FROM purchase WHERE status = 'pending'",
    f"""
    WITH rare AS MATERIALIZED (
      SELECT id, actor, kind, outcome ->> 'purchase' AS purchase,
             CAST(outcome ->> 'user' AS TEXT) AS user FROM ({RARE})
      WHERE kind IN ('start_purchase', 'fail_purchase', 'settle_purchase')
    ), ended AS (
      SELECT purchase, user, min(id) AS id FROM rare WHERE kind <> 'start_purchase'
      GROUP BY purchase
    ), steps AS (
      SELECT id, user, 1 AS step, actor = 'user:' || user AS own FROM rare
      WHERE kind = 'start_purchase'
      UNION ALL SELECT id, user, -1, 0 FROM ended
    ), counted AS (
      SELECT id, user, own, sum(step) OVER (PARTITION BY user ORDER BY id) AS waiting FROM steps)
    SELECT printf('%s had %d purchases waiting after command %d, and %d are allowed', c.user,
                  c.waiting, c.id, p.body ->> '$.bounds.pending_purchases_max')
    FROM counted AS c LEFT JOIN policy AS p ON p.command = {POLICY_OF.format("c.id")}
    WHERE c.own AND c.waiting > nullif(p.body ->> '$.bounds.pending_purchases_max', 0)
    UNION ALL
    SELECT printf('%s has %d purchases waiting, by the commands %d', c.user, w.waiting, c.waiting)
    FROM (SELECT user, sum(step) AS waiting FROM steps GROUP BY user) AS c
    LEFT JOIN (SELECT user, count(*) AS waiting FROM purchase WHERE status = 'pending'
               GROUP BY user) AS w ON w.user = c.user
    WHERE coalesce(w.waiting, 0) <> c.waiting
    """,
)

REFUNDS = Question(
    "refunds",
    "{} refunds of {} coins and {} minor units are the ones that were decided, {} of them not sent"
    " yet.",
    """
    SELECT count(*), coalesce(sum(coins), 0), coalesce(sum(amount_minor), 0),
           count(*) FILTER (WHERE status = 'requested') FROM refund
    """,
    f"""
    WITH rare AS ({RARE}), said AS MATERIALIZED (
      SELECT outcome ->> 'refund' AS refund, outcome ->> 'purchase' AS purchase,
             outcome ->> 'user' AS user, outcome ->> 'coins' AS coins, at_ms,
             outcome ->> 'amount_minor' AS amount_minor, id, kind, body,
             kind = 'see_refund' OR coalesce(body ->> 'sent', 0) AS sent FROM rare
      WHERE what = 'purchase_refunded'
    ), sent AS MATERIALIZED (SELECT outcome ->> 'refund' AS refund FROM rare
                             WHERE what = 'refund_marked_sent')
    SELECT printf('the refund %s of %d coins is not as it was decided', s.refund, s.coins)
    FROM said AS s LEFT JOIN refund AS r ON r.id = s.refund
    WHERE (r.purchase, r.user, r.coins, r.amount_minor, r.at_ms, r.status)
      IS NOT (s.purchase, s.user, s.coins, s.amount_minor, s.at_ms,
              iif(s.sent OR s.amount_minor = 0 OR s.refund IN (SELECT refund FROM sent),
                  'sent', 'requested'))
    UNION ALL
    SELECT printf('%s was refunded %d with command %d, the provider said %d in all', purchase,
                  so_far, id, told)
    FROM (SELECT *, body ->> 'refunded_minor' AS told,
                 sum(amount_minor) OVER (PARTITION BY purchase ORDER BY id) AS so_far FROM said)
    WHERE kind = 'see_refund' AND so_far <> told
    UNION ALL
    SELECT printf('the refund %s of %d coins was never decided', id, coins)
    FROM refund WHERE id NOT IN (SELECT refund FROM said)
    UNION ALL
    SELECT printf('the refunds of %s are %d coins and %d minor units, it says %d and %d', p.id,
                  coalesce(sum(r.coins), 0), coalesce(sum(r.amount_minor), 0), p.refunded_coins,
                  p.refunded_minor)
    FROM purchase AS p LEFT JOIN refund AS r ON r.purchase = p.id GROUP BY p.id
    HAVING (coalesce(sum(r.coins), 0), coalesce(sum(r.amount_minor), 0))
        <> (p.refunded_coins, p.refunded_minor)
    """,
)

_LOT = f"""
  lot AS MATERIALIZED (
    SELECT c.id, c.body ->> 'sender' AS sender, c.outcome ->> 'coins' AS of_coins,
           (c.outcome ->> 'millidiamonds') / (c.outcome ->> 'coins') AS rate,
           CAST(l.value ->> 0 AS TEXT) AS purchase, l.value ->> 1 AS coins
    FROM command AS c CROSS JOIN json_each(c.outcome, '$.lots') AS l
    WHERE c.kind = 'gift' AND c.outcome ->> 'kind' = 'gift_accepted'
  ), undone AS MATERIALIZED ({RETRACTED})
"""

LOTS = Question(
    "lots",
    "{} users hold what is left of {} purchases: {} coins, not more than is in their wallets.",
    """
    SELECT count(DISTINCT u.id), count(*), coalesce(sum(l.value ->> 1), 0)
    FROM user AS u CROSS JOIN json_each(u.lots) AS l
    """,
    f"""
    WITH {_LOT}, held AS MATERIALIZED (
      SELECT u.id AS user, CAST(l.value ->> 0 AS TEXT) AS purchase, l.value ->> 1 AS coins
      FROM user AS u CROSS JOIN json_each(u.lots) AS l
    ), kept AS (
      SELECT l.purchase, sum(l.coins) AS coins FROM lot AS l
      LEFT JOIN undone AS r ON r.gift = l.id WHERE r.gift IS NULL GROUP BY l.purchase
    ), used AS (
      SELECT purchase, sum(left_coins) AS left_coins, sum(kept_coins) AS kept_coins FROM (
        SELECT purchase, coins AS left_coins, 0 AS kept_coins FROM held
        UNION ALL SELECT purchase, 0, coins FROM kept)
      GROUP BY purchase
    ), otherwise AS MATERIALIZED (
      SELECT DISTINCT a.owner FROM transfer AS t CROSS JOIN account AS a ON a.id = t.debit
      WHERE t.reason IN (8, 9, 11, 20) AND a.code IN ('coins', 'coin_debt'))
    SELECT printf('%s holds %d bought coins and has %d', h.user, sum(h.coins),
                  coalesce(a.credits - a.debits, 0))
    FROM held AS h LEFT JOIN account AS a ON a.owner = h.user AND a.code = 'coins'
    GROUP BY h.user HAVING sum(h.coins) > coalesce(max(a.credits - a.debits), 0)
    UNION ALL
    SELECT printf('%s holds %d coins of the purchase %s, which has %d that are not refunded',
                  h.user, h.coins, h.purchase, p.coins - p.refunded_coins)
    FROM held AS h LEFT JOIN purchase AS p ON p.id = h.purchase AND p.user = h.user
    WHERE p.status IS NOT 'paid' OR h.coins NOT BETWEEN 1 AND p.coins - p.refunded_coins
    UNION ALL
    SELECT printf('%s holds the purchase %s twice', user, purchase)
    FROM held GROUP BY user, purchase HAVING count(*) > 1
    UNION ALL
    SELECT printf('the gift of command %d took coins of %s, which its sender had not', l.id,
                  l.purchase)
    FROM lot AS l LEFT JOIN purchase AS p ON p.id = l.purchase AND p.user = l.sender
    LEFT JOIN transfer AS t ON t.id = p.first_transfer
    WHERE t.command >= l.id OR t.id IS NULL OR l.coins < 1
    UNION ALL
    SELECT printf('the gift of command %d took %d bought coins and cost %d', id, sum(coins),
                  of_coins)
    FROM lot GROUP BY id HAVING sum(coins) > of_coins
    UNION ALL
    SELECT printf('of %d coins of the purchase %s, gifts took %d and %d are left', p.coins, p.id,
                  coalesce(u.kept_coins, 0), coalesce(u.left_coins, 0))
    FROM purchase AS p LEFT JOIN used AS u ON u.purchase = p.id
    LEFT JOIN otherwise AS o ON o.owner = p.user
    WHERE p.first_transfer > 0 AND (coalesce(u.left_coins + u.kept_coins, 0) > p.coins
       OR (o.owner IS NULL AND coalesce(u.left_coins + u.kept_coins, 0) < p.coins))
    """,
)
"""Exact for who only gave: then gifts and what is left add up to the purchase. Debts, refunds,
chargebacks and corrections also take coins, which lot is not said; then it is an upper bound."""

DEBTS = Question(
    "debts",
    "{} users owe coins, {} owe diamonds; none has what they owe, but for corrections.",
    """
    SELECT count(*) FILTER (WHERE code = 'coin_debt'), count(*) FILTER (WHERE code = 'diamond_debt')
    FROM account WHERE owner <> '' AND debits > credits
    """,
    """
    SELECT printf('%s has a %s of %d and %d %s', d.owner, d.code, d.debits - d.credits,
                  w.credits - w.debits, w.code)
    FROM account AS d JOIN account AS w ON w.owner = d.owner
      AND w.code = iif(d.code = 'coin_debt', 'coins', 'diamonds_available')
    WHERE d.code IN ('coin_debt', 'diamond_debt') AND d.debits > d.credits AND w.credits > w.debits
      AND d.owner NOT IN (SELECT user FROM correction WHERE status = 'approved')
    """,
)

CORRECTIONS = Question(
    "corrections",
    "{} corrections were proposed; {} were approved, each by somebody else.",
    "SELECT count(*), count(*) FILTER (WHERE status = 'approved') FROM correction",
    f"""
    WITH rare AS MATERIALIZED ({RARE}), decided AS MATERIALIZED (
      SELECT CAST(outcome ->> 'correction' AS INTEGER) AS correction, max(id) AS id,
             count(*) AS times
      FROM rare WHERE what = 'correction_decided' GROUP BY 1)
    SELECT printf('the correction %d is not as it was proposed and decided', p.id)
    FROM rare AS p LEFT JOIN correction AS c ON c.id = p.id
    LEFT JOIN decided AS d ON d.correction = p.id LEFT JOIN command AS e ON e.id = d.id
    WHERE p.what = 'correction_proposed' AND (
      (c.user, c.account, c.amount, c.reason, c.proposed_by, c.at_ms, c.status, c.decided_by)
      IS NOT (p.body ->> 'user', p.body ->> 'account', p.body ->> 'amount', p.body ->> 'reason',
              p.actor, p.at_ms, coalesce(e.outcome ->> 'status', 'proposed'), coalesce(e.actor, ''))
      OR d.times > 1 OR (c.status = 'approved' AND e.actor = p.actor)
      OR (e.id IS NOT NULL AND (e.outcome ->> 'user', e.outcome ->> 'account',
                                e.outcome ->> 'amount') IS NOT (c.user, c.account, c.amount)))
    UNION ALL
    SELECT printf('the correction %d was never proposed', id) FROM correction
    WHERE id NOT IN (SELECT id FROM rare WHERE what = 'correction_proposed')
    """,
)

SUSPENSE = Question(
    "suspense",
    "{} entries wait for a person or were settled by one: {} are open.",
    "SELECT count(*), count(*) FILTER (WHERE settled_by = '') FROM suspense",
    """
    WITH listed AS MATERIALIZED (
      SELECT c.id, c.kind, c.body, c.outcome, b.at_ms
      FROM command AS c CROSS JOIN batch AS b ON b.id = c.batch
      WHERE c.kind IN ('suspend', 'settle_purchase', 'see_refund', 'charge_back',
                       'win_chargeback', 'record_payout_result')
        AND c.outcome ->> 'kind' = 'suspended' AND c.outcome ->> 'again' IS NULL
    ), settled AS MATERIALIZED (
      SELECT id, actor, body ->> 'note' AS note, CAST(outcome ->> 'entry' AS INTEGER) AS entry
      FROM command WHERE kind = 'settle_suspense' AND outcome ->> 'kind' = 'suspense_settled')
    SELECT printf('the entry %d is not as it was listed and settled', l.id)
    FROM listed AS l LEFT JOIN suspense AS s ON s.id = l.id LEFT JOIN settled AS d ON d.entry = l.id
    WHERE (l.outcome ->> 'entry', s.subject, s.why, s.at_ms, s.settled_by, s.settled_note, s.note)
      IS NOT (l.id, l.outcome ->> 'subject', l.outcome ->> 'why', l.at_ms, coalesce(d.actor, ''),
              coalesce(d.note, ''), CASE l.kind WHEN 'suspend' THEN l.body ->> 'note'
        WHEN 'settle_purchase' THEN printf('%d %s by payment %s', l.body ->> 'amount_minor',
                                           l.body ->> 'currency', l.body ->> 'payment')
        WHEN 'see_refund' THEN printf('%d %s of payment %s were refunded at the provider in all',
          l.body ->> 'refunded_minor', l.body ->> 'currency', l.body ->> 'payment')
        WHEN 'charge_back' THEN CASE s.why
          WHEN 'refunded_before' THEN 'charged back after it was refunded: '
          WHEN 'charged_back_second' THEN coalesce(nullif(l.body ->> 'amount_minor', 0)
            || ' ' || (l.body ->> 'currency') || ' ', '')
          ELSE '' END || (l.body ->> 'reason')
        WHEN 'win_chargeback'
          THEN 'the bank gave the money back; correct by hand what should be undone'
        ELSE printf('the bank says %s: %s', iif(l.body ->> 'paid', 'paid', 'rejected'),
                    l.body ->> 'reference') END)
    UNION ALL
    SELECT printf('the entry %d was never listed', id)
    FROM suspense WHERE id NOT IN (SELECT id FROM listed)
    """,
)

ENDPOINTS = Question(
    "endpoints",
    "{} webhook endpoints are as they were set, {} of them enabled.",
    "SELECT count(*), count(*) FILTER (WHERE enabled) FROM endpoint",
    f"""
    WITH said AS MATERIALIZED (
      SELECT c.id, c.kind, c.outcome ->> 'endpoint' AS endpoint, b.at_ms
      FROM command AS c CROSS JOIN batch AS b ON b.id = c.batch
      WHERE c.kind IN ('set_endpoint', 'rotate_endpoint', 'disable_endpoint')
        AND c.outcome ->> 'kind' = 'endpoint'
    ), story AS (
      SELECT endpoint, min(id) AS since, max(id) FILTER (WHERE kind = 'set_endpoint') AS set_by,
             max(id) FILTER (WHERE kind = 'disable_endpoint') AS disabled_by,
             count(*) FILTER (WHERE kind = 'rotate_endpoint') AS rotations,
             max(id) FILTER (WHERE kind = 'rotate_endpoint') AS rotated_by
      FROM said GROUP BY endpoint)
    SELECT printf('the endpoint %s is not as its commands say', s.endpoint)
    FROM story AS s LEFT JOIN endpoint AS e ON e.id = s.endpoint
    LEFT JOIN command AS c ON c.id = s.set_by
    LEFT JOIN command AS d ON d.id = s.disabled_by AND s.disabled_by > s.set_by
    LEFT JOIN command AS r ON r.id = s.rotated_by LEFT JOIN batch AS b ON b.id = r.batch
    WHERE (e.url, e.kinds, e.enabled, e.reason, e.version, e.rotated_ms, e.since)
      IS NOT (c.body ->> 'url', coalesce(c.body -> 'kinds', '[]'), d.id IS NULL,
              coalesce(d.body ->> 'reason', ''), 1 + s.rotations, coalesce(b.at_ms, 0), s.since)
    UNION ALL
    SELECT printf('the endpoint %s is the %dth of %d', s.endpoint, s.place,
                  p.body ->> '$.bounds.endpoints_max')
    FROM (SELECT endpoint, since, row_number() OVER (ORDER BY since) AS place FROM story) AS s
    LEFT JOIN policy AS p ON p.command = {POLICY_OF.format("s.since")}
    WHERE s.place > nullif(p.body ->> '$.bounds.endpoints_max', 0)
    UNION ALL
    SELECT printf('the endpoint %s was never set', id)
    FROM endpoint WHERE id NOT IN (SELECT endpoint FROM story)
    """,
)

QUESTIONS = (PRICES, PURCHASES, WAITING, REFUNDS, LOTS, DEBTS, CORRECTIONS, SUSPENSE, ENDPOINTS)
