-- What the recovery phrase signs in as: the id and key that its device log names now.
CREATE TABLE recoveries (
    recovery BLOB PRIMARY KEY CHECK (length(recovery) = 16),
    account BLOB NOT NULL UNIQUE REFERENCES accounts ON DELETE CASCADE,
    sign BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- A new device may not add or revoke others for a while; those from before this was counted may.
ALTER TABLE devices ADD COLUMN added_ms INTEGER NOT NULL DEFAULT 0;
