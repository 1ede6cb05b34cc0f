"""Shared parts of the benchmark: the workload W1 to W5 and what a server must offer to be measured.

A peer is a subclass of `Peer`.  The workload is the same for every peer; what differs is how a batch of
records is encoded, pushed, and pulled.  Encoding is never timed; push and pull are.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from pathlib import Path

from probes import Conn, PeerError, disk, end, memory_mib

HOME = Path(os.environ.get("PEERS_HOME", ".peers")).resolve()  # where runs keep their data
HERE = Path(__file__).resolve().parent
SIZE = 1024
TRIES = 40  # attempts at one push in W4
PHASE_S = 120.0  # no phase may run longer; a phase cut short is reported as partial

# ---------------------------------------------------------------- statistics


def median(xs):
    xs = sorted(xs)
    n = len(xs)
    return xs[n // 2] if n % 2 else (xs[n // 2 - 1] + xs[n // 2]) / 2


def pct(xs, q):
    if not xs:
        return float("nan")
    xs = sorted(xs)
    return xs[min(len(xs) - 1, int(len(xs) * q))]


def num(x):
    return f"{x:,.0f}" if abs(x) >= 100 else f"{x:.1f}" if abs(x) >= 10 else f"{x:.2f}"


def spread(xs):
    """Median (min–max) of a list, or a dash."""
    xs = [x for x in xs if x is not None]
    return f"{num(median(xs))} ({num(min(xs))}–{num(max(xs))})" if xs else "–"


# ---------------------------------------------------------------- the peer interface


class Peer:
    """Override the methods below.  `batch` is the records in one bulk push."""

    name = "?"
    batch = 500
    quick = True  # worth waiting for a quiet machine, and running again after a disturbed run
    durable = "?"  # is an acknowledged write on disk?  How was that established?

    def __init__(self):
        self.procs, self.port, self.dir = [], 0, None

    def missing(self):
        """A reason why this peer cannot run here, or None."""

    async def start(self, d: Path): ...

    async def user(self, conn, i):
        """Register user i; whatever it returns is handed to push and pull."""

    def encode(self, user, recs):
        """Untimed: turn [(id, bytes)] into what push sends."""

    async def push(self, conn, user, req):
        """Timed: send, and raise unless every record was acknowledged."""

    async def pull(self, conn, user, cursor):
        """Timed: everything after cursor (None: from the start) as (items, new cursor)."""

    def decode(self, item):
        """Untimed: an item of pull back to (id, bytes)."""

    def settle(self):
        """Untimed, after W1's clock stopped and before disk is measured; e.g. a checkpoint."""

    def storage(self):
        return disk(self.dir)

    def stop(self):
        for p in reversed(self.procs):
            end(p, signal.SIGINT)  # a fast shutdown for PostgreSQL too
        self.procs = []

    # -- the workload; a peer with a client library in another language overrides run()

    def connect(self):
        return Conn(self.port)

    async def run(self, n, edits, users, pushes, conns, say):
        out, rng = {}, random.Random()
        a, b = self.connect(), self.connect()
        alice = await self.user(a, 0)
        recs = [(make_id(rng), rng.randbytes(SIZE)) for _ in range(n)]
        sent = await self.bulk_push(a, alice, recs, out)
        say(f"W1 {out['w1_rps']:.0f} rec/s")
        cursor = await self.bulk_pull(b, alice, recs[:sent], out)
        say(f"W2 {out['w2_rps']:.0f} rec/s, lost {out['w2_lost']}")
        await self.single_edits(a, b, alice, cursor, edits, rng, out)
        p50s = out["w3_push_p50"], out["w3_pull_p50"]
        say(f"W3 push {p50s[0]:.2f} ms, pull {p50s[1]:.2f} ms, wrong {out['w3_wrong_delta']}")
        cs = [self.connect() for _ in range(conns)]
        await self.many_users(cs, users, pushes, rng, out)
        say(f"W4 {out['w4_pps']:.0f} pushes/s, p99 {out['w4_p99']:.1f} ms, errors {out['w4_errors']}")
        for c in [a, b, *cs]:
            await c.close()
        return out

    async def bulk_push(self, conn, user, recs, out):
        """W1 and W5; returns how many records were acknowledged."""
        before = self.storage()
        out["pss_idle_mib"] = memory_mib(self.procs)[0]
        reqs = [self.encode(user, recs[k : k + self.batch]) for k in range(0, len(recs), self.batch)]
        cpu0, t0, done = memory_mib(self.procs)[1], time.perf_counter(), 0
        for req in reqs:
            await self.push(conn, user, req)
            done += 1
            if time.perf_counter() - t0 > PHASE_S:
                break
        dt = time.perf_counter() - t0
        sent = min(len(recs), done * self.batch)
        out["w1_rps"] = sent / dt
        pss, cpu1 = memory_mib(self.procs)
        out["w1_cpu_us_per_rec"] = (cpu1 - cpu0) / sent * 1e6
        out["pss_mib"] = pss
        self.settle()
        length, alloc = self.storage()
        out["disk_per_rec"] = (length - before[0]) / sent
        out["disk_alloc_per_rec"] = (alloc - before[1]) / sent
        return sent

    async def bulk_pull(self, conn, user, recs, out):
        """W2, by a fresh device; returns its cursor."""
        t0 = time.perf_counter()
        items, cursor = await self.pull(conn, user, None)
        dt = time.perf_counter() - t0
        got = dict(self.decode(i) for i in items)
        out["w2_rps"] = len(items) / dt
        out["w2_lost"] = sum(got.get(k) != v for k, v in recs)
        out["pss_w2_mib"] = memory_mib(self.procs)[0]
        return cursor

    async def single_edits(self, a, b, user, cursor, edits, rng, out):
        """W3: one edit pushed, its delta pulled."""
        tp, tl, stale, t0 = [], [], 0, time.perf_counter()
        for _ in range(edits):
            rec = (make_id(rng), rng.randbytes(SIZE))
            req = self.encode(user, [rec])
            t = time.perf_counter()
            await self.push(a, user, req)
            tp.append(time.perf_counter() - t)
            t = time.perf_counter()
            items, cursor = await self.pull(b, user, cursor)
            tl.append(time.perf_counter() - t)
            stale += [self.decode(i) for i in items] != [rec]
            if time.perf_counter() - t0 > PHASE_S:
                break
        out |= {"w3_push_p50": pct(tp, 0.5) * 1e3, "w3_push_p99": pct(tp, 0.99) * 1e3}
        out |= {"w3_pull_p50": pct(tl, 0.5) * 1e3, "w3_pull_p99": pct(tl, 0.99) * 1e3}
        out |= {"w3_wrong_delta": stale, "w3_n": len(tp)}

    async def many_users(self, cs, users, pushes, rng, out):
        """W4: many users on a few connections, round robin over users."""
        before = memory_mib(self.procs)[0]
        us = [await self.user(cs[i % len(cs)], i + 1) for i in range(users)]
        jobs = []
        for _ in range(pushes):
            for u in us:
                five = [(make_id(rng), rng.randbytes(SIZE)) for _ in range(5)]
                jobs.append((u, self.encode(u, five)))
        todo, lat, ends, errors, t0 = iter(jobs), [], [], [], time.perf_counter()
        cpu0 = memory_mib(self.procs)[1]

        async def worker(c):
            for u, req in todo:
                t = time.perf_counter()
                if t - t0 > PHASE_S:
                    return
                await self.pushed(c, u, req, errors)
                ends.append(time.perf_counter())
                lat.append(ends[-1] - t)

        await asyncio.gather(*(worker(c) for c in cs))
        dt = time.perf_counter() - t0
        out |= {"w4_pps": len(lat) / dt, "w4_p50": pct(lat, 0.5) * 1e3, "w4_p99": pct(lat, 0.99) * 1e3}
        if len(ends) > users:  # a peer may open a user's storage at sign-up or at the first push: tell both
            out["w4_later_pps"] = (len(ends) - users) / (ends[-1] - ends[users - 1])
            out["w4_later_p99"] = pct(lat[users:], 0.99) * 1e3
        out |= {"w4_errors": len(errors), "w4_n": len(lat), "w4_of": len(jobs)}
        pss, cpu1 = memory_mib(self.procs)
        out["w4_cpu_us_per_push"] = (cpu1 - cpu0) / max(1, len(lat)) * 1e6
        out["open_user_mib"] = (pss - before) / users
        if errors:
            out["w4_error"] = errors[0]

    async def pushed(self, conn, user, req, errors):
        """Push until acknowledged, as a client would; the latency is that of all tries."""
        for _ in range(TRIES):
            try:
                return await self.push(conn, user, req)
            except (PeerError, OSError, asyncio.IncompleteReadError) as e:
                errors.append(str(e)[:200])
                await conn.close()
        raise PeerError("never acknowledged")


def make_id(rng):
    """A random UUID-shaped id, valid for every peer."""
    h = f"{rng.getrandbits(128):032x}"
    return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-8{h[17:20]}-{h[20:]}"
