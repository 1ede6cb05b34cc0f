-- Who has an account here, with which devices; no names, no addresses: see spec/auth.md.
CREATE TABLE accounts (
    account BLOB PRIMARY KEY CHECK (length(account) = 16),
    created_ms INTEGER NOT NULL,
    log_length INTEGER NOT NULL,      -- entries of the device log
    log_head BLOB NOT NULL,           -- hash of the last
    deleting INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- Ids of deleted accounts as hashes: tokens still in flight are refused, and the same genesis stays spent.
CREATE TABLE tombstones (
    hash BLOB PRIMARY KEY,
    deleted_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE device_log (
    account BLOB NOT NULL REFERENCES accounts,
    n INTEGER NOT NULL,
    entry BLOB NOT NULL,              -- exactly as it was signed
    signatures BLOB NOT NULL,         -- deterministic CBOR: {"recovery" or device id in base64url: bytes}
    PRIMARY KEY (account, n)
) STRICT, WITHOUT ROWID;

-- What the device log says, for sign-in: a device belongs to one account.
CREATE TABLE devices (
    device BLOB PRIMARY KEY CHECK (length(device) = 16),
    account BLOB NOT NULL REFERENCES accounts,
    sign BLOB NOT NULL,
    revoked_ms INTEGER                -- null while it may sign in
) STRICT, WITHOUT ROWID;
CREATE INDEX devices_of_account ON devices (account);
CREATE INDEX devices_revoked ON devices (revoked_ms) WHERE revoked_ms IS NOT NULL;

CREATE TABLE key_boxes (
    account BLOB NOT NULL REFERENCES accounts,
    recipient BLOB NOT NULL,          -- device id; empty: recovery
    generation INTEGER NOT NULL,
    box BLOB NOT NULL,
    signature BLOB NOT NULL,
    signer BLOB NOT NULL,
    PRIMARY KEY (account, recipient, generation)
) STRICT, WITHOUT ROWID;

CREATE TABLE challenges (
    challenge BLOB PRIMARY KEY,
    device BLOB NOT NULL,
    expires_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX challenges_by_expiry ON challenges (expires_ms);

CREATE TABLE refresh_tokens (
    hash BLOB PRIMARY KEY,
    family BLOB NOT NULL,             -- all that descend from one sign-in
    account BLOB NOT NULL REFERENCES accounts,
    device BLOB NOT NULL,
    expires_ms INTEGER NOT NULL,
    used_ms INTEGER                   -- kept after its use, so that a second use is recognised
) STRICT, WITHOUT ROWID;
CREATE INDEX refresh_tokens_of_family ON refresh_tokens (family);
CREATE INDEX refresh_tokens_of_account ON refresh_tokens (account, device);
CREATE INDEX refresh_tokens_by_expiry ON refresh_tokens (expires_ms);

CREATE TABLE mailboxes (
    mailbox BLOB PRIMARY KEY,
    account BLOB NOT NULL UNIQUE REFERENCES accounts,
    token_hash BLOB NOT NULL,
    expires_ms INTEGER NOT NULL,
    wrong_tokens INTEGER NOT NULL DEFAULT 0,
    confirmed INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE mailbox_messages (
    mailbox BLOB NOT NULL REFERENCES mailboxes ON DELETE CASCADE,
    side TEXT NOT NULL CHECK (side IN ('owner', 'guest')),
    n INTEGER NOT NULL CHECK (n BETWEEN 0 AND 2),
    message BLOB NOT NULL,
    PRIMARY KEY (mailbox, side, n)
) STRICT, WITHOUT ROWID;
