"""Loggers of libraries that would write what they carry, kept silent at whatever level."""

from __future__ import annotations

import logging
from collections.abc import Collection


def silence(roots: Collection[str]) -> None:
    """None of these loggers, nor any below them, hands on anything from now on.

    Those that exist are disabled, and those that come later end at their root. Called when the libraries have
    been imported.
    """
    for name in roots:
        root = logging.getLogger(name)
        root.handlers = [logging.NullHandler()]
        root.propagate = False
    inside = tuple(name + "." for name in roots)
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and (name in roots or name.startswith(inside)):
            logger.disabled = True
