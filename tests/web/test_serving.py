"""The server as a process: what it says, what it leaves, how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest

from echolia.core.ids import b64
from tests.support.accounts import Account

START = "from echolia.settings import Settings; from echolia.serving import serve; serve(Settings())"
WAIT_S = 30.0
URL = re.compile(r"http://127\.0\.0\.1:\d+")
IDLE_KIB = 90 * 1024


class Server:
    """A server process and what it wrote."""

    def __init__(self, data: Path, **variables: str) -> None:
        settings = {"ECHOLIA_DATA": str(data), "ECHOLIA_PORT": "0", **variables}
        self.log = data.parent / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", START],
                env={**os.environ, **settings},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        self.said = self.process.stdout.readline() + self.process.stdout.readline()
        found = URL.search(self.said)
        self.url = found[0] if found else ""

    def get(self, path: str, body: bytes | None = None, token: str = "") -> bytes:
        """What the server answers."""
        headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
        request = urllib.request.Request(self.url + path, body, headers)
        with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
            told: bytes = answer.read()
            return told

    def listen(self, token: str, heard: Event) -> bytes:
        """What a stream of live notices brings until its end; `heard` once its first line is here."""
        headers = {"authorization": f"Bearer {token}"}
        request = urllib.request.Request(f"{self.url}/sync/live", headers=headers)
        with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
            first: bytes = answer.readline()
            heard.set()
            return first + bytes(answer.read())

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signal it and wait; returns its exit code."""
        self.process.send_signal(number)
        code = self.process.wait(WAIT_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@contextmanager
def running(data: Path, **variables: str) -> Iterator[Server]:
    """A server until the block ends."""
    server = Server(data, **variables)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.end()


def refused(data: Path, **variables: str) -> tuple[int, str]:
    """The exit code and the words of a server that cannot start."""
    settings = {"ECHOLIA_DATA": str(data), "ECHOLIA_PORT": "0", **variables}
    done = subprocess.run(
        [sys.executable, "-c", START],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT_S,
    )
    return done.returncode, "".join(line for line in done.stderr.splitlines(True) if not line.startswith("{"))


def test_it_says_where_it_is_and_what_to_do_next(tmp_path: Path) -> None:
    with running(tmp_path / "data") as server:
        assert f"echolia init --server {server.url} --home ./laptop" in server.said
        assert json.loads(server.get("/health"))["status"] == "ok"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(tmp_path: Path, number: signal.Signals) -> None:
    with running(tmp_path / "data") as server:
        server.get("/readyz")
        assert server.end(number) == 0
    # Closed in order, the databases have no write-ahead log left.
    assert [path.name for path in (tmp_path / "data").rglob("*-wal")] == []
    events = [json.loads(line)["event"] for line in server.log.read_text().splitlines()]
    assert events[-1] == "server_stopped"
    assert "request" in events
    assert set(events) <= {"swept", "server_started", "request", "server_stopped"}


def test_its_data_is_for_its_user_alone(tmp_path: Path) -> None:
    with running(tmp_path / "data") as server:
        server.get("/healthz")
        data = tmp_path / "data"
        assert stat.S_IMODE(data.stat().st_mode) == 0o700
        modes = {path: stat.S_IMODE(path.stat().st_mode) for path in data.rglob("*")}
        assert {"directory.db", "keys", "lock"} <= {path.name for path in modes}
        assert [path.name for path, mode in modes.items() if mode & 0o077] == []


def test_a_second_server_on_the_same_data_is_told_so(tmp_path: Path) -> None:
    with running(tmp_path / "data"):
        code, words = refused(tmp_path / "data")
    assert (code, words) == (1, "echolia: Another server process owns this data folder. [storage_owned]\n")


def test_a_port_in_use_is_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, words = refused(tmp_path / "data", ECHOLIA_PORT=str(port))
    assert (code, words.count("\n")) == (1, 1)
    assert f"port {port} is in use" in words


def test_a_database_of_a_newer_version_is_one_clear_line(tmp_path: Path) -> None:
    with running(tmp_path / "data"):
        pass
    with sqlite3.connect(tmp_path / "data" / "directory.db") as directory:
        directory.execute("INSERT INTO schema_migrations VALUES (99, 'x', 0)")
    directory.close()
    code, words = refused(tmp_path / "data")
    assert (code, words.count("\n")) == (1, 1)
    assert "newer version" in words


def test_streams_and_waits_end_with_it(tmp_path: Path) -> None:
    """Long before the time that running requests get: neither is a failure."""
    account = Account()
    with running(tmp_path / "data", ECHOLIA_SHUTDOWN_SECONDS="60") as server:
        registration = json.dumps(account.registration()).encode()
        tokens = json.loads(server.get("/auth/register", registration))["tokens"]
        hashed = json.dumps({"token_hash": b64(bytes(32))}).encode()
        mailbox = json.loads(server.get("/auth/pair-device", hashed, tokens["access"]))["mailbox"]
        with ThreadPoolExecutor() as threads:
            target = f"/auth/pair-device/{mailbox}/messages?side=owner&n=0&wait=25"
            streamed = threads.submit(server.listen, tokens["access"], heard := Event())
            waited = threads.submit(server.get, target, None, tokens["access"])
            for gauge in (b"echolia_live_streams 1.0", b"echolia_mailbox_waits 1.0"):
                while gauge not in server.get("/metrics"):
                    assert not (streamed.done() or waited.done())
            assert heard.wait(WAIT_S)
            assert server.end() == 0
            assert streamed.result().startswith(b"event: head")
            assert waited.result() == b""
    assert '"library"' not in server.log.read_text()


def test_a_request_that_hangs_does_not_keep_it_from_ending(tmp_path: Path) -> None:
    with running(tmp_path / "data", ECHOLIA_SHUTDOWN_SECONDS="1") as server:
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), WAIT_S) as connection:
            connection.sendall(b"POST /auth/register HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf")
            server.get("/healthz")
            assert server.end() == 0


def test_a_body_that_stops_is_answered(tmp_path: Path) -> None:
    with running(tmp_path / "data", ECHOLIA_BODY_SECONDS="0.2") as server:
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), WAIT_S) as connection:
            connection.sendall(b"POST /auth/register HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf")
            answer = b""
            while part := connection.recv(65536):
                answer += part
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b'"code": "body_too_slow"' in answer


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux")
def test_idle_it_is_small(tmp_path: Path) -> None:
    with running(tmp_path / "data") as server:
        server.get("/healthz")
        rollup = Path(f"/proc/{server.process.pid}/smaps_rollup").read_text()
        (pss,) = (int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
        assert pss <= IDLE_KIB
