"""A server in this process and devices on it."""

from tests.client.conftest import world

__all__ = ["world"]
