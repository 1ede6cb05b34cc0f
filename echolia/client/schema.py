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

MIGRATIONS: Final[tuple[str, ...]] = (_FIRST, _PLACES, _BRAKES)
