-- The ledger. History (batch, command, transfer, event, mark, policy) is only ever added to; the
-- other tables are sums over it, kept so that a gift needs no summing. Every table is STRICT: a
-- counter that overflows becomes an error and not a float.

-- Who settled what together, and the hash that seals it (rules/journal.py).
CREATE TABLE batch (
    id             INTEGER PRIMARY KEY,
    at_ms          INTEGER NOT NULL,
    first_command  INTEGER NOT NULL,
    last_command   INTEGER NOT NULL CHECK (last_command >= first_command),
    next_transfer  INTEGER NOT NULL,  -- the first id that its transfers could take
    hash           TEXT NOT NULL
) STRICT;
CREATE INDEX batch_by_time ON batch (at_ms);

-- The journal: every command that did something or was refused for good, with its answer.
CREATE TABLE command (
    id           INTEGER PRIMARY KEY,
    batch        INTEGER NOT NULL,
    actor        TEXT NOT NULL,
    key          TEXT NOT NULL,
    kind         TEXT NOT NULL,
    fingerprint  TEXT NOT NULL,
    body         TEXT NOT NULL,
    outcome      TEXT NOT NULL,
    said         TEXT  -- the giver's name and message, which are not sealed: they may be forgotten
) STRICT;
CREATE UNIQUE INDEX command_by_key ON command (actor, key);

CREATE TABLE policy (
    command  INTEGER PRIMARY KEY,
    body     TEXT NOT NULL
) STRICT;

CREATE TABLE account (
    id       INTEGER PRIMARY KEY,
    owner    TEXT NOT NULL,
    code     TEXT NOT NULL,
    debits   INTEGER NOT NULL CHECK (debits BETWEEN 0 AND 4611686018427387904),
    credits  INTEGER NOT NULL CHECK (credits BETWEEN 0 AND 4611686018427387904),
    CHECK (CASE WHEN owner = '' THEN 1
                WHEN code IN ('coin_debt', 'diamond_debt')
                THEN credits <= debits AND debits <= 9007199254740991
                ELSE debits <= credits AND credits <= 9007199254740991 END)
) STRICT;
CREATE UNIQUE INDEX account_by_owner ON account (owner, code);

-- The system accounts have the ids below 100 (rules/ledger.py).
INSERT INTO account VALUES
    (1, '', 'coins_granted', 0, 0),
    (2, '', 'coins_spent', 0, 0),
    (3, '', 'diamonds_issued', 0, 0),
    (4, '', 'coins_sold', 0, 0),
    (5, '', 'diamonds_paid', 0, 0),
    (6, '', 'money_clearing', 0, 0),
    (7, '', 'money_sales', 0, 0),
    (8, '', 'money_payouts', 0, 0),
    (9, '', 'coins_corrected', 0, 0),
    (10, '', 'diamonds_corrected', 0, 0);

CREATE TABLE transfer (
    id            INTEGER PRIMARY KEY,
    command       INTEGER NOT NULL,
    reason        INTEGER NOT NULL,
    debit         INTEGER NOT NULL,
    credit        INTEGER NOT NULL CHECK (credit <> debit),
    amount        INTEGER NOT NULL CHECK (amount BETWEEN 1 AND 9007199254740991),
    debit_after   INTEGER NOT NULL,
    credit_after  INTEGER NOT NULL
) STRICT;
-- Statements ask for users only; the system's half of the postings needs no index.
CREATE INDEX transfer_by_debit ON transfer (debit, id) WHERE debit >= 100;
CREATE INDEX transfer_by_credit ON transfer (credit, id) WHERE credit >= 100;

