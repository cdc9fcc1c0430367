-- How many purchases a user has waiting is counted within the transaction that starts another one.
CREATE INDEX purchase_waiting ON purchase (user) WHERE status = 'pending';
