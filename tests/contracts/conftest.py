"""A real sqld for the contracts of what keeps databases there."""

from tests.support.sqld_fixtures import sqld

__all__ = ["sqld"]
