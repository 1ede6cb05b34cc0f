"""A real PostgreSQL: a private cluster on a free loopback port, and a fresh database for each test."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final
from uuid import uuid4

import psycopg

from tests.deployment.processes import clean_environment, free_port, wait_until

INSTALL: Final = "make services (or: apt-get install postgresql)"
FOLDERS: Final = "/usr/lib/postgresql"
# What a crash of this machine would cost is not asked by most tests.
HASTY: Final = {"fsync": "off", "full_page_writes": "off"}
ROLE: Final = "echolia"


class Postgres:
    """A cluster in a folder, its role `echolia` with databases of its own."""

    def __init__(self, find: Callable[[str, str], str], folder: Path, settings: Mapping[str, str] = HASTY) -> None:
        self._programs = Path(find("initdb", INSTALL)).parent
        self._folder = folder
        self._settings = settings
        self._environment = clean_environment(LC_ALL="C.UTF-8")
        self.port = free_port()

    def make(self) -> None:
        """Make the cluster."""
        self._folder.mkdir()
        if os.getuid() == 0:  # it refuses to run as root
            account = pwd.getpwnam("postgres")
            os.chown(self._folder, account.pw_uid, account.pw_gid)
            for parent in self._folder.parents:  # pytest's are the user's alone
                if parent.stat().st_uid == 0 and not parent.stat().st_mode & 0o001:
                    parent.chmod(parent.stat().st_mode | 0o001)
        self._run("initdb", "-D", str(self._data), "-A", "trust", "-U", ROLE, "-E", "UTF8", "--no-sync", "--no-instructions")

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = {"listen_addresses": "127.0.0.1", "port": str(self.port), "unix_socket_directories": "", **self._settings}
        given = " ".join(f"-c {name}={value or chr(39) * 2}" for name, value in options.items())
        self._run("pg_ctl", "-D", str(self._data), "-l", str(self._folder / "log"), "-o", given, "-w", "start")

    def stop(self, how: str = "fast") -> None:
        """End it; `immediate` is a crash."""
        self._run("pg_ctl", "-D", str(self._data), "-m", how, "-w", "stop")

    @property
    def log(self) -> str:
        """What it wrote down."""
        return (self._folder / "log").read_text()

    def url(self, database: str) -> str:
        """The address of a database."""
        return f"postgresql://{ROLE}@127.0.0.1:{self.port}/{database}"

    def fresh(self, template: str = "template0") -> str:
        """The address of a new database."""
        name = f"d{uuid4().hex}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        if os.getuid() == 0:
            command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--", *command]
        done = subprocess.run(
            command, env=self._environment, cwd="/", stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if program == "initdb" else subprocess.DEVNULL,
            stderr=subprocess.STDOUT if program == "initdb" else subprocess.DEVNULL,
        )
        assert done.returncode == 0, (program, done.stdout)
