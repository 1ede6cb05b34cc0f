"""Where bytes rest: one database file per account, one directory, one owner process; `engine` is the door."""
