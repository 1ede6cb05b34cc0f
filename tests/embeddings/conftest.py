"""What the embeddings room's tests ask for: a server, its clock, a registered account."""

from tests.support.server_fixtures import anna, ask, clock

__all__ = ["anna", "ask", "clock"]
