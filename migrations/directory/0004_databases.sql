-- Where each account's own database lives, and how it stands there.
CREATE TABLE databases (
    account BLOB PRIMARY KEY CHECK (length(account) = 16),
    home TEXT NOT NULL,               -- name of the place
    moving_to TEXT,                   -- the place that it is being copied to
    leaving TEXT,                     -- the place that it was moved away from and is still to be removed from
    version INTEGER NOT NULL DEFAULT 0, -- of its last migration, as far as is known
    failed TEXT,                      -- code of the error by which its migration failed: it is left alone
    blocked INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX databases_by_version ON databases (version);

-- Until now all of them were files.
INSERT INTO databases (account, home) SELECT account, 'files' FROM accounts;
