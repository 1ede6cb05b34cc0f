"""kill -9 of the server at random moments of a compaction: what is live stays, and the rest goes at last."""

from __future__ import annotations

import asyncio
import json
import os
import random
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from echolia.core import push, runs
from echolia.core.checkpoints import ChainHead, Checkpoint, LiveChange, checkpoint_message, live_root
from echolia.core.ids import b64, unb64
from echolia.core.messages import ack_message
from echolia.core.positions import NOTHING_SEEN, LogPosition
from tests.support.accounts import Account
from tests.support.asgi import Answer
from tests.support.process import ServerProcess

KILLS = int(os.environ.get("ECHOLIA_KILLS", "4"))
OBJECTS, VERSIONS, STREAM = 1000, 8, b"s" * 16
CHANGE_BYTES = len(runs.change_header(runs.STATE, 1, bytes(16), STREAM, {}, 1024)) + 1024

pytestmark = pytest.mark.slow


@dataclass
class Http:
    """Asks a server over its socket."""

    url: str
    token: str = ""

    async def __call__(
        self, method: str, target: str, json_body: Any = None, *, token: str | None = None
    ) -> Answer:
        """One request, answered whole."""
        body = None if json_body is None else json.dumps(json_body).encode()
        return await self.send(method, target, body, {"Content-Type": "application/json"}, token)

    async def send(
        self,
        method: str,
        target: str,
        body: bytes | None,
        headers: Mapping[str, str],
        token: str | None = None,
    ) -> Answer:
        """The same with any body."""
        named = {**headers, "Authorization": f"Bearer {token or self.token}"}
        request = urllib.request.Request(self.url + target, body, named, method=method)
        return await asyncio.to_thread(_asked, request)


def _asked(request: urllib.request.Request) -> Answer:
    try:
        with urllib.request.urlopen(request, timeout=30) as got:
            return Answer(got.status, dict(got.headers), got.read())
    except urllib.error.HTTPError as refused:
        return Answer(refused.code, dict(refused.headers), refused.read())


