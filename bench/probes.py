"""Probes: a small HTTP client, processes, memory, disk, and what else the machine was doing."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

# ---------------------------------------------------------------- HTTP client


class Conn:
    """One keep-alive HTTP/1.1 connection.  httpx costs about 0.5 ms of client CPU a request, which on two
    cores would measure httpx; this costs about a tenth of that."""

    def __init__(self, port):
        self.port, self.reader, self.writer, self.used = port, None, None, 0.0

    async def request(self, method, path, body=b"", headers=()):
        if self.writer is not None and time.monotonic() - self.used > 1:
            await asyncio.sleep(0.01)  # let the loop notice if the server has closed an idle connection
        if self.writer is None or self.reader.at_eof():
            await self.close()
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 22)
        head = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}"]
        if body or method in ("POST", "PUT"):
            head.append(f"Content-Length: {len(body)}")
        head += [f"{k}: {v}" for k, v in headers]
        self.writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + body)
        status, hdrs = await self._head()
        if hdrs.get("transfer-encoding") == "chunked":
            parts = []
            while size := int((await self.reader.readuntil(b"\r\n")).split(b";")[0], 16):
                parts.append(await self.reader.readexactly(size))
                await self.reader.readexactly(2)
            await self.reader.readuntil(b"\r\n")
            data = b"".join(parts)
        else:
            data = await self.reader.readexactly(int(hdrs.get("content-length", 0)))
        self.used = time.monotonic()
        if hdrs.get("connection", "").lower() == "close":
            await self.close()
        return status, hdrs, data

    async def _head(self):
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        hdrs = {}
        for line in lines[1:]:
            if line:
                k, _, v = line.partition(":")
                hdrs[k.lower()] = v.strip()
        return int(lines[0].split()[1]), hdrs

    async def ok(self, method, path, body=b"", headers=(), want=(200, 201, 204)):
        status, hdrs, data = await self.request(method, path, body, headers)
        if status not in want:
            raise PeerError(f"{method} {path} -> {status} {data[:300]!r}")
        return hdrs, data

    async def close(self):
        if self.writer is not None:
            self.writer.close()
            self.reader = self.writer = None


class PeerError(RuntimeError):
    pass


# ---------------------------------------------------------------- processes, memory, disk


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def spawn(argv, cwd, log, env=None, user=None):
    """A child in its own process group, ended later by that group's id only."""
    return subprocess.Popen(
        [str(a) for a in argv], cwd=cwd, stdin=subprocess.DEVNULL, stdout=Path(log).open("ab"),
        stderr=subprocess.STDOUT, env={**os.environ, **(env or {})}, start_new_session=True, user=user,
        group=user, extra_groups=[] if user else None)  # fmt: skip


def end(proc, sig=signal.SIGTERM, wait=15):
    if proc.poll() is None:
        proc.send_signal(sig)
        with suppress(subprocess.TimeoutExpired):
            proc.wait(wait)
    with suppress(ProcessLookupError):
        os.killpg(proc.pid, signal.SIGKILL)  # the group this harness created, stragglers included
    proc.wait(5)


async def wait_port(port, proc, seconds=40):
    stop = time.monotonic() + seconds
    while time.monotonic() < stop:
        if proc.poll() is not None:
            raise PeerError(f"server exited with {proc.returncode}")
        try:
            _, w = await asyncio.open_connection("127.0.0.1", port)
            w.close()
            return
        except OSError:
            await asyncio.sleep(0.1)
    raise PeerError("server did not open its port")


def tree(pid):
    """Pid and its descendants."""
    kids = {}
    for path in Path("/proc").iterdir():
        if (d := path.name).isdigit():
            try:
                stat = Path(f"/proc/{d}/stat").read_text()
                kids.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(d))
            except OSError:
                pass
    out, todo = [], [pid]
    while todo:
        p = todo.pop()
        out.append(p)
        todo += kids.get(p, [])
    return out


def memory_mib(procs):
    """(PSS, cumulative CPU seconds) over the process trees; PSS counts shared pages once."""
    kib = ticks = 0
    for proc in procs:
        for pid in tree(proc.pid):
            try:
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        kib += int(line.split()[1])
                f = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                ticks += int(f[11]) + int(f[12])
            except OSError:
                pass
    return kib / 1024, ticks / os.sysconf("SC_CLK_TCK")


class Weather:
    """What else the machine was doing: fsyncs a second, and cores used by other processes."""

    def __init__(self, data):
        self.path = Path(data) / "weather.bin"
        self.syncs = [self.sync_rate()]
        self.busy, self.t = self.cpu(), time.perf_counter()

    def sync_rate(self, seconds=0.4):
        fd, n, t0 = os.open(self.path, os.O_RDWR | os.O_CREAT), 0, time.perf_counter()
        while time.perf_counter() - t0 < seconds:
            os.pwrite(fd, bytes(4096), 4096 * (n % 64))
            os.fdatasync(fd)
            n += 1
        os.close(fd)
        return n / (time.perf_counter() - t0)

    @staticmethod
    def cpu():
        """(cores' busy seconds of the machine, of this process and its ended children)"""
        f = [int(x) for x in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
        tick = os.sysconf("SC_CLK_TCK")
        return (sum(f) - f[3] - f[4]) / tick, sum(os.times()[:4])

    @classmethod
    def wait_quiet(cls, seconds, cores=0.25):
        """Wait, at most so long, for a second and a half in which other processes use hardly any CPU."""
        stop = time.monotonic() + seconds
        while time.monotonic() < stop:
            a = cls.cpu()[0]
            time.sleep(1.5)
            if (cls.cpu()[0] - a) / 1.5 < cores:
                return True
        return False

    def report(self):
        """Call after the servers have ended, so that their time counts as this harness's own."""
        (a, mine_a), (b, mine_b), dt = self.busy, self.cpu(), time.perf_counter() - self.t
        self.syncs.append(self.sync_rate())
        self.path.unlink()
        return {
            "other_cores": max(0.0, (b - a - (mine_b - mine_a)) / dt),
            "fdatasync_per_s": sum(self.syncs) / 2,
        }


def disk(path):
    """(bytes by length, bytes allocated) of everything under path."""
    length = alloc = 0
    for root, dirs, files in os.walk(path):
        for n in dirs + files:
            try:
                st = (Path(root) / n).lstat()
            except OSError:
                continue
            alloc += st.st_blocks * 512
            if n in files:
                length += st.st_size
    return length, alloc
