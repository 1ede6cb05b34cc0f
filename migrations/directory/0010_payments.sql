-- Purchases in app stores. Look-ups are HMACs under a key that is not here; what is sealed is, too.

-- What an account has for its purchases, as projected at a revision of its facts.
CREATE TABLE entitlements (
    account BLOB PRIMARY KEY REFERENCES accounts ON DELETE CASCADE,
    revision INTEGER NOT NULL,        -- grows with each change of the account's facts
    projected INTEGER NOT NULL,       -- the revision that the tier is of; 0: none yet
    rules TEXT NOT NULL,              -- the settings that it is by, as a hash
    tier TEXT NOT NULL,
    until_ms INTEGER NOT NULL         -- from then on time has changed it
) STRICT, WITHOUT ROWID;
CREATE INDEX entitlements_by_tier ON entitlements (tier);

-- By which random UUID a store says whose a purchase is.
CREATE TABLE store_accounts (
    token BLOB PRIMARY KEY,           -- look-up of store and UUID
    account BLOB NOT NULL REFERENCES accounts ON DELETE CASCADE,
    store TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX store_accounts_of_account ON store_accounts (account);

CREATE TABLE purchases (
    purchase BLOB PRIMARY KEY,        -- look-up of store, environment and the store's id
    store TEXT NOT NULL,
    environment TEXT NOT NULL,
    account BLOB REFERENCES accounts ON DELETE CASCADE,  -- whose it is; NULL: nobody's yet
    sealed BLOB NOT NULL,             -- the store's id
    predecessor BLOB,                 -- look-up of the purchase that it replaced
    ends_ms INTEGER NOT NULL,         -- the latest date in its facts
    learnt_ms INTEGER NOT NULL        -- when its facts changed last
) STRICT, WITHOUT ROWID;
CREATE INDEX purchases_of_account ON purchases (account);
CREATE INDEX purchases_by_end ON purchases (ends_ms);

CREATE TABLE purchase_facts (
    fact BLOB PRIMARY KEY,            -- look-up of store and key
    purchase BLOB NOT NULL REFERENCES purchases ON DELETE CASCADE,
    said_ms INTEGER NOT NULL,
    digest BLOB NOT NULL,             -- keyed; decides between two of one millisecond
    linked BLOB,                      -- look-up of the purchase that this says was replaced
    unacknowledged INTEGER NOT NULL,  -- 1: the store is still to be told that it was delivered
    sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX purchase_facts_of_purchase ON purchase_facts (purchase);
CREATE INDEX purchase_facts_by_link ON purchase_facts (linked);
CREATE INDEX purchase_facts_unacknowledged ON purchase_facts (said_ms) WHERE unacknowledged = 1;

-- Notifications, so that each counts once and can be applied again.
CREATE TABLE payment_inbox (
    notification BLOB PRIMARY KEY,    -- look-up of store and the store's id of it
    claim BLOB NOT NULL,              -- random: which delivery wrote it
    store TEXT NOT NULL,
    environment TEXT NOT NULL,
    kind TEXT NOT NULL,
    readable INTEGER NOT NULL,        -- 0: a dead letter
    signed_ms INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    sealed BLOB NOT NULL              -- its facts, and what is to be fetched
) STRICT, WITHOUT ROWID;
CREATE INDEX payment_inbox_by_arrival ON payment_inbox (received_ms);

-- Purchases that moved from one account to another.
CREATE TABLE purchase_transfers (
    transfer BLOB PRIMARY KEY,        -- random
    purchase BLOB NOT NULL,
    store TEXT NOT NULL,
    from_account BLOB REFERENCES accounts ON DELETE SET NULL,
    at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX purchase_transfers_of_purchase ON purchase_transfers (purchase, at_ms);
CREATE INDEX purchase_transfers_from ON purchase_transfers (from_account, at_ms);

-- Proofs that restored something: none does so twice.
CREATE TABLE restore_proofs (
    proof BLOB PRIMARY KEY,           -- hash of the challenge
    account BLOB NOT NULL REFERENCES accounts ON DELETE CASCADE,
    used_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX restore_proofs_of_account ON restore_proofs (account);
CREATE INDEX restore_proofs_by_age ON restore_proofs (used_ms);

-- Work that has to be done some time, at least once.
CREATE TABLE jobs (
    job INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    subject BLOB NOT NULL,            -- what it is about, as its kind says; one job for each
    due_ms INTEGER NOT NULL,
    wanted INTEGER NOT NULL,          -- grows each time it is asked for
    attempts INTEGER NOT NULL,        -- since it last succeeded
    lease_ms INTEGER NOT NULL,        -- nobody else takes it until then
    fence BLOB,                       -- random: who has it
    dead INTEGER NOT NULL,            -- 1: given up, until somebody asks again
    code TEXT NOT NULL,               -- why it failed last
    UNIQUE (kind, subject)
) STRICT;
CREATE INDEX jobs_due ON jobs (dead, due_ms);
