"""The server's end: vectors go through sync's endpoints and service, over real databases."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from echolia.core import push, runs
from echolia.core.checkpoints import decode
from echolia.core.errors import EcholiaError
from echolia.core.ids import b64, unb64
from echolia.storage.databases import UserDatabases
from echolia.storage.engine import Statement
from echolia.storage.sqlite.driver import SqliteDriver
from echolia.sync.checkpoints import Checkpoints
from echolia.sync.compaction import Compaction, Patience
from echolia.sync.quota import Quotas
from echolia.sync.routes import lean_routes
from echolia.sync.service import SyncService
from echolia.sync.walk import Walking
from echolia.web.context import Caller, Quota, Refusal, Standing
from echolia.web.lean import LeanRequest, LeanResponse
from echolia.web.limits import Amounts
from echolia.web.tiers import OneTier
from tests.support.file_databases import file_databases
from tests.vectors.ends.vector_file import Found, VectorFile, logged_devices, taken

_ACCOUNT = Statement("INSERT INTO account (one, account, epoch) VALUES (1, ?, ?)")
_AN_EPOCH = 77


class VectorDevices:
    """The devices that a vector names."""

    def __init__(self, vector: VectorFile) -> None:
        devices = logged_devices(vector)
        revoked = {device: each.revoked.last for device, each in devices.items() if each.revoked}
        keys = {device: each.sign for device, each in devices.items()}
        log = vector.given.get("device_log", {"n": len(devices), "head": "00" * 32})
        self._standing = Standing(keys, revoked, log["n"], bytes.fromhex(log["head"]))

    def admits(self, caller: Caller) -> None:
        """Everybody may act."""

    async def standing(self, account: bytes, device: bytes = b"") -> Standing:
        """The vector's devices, whatever the account."""
        return self._standing

    def on_end(self, callback: Callable[[bytes, bytes | None], None]) -> None:
        """Nobody is revoked while a vector runs."""


@dataclass
class Clock:
    """The server's time, as the vector tells it."""

    now_ms: int = 1

    def __call__(self) -> int:
        """Milliseconds since 1970."""
        return self.now_ms


class Parts(NamedTuple):
    """Sync's services; compaction waits for nobody."""

    sync: SyncService
    checkpoints: Checkpoints
    compaction: Compaction


class Account:
    """An account of a vector, asked as a device asks: by endpoint and body."""

    def __init__(self, runner: asyncio.Runner, parts: Parts, caller: Caller, clock: Clock) -> None:
        self._runner, self._caller, self.clock = runner, caller, clock
        self._compaction = parts.compaction
        routes = lean_routes(parts.sync, parts.checkpoints)
        self._endpoints = {(route.method, route.path): route.endpoint for route in routes}

    def ask(
        self,
        path: str,
        body: bytes = b"",
        media_type: str = "application/json",
        method: str = "POST",
        query: bytes = b"",
    ) -> bytes:
        """The body of an answer."""
        request = LeanRequest(self._caller, {b"content-type": media_type.encode()}, body, query)
        return self._runner.run(_answer(self._endpoints[method, path](request)))

    def push(self, body: bytes, query: bytes = b"") -> dict[str, Any]:
        """The answer to a binary push."""
        answer: dict[str, Any] = json.loads(self.ask("/sync/push", body, push.PUSH_TYPE, query=query))
        return answer

    def page(self) -> bytes:
        """The whole log as one page."""
        return self.ask("/sync/pull", b'{"max_bytes": 8388608}')

    def start(self, base: int) -> bytes:
        """All up to a base, once the log is compacted to it."""
        self._runner.run(self._compaction.settled())
        return self.ask("/sync/pull", json.dumps({"base": base, "max_bytes": 8 << 20}).encode())

    def acks(self) -> list[dict[str, Any]]:
        """The acknowledgements that are shown."""
        acks: list[dict[str, Any]] = self.status()["acks"]
        return acks

    def status(self) -> dict[str, Any]:
        """What the server says that it holds."""
        status: dict[str, Any] = json.loads(self.ask("/sync/status", method="GET"))
        return status


async def _answer(asked: Awaitable[LeanResponse]) -> bytes:
    body = (await asked).body
    return body if isinstance(body, bytes) else b"".join(body)


class Server:
    """Runs one vector after the other, each on an account of its own."""

    def __init__(self, runner: asyncio.Runner, databases: UserDatabases) -> None:
        self._runner, self._databases = runner, databases

    @contextmanager
    def account(self, vector: VectorFile) -> Iterator[Account]:
        """The vector's account, for as long as the block lasts."""
        account, epoch = vector.raw("account"), vector.given.get("epoch", _AN_EPOCH)
        row = _ACCOUNT._replace(params=(account, epoch))
        self._runner.run(self._databases.create(account, [row]))
        clock, devices = Clock(), VectorDevices(vector)
        device = bytes.fromhex(vector.given.get("device", vector.given["devices"][0]["device"]))
        compaction = Compaction(self._databases, devices, clock, Patience(0, 0), Walking())
        checkpoints = Checkpoints(self._databases, devices, clock, Walking(), compaction.consider)
        tier = OneTier(Quota("a vector's", **vector.given.get("quota", {})))
        quotas = Quotas(tier, Amounts(lambda: clock.now_ms / 1000))
        service = SyncService(self._databases, devices, clock, quotas=quotas)
        parts = Parts(service, checkpoints, compaction)
        try:
            yield Account(self._runner, parts, Caller(account, device, 2**40), clock)
        finally:
            self._runner.run(self._databases.delete(account))


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """A server over databases in a folder, for as long as the block lasts."""
    with asyncio.Runner() as runner:
        driver = SqliteDriver(threads=1)
        databases = file_databases(folder, driver)
        try:
            yield Server(runner, databases)
        finally:
            runner.run(databases.close())
            runner.run(driver.close())


