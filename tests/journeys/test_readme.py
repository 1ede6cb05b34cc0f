"""The README's program runs as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.support.command_line import result, server_process

pytestmark = pytest.mark.slow

README = Path(__file__).parents[2] / "README.md"


def program() -> str:
    """The Python block, its top-level `async with` put into a function."""
    found = re.search(r"^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    before, begin, rest = found.group(1).partition("async with")
    inner = textwrap.indent(begin + rest, "    ")
    return f"import asyncio\n{before}\nasync def main():\n{inner}\nasyncio.run(main())\n"


def test_the_program_in_the_readme_does_what_it_says(tmp_path: Path) -> None:
    with server_process(tmp_path / "server") as address:
        result("init", "--server", address, home=tmp_path / "laptop")
        done = subprocess.run(
            [sys.executable, "-c", program()], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "phase='push'" in done.stdout
        assert "['here']\n1 memories come from it\n" in done.stdout
        assert done.stdout.endswith("You wrote: How was my week?")
    [listed] = result("list", home=tmp_path / "laptop")["records"]
    assert listed["title"] == "Monday, late"
