-- Webhooks on their way: which event went where, how often it was tried, when it is tried next. None
-- of this is part of the books: no command is behind it and no replay of the journal makes it. What
-- is sent is not here either but in the journal, which is the outbox.

-- How far each endpoint's events have been entered into `delivery`.
CREATE TABLE endpoint_cursor (
    endpoint  TEXT PRIMARY KEY,
    since     INTEGER NOT NULL,  -- it gets events from this command on
    command   INTEGER NOT NULL CHECK (command >= since - 1)
) STRICT, WITHOUT ROWID;

CREATE TABLE delivery (
    endpoint    TEXT NOT NULL,
    command     INTEGER NOT NULL,
    kind        TEXT NOT NULL,
    lane        TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'exhausted')),
    attempts    INTEGER NOT NULL,  -- in all
    tries       INTEGER NOT NULL,  -- since it became pending: its place in the schedule
    next_ms     INTEGER NOT NULL,  -- not before this moment
    changed_ms  INTEGER NOT NULL,
    head        INTEGER NOT NULL CHECK (head = 0 OR (head = 1 AND state = 'pending')),
    PRIMARY KEY (endpoint, command)
) STRICT, WITHOUT ROWID;
-- Of each lane only the head, its earliest pending event, may be sent; two heads are an error here.
CREATE UNIQUE INDEX delivery_head ON delivery (endpoint, lane) WHERE head = 1;
CREATE INDEX delivery_due ON delivery (endpoint, next_ms) WHERE head = 1;
CREATE INDEX delivery_pending ON delivery (endpoint, lane, command) WHERE state = 'pending';
CREATE INDEX delivery_by_state ON delivery (endpoint, state, command);
CREATE INDEX delivery_over ON delivery (state, changed_ms) WHERE state <> 'pending';

CREATE TABLE attempt (
    id           INTEGER PRIMARY KEY,
    endpoint     TEXT NOT NULL,
    command      INTEGER NOT NULL,
    at_ms        INTEGER NOT NULL,
    status       INTEGER,  -- of the response; NULL when there was none
    error        TEXT,     -- why it failed, for a person
    duration_ms  INTEGER NOT NULL,
    FOREIGN KEY (endpoint, command) REFERENCES delivery (endpoint, command) ON DELETE CASCADE
) STRICT;
CREATE INDEX attempt_by_delivery ON attempt (endpoint, command);
