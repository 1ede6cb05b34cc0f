"""A real sqld for the drivers of databases elsewhere."""

from tests.support.sqld_fixtures import sqld

__all__ = ["sqld"]
