-- Buying, earning, cashing out: rows that say how things stand, explained in rules/rows.py. Replaying
-- the journal gives the same. Amounts of money are in the minor unit of the books' currency.

CREATE TABLE creator (
    id            TEXT PRIMARY KEY,
    pending       TEXT NOT NULL,
    rates         TEXT NOT NULL,
    payout        TEXT NOT NULL,
    payouts_paid  INTEGER NOT NULL CHECK (payouts_paid >= 0)
) STRICT, WITHOUT ROWID;
-- Who has diamonds to release: the oldest UTC day of what is pending.
CREATE INDEX creator_by_oldest_day ON creator (pending ->> '$[0][0]') WHERE pending <> '[]';

CREATE TABLE purchase (
    id              TEXT PRIMARY KEY,
    user            TEXT NOT NULL,
    status          TEXT NOT NULL CHECK (status IN ('pending', 'paid', 'failed', 'refunded', 'charged_back')),
    provider        TEXT NOT NULL,
    bundle          TEXT NOT NULL,
    coins           INTEGER NOT NULL CHECK (coins > 0),
    price_minor     INTEGER NOT NULL CHECK (price_minor > 0),
    currency        TEXT NOT NULL,
    started_ms      INTEGER NOT NULL,
    checkout        TEXT NOT NULL,
    url             TEXT NOT NULL,
    payment         TEXT NOT NULL,
    paid_ms         INTEGER NOT NULL,
    first_transfer  INTEGER NOT NULL,
    refunded_coins  INTEGER NOT NULL CHECK (refunded_coins BETWEEN 0 AND coins),
    refunded_minor  INTEGER NOT NULL CHECK (refunded_minor BETWEEN 0 AND price_minor),
    clawback        TEXT NOT NULL,
    parked          TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX purchase_by_user ON purchase (user, started_ms);
CREATE INDEX purchase_by_status ON purchase (status, started_ms);
CREATE INDEX purchase_by_start ON purchase (started_ms);
-- Whose checkout the provider was down for.
CREATE INDEX purchase_unstarted ON purchase (provider, started_ms)
    WHERE status = 'pending' AND checkout = '';
CREATE INDEX purchase_by_payment ON purchase (payment) WHERE payment <> '';

CREATE TABLE refund (
    id            TEXT PRIMARY KEY,
    purchase      TEXT NOT NULL,
    user          TEXT NOT NULL,
    coins         INTEGER NOT NULL CHECK (coins > 0),
    amount_minor  INTEGER NOT NULL CHECK (amount_minor >= 0),
    status        TEXT NOT NULL CHECK (status IN ('requested', 'sent')),
    at_ms         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX refund_by_purchase ON refund (purchase);
CREATE INDEX refund_waiting ON refund (at_ms) WHERE status = 'requested';

CREATE TABLE payout (
    id             TEXT PRIMARY KEY,
    creator        TEXT NOT NULL,
    status         TEXT NOT NULL CHECK (status IN ('requested', 'approved', 'paid', 'rejected')),
    millidiamonds  INTEGER NOT NULL CHECK (millidiamonds > 0),
    amount_minor   INTEGER NOT NULL CHECK (amount_minor >= 0),
    currency       TEXT NOT NULL,
    requested_ms   INTEGER NOT NULL,
    decided_ms     INTEGER NOT NULL,
    reference      TEXT NOT NULL,
    flags          TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX payout_open ON payout (creator) WHERE status IN ('requested', 'approved');
CREATE INDEX payout_by_creator ON payout (creator, requested_ms);
CREATE INDEX payout_by_status ON payout (status, requested_ms);
CREATE INDEX payout_by_request ON payout (requested_ms);

CREATE TABLE suspense (
    id            INTEGER PRIMARY KEY,
    subject       TEXT NOT NULL,
    why           TEXT NOT NULL,
    note          TEXT NOT NULL,
    at_ms         INTEGER NOT NULL,
    settled_by    TEXT NOT NULL,
    settled_note  TEXT NOT NULL
) STRICT;

CREATE TABLE correction (
    id           INTEGER PRIMARY KEY,
    user         TEXT NOT NULL,
    account      TEXT NOT NULL,
    amount       INTEGER NOT NULL CHECK (amount <> 0),
    reason       TEXT NOT NULL,
    status       TEXT NOT NULL CHECK (status IN ('proposed', 'approved', 'rejected')),
    proposed_by  TEXT NOT NULL,
    at_ms        INTEGER NOT NULL,
    decided_by   TEXT NOT NULL CHECK (status <> 'approved' OR decided_by <> proposed_by)
) STRICT;

CREATE TABLE endpoint (
    id          TEXT PRIMARY KEY,
    url         TEXT NOT NULL,
    kinds       TEXT NOT NULL,
    enabled     INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    reason      TEXT NOT NULL,
    version     INTEGER NOT NULL CHECK (version > 0),
    rotated_ms  INTEGER NOT NULL,
    since       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The creators' boards: public gifts by UTC day and giver. Weeks, months and all are sums.
CREATE TABLE creator_day (
    creator  TEXT NOT NULL,
    day      INTEGER NOT NULL,
    user     TEXT NOT NULL,
    name     TEXT NOT NULL,
    coins    INTEGER NOT NULL,
    reached  INTEGER NOT NULL,
    PRIMARY KEY (creator, day, user)
) STRICT, WITHOUT ROWID;
CREATE INDEX creator_day_by_user ON creator_day (user);

-- What creators earned, by UTC day and gift, less what was retracted.
CREATE TABLE earning (
    creator        TEXT NOT NULL,
    day            INTEGER NOT NULL,
    gift           TEXT NOT NULL,
    gifts          INTEGER NOT NULL,
    coins          INTEGER NOT NULL,
    millidiamonds  INTEGER NOT NULL,
    PRIMARY KEY (creator, day, gift)
) STRICT, WITHOUT ROWID;

-- What was agreed stays, and how something ended stays.
CREATE TRIGGER purchase_terms BEFORE UPDATE OF id, user, provider, coins, price_minor, currency ON purchase
    WHEN (NEW.id, NEW.user, NEW.provider, NEW.coins, NEW.price_minor, NEW.currency)
      IS NOT (OLD.id, OLD.user, OLD.provider, OLD.coins, OLD.price_minor, OLD.currency)
    BEGIN SELECT RAISE(ABORT, 'the terms of a purchase never change'); END;
CREATE TRIGGER purchase_refunds BEFORE UPDATE OF refunded_coins, refunded_minor ON purchase
    WHEN NEW.refunded_coins < OLD.refunded_coins OR NEW.refunded_minor < OLD.refunded_minor
    BEGIN SELECT RAISE(ABORT, 'a refund is never undone'); END;
CREATE TRIGGER purchase_delete BEFORE DELETE ON purchase BEGIN SELECT RAISE(ABORT, 'a purchase is never deleted'); END;
CREATE TRIGGER refund_terms BEFORE UPDATE ON refund
    WHEN OLD.status = 'sent' OR (NEW.id, NEW.purchase, NEW.coins, NEW.amount_minor)
      IS NOT (OLD.id, OLD.purchase, OLD.coins, OLD.amount_minor)
    BEGIN SELECT RAISE(ABORT, 'a refund never changes'); END;
CREATE TRIGGER refund_delete BEFORE DELETE ON refund BEGIN SELECT RAISE(ABORT, 'a refund is never deleted'); END;
CREATE TRIGGER payout_terms BEFORE UPDATE ON payout
    WHEN OLD.status IN ('paid', 'rejected') OR (NEW.id, NEW.creator, NEW.millidiamonds, NEW.amount_minor)
      IS NOT (OLD.id, OLD.creator, OLD.millidiamonds, OLD.amount_minor)
    BEGIN SELECT RAISE(ABORT, 'a payout resolves once'); END;
CREATE TRIGGER payout_delete BEFORE DELETE ON payout BEGIN SELECT RAISE(ABORT, 'a payout is never deleted'); END;
CREATE TRIGGER suspense_delete BEFORE DELETE ON suspense BEGIN SELECT RAISE(ABORT, 'an entry is never deleted'); END;
CREATE TRIGGER correction_decided BEFORE UPDATE ON correction WHEN OLD.status <> 'proposed'
    BEGIN SELECT RAISE(ABORT, 'a correction is decided once'); END;
CREATE TRIGGER correction_delete BEFORE DELETE ON correction BEGIN SELECT RAISE(ABORT, 'a correction is never deleted'); END;
CREATE TRIGGER creator_delete BEFORE DELETE ON creator BEGIN SELECT RAISE(ABORT, 'a creator row is never deleted'); END;
-- (Not as CHECKs: a step down arrives as an INSERT of a negative number that becomes an UPDATE.)
CREATE TRIGGER creator_day_floor BEFORE UPDATE OF coins ON creator_day WHEN NEW.coins < 0
    BEGIN SELECT RAISE(ABORT, 'nobody gave less than nothing'); END;
CREATE TRIGGER earning_floor BEFORE UPDATE ON earning
    WHEN NEW.gifts < 0 OR NEW.coins < 0 OR NEW.millidiamonds < 0
    BEGIN SELECT RAISE(ABORT, 'nobody earned less than nothing'); END;
CREATE TRIGGER creator_day_delete BEFORE DELETE ON creator_day BEGIN SELECT RAISE(ABORT, 'a board is never deleted'); END;
CREATE TRIGGER earning_delete BEFORE DELETE ON earning BEGIN SELECT RAISE(ABORT, 'an earning is never deleted'); END;
