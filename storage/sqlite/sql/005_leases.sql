-- What only one node at a time may do (storage/leases.py). Not part of the books, like the deliveries.
CREATE TABLE lease (
    name    TEXT PRIMARY KEY,
    holder  TEXT NOT NULL,  -- empty: nobody
    term    INTEGER NOT NULL CHECK (term > 0),
    beat    INTEGER NOT NULL CHECK (beat >= 0)
) STRICT, WITHOUT ROWID;
-- An older term could otherwise be taken for the one that is running.
CREATE TRIGGER lease_term BEFORE UPDATE OF term ON lease WHEN NEW.term < OLD.term
    BEGIN SELECT RAISE(ABORT, 'terms only grow'); END;
CREATE TRIGGER lease_delete BEFORE DELETE ON lease BEGIN SELECT RAISE(ABORT, 'a lease is never deleted'); END;
