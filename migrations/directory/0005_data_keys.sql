-- What an account's snapshots are sealed under: without its row here they are unreadable, wherever copies are.
CREATE TABLE data_keys (
    account BLOB PRIMARY KEY CHECK (length(account) = 16),
    key BLOB NOT NULL CHECK (length(key) = 32)
) STRICT, WITHOUT ROWID;
