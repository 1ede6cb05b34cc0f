"""What `tests/sync/test_after_compaction.py` shows, of a database that waits for its migration."""

from tests.sync.test_after_compaction import *  # noqa: F403
