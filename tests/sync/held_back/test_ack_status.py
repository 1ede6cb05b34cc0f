"""What `tests/sync/test_ack_status.py` shows, of a database that waits for its migration."""

from tests.sync.test_ack_status import *  # noqa: F403
