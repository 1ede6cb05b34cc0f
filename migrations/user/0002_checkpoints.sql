-- What devices signed of the log, and how much of it was let go since: see spec/checkpoints.md.
CREATE TABLE checkpoints (
    seq INTEGER PRIMARY KEY,          -- log position that it speaks of
    device BLOB NOT NULL,             -- its author
    body BLOB NOT NULL,               -- exactly as it was signed
    signature BLOB NOT NULL,
    revoked BLOB NOT NULL,            -- ids of the devices revoked when it was verified, one after the other
    stored_ms INTEGER NOT NULL        -- server time
) STRICT;
-- The position up to which the log is compacted, or being compacted; its checkpoint says the rest.
CREATE TABLE base (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    seq INTEGER NOT NULL REFERENCES checkpoints,
    compacted_to INTEGER NOT NULL,    -- the runs that end here or before are done
    total_bytes INTEGER NOT NULL,     -- of all frames up to it, as they were taken
    dropped_bytes INTEGER NOT NULL    -- of those that are gone
) STRICT;
-- 1: the frame holds leaves in place of changes, in the form of a partial item. 0 and 1 stand in a row's header,
-- so that they are read without the frame before them.
ALTER TABLE runs ADD COLUMN partial INTEGER NOT NULL DEFAULT 0;
ALTER TABLE acks ADD COLUMN acked_ms INTEGER NOT NULL DEFAULT 0;  -- server time of the newest
