-- What models took, by account and day: counts and cost, never a word.
CREATE TABLE llm_usage (
    account BLOB NOT NULL REFERENCES accounts ON DELETE CASCADE,
    day INTEGER NOT NULL,             -- days since 1970, UTC
    model TEXT NOT NULL,
    status TEXT NOT NULL,             -- 'ok', or the code of what went wrong
    prices TEXT NOT NULL,             -- the table that the cost is by
    requests INTEGER NOT NULL,
    input INTEGER NOT NULL,           -- tokens, likewise below; cached and written are parts of it
    cached INTEGER NOT NULL,
    written INTEGER NOT NULL,
    output INTEGER NOT NULL,          -- reasoning is a part of it
    reasoning INTEGER NOT NULL,
    micro_usd INTEGER NOT NULL,
    PRIMARY KEY (account, day, model, status, prices)
) STRICT, WITHOUT ROWID;

-- What running requests may come to at most, so that many at once cannot take more than there is.
CREATE TABLE llm_leases (
    lease BLOB PRIMARY KEY,
    account BLOB NOT NULL REFERENCES accounts ON DELETE CASCADE,
    model TEXT NOT NULL,
    prices TEXT NOT NULL,
    expires_ms INTEGER NOT NULL,
    tokens INTEGER NOT NULL,
    micro_usd INTEGER NOT NULL,
    least_input INTEGER NOT NULL,     -- what is charged where nobody settles
    least_micro_usd INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX llm_leases_of_account ON llm_leases (account);
CREATE INDEX llm_leases_by_expiry ON llm_leases (expires_ms);
