"""What `tests/sync/test_pull.py` shows, of a database that waits for its migration."""

from tests.sync.test_pull import *  # noqa: F403
