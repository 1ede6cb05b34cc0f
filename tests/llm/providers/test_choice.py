"""Providers are made by name, and an SDK is loaded when one is made that needs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.llm.providers.asks import KINDS

SDKS: Final = {"anthropic": "anthropic", "openai": "openai", "google": "google.genai"}


def run(repository: Path, program: str) -> str:
    """What a fresh Python prints."""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_echo_loads_no_sdk(repository: Path) -> None:
    program = f"""
import sys
from echolia.llm.providers.choice import make
from echolia.llm.providers.endpoint import Endpoint
make("echo", Endpoint())
print([name for name in {[*SDKS.values(), "httpx2"]} if name in sys.modules])
"""
    assert run(repository, program) == "[]\n"


@pytest.mark.parametrize("kind", KINDS)
def test_without_its_sdk_it_is_told_what_to_install(repository: Path, kind: str) -> None:
    program = f"""
import sys
sys.modules["{SDKS[kind]}"] = None
from echolia.core.errors import EcholiaError
from echolia.llm.providers.choice import make
from echolia.llm.providers.endpoint import Endpoint
try:
    make("{kind}", Endpoint())
except EcholiaError as error:
    print(error.code, error.detail)
"""
    assert run(repository, program) == (
        'settings_invalid models\' providers need an extra: pip install "echolia[llm]"\n'
    )
