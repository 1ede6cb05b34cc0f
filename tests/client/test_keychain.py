"""The machine's keychain: only one that the system guards, and what goes wrong with it has one code."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from keyring.backend import KeyringBackend
from keyring.backends import chainer, fail, null

from echolia.client import EcholiaError
from echolia.client.keychain import KeyringKeychain, real, system_keychain
from tests.support.command_line import server_process
from tests.support.keychains import InMemory, Plaintext

# What a device does with a keychain of its own, in a session of its own.
REAL_ONE = """
from echolia.client.keychain import system_keychain
keychain = system_keychain()
assert keychain is not None, "no keychain was found"
print(type(keychain._backend).__module__, keychain.asks_nothing())
keychain.put("0" * 32, bytes(range(32)))
assert system_keychain().get("0" * 32) == bytes(range(32))
try:
    keychain.get("1" * 32)
except Exception as error:
    print(error.code)
"""


class Chain(InMemory):
    """Several backends behind one, as keyring's chainer is."""

    def __init__(self, *backends: InMemory) -> None:
        super().__init__()
        self.backends = list(backends)


def test_what_is_put_comes_back() -> None:
    backend = InMemory()
    keychain = KeyringKeychain(backend)
    keychain.put("name", bytes(range(32)))
    assert keychain.get("name") == bytes(range(32))
    assert not keychain.asks_nothing()  # of a backend that nobody knows


def test_those_that_guard_nothing_are_none() -> None:
    nothing: tuple[type[KeyringBackend], ...] = (null.Keyring, fail.Keyring, Plaintext, Chain)
    for backend in (*(each() for each in nothing), Chain(Plaintext())):
        assert real(backend) is None
    assert system_keychain() is None  # as the tests' surroundings have it


def test_the_first_real_one_of_a_chain() -> None:
    backend = InMemory()
    assert real(backend) is backend
    assert real(Chain(Plaintext(), backend, InMemory())) is backend
    assert hasattr(chainer.ChainerBackend, "backends")


def test_what_fails_has_one_code() -> None:
    backend = InMemory()
    keychain = KeyringKeychain(backend)
    with pytest.raises(EcholiaError, match="keychain_unavailable"):
        keychain.get("absent")
    backend.kept["echolia", "garbled"] = "?"
    with pytest.raises(EcholiaError, match="keychain_unavailable"):
        keychain.get("garbled")
    backend.forgets = True
    with pytest.raises(EcholiaError, match="keychain_unavailable"):
        keychain.put("name", b"secret")
    backend.locked = True
    with pytest.raises(EcholiaError, match="keychain_unavailable") as error:
        keychain.get("name")
    assert error.value.__suppress_context__ and "secret words" not in str(error.value)


def in_session(script: str, *words: str, folder: Path, dbus: str) -> subprocess.CompletedProcess[str]:
    """A shell script in a D-Bus session and a home of its own."""
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "LANG"}}
    folder.mkdir(mode=0o700, exist_ok=True)
    around = {
        **kept,
        "HOME": str(folder),
        "XDG_RUNTIME_DIR": str(folder),
        "XDG_DATA_HOME": str(folder / "data"),
    }
    command = [dbus, "--", "sh", "-c", script, "sh", sys.executable, *words]
    return subprocess.run(command, capture_output=True, text=True, env=around, timeout=60, check=False)


@pytest.mark.service
def test_the_real_one_of_a_desktop(service_binary: Callable[[str, str], str], tmp_path: Path) -> None:
    dbus = service_binary("dbus-run-session", "apt-get install dbus-daemon")
    daemon = service_binary("gnome-keyring-daemon", "make services (or: apt-get install gnome-keyring)")
    unlocked = f'echo | {daemon} --unlock --components=secrets >/dev/null 2>&1; exec "$1" -c "$2"'
    done = in_session(unlocked, REAL_ONE, folder=tmp_path / "home", dbus=dbus)
    assert done.stdout.split() == ["keyring.backends.SecretService", "True", "keychain_unavailable"], (
        done.stderr
    )


@pytest.mark.service
def test_a_home_by_the_real_one(service_binary: Callable[[str, str], str], tmp_path: Path) -> None:
    """Commands, one after the other, in one session; then in another one, which has not that keychain."""
    dbus = service_binary("dbus-run-session", "apt-get install dbus-daemon")
    daemon = service_binary("gnome-keyring-daemon", "make services (or: apt-get install gnome-keyring)")
    init = '"$1" -m echolia init --server "$2" --home "$3" --quiet >/dev/null'
    status = '"$1" -m echolia status --home "$3" --json'
    unlocked = f"echo | {daemon} --unlock --components=secrets >/dev/null 2>&1; {init} && {status}"
    with server_process(tmp_path / "server") as address:
        words = (address, str(tmp_path / "laptop"))
        done = in_session(unlocked, *words, folder=tmp_path / "home", dbus=dbus)
        assert '"secrets": "keychain"' in done.stdout, done.stderr
        elsewhere = in_session(status, *words, folder=tmp_path / "other", dbus=dbus)
        assert '"code": "keychain_unavailable"' in elsewhere.stderr
        none = in_session(
            f"{init}; {status}", address, str(tmp_path / "headless"), folder=tmp_path / "other", dbus=dbus
        )
        assert '"secrets": "file"' in none.stdout, none.stderr
