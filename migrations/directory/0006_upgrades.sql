-- How far the migration of the accounts' databases is: see docs/operations.md#upgrade. Nothing of an account.
CREATE TABLE migration_sweep (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    version INTEGER NOT NULL,         -- that they are migrated to
    paused TEXT,                      -- 'operator', 'canary'; null: it goes on
    size INTEGER NOT NULL,            -- of the canary, in databases
    tried INTEGER NOT NULL,
    failed INTEGER NOT NULL           -- of those tried
) STRICT;

-- The list of those left alone is short and read whole; the others are found by their version.
CREATE INDEX databases_quarantined ON databases (account) WHERE failed IS NOT NULL;
