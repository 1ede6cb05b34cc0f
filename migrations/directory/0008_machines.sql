-- What machines that serve the same accounts have to have alike: by name, the hash of a secret or of a setting.
CREATE TABLE agreed (
    name TEXT PRIMARY KEY,
    print BLOB NOT NULL
) STRICT, WITHOUT ROWID;
