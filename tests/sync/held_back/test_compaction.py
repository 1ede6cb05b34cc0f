"""What `tests/sync/test_compaction.py` shows, of a database that waits for its migration."""

from tests.sync.test_compaction import *  # noqa: F403
