"""Attacks in what a device is told about its own pushes, acknowledgements and the log's state."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from echolia.client.transport import Answer
from echolia.core.ids import b64
from echolia.core.push import read_push
from echolia.core.runs import read_header
from echolia.hostile.attack import Attack, codes
from echolia.hostile.branch import Branch
from echolia.hostile.exchange import Exchange, document
from echolia.hostile.lie import Fields, Instead, Lie
from echolia.hostile.records import Logged

_PUSH: Final = "POST /sync/push"
_STATUS: Final = "GET /sync/status"
_LATER_MS: Final = 60_000


def _outcomes(exchange: Exchange, **fields: Any) -> list[dict[str, Any]]:
    """An outcome for each pushed run, all alike."""
    found = []
    for frame in read_push(exchange.request.body):
        header = read_header(frame)
        place = {"device": b64(header.device), "first": header.first, "count": header.count}
        found.append({**place, "duplicates": 0, **fields})
    return found


class _NotStored(Lie):
    """Says that pushed runs took the log's next places, and throws them away."""

    async def answer(self, exchange: Exchange) -> Answer:
        """See `Lie.answer`."""
        if exchange.what != _PUSH:
            return await exchange.honest()
        book = await exchange.book()
        outcomes, told = _outcomes(exchange, status="stored"), list(book.runs)
        for frame, outcome in zip(read_push(exchange.request.body), outcomes, strict=True):
            before = Branch(book.base, told)
            told.append(Logged.of(bytes(frame), told[-1].received_ms + 1 if told else 1))
            after = Branch(book.base, told).head
            outcome |= {
                "seq": before.head.seq + 1,
                "received_ms": told[-1].received_ms,
                "log": b64(after.log),
            }
        head = Branch(book.base, told).head
        position = {"seq": head.seq, "log": b64(head.log)}
        return document({"epoch": head.epoch, "head": position, "runs": outcomes})


class _Said(Lie):
    """Answers pushes by outcomes that are all alike, and throws away what was pushed."""

    def __init__(self, **outcome: Any) -> None:
        self._outcome = outcome

    async def answer(self, exchange: Exchange) -> Answer:
        """See `Lie.answer`."""
        if exchange.what != _PUSH:
            return await exchange.honest()
        status = (await exchange.book()).status
        told = {"epoch": status["epoch"], "head": status["head"]}
        return document({**told, "runs": _outcomes(exchange, **self._outcome)})


def _stored(change: Callable[[dict[str, Any]], object]) -> Callable[[], Lie]:
    """Change what a push that stored something is told of each run."""

    def each(fields: dict[str, Any], exchange: Exchange) -> None:
        for outcome in fields["runs"]:
            if outcome["status"] == "stored":
                change(outcome)

    return partial(Fields, _PUSH, each)


def _status(change: Callable[[dict[str, Any]], object]) -> Callable[[], Lie]:
    return partial(Fields, _STATUS, lambda fields, exchange: change(fields))


def _full(fields: dict[str, Any]) -> None:
    shares = ("bytes", "objects", "changes_per_minute")
    fields["quota"] = {"tier": "full", **{share: {"used": 1, "limit": 1, "reserve": 0} for share in shares}}


def _raised_acks(fields: dict[str, Any]) -> None:
    for ack in fields["acks"]:
        ack["seq"] += 1_000


def _ghost_acks(fields: dict[str, Any]) -> None:
    fields["acks"] += [{**ack, "device": b64(bytes(16)), "seq": 10**9} for ack in fields["acks"]]


ATTACKS: Final = (
    Attack(
        "push-not-stored", "says in every detail where it stored pushed runs, and throws them away",
        _NotStored, codes("log_rewritten log_rolled_back history_forked"), codes("cursor_ahead"),
    ),
    Attack(
        "push-unplaced", "says that it stored pushed runs, not where, and throws them away",
        partial(_Said, status="stored", seq=0, received_ms=0, log=b64(bytes(32))),
        why="what the log does not show as stored is sent again",
    ),
    Attack(
        "push-duplicate", "says that it has pushed runs already, and throws them away",
        partial(_Said, status="duplicate", duplicates=1),
        why="what the log does not show as stored is sent again",
    ),
    Attack(
        "push-refused", "refuses whatever is pushed",
        partial(_Said, status="refused", code="quota_exceeded"),
        ends=codes("quota_exceeded"), why="edits stay unsent until somebody takes them",
    ),
    Attack(
        "push-gap", "says that it lost what came before a push",
        partial(_Said, status="refused", code="run_gap", expected=1),
        ends=codes("run_gap"), why="edits stay unsent until somebody takes them",
    ),
    Attack(
        "push-fork", "says that the device wrote two histories",
        partial(_Said, status="refused", code="device_fork", at=1),
        ends=codes("device_fork"), why="edits stay unsent until somebody takes them",
    ),
    Attack(
        "push-other-log", "says that pushed runs led to another log",
        _stored(lambda outcome: outcome.update(log=b64(bytes(32)))), codes("log_rewritten"),
    ),
    Attack(
        "push-other-time", "says that pushed runs came at another time",
        _stored(lambda outcome: outcome.update(received_ms=outcome["received_ms"] + _LATER_MS)),
        codes("log_rewritten"),
    ),
    Attack(
        "push-other-place", "says that pushed runs are at another position",
        _stored(lambda outcome: outcome.update(seq=outcome["seq"] + 5)),
        why="a run's place is believed when the log shows it",
    ),
    Attack(
        "status-behind", "says that the log is shorter than it is",
        _status(lambda fields: fields["head"].update(seq=fields["head"]["seq"] - 1)),
        codes("log_rolled_back"),
    ),
    Attack(
        "status-ahead", "says that the log is longer than it is",
        _status(lambda fields: fields["head"].update(seq=fields["head"]["seq"] + 1_000)),
        why="what is there is what a pull shows",
    ),
    Attack(
        "status-other-epoch", "says in its status alone that the log has another epoch",
        _status(lambda fields: fields.update(epoch=fields["epoch"] + 1)),
        why="what is there is what a pull shows",
    ),
    Attack(
        "status-full", "says that the account's quota is used up",
        _status(_full), why="edits stay unsent until there is room",
    ),
    Attack(
        "acks-withheld", "shows nobody's acknowledgements",
        _status(lambda fields: fields.update(acks=[])), why="they bound withholding, and nothing is withheld",
    ),
    Attack(
        "acks-raised", "says that devices acknowledged more than they did",
        _status(_raised_acks), why="what nobody signed counts for nothing",
    ),
    Attack(
        "acks-of-ghosts", "shows acknowledgements of devices that nobody added",
        _status(_ghost_acks), why="what no device of the account signed counts for nothing",
    ),
    Attack(
        "acks-dropped", "takes acknowledgements and throws them away",
        partial(Instead, "POST /sync/ack", lambda exchange: Answer(204, b"")),
        why="they bound withholding, and nothing is withheld",
    ),
)  # fmt: skip