CREATE TABLE room (
    id            TEXT PRIMARY KEY,
    title         TEXT NOT NULL,
    creator       TEXT NOT NULL,
    creator_name  TEXT NOT NULL,
    status        TEXT NOT NULL CHECK (status IN ('open', 'closed')),
    epoch         TEXT NOT NULL,
    seq           INTEGER NOT NULL CHECK (seq >= 0),
    total_coins   INTEGER NOT NULL CHECK (total_coins BETWEEN 0 AND 4611686018427387904),
    opened_ms     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A room's log, as viewers get it. `coins` is the step, `total_coins` the room's total after it.
CREATE TABLE event (
    room         TEXT NOT NULL,
    seq          INTEGER NOT NULL CHECK (seq > 0),
    command      INTEGER NOT NULL,
    kind         TEXT NOT NULL,
    coins        INTEGER NOT NULL,
    total_coins  INTEGER NOT NULL CHECK (total_coins >= 0),
    body         TEXT NOT NULL,
    PRIMARY KEY (room, seq)
) STRICT, WITHOUT ROWID;

-- What may happen to a gift once: it was retracted, or hidden, by the event with this seq.
CREATE TABLE mark (
    room      TEXT NOT NULL,
    gift_seq  INTEGER NOT NULL,
    kind      TEXT NOT NULL CHECK (kind IN ('retracted', 'hidden')),
    seq       INTEGER NOT NULL CHECK (seq > gift_seq),
    PRIMARY KEY (room, gift_seq, kind)
) STRICT, WITHOUT ROWID;

-- A person as a spender. The columns of JSON are explained in rules/rows.py.
CREATE TABLE user (
    id               TEXT PRIMARY KEY,
    name             TEXT NOT NULL,
    gifted_coins     INTEGER NOT NULL CHECK (gifted_coins >= 0),
    since_ms         INTEGER NOT NULL,
    frozen           INTEGER NOT NULL CHECK (frozen IN (0, 1)),
    paused_until_ms  INTEGER NOT NULL,
    level_hidden     INTEGER NOT NULL CHECK (level_hidden IN (0, 1)),
    limits           TEXT NOT NULL,
    raises           TEXT NOT NULL,
    hours            TEXT NOT NULL,
    days             TEXT NOT NULL,
    lots             TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE member (
    room         TEXT NOT NULL,
    user         TEXT NOT NULL,
    name         TEXT NOT NULL,
    coins        INTEGER NOT NULL CHECK (coins >= 0),
    reached_seq  INTEGER NOT NULL,
    combo            TEXT,
    anonymous_combo  TEXT,
    PRIMARY KEY (room, user)
) STRICT, WITHOUT ROWID;

-- History stays what it is; a mistake is mended by a command that reverses it.
CREATE TRIGGER batch_update BEFORE UPDATE ON batch BEGIN SELECT RAISE(ABORT, 'history is never changed'); END;
CREATE TRIGGER batch_delete BEFORE DELETE ON batch BEGIN SELECT RAISE(ABORT, 'history is never deleted'); END;
CREATE TRIGGER command_update BEFORE UPDATE ON command
    WHEN (NEW.id, NEW.batch, NEW.actor, NEW.key, NEW.kind, NEW.fingerprint, NEW.body, NEW.outcome)
      IS NOT (OLD.id, OLD.batch, OLD.actor, OLD.key, OLD.kind, OLD.fingerprint, OLD.body, OLD.outcome)
      OR OLD.said IS NULL OR NEW.said IS NOT '["",null]'
    BEGIN SELECT RAISE(ABORT, 'history is never changed'); END;
CREATE TRIGGER command_delete BEFORE DELETE ON command BEGIN SELECT RAISE(ABORT, 'history is never deleted'); END;
CREATE TRIGGER policy_update BEFORE UPDATE ON policy BEGIN SELECT RAISE(ABORT, 'history is never changed'); END;
CREATE TRIGGER policy_delete BEFORE DELETE ON policy BEGIN SELECT RAISE(ABORT, 'history is never deleted'); END;
CREATE TRIGGER transfer_update BEFORE UPDATE ON transfer BEGIN SELECT RAISE(ABORT, 'history is never changed'); END;
CREATE TRIGGER transfer_delete BEFORE DELETE ON transfer BEGIN SELECT RAISE(ABORT, 'history is never deleted'); END;
-- The one thing that may happen to history: a giver who is forgotten has said nothing.
CREATE TRIGGER event_update BEFORE UPDATE ON event
    WHEN (NEW.room, NEW.seq, NEW.command, NEW.kind, NEW.coins, NEW.total_coins)
      IS NOT (OLD.room, OLD.seq, OLD.command, OLD.kind, OLD.coins, OLD.total_coins)
      OR NEW.body IS NOT json_remove(
           CASE WHEN OLD.body -> '$.from.name' IS NULL THEN OLD.body
                ELSE json_set(OLD.body, '$.from.name', '') END, '$.message')
    BEGIN SELECT RAISE(ABORT, 'history is never changed'); END;
CREATE TRIGGER event_delete BEFORE DELETE ON event BEGIN SELECT RAISE(ABORT, 'history is never deleted'); END;
CREATE TRIGGER mark_update BEFORE UPDATE ON mark BEGIN SELECT RAISE(ABORT, 'history is never changed'); END;
CREATE TRIGGER mark_delete BEFORE DELETE ON mark BEGIN SELECT RAISE(ABORT, 'history is never deleted'); END;

-- Sums move with history, but no account, room or user ever disappears or changes hands.
CREATE TRIGGER account_owner BEFORE UPDATE OF id, owner, code ON account BEGIN SELECT RAISE(ABORT, 'an account never changes hands'); END;
CREATE TRIGGER account_delete BEFORE DELETE ON account BEGIN SELECT RAISE(ABORT, 'an account is never deleted'); END;
CREATE TRIGGER account_counters BEFORE UPDATE OF debits, credits ON account
    WHEN NEW.debits < OLD.debits OR NEW.credits < OLD.credits
    BEGIN SELECT RAISE(ABORT, 'an account only counts up'); END;
CREATE TRIGGER room_delete BEFORE DELETE ON room BEGIN SELECT RAISE(ABORT, 'a room is never deleted'); END;
CREATE TRIGGER room_seq BEFORE UPDATE OF seq ON room WHEN NEW.seq < OLD.seq
    BEGIN SELECT RAISE(ABORT, 'a log never gets shorter'); END;
CREATE TRIGGER user_delete BEFORE DELETE ON user BEGIN SELECT RAISE(ABORT, 'a user row is never deleted'); END;
CREATE TRIGGER member_delete BEFORE DELETE ON member BEGIN SELECT RAISE(ABORT, 'a member row is never deleted'); END;
