-- Tickets that open one live stream each, by their hashes: see spec/sync.md#tickets.
CREATE TABLE live_tickets (
    hash BLOB PRIMARY KEY,
    account BLOB NOT NULL REFERENCES accounts ON DELETE CASCADE,
    device BLOB NOT NULL,
    token_expires_s INTEGER NOT NULL, -- the stream ends when the token would
    token_issued_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX live_tickets_by_expiry ON live_tickets (expires_ms);
CREATE INDEX live_tickets_of_account ON live_tickets (account);

-- What processes that share this directory tell each other, for a minute; AUTOINCREMENT: no id comes twice.
CREATE TABLE live_notices (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sender BLOB NOT NULL,             -- the process, so that it does not hear itself
    account BLOB,                     -- null: notices were lost, compare
    device BLOB,                      -- who ended, where it is one device
    epoch INTEGER,                    -- where the head is, where it moved
    seq INTEGER,
    told_ms INTEGER NOT NULL
) STRICT;
