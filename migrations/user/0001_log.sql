-- One account's log, as the device runs that arrived: see spec/sync.md#log.
CREATE TABLE account (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    account BLOB NOT NULL CHECK (length(account) = 16),
    epoch INTEGER NOT NULL
) STRICT;
CREATE TABLE runs (
    seq INTEGER PRIMARY KEY,          -- log position of the run's first change
    changes INTEGER NOT NULL,         -- how many positions it takes
    device BLOB NOT NULL,
    last INTEGER NOT NULL,            -- counter of its last change
    chain BLOB NOT NULL,              -- the device's chain hash after it
    received_ms INTEGER NOT NULL,     -- server time, strictly increasing
    log BLOB NOT NULL,                -- the log's chain hash after it
    total_bytes INTEGER NOT NULL,     -- of all frames up to this one
    frame BLOB NOT NULL,              -- the run exactly as it was pushed
    UNIQUE (device, last)
) STRICT;
CREATE TABLE acks (
    device BLOB PRIMARY KEY,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    body BLOB NOT NULL,               -- the signed bytes
    signature BLOB NOT NULL
) STRICT, WITHOUT ROWID;
