"""A real PostgreSQL: a private cluster on a free loopback port, and a fresh database for each test."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Self
from uuid import uuid4

import psycopg

from echolia.storage.migrate import load_migrations
from echolia.storage.postgres.connections import Address
from echolia.storage.postgres.directory import open_postgres_directory
from tests.deployment.processes import clean_environment
from tests.support.ports import free_port

INSTALL: Final = "make services (or: apt-get install postgresql)"
# What a crash of this machine would cost is not asked by most tests.
HASTY: Final = {"fsync": "off", "full_page_writes": "off"}
ROLE: Final = "echolia"


class Postgres:
    """A cluster in a folder; its administrator is `echolia`."""

    def __init__(self, find: Callable[[str, str], str], settings: Mapping[str, str] = HASTY) -> None:
        self._programs = Path(find("initdb", INSTALL)).parent
        # Not in pytest's folders, which are for one user alone: as root PostgreSQL refuses to run.
        self._folder = Path(tempfile.mkdtemp(prefix="echolia-postgres-"))
        self._settings = settings
        self._environment = clean_environment(LC_ALL="C.UTF-8")
        self._template = ""
        self.port = free_port()

    def __enter__(self) -> Self:
        """Make the cluster and start it."""
        if os.getuid() == 0:
            account = pwd.getpwnam("postgres")
            os.chown(self._folder, account.pw_uid, account.pw_gid)
        made = ["-A", "trust", "-U", ROLE, "-E", "UTF8", "--no-sync"]
        self._run("initdb", "-D", str(self._folder / "data"), *made)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End it and remove it."""
        try:
            self.stop("immediate")
        finally:
            shutil.rmtree(self._folder)

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = {"listen_addresses": "127.0.0.1", "port": str(self.port), "unix_socket_directories": "''"}
        given = " ".join(f"-c {name}={value}" for name, value in {**options, **self._settings}.items())
        self._control("start", "-l", str(self._folder / "log"), "-o", given)

    def stop(self, how: str = "fast") -> None:
        """End it; `immediate` is a crash."""
        self._control("stop", "-m", how)

    @property
    def log(self) -> str:
        """What it wrote down."""
        return (self._folder / "log").read_text()

    def url(self, database: str = "postgres") -> str:
        """The address of a database."""
        return f"postgresql://{ROLE}@127.0.0.1:{self.port}/{database}"

    def fresh(self, migrated: bool = True) -> str:
        """The address of a new database: an empty directory, or nothing at all."""
        if migrated and not self._template:
            self._template = self._made()
        name = f"d{uuid4().hex}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {self._template if migrated else 'template0'}")
        return self.url(name)

    def drop(self, url: str) -> None:
        """Remove a database, whoever is connected to it."""
        self.execute(f"DROP DATABASE {url.rpartition('/')[2]} (FORCE)")

    def execute(self, sql: str, url: str = "") -> list[tuple[Any, ...]]:
        """Run one statement as the administrator; gives its rows."""
        with psycopg.connect(url or self.url(), autocommit=True) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    def program(self, name: str) -> str:
        """The path of one of its programs."""
        return str(self._programs / name)

    def _made(self) -> str:
        """The name of a database to copy."""
        url = self.fresh(migrated=False)

        async def migrate() -> None:
            await (await open_postgres_directory(Address(url), load_migrations("directory"))).close()

        with ThreadPoolExecutor(1) as thread:  # there may be a loop in this one
            thread.submit(asyncio.run, migrate()).result()
        return url.rpartition("/")[2]

    def _control(self, what: str, *arguments: str) -> None:
        self._run("pg_ctl", "-D", str(self._folder / "data"), "-w", what, *arguments)

    def _run(self, program: str, *arguments: str) -> None:
        command = [self.program(program), *arguments]
        if os.getuid() == 0:
            command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--", *command]
        null = subprocess.DEVNULL  # a pipe would stay open as long as the cluster runs
        subprocess.run(command, env=self._environment, cwd="/", stdin=null, stdout=null, check=True)
