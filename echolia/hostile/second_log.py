"""A second log: for some devices another history than the honest one, told without contradicting itself.

What they push stays in it and never reaches the honest server, whose log it no longer fits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias

from echolia.client.transport import Answer
from echolia.core.ids import b64, unb64
from echolia.core.positions import LogPosition, log_start
from echolia.core.push import read_push
from echolia.hostile.branch import Branch
from echolia.hostile.exchange import Exchange, document, refusal
from echolia.hostile.lie import Lie, write_page
from echolia.hostile.records import Book, Logged


class Later(NamedTuple):
    """A run that came after the two logs part: honest, or pushed by a device that is told the second log."""

    run: Logged
    honest: bool


# What follows in the second log, given what came, in order of arrival. The more came, the longer it may get,
# but what it said before must stay.
Story: TypeAlias = Callable[[Sequence[Later]], Sequence[Logged]]
# How many of the honest log's runs the second one shares.
Shared: TypeAlias = Callable[[Book, frozenset[bytes]], int]


def everything(book: Book, against: frozenset[bytes]) -> int:
    """All runs so far are shared."""
    return len(book.runs)


def all_but_last(book: Book, against: frozenset[bytes]) -> int:
    """All runs but the last two."""
    return max(0, len(book.runs) - 2)


def acknowledged(book: Book, against: frozenset[bytes]) -> int:
    """What some device of those in question has acknowledged: there it would notice."""
    devices = against or {unb64(ack["device"]) for ack in book.acks}
    until = max((book.acked(device) for device in devices), default=0)
    seq, shared = book.base.seq, 0
    for run in book.runs:
        seq += run.header.count
        shared += seq <= until
    return shared


@dataclass(slots=True)
class _Parted:
    """One account's two logs since they parted."""

    base: LogPosition
    shared: list[Logged]
    honest_runs: int
    later: list[Later] = field(default_factory=list)
    acks: dict[bytes, dict[str, Any]] = field(default_factory=dict)


_KEPT: Final = {"POST /sync/pull", "POST /sync/push", "POST /sync/ack", "GET /sync/status"}


class SecondLog(Lie):
    """Tells a second log; `epoch` may be another than the honest one's, by that much."""

    def __init__(self, story: Story, shared: Shared = acknowledged, epoch: int = 0) -> None:
        self._story, self._shared, self._epoch = story, shared, epoch
        self._accounts: dict[bytes, _Parted] = {}

    async def answer(self, exchange: Exchange) -> Answer:
        """See `Lie.answer`."""
        if not exchange.asker.account or exchange.what not in _KEPT | {"GET /sync/checkpoint"}:
            return await exchange.honest()
        book = await exchange.book()
        parted = self._parted(book, exchange.against)
        parted.later += (Later(run, honest=True) for run in book.runs[parted.honest_runs :])
        parted.honest_runs = len(book.runs)
        match exchange.what:
            case "POST /sync/pull":
                return served_page(self._log(parted), exchange)
            case "POST /sync/push":
                return self._taken(parted, exchange)
            case "GET /sync/status":
                return self._status(parted, book)
            case "GET /sync/checkpoint":
                return document({"checkpoints": []})
        parted.acks[exchange.asker.device] = {"device": b64(exchange.asker.device), **exchange.fields()}
        return Answer(204, b"")

    def _parted(self, book: Book, against: frozenset[bytes]) -> _Parted:
        found = self._accounts.get(book.account)
        if found is None:
            shared = self._shared(book, against)
            base = log_start(book.account, book.base.epoch + self._epoch) if self._epoch else book.base
            found = self._accounts[book.account] = _Parted(base, book.runs[:shared], shared)
        return found

    def _log(self, parted: _Parted) -> Branch:
        return Branch(parted.base, [*parted.shared, *self._story(parted.later)])

    def _taken(self, parted: _Parted, exchange: Exchange) -> Answer:
        outcomes = []
        for frame in read_push(exchange.request.body):
            log = self._log(parted)
            run, outcome = log.take(bytes(frame))
            if run is not None:
                parted.later.append(Later(run, honest=False))
                told = self._log(parted)
                place = {"seq": log.head.seq + 1, "received_ms": told.heads[run.header.device].received_ms}
                outcome |= {**place, "log": b64(told.head.log)}
            outcomes.append(outcome)
        head = self._log(parted).head
        position = {"seq": head.seq, "log": b64(head.log)}
        return document({"epoch": head.epoch, "head": position, "runs": outcomes})

    def _status(self, parted: _Parted, book: Book) -> Answer:
        log = self._log(parted)
        heads = sorted(log.heads.items())
        fitting = [ack for ack in book.acks if fits(log, ack)]
        told = {
            "epoch": log.head.epoch,
            "head": {"seq": log.head.seq, "log": b64(log.head.log)},
            "devices": [
                {"device": b64(d), "counter": r.header.last, "chain": b64(r.chain)} for d, r in heads
            ],
            "acks": [*fitting, *parted.acks.values()],
        }
        return document({**book.status, **told})


def served_page(log: Branch, exchange: Exchange) -> Answer:
    """What a pull by cursor is answered from this log."""
    asked = exchange.fields()
    cursor = asked.get("cursor") or {"epoch": log.head.epoch, "seq": 0}
    if "base" in asked or cursor["epoch"] != log.head.epoch:
        return refusal(409, "must_rebase")
    if cursor["seq"] > log.head.seq:
        return refusal(409, "cursor_ahead")
    own = exchange.asker.device if asked.get("elide_own") else b""
    return Answer(200, write_page(log.page(cursor["seq"], asked.get("max_bytes", 1 << 20), own)))


def fits(log: Branch, ack: dict[str, Any]) -> bool:
    """Whether an acknowledgement is of a position that this log has."""
    found = log.log_at(ack["seq"])
    return ack["epoch"] == log.head.epoch and found is not None and b64(found) == ack["log"]
