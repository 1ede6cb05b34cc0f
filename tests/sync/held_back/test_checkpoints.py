"""What `tests/sync/test_checkpoints.py` shows, of a database that waits for its migration."""

from tests.sync.test_checkpoints import *  # noqa: F403