class Writing:
    """A device's whole history: versions of the same objects, each superseding the one before."""

    def __init__(self, account: Account) -> None:
        self.account, self.device = account.id, account.first
        self.chain, self.count = runs.chain_start(account.id, account.first.id), 0
        self.live: dict[bytes, LiveChange] = {}
        self.runs: list[range] = []
        self.dice = random.Random(5)
        self.objects = [self.dice.randbytes(16) for _ in range(OBJECTS)]

    def left_bytes(self) -> int:
        """What is left of the runs when only leaves stand for what is not live."""
        live = {change.counter for change in self.live.values()}
        left = 0
        for run in self.runs:
            kept = len(live.intersection(run))
            if kept == len(run):
                left += runs.RUN_HEADER_BYTES + kept * CHANGE_BYTES
            elif kept:
                left += runs.RUN_HEADER_BYTES + kept * (1 + CHANGE_BYTES) + (len(run) - kept) * 33
        return left

    def version(self) -> bytes:
        """A frame with one more version of most of the objects."""
        first, prev, changes = self.count + 1, self.chain, []
        for object_ in self.dice.sample(self.objects, OBJECTS * 3 // 4):
            head = runs.change_header(runs.STATE, 1, object_, STREAM, {}, 1024)
            changes.append(head + self.dice.randbytes(1024))
            ends = [runs.RUN_HEADER_BYTES + len(changes[-1])]
            (leaf,) = runs.leaves(bytes(runs.RUN_HEADER_BYTES) + changes[-1], ends)
            self.chain, self.count = runs.fold(self.chain, [leaf]), self.count + 1
            self.live[object_] = LiveChange(self.device.id, self.count, leaf)
        self.runs.append(range(first, self.count + 1))
        header = runs.RunHeader(
            runs.SUITE, self.device.id, first, len(changes), prev, NOTHING_SEEN, signature=bytes(64)
        )
        signature = self.device.signed(header.message(self.account, self.chain))
        return header._replace(signature=signature).pack() + b"".join(changes)


async def test_what_is_live_survives_kills_and_the_rest_goes(tmp_path: Path) -> None:
    dice, account = random.Random(11), Account("anna")
    with ServerProcess(tmp_path / "data", undo_days="0") as server:
        ask = Http(server.url)
        ask.token = (await account.register(ask))["access"]  # type: ignore[arg-type]
        writing = await pushed(ask, account)
        position = await checkpointed(ask, account, writing)
        begun, left = await stored_bytes(ask), writing.left_bytes()
        for kill in range(KILLS):
            # Each time it has come a random part of the way further.
            share = (kill + dice.random()) / KILLS
            await shrunk(ask, account, position, int(begun - share * (begun - left)))
            server.kill()
            server.start()
            await check(ask, position.seq, writing)
        await shrunk(ask, account, position, left)
        assert await stored_bytes(ask) == left
        await check(ask, position.seq, writing)


async def pushed(ask: Http, account: Account) -> Writing:
    """Every version of every object, in the log."""
    writing = Writing(account)
    for _ in range(VERSIONS):
        body = push.write_push([writing.version()])
        answer = await ask.send("POST", "/sync/push", body, {"Content-Type": push.PUSH_TYPE})
        assert answer.json()["runs"][0]["status"] == "stored"
    return writing


async def checkpointed(ask: Http, account: Account, writing: Writing) -> LogPosition:
    """A checkpoint of the head; its position."""
    status = (await ask("GET", "/sync/status")).json()
    position = LogPosition(status["epoch"], status["head"]["seq"], unb64(status["head"]["log"]))
    cursor = {"epoch": position.epoch, "seq": position.seq - 1}
    page = await ask("POST", "/sync/pull", {"cursor": cursor, "max_bytes": 1})
    (last,) = push.read_page(page.body).items
    count, root = live_root(account.id, position.seq, sorted(writing.live.values()))
    heads = {account.first.id: ChainHead(writing.count, writing.chain)}
    point = Checkpoint(
        position, last.received_ms, account.log.length, account.log.head, heads, count, root
    )  # fmt: skip
    raw = point.encode()
    signature = account.first.signed(checkpoint_message(account.id, account.first.id, raw))
    body = {"checkpoint": b64(raw), "signature": b64(signature)}
    assert (await ask("POST", "/sync/checkpoint", body)).status == 204
    return position


async def acknowledged(ask: Http, account: Account, position: LogPosition) -> None:
    """The device acknowledges the head: from now on the log may be compacted."""
    head, first = account.log.head, account.first
    signature = first.signed(ack_message(account.id, first.id, position, account.log.length, head))
    body = {
        "epoch": position.epoch,
        "seq": position.seq,
        "log": b64(position.log),
        "devices": {"n": account.log.length, "head": b64(head)},
        "signature": b64(signature),
    }
    assert (await ask("POST", "/sync/ack", body)).status == 204


async def shrunk(ask: Http, account: Account, position: LogPosition, most: int) -> None:
    """Acknowledge the head until no more than so many bytes are stored."""
    while await stored_bytes(ask) > most:
        await acknowledged(ask, account, position)


async def stored_bytes(ask: Http) -> int:
    """What the server holds."""
    return int((await ask("GET", "/sync/status")).json()["stored_bytes"])


async def check(ask: Http, base: int, writing: Writing) -> None:
    """The pages from the base hold everything that is live, byte for byte by its leaf."""
    found: dict[int, bytes] = {}
    before: int | None = None
    while True:
        page = push.read_page(
            (await ask("POST", "/sync/pull", {"base": base, "before": before, "max_bytes": 4 << 20})).body
        )
        for item in page.items:
            header, content = runs.read_header(item.content), bytes(item.content)
            if item.form == push.WHOLE:
                changes = list(runs.read_changes(content, header, runs.change_ends(content, header)))
            else:
                parts = push.read_parts(content, header)
                changes = [part for part in parts if isinstance(part, runs.Change)]
            found |= {change.counter: runs.leaf(change) for change in changes}
        if not page.more:
            break
        before = page.items[-1].seq
    assert {live.counter: live.leaf for live in writing.live.values()}.items() <= found.items()
