"""The names that `echolia.client` promises are there, and asking for one loads no more than it needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import echolia.client


@pytest.mark.parametrize("name", echolia.client.__all__)
def test_every_promised_name_is_there(name: str) -> None:
    assert getattr(echolia.client, name) is not None


def test_no_other_name_is() -> None:
    with pytest.raises(AttributeError):
        _ = echolia.client.Nonsense  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("asked", "heavy"),
    [
        ("import echolia.client", ("sqlite3", "loro", "nacl", "asyncio")),
        ("from echolia.client import Device", ("aiohttp",)),
    ],
)
def test_what_is_not_needed_is_not_loaded(asked: str, heavy: tuple[str, ...]) -> None:
    program = f"import sys\n{asked}\nprint(*[name for name in {heavy!r} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []
