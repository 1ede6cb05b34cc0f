"""The home database's tables, as numbered migrations (docs/decisions/0007-device-database.md)."""

from __future__ import annotations

from typing import Final

APPLICATION_ID: Final = 0x45_63_68_6F  # "Echo", so that another program's database is not taken for a home

# `confirmed` is the join of all changes in the verified log, clamped; `shown` adds what is still in the
# outbox, and is null where that is nothing. `view` is what people see of it, so that lists open no text.
_FIRST: Final = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE clock (
    one INTEGER PRIMARY KEY CHECK (one = 0),
    wall_ms INTEGER NOT NULL,
    logical INTEGER NOT NULL
);
CREATE TABLE tokens (
    one INTEGER PRIMARY KEY CHECK (one = 0),
    access TEXT NOT NULL,
    refresh TEXT NOT NULL,
    expires_ms INTEGER NOT NULL
);
CREATE TABLE objects (
    n INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    collection TEXT NOT NULL,
    confirmed BLOB,
    shown BLOB,
    view BLOB NOT NULL,
    created,
    updated_ms INTEGER NOT NULL,
    alive INTEGER NOT NULL,
    recovered INTEGER NOT NULL,
    conflicts INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    wrapped BLOB NOT NULL,
    state_bytes INTEGER NOT NULL,
    delta_bytes INTEGER NOT NULL
);
CREATE INDEX objects_by_time ON objects (collection, alive, updated_ms);
CREATE TABLE outbox (
    counter INTEGER PRIMARY KEY,
    object BLOB NOT NULL,
    change BLOB NOT NULL,
    plaintext BLOB NOT NULL,
    chain BLOB NOT NULL,
    wall_ms INTEGER NOT NULL,
    logical INTEGER NOT NULL
);
CREATE INDEX outbox_by_object ON outbox (object);
CREATE TABLE heads (device BLOB PRIMARY KEY, counter INTEGER NOT NULL, chain BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE written (
    device BLOB NOT NULL, counter INTEGER NOT NULL, object BLOB NOT NULL, PRIMARY KEY (device, counter)
) WITHOUT ROWID;
CREATE TABLE rebuilding (object BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE runs (
    seq INTEGER PRIMARY KEY,
    log BLOB NOT NULL,
    device BLOB NOT NULL,
    last INTEGER NOT NULL,
    received_ms INTEGER NOT NULL
);
CREATE INDEX runs_by_device ON runs (device, last);
CREATE TABLE device_log (n INTEGER PRIMARY KEY, entry BLOB NOT NULL, signatures BLOB NOT NULL);
CREATE TABLE quarantine (
    device BLOB NOT NULL,
    counter INTEGER NOT NULL,
    object BLOB NOT NULL,
    code TEXT NOT NULL,
    change BLOB NOT NULL,
    received_ms INTEGER NOT NULL,
    PRIMARY KEY (device, counter)
) WITHOUT ROWID;
CREATE INDEX quarantine_by_object ON quarantine (object);
CREATE TABLE evidence (
    n INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    code TEXT NOT NULL,
    detail TEXT NOT NULL,
    answer BLOB NOT NULL
);
CREATE TABLE acks (device BLOB PRIMARY KEY, epoch INTEGER NOT NULL, seq INTEGER NOT NULL) WITHOUT ROWID;
CREATE VIRTUAL TABLE search USING fts5 (
    title, body, content = '', tokenize = 'unicode61 remove_diacritics 2'
);
"""

# `changes` are the live ones (spec/checkpoints.md): what a checkpoint commits to, and what has to be made
# anew should they be cut off. `former…` is what was confirmed before the log is read again. `reading…` is
# a checkpoint while it is read: newest first, so what supersedes stands in `reading_states`.
_CHECKPOINTS: Final = """
DROP TABLE written;
DROP TABLE rebuilding;
CREATE TABLE changes (
    device BLOB NOT NULL,
    counter INTEGER NOT NULL,
    object BLOB NOT NULL,
    leaf BLOB NOT NULL,
    PRIMARY KEY (device, counter)
) WITHOUT ROWID;
CREATE INDEX changes_by_object ON changes (object);
CREATE TABLE base (
    one INTEGER PRIMARY KEY CHECK (one = 0),
    seq INTEGER NOT NULL,
    log BLOB NOT NULL,
    received_ms INTEGER NOT NULL
);
CREATE TABLE former (object BLOB PRIMARY KEY, confirmed BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE former_heads (
    device BLOB PRIMARY KEY, counter INTEGER NOT NULL, chain BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE reading (
    one INTEGER PRIMARY KEY CHECK (one = 0),
    checkpoint BLOB NOT NULL,
    before INTEGER
);
CREATE TABLE reading_states (
    object BLOB NOT NULL,
    device BLOB NOT NULL,
    counter INTEGER NOT NULL,
    context BLOB NOT NULL,
    PRIMARY KEY (object, device, counter)
) WITHOUT ROWID;
CREATE TABLE notices (
    n INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    code TEXT NOT NULL,
    told INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE late (
    object BLOB PRIMARY KEY, at_ms INTEGER NOT NULL, shown BLOB NOT NULL, settled INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
INSERT INTO meta SELECT 'rebase', 'upgrade' WHERE EXISTS (SELECT 1 FROM runs);
"""

MIGRATIONS: Final[tuple[str, ...]] = (_FIRST, _CHECKPOINTS)
