"""The outbox as runs: cut into portions, freshly signed, and what the server's answer settles."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from echolia.client import ledger
from echolia.client.database import Database
from echolia.client.identity import Identity
from echolia.client.session import Refused, bytes_of
from echolia.client.verifier import LATEST_MS, VerifiedRun
from echolia.core.errors import NEVER_ANSWERED, EcholiaError
from echolia.core.positions import LogPosition, log_after
from echolia.core.push import ELIDED
from echolia.core.runs import MAX_COUNTER, SUITE, RunHeader, chain_start

MAX_RUN_CHANGES: Final = 500
MAX_RUN_BYTES: Final = 1 << 20
MAX_PUSH_BYTES: Final = 4 << 20


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A run that is ready to be sent: its header, its device's hash behind it, its frame."""

    header: RunHeader
    chain: bytes
    frame: bytes = field(repr=False)


@dataclass(slots=True)
class _Portion:
    """The changes of one run while it is filled."""

    first: int
    prev: bytes
    chain: bytes = b""
    changes: list[bytes] = field(default_factory=list)
    size: int = 0

    def fits(self, change: bytes) -> bool:
        room = len(self.changes) < MAX_RUN_CHANGES and self.size + len(change) <= MAX_RUN_BYTES
        return room or not self.changes

    def add(self, change: bytes, chain: bytes) -> None:
        self.changes.append(change)
        self.size += len(change)
        self.chain = chain


def next_runs(
    database: Database,
    identity: Identity,
    after: int,
    until: int = MAX_COUNTER,
    most_bytes: int = MAX_PUSH_BYTES,
) -> list[Outgoing]:
    """The runs of one push: what follows the own counter `after`, to `until` at most; none if nothing does.

    Of more changes than one there are about `most_bytes` at most.
    """
    seen = ledger.position(database, identity.account)
    portions: list[_Portion] = []
    size, chain = 0, _chain_at(database, identity, after)
    for counter, change, next_chain in database.each(
        "SELECT counter, change, chain FROM outbox WHERE counter > ? AND counter <= ? ORDER BY counter",
        after,
        until,
    ):
        if portions and size + len(change) > most_bytes:
            break
        if not portions or not portions[-1].fits(change):
            portions.append(_Portion(counter, chain))
        portions[-1].add(change, next_chain)
        size, chain = size + len(change), next_chain
    return [_signed(identity, portion, seen) for portion in portions]


def _chain_at(database: Database, identity: Identity, counter: int) -> bytes:
    if counter == 0:
        return chain_start(identity.account, identity.device)
    chain: bytes = database.value("SELECT chain FROM outbox WHERE counter = ?", counter) or database.value(
        "SELECT chain FROM heads WHERE device = ? AND counter = ?", identity.device, counter
    )
    return chain


def _signed(identity: Identity, portion: _Portion, seen: LogPosition) -> Outgoing:
    header = RunHeader(
        SUITE, identity.device, portion.first, len(portion.changes), portion.prev, seen, bytes(64)
    )  # fmt: skip
    signature = identity.keys.sign(header.message(identity.account, portion.chain))
    header = header._replace(signature=signature)
    return Outgoing(header, portion.chain, header.pack() + b"".join(portion.changes))


def check_answer(sent: list[Outgoing], answer: dict[str, Any]) -> list[dict[str, Any]]:
    """The outcome of each run; raises the first refusal's code, or `server_invalid`."""
    outcomes = answer.get("runs")
    if not isinstance(outcomes, list) or len(outcomes) != len(sent):
        raise EcholiaError("server_invalid", "an answer to each run was expected")
    for outcome in outcomes:
        if not isinstance(outcome, dict) or outcome.get("status") not in {"stored", "duplicate", "refused"}:
            raise EcholiaError("server_invalid", "a run's outcome is of no known kind")
    return outcomes


def refusal(outcomes: list[dict[str, Any]]) -> Refused | None:
    """The first refusal among outcomes."""
    refused = next((outcome for outcome in outcomes if outcome["status"] == "refused"), None)
    if refused is None:
        return None
    try:
        if refused["code"] in NEVER_ANSWERED:
            raise ValueError
        return Refused(refused["code"], "the server refused what this device sent", {})
    except (KeyError, ValueError, TypeError):
        raise EcholiaError("server_invalid", "a refusal without a known code") from None


def acknowledged(
    at: LogPosition, received_ms: int, sent: Outgoing, outcome: dict[str, Any]
) -> VerifiedRun | None:
    """The run as the next in the verified log, if the answer puts it directly behind `at`.

    None: others wrote in between, or it was there before; the next pull tells. Raises `log_rewritten`.
    """
    if outcome["status"] != "stored" or outcome.get("duplicates") != 0 or outcome.get("seq") != at.seq + 1:
        return None
    at_ms, log = outcome.get("received_ms"), bytes_of(outcome, "log", 32)
    if type(at_ms) is not int or at_ms > LATEST_MS:
        raise EcholiaError("server_invalid", "a stored run without its place")
    header = sent.header
    if at_ms <= received_ms:
        raise EcholiaError("log_rewritten", f"times do not increase at {at.seq + 1}")
    after = log_after(at, header.count, header.device, header.last, sent.chain, at_ms)
    if log != after.log:
        raise EcholiaError("log_rewritten", f"the answer's hash at {after.seq} is not what it adds up to")
    return VerifiedRun(header, at_ms, ELIDED, {header.last: sent.chain}, after, ())
