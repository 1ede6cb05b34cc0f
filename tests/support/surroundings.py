"""What tests have of their machine: its environment without anybody's settings, and what may be absent."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def without_settings(**more: str) -> dict[str, str]:
    """This machine's variables without any of Echolia's settings but the given ones.

    No server loads a model unless one is asked for.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ECHOLIA_")}
    return {**kept, "ECHOLIA_EMBEDDINGS": "deterministic", **more}


def absent(name: str, install: str) -> NoReturn:
    """Skip a test whose real thing is not installed; fail it in continuous integration."""
    message = f"{name} is not installed; install it by: {install}"
    if os.environ.get("ECHOLIA_REQUIRE_SERVICES") == "1":
        pytest.fail(message)
    pytest.skip(message)
