"""Whether a pushed run is taken: the rules of `spec/sync.md#push`, decided without touching a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from echolia.core import runs
from echolia.core.errors import EcholiaError
from echolia.core.positions import log_after
from echolia.core.runs import RunHeader
from echolia.core.signing import verify
from echolia.sync.models import Outcome
from echolia.sync.store import DeviceHead, LogState, NewRun


class ReadRun(NamedTuple):
    """A run whose bytes and signature are right."""

    header: RunHeader
    ends: list[int]
    chains: list[bytes]
    frame: bytes | memoryview


class Decision(NamedTuple):
    """What to store (None: nothing), the log's state after it, and what to tell the device."""

    store: NewRun | None
    state: LogState
    outcome: Outcome


def read(
    frame: bytes | memoryview, header: RunHeader, account: bytes, keys: Mapping[bytes, bytes]
) -> ReadRun:
    """The run in a frame, walked, chained and verified once.

    Raises `run_invalid`, `unsupported_version`, `device_unknown` or `signature_invalid`.
    """
    public = keys.get(header.device)
    if public is None:
        raise EcholiaError("device_unknown")
    ends = runs.change_ends(frame, header)
    chains = runs.chains(frame, header, ends)
    if not verify(public, header.message(account, chains[-1]), header.signature):
        raise EcholiaError("signature_invalid")
    return ReadRun(header, ends, chains, frame)


def decide(state: LogState, run: ReadRun, old_chain: bytes | None, now_ms: int) -> Decision:
    """What becomes of a run, given the stored chain hash at its last counter if that is before the head."""
    header, head = run.header, state.heads.get(run.header.device)
    if head is None:
        head = DeviceHead(0, runs.chain_start(state.account, header.device))
    if header.first > head.last + 1:
        refused = Outcome("refused", header, code="run_gap", expected=head.last + 1)
        return Decision(None, state, refused)
    known = min(head.last, header.last) - header.first + 1
    stored = old_chain if header.last < head.last else head.chain
    if stored != (run.chains[known - 1] if known else header.prev):
        return Decision(None, state, Outcome("refused", header, code="device_fork", at=header.first))
    if known == header.count:
        return Decision(None, state, Outcome("duplicate", header, duplicates=known))
    return _taken(state, run, known, now_ms)


def _taken(state: LogState, run: ReadRun, known: int, now_ms: int) -> Decision:
    header, frame, chain = run.header, run.frame, run.chains[-1]
    if known:
        header, frame = runs.without_first(frame, header, run.ends, known, run.chains[known - 1])
    received_ms = max(now_ms, state.received_ms + 1)
    position = log_after(state.position, header.count, header.device, header.last, chain, received_ms)
    new = NewRun(header, chain, received_ms, position, state.total_bytes + len(frame), frame)
    heads = {**state.heads, header.device: DeviceHead(header.last, chain)}
    after = LogState(state.account, position, received_ms, new.total_bytes, heads)
    told = Outcome("stored", run.header, known, new.seq, received_ms, position.log)
    return Decision(new, after, told)
