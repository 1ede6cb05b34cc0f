"""What `tests/sync/test_quota.py` shows, of a database that waits for its migration."""

from tests.sync.test_quota import *  # noqa: F403
