-- Overlay links and revoked tokens (rules/tokens.py). Ids of tokens only: nobody can use these.
CREATE TABLE link (
    id          TEXT PRIMARY KEY,  -- the room
    token_id    TEXT NOT NULL,
    expires_ms  INTEGER NOT NULL,
    issued_ms   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE revocation (
    id          TEXT PRIMARY KEY,  -- the token's
    expires_ms  INTEGER NOT NULL CHECK (expires_ms >= 0),  -- 0: nobody knows
    reason      TEXT NOT NULL,
    at_ms       INTEGER NOT NULL,
    command     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- Nodes ask for what is newer than what they know.
CREATE INDEX revocation_by_command ON revocation (command);

CREATE TRIGGER link_delete BEFORE DELETE ON link BEGIN SELECT RAISE(ABORT, 'a link is never deleted'); END;
CREATE TRIGGER revocation_delete BEFORE DELETE ON revocation BEGIN SELECT RAISE(ABORT, 'what is revoked stays revoked'); END;
CREATE TRIGGER revocation_command BEFORE UPDATE OF command ON revocation WHEN NEW.command <= OLD.command
    BEGIN SELECT RAISE(ABORT, 'a revocation is only changed by a later one'); END;
