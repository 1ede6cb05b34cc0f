"""What `tests/sync/test_push.py` shows, of a database that waits for its migration."""

from tests.sync.test_push import *  # noqa: F403
