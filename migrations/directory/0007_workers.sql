-- Which server process owns which accounts: those of a slot, which the first byte of the account's id names.
CREATE TABLE workers (
    worker BLOB PRIMARY KEY,          -- random, anew for each process
    host BLOB NOT NULL,               -- the data folder that it shares with others
    address TEXT NOT NULL,            -- where other hosts reach it; empty: nowhere
    beat_ms INTEGER NOT NULL          -- when it last said that it lives
) STRICT, WITHOUT ROWID;
CREATE TABLE slots (
    slot INTEGER PRIMARY KEY,
    owner BLOB,                       -- a worker, alive or not; null: nobody
    fence INTEGER NOT NULL            -- greater for each owner
) STRICT;

-- Looked for each minute.
CREATE INDEX databases_leaving ON databases (leaving) WHERE leaving IS NOT NULL;