def run(vector: VectorFile, server: Server) -> Found:
    """A run pushed after those before it; what is stored is served unaltered, and is the same in JSON."""
    frame = vector.raw("frame")
    before = [bytes.fromhex(each) for each in vector.given["before"]]
    with server.account(vector) as account:
        for each in before:
            account.push(push.write_push([each]))
        (outcome,) = account.push(push.write_push([frame]))["runs"]
        if outcome["status"] == "refused":
            return {"error": outcome["code"], **{k: v for k, v in outcome.items() if k == "at"}}
        assert outcome["status"] == "stored"
        (again,) = json.loads(account.ask("/sync/push", _as_json(frame)))["runs"]
        page = push.read_page(account.page())
    assert (again["status"], again["duplicates"]) == ("duplicate", outcome["count"])
    assert [item.content for item in page.items] == [*before, frame]
    return taken(vector)


def _as_json(frame: bytes) -> bytes:
    header = runs.read_header(frame)
    changes = runs.read_changes(frame, header, runs.change_ends(frame, header))
    seen = {"epoch": header.seen.epoch, "seq": header.seen.seq, "log": b64(header.seen.log)}
    fields = {
        "version": 1,
        "suite": header.suite,
        "device": b64(header.device),
        "first": header.first,
        "prev": b64(header.prev),
        "seen": seen,
        "signature": b64(header.signature),
        "changes": [{"header": b64(each.header), "body": b64(each.body)} for each in changes],
    }
    return json.dumps({"runs": [fields]}).encode()


def pushed(vector: VectorFile, server: Server) -> Found:
    """The answer to a push, and the page that is served afterwards."""
    with server.account(vector) as account:
        _push_before(vector, account)
        account.clock.now_ms = vector.given["now_ms"]
        answer, page = account.push(vector.raw("push")), account.page()
    place = {"epoch": answer["epoch"], "seq": answer["head"]["seq"], "log": unb64(answer["head"]["log"])}
    return {**place, "runs": [_bytes(each) for each in answer["runs"]], "page": page}


def _push_before(vector: VectorFile, account: Account) -> None:
    for each in vector.given["before"]:
        account.clock.now_ms = each["received_ms"]
        account.push(push.write_push([bytes.fromhex(each["frame"])]))


def measured(vector: VectorFile, server: Server) -> Found:
    """The quota after a push that fits, or why it does not; then nothing was stored."""
    with server.account(vector) as account:
        _push_before(vector, account)
        account.clock.now_ms, before = vector.given["now_ms"], account.page()
        try:
            account.push(vector.raw("push"), b"reserve=1" if vector.given["reserve"] else b"")
        except Refusal as refusal:
            assert account.page() == before
            return {"error": refusal.code, **refusal.members}
        quota = account.status()["quota"]
    assert quota.pop("tier") == "a vector's"
    return {"quota": quota}


def _bytes(outcome: dict[str, Any]) -> dict[str, Any]:
    return {name: unb64(each) if name in {"device", "log"} else each for name, each in outcome.items()}


def acknowledged(vector: VectorFile, server: Server) -> Found:
    """The position that the status then shows; a refusal leaves none."""
    ack = _ack_json(vector.given["ack"])
    with server.account(vector) as account:
        _push_before(vector, account)
        try:
            account.ask("/sync/ack", ack)
        except EcholiaError:
            assert account.acks() == []
            raise
        (kept,) = account.acks()
    assert {k: v for k, v in kept.items() if k != "device"} == json.loads(ack)
    return {"acknowledged": kept["seq"]}


def compacted(vector: VectorFile, server: Server) -> Found:
    """What is served of a log after it was compacted to a checkpoint."""
    signed = {name: b64(vector.raw(name)) for name in ("checkpoint", "signature")}
    with server.account(vector) as account:
        _push_before(vector, account)
        account.ask("/sync/checkpoint", json.dumps(signed).encode())
        return {"page": account.start(decode(vector.raw("checkpoint")).position.seq)}


def _ack_json(ack: dict[str, Any]) -> bytes:
    def text(value: str) -> str:
        return b64(bytes.fromhex(value))

    devices = {"n": ack["devices"]["n"], "head": text(ack["devices"]["head"])}
    fields = {**ack, "log": text(ack["log"]), "signature": text(ack["signature"]), "devices": devices}
    return json.dumps(fields).encode()
