"""The real programs: a server as a process, `echolia` commands as processes, and one at a terminal."""

from __future__ import annotations

import codecs
import contextlib
import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from echolia.__main__ import cli
from tests.support.surroundings import without_settings

WAIT_S = 60.0
ECHOLIA = (sys.executable, "-m", "echolia")


def environment(**more: str) -> dict[str, str]:
    """The variables of a command: this machine's, without anybody's Echolia settings or editor."""
    kept = {name: value for name, value in without_settings().items() if name not in {"EDITOR", "VISUAL"}}
    return {**kept, "PYTHONWARNINGS": "error", "TERM": "xterm", **more}


@contextlib.contextmanager
def server_process(data: Path, **settings: str) -> Iterator[str]:
    """`echolia serve` on a free port, ended in the end; gives its address. Settings by name, lower case."""
    raised = {
        "register_per_minute": "100000",
        "register_free_per_minute": "100000",
        "new_device_hours": "0",
        **settings,
    }
    process = subprocess.Popen(
        [*ECHOLIA, "serve", "--port", "0", "--data", str(data), "--log-level", "error"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(**{f"ECHOLIA_{name.upper()}": value for name, value in raised.items()}),
    )
    assert process.stdout is not None
    try:
        found = re.search(r"http://\S+:\d+", process.stdout.readline())
        assert found is not None, "the server did not say where it listens"
        yield found.group().rstrip(",")
    finally:
        process.terminate()
        process.communicate(timeout=WAIT_S)


def echolia(
    *words: str, home: Path | None = None, stdin: str | bytes = b"", **more: str
) -> subprocess.CompletedProcess[bytes]:
    """Run one command to its end, its standard input not a terminal."""
    where = {} if home is None else {"ECHOLIA_HOME": str(home)}
    sent = stdin.encode() if isinstance(stdin, str) else stdin
    return subprocess.run(
        [*ECHOLIA, *words],
        input=sent,
        capture_output=True,
        env=environment(**where, **more),
        timeout=WAIT_S,
        check=False,
    )


def in_process(*words: str, home: Path, stdin: str | bytes = b"", **more: str) -> Result:
    """Run one command in this process, which is quicker; not in a test that is a coroutine."""
    runner = CliRunner(env={"ECHOLIA_HOME": str(home), **more})
    return runner.invoke(cli, list(words), input=stdin, prog_name="echolia")


def result(*words: str, home: Path, stdin: str | bytes = b"") -> dict[str, Any]:
    """What a command that must not fail gives as JSON; it runs in this process."""
    done = in_process(*words, "--json", home=home, stdin=stdin)
    assert done.exit_code == 0, done.stderr
    loaded = json.loads(done.stdout)
    assert isinstance(loaded, dict)
    return loaded


def started(*words: str, home: Path, **more: str) -> subprocess.Popen[str]:
    """A command that goes on while the test does something else."""
    return subprocess.Popen(
        [*ECHOLIA, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(ECHOLIA_HOME=str(home), PYTHONUNBUFFERED="1", **more),
    )


def next_step(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The next line of JSON that a started command prints."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        _, errors = process.communicate(timeout=WAIT_S)
        raise AssertionError(f"it ended with {process.returncode}: {errors}")
    loaded = json.loads(line)
    assert isinstance(loaded, dict)
    return loaded


def finished(process: subprocess.Popen[str]) -> tuple[int, str]:
    """How a started command ended: its exit code and what it said on standard error."""
    _, errors = process.communicate(timeout=WAIT_S)
    return process.returncode, errors


def paired(owner: Path, guest: Path) -> None:
    """Make `guest` the home of another device of the account of `owner`."""
    pair = started("pair", "--json", home=owner)
    join = started("join", next_step(pair)["code"], "--json", home=guest)
    digits = next_step(join)["digits"]
    assert next_step(pair)["step"] == "guest"
    assert pair.stdin is not None
    pair.stdin.write(f"{digits}\n")
    pair.stdin.flush()
    assert next_step(join)["step"] == "joined"
    assert next_step(pair)["step"] == "added"
    assert finished(join)[0] == finished(pair)[0] == 0


# Takes the terminal on its standard input for its own, so that Ctrl-C reaches it, and becomes the command.
_AT_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


class Terminal:
    """A command at a terminal of its own: what it shows can be waited for, what a person types be sent."""

    def __init__(self, *words: str, home: Path, **more: str) -> None:
        self.shown = ""
        # What is read may end in the middle of a character.
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._descriptor, inner = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _AT_TERMINAL, *ECHOLIA, *words],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            env=environment(ECHOLIA_HOME=str(home), **more),
            start_new_session=True,
        )
        os.close(inner)

    def wait_for(self, text: str) -> str:
        """Read until the text has been shown; gives all that was shown so far."""
        while text not in self.shown:
            if not self.read():
                raise AssertionError(f"it ended without showing {text!r}: {self.shown}")
        return self.shown

    def type(self, keys: str) -> None:
        """Send keys; Ctrl-C is `\\x03`."""
        os.write(self._descriptor, keys.encode())

    def interrupt(self) -> int:
        """Press Ctrl-C until the command ends; gives the exit code.

        Once is not always enough: a signal that comes just before a read from the terminal does not end it.
        """
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                self.type("\x03")
            while select.select([self._descriptor], [], [], 0.2)[0]:
                if not self.read():
                    return self.end()
        return self.end()

    def end(self) -> int:
        """Wait for the end; gives the exit code."""
        while self.read():
            pass
        code = self._process.wait(WAIT_S)
        os.close(self._descriptor)
        return code

    def read(self) -> bool:
        """Wait for more to be shown; False at its end."""
        ready, _, _ = select.select([self._descriptor], [], [], WAIT_S)
        if not ready:
            self._process.kill()
            raise AssertionError(f"it stopped telling anything: {self.shown}")
        try:
            chunk = os.read(self._descriptor, 65536)
        except OSError:  # Linux says EIO where the other end has closed
            return False
        self.shown += self._decoder.decode(chunk)
        return bool(chunk)


def wait_until_locked(home: Path) -> None:
    """Wait until some command holds the home."""
    import fcntl  # noqa: PLC0415

    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        with (home / "lock").open("rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return
        select.select([], [], [], 0.02)
    raise AssertionError("nobody took the home")
