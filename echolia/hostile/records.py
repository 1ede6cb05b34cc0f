"""The operator's records: every account's log, devices and acknowledgements, and what was answered before."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from echolia.client.transport import Answer, Request
from echolia.core import canonical, runs
from echolia.core.checkpoints import decode
from echolia.core.ids import unb64
from echolia.core.positions import NOTHING_SEEN, LogPosition, log_base, log_start
from echolia.core.push import MAX_PUSH_BYTES, PAGE_TYPE, WHOLE, read_page
from echolia.core.runs import RunHeader
from echolia.hostile.asker import Asker


class Logged(NamedTuple):
    """A run as a log has it: `chain` is its device's hash after it."""

    header: RunHeader
    chain: bytes
    received_ms: int
    frame: bytes

    @classmethod
    def of(cls, frame: bytes, received_ms: int) -> Logged:
        """The run in a whole frame."""
        header = runs.read_header(frame)
        ends = runs.change_ends(frame, header)
        return cls(header, runs.chains(frame, header, ends)[-1], received_ms, frame)


@dataclass(slots=True)
class Book:
    """One account as its server knows it. `runs` follow `base`, in log order, also those since compacted.

    `tokens` are the headers by which its devices asked last: whoever runs the server can ask like them.
    """

    account: bytes
    base: LogPosition = NOTHING_SEEN
    runs: list[Logged] = field(default_factory=list)
    entries: list[dict[str, Any]] = field(default_factory=list)
    acks: list[dict[str, Any]] = field(default_factory=list)
    status: dict[str, Any] = field(default_factory=dict)
    tokens: dict[bytes, str] = field(default_factory=dict, repr=False)

    async def read(self, ask: Callable[[Request], Awaitable[Answer]], authorization: str) -> None:
        """Look at the server's disk: by a token that passed, which shows the same."""
        for token in [authorization, *reversed(self.tokens.values())]:
            status = await _json(ask, "/sync/status", token)
            if status:
                self.status, self.acks = status, status["acks"]
                await self._read_entries(ask, token)
                await self._read_runs(ask, token)
                return

    def acked(self, device: bytes) -> int:
        """The position that a device has acknowledged in this epoch; 0 if none."""
        positions = (ack["seq"] for ack in self.acks if unb64(ack["device"]) == device)
        return next((seq for seq in positions), 0)

    def entry_fields(self) -> list[dict[str, Any]]:
        """What the device log's entries say, in order."""
        return [canonical.decode(unb64(each["entry"])) for each in self.entries]

    async def _read_entries(self, ask: Callable[[Request], Awaitable[Answer]], token: str) -> None:
        more = True
        while more:
            told = await _json(ask, f"/auth/devices?after={len(self.entries)}", token)
            self.entries += told.get("log", [])
            more = bool(told.get("more"))

    async def _read_runs(self, ask: Callable[[Request], Awaitable[Answer]], token: str) -> None:
        epoch, head = self.status["epoch"], self.status["head"]["seq"]
        if epoch != self.base.epoch:
            self.base, self.runs = log_start(self.account, epoch), []
        at = self.base.seq + sum(run.header.count for run in self.runs)
        if at < self.status.get("base", 0):
            self.base, self.runs = await self._compacted(ask, token, epoch), []
            at = self.base.seq
        while at < head:
            wanted = {"cursor": {"epoch": epoch, "seq": at}, "max_bytes": MAX_PUSH_BYTES}
            body = json.dumps(wanted).encode()
            asked = Request("POST", "/sync/pull", body, accept=PAGE_TYPE, authorization=token)
            answer = await ask(asked)
            if answer.status != 200:
                return
            for item in read_page(answer.body).items:
                if item.form == WHOLE:
                    self.runs.append(Logged.of(bytes(item.content), item.received_ms))
                at = item.seq + runs.read_header(item.content).count - 1

    async def _compacted(
        self, ask: Callable[[Request], Awaitable[Answer]], token: str, epoch: int
    ) -> LogPosition:
        """Where the log begins that was compacted before this was written down."""
        told = await _json(ask, "/sync/checkpoint", token)
        points = [decode(unb64(each["checkpoint"])).position for each in told["checkpoints"]]
        base = next(point for point in points if point.seq == self.status["base"])
        return base if base.epoch == epoch else log_base(self.account, epoch, base)


@dataclass(slots=True)
class Records:
    """What passed through this server: `answers` by who asked and what, the first one and the newest."""

    books: dict[bytes, Book] = field(default_factory=dict)
    answers: dict[tuple[bytes, str], list[Answer]] = field(default_factory=dict, repr=False)

    def book(self, account: bytes) -> Book:
        """The account's book, empty if nobody asked for it yet."""
        return self.books.setdefault(account, Book(account))

    def note(self, who: Asker, request: Request, answer: Answer) -> None:
        """Keep what a request was answered honestly."""
        what = f"{request.method} {request.path.partition('?')[0]}"
        first = self.answers.get((who.device, what), [answer])[0]
        self.answers[who.device, what] = [first, answer]
        if who.account:
            tokens = self.book(who.account).tokens
            tokens.pop(who.device, None)  # the newest stands last
            tokens[who.device] = request.authorization


async def _json(ask: Callable[[Request], Awaitable[Answer]], path: str, token: str) -> dict[str, Any]:
    answer = await ask(Request("GET", path, authorization=token))
    fields: dict[str, Any] = json.loads(answer.body) if answer.status == 200 else {}
    return fields
