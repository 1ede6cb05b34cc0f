"""The fixtures of a whole server in this process, for live's own endpoints."""

from tests.support.server_fixtures import anna, ask, clock

__all__ = ["anna", "ask", "clock"]
