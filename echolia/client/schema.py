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
# anew should they be cut off. `rebase…` is what was confirmed before the log is read again. `reading…` is
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
CREATE TABLE rebase_confirmed (object BLOB PRIMARY KEY, confirmed BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE rebase_heads (
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
    object BLOB PRIMARY KEY, at_ms INTEGER NOT NULL, shown BLOB NOT NULL, others BLOB
) WITHOUT ROWID;
INSERT INTO meta SELECT 'rebase', 'upgrade' WHERE EXISTS (SELECT 1 FROM runs);
"""

# What objects showed before, until when by this device's clock (`kept_ms`), and what replaced it; with
# `field` and `counter` a value that lost to a write which had not seen it. An object's `session…`: whose
# edits led to what it shows, and when they began. `first`: else a run would pass for an older, forgotten one.
_HISTORY: Final = """
ALTER TABLE runs ADD COLUMN first INTEGER;
ALTER TABLE objects ADD COLUMN session_device BLOB NOT NULL DEFAULT x'';
ALTER TABLE objects ADD COLUMN session_ms INTEGER NOT NULL DEFAULT 0;
CREATE INDEX objects_waiting ON objects (updated_ms) WHERE recovered OR (alive AND conflicts);
CREATE TABLE versions (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    object BLOB NOT NULL,
    at_ms INTEGER,
    device BLOB NOT NULL,
    kept_ms INTEGER NOT NULL,
    replaced_by BLOB NOT NULL,
    view BLOB NOT NULL,
    field TEXT,
    counter INTEGER
);
CREATE INDEX versions_by_object ON versions (object, kept_ms);
CREATE INDEX versions_by_time ON versions (kept_ms);
CREATE UNIQUE INDEX versions_lost ON versions (object, field, device, counter) WHERE field IS NOT NULL;
"""

# How often objects were looked at since that was written down last; and objects that were here and are gone.
_RELATIONS: Final = """
CREATE TABLE accesses (
    object BLOB NOT NULL,
    field TEXT NOT NULL,
    collection TEXT NOT NULL,
    times INTEGER NOT NULL,
    PRIMARY KEY (object, field)
) WITHOUT ROWID;
CREATE TABLE gone (object BLOB PRIMARY KEY) WITHOUT ROWID;
"""
# Where in the verified log each object's first and newest change stand. Of what was here before this table
# was, the end of the log stands for both: nobody is said to hold what they may not hold. `held` is where the
# log was last held whole.
_PLACES: Final = """
CREATE TABLE places (
    object BLOB PRIMARY KEY,
    epoch INTEGER NOT NULL,
    first INTEGER NOT NULL,
    newest INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX places_by_newest ON places (epoch, newest);
INSERT INTO places SELECT objects.id, meta.value, ended.seq, ended.seq
    FROM objects, meta, (SELECT max(seq) AS seq FROM runs) AS ended
    WHERE meta.name = 'epoch' AND ended.seq NOTNULL AND objects.confirmed NOTNULL;
INSERT INTO meta SELECT 'held', meta.value || '.' || ended.seq
    FROM meta, (SELECT max(seq) AS seq FROM runs) AS ended WHERE meta.name = 'epoch' AND ended.seq NOTNULL;
"""

# What objects showed before other devices changed them, and the mass changes that were stopped for it.
_BRAKES: Final = """
CREATE TABLE former (
    n INTEGER PRIMARY KEY,
    object BLOB NOT NULL,
    at_ms INTEGER NOT NULL,
    brake INTEGER,
    devices BLOB NOT NULL,
    deleted INTEGER NOT NULL,
    lost INTEGER NOT NULL,
    fields BLOB NOT NULL
);
CREATE INDEX former_by_object ON former (object);
CREATE INDEX former_by_time ON former (brake, at_ms);
CREATE TABLE brakes (
    n INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    since_ms INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    device_log INTEGER NOT NULL,
    stage TEXT NOT NULL CHECK (stage IN ('waiting', 'accepted', 'rewinding', 'applied')),
    preview BLOB NOT NULL
);
"""

MIGRATIONS: Final[tuple[str, ...]] = (_FIRST, _CHECKPOINTS, _HISTORY, _RELATIONS, _PLACES, _BRAKES)
