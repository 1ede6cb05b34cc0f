"""What a device verifies of a pulled page, in the order of `spec/sync.md#what-a-device-verifies`; pure.

A server that rolls back, forks, reorders, omits, replays or invents is met here: `verify_page` gives back
what the page adds to what is known, or raises the code of what it caught. It never touches the bodies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import NamedTuple

from echolia.core import runs
from echolia.core.checkpoints import Checkpoint
from echolia.core.device_log import LoggedDevice
from echolia.core.errors import EcholiaError
from echolia.core.positions import LogPosition, log_after, log_start
from echolia.core.push import ELIDED, WHOLE, Item, Page, read_parts
from echolia.core.runs import Change, RunHeader
from echolia.core.signing import verify

_CHAIN_BYTES = 32
# Times of arrival bound the clocks of all devices: one near 2^53 would leave them no later time to write at.
LATEST_MS = 2**48 - 1


class Head(NamedTuple):
    """A device's last known change and its chain hash there."""

    counter: int
    chain: bytes


@dataclass(frozen=True, slots=True)
class Known:
    """What a device knows before a page: `position` (epoch 0: nothing yet) and `received_ms` of its last run,
    each device's head, the devices of the verified device log, and `log_at(seq)`: the log's hash after a run
    that ended there in this epoch, or None; nothing is known of the log before `base_seq`.

    `former` are the heads that were verified before, if the log is read again; `own` is who verifies.
    """

    account: bytes
    position: LogPosition
    received_ms: int
    heads: Mapping[bytes, Head]
    devices: Mapping[bytes, LoggedDevice]
    log_at: Callable[[int], bytes | None]
    base_seq: int = 0
    former: Mapping[bytes, Head] = field(default_factory=dict)
    own: bytes = b""

    def head(self, device: bytes) -> Head:
        """The head of a device, that of nothing included."""
        return self.heads.get(device) or Head(0, runs.chain_start(self.account, device))

    def in_epoch(self, epoch: object) -> Known:
        """What is known, for an answer of this epoch; raises `must_rebase` or `server_invalid`."""
        if type(epoch) is not int or not 1 <= epoch <= runs.MAX_COUNTER:
            raise EcholiaError("server_invalid", "epoch out of range")
        if self.position.epoch == 0:
            start = log_start(self.account, epoch)
            return replace(self, position=start, log_at=lambda seq: start.log if seq == 0 else None)
        if self.position.epoch != epoch:
            raise EcholiaError("must_rebase", "the answer is of another epoch")
        return self


@dataclass(frozen=True, slots=True)
class VerifiedRun:
    """A run that holds: `after` is the log's position behind it, `chains` its device's hash after each of its
    counters, as far as they follow from what is left of it.

    `changes` are those with a body that are new and count: not known before, not beyond a revoked device's
    cut-off; `form` is the item's.
    """

    header: RunHeader
    received_ms: int
    form: int
    chains: Mapping[int, bytes]
    after: LogPosition
    changes: tuple[Change, ...]

    @property
    def chain(self) -> bytes:
        """Its device's hash after it."""
        return self.chains[self.header.last]


class VerifiedPage(NamedTuple):
    """A page's runs in log order, what is known after them, and whether there is more."""

    runs: list[VerifiedRun]
    known: Known
    more: bool


@dataclass(frozen=True, slots=True)
class _Content:
    """An item taken apart: chain hashes by counter as far as they follow from it, and its changes."""

    header: RunHeader
    chains: Mapping[int, bytes]
    changes: tuple[Change, ...]

    @property
    def chain(self) -> bytes:
        """The hash after the last."""
        return self.chains[self.header.last]


def verify_page(known: Known, page: Page) -> VerifiedPage:
    """What a cursor page from `known.position` adds.

    Raises `server_invalid`, `must_rebase`, `ghost_device`, `log_rewritten`, `log_rolled_back`, `chain_broken`
    or `history_forked`; then nothing of the page counts.
    """
    known = known.in_epoch(page.head.epoch)
    recent: dict[int, bytes] = {}
    before = known.log_at
    known = replace(known, log_at=lambda seq: recent.get(seq) or before(seq))
    if page.head.seq < known.position.seq:
        raise EcholiaError(
            "log_rolled_back", f"at {page.head.seq}, this device verified {known.position.seq}"
        )
    found: list[VerifiedRun] = []
    for item in page.items:
        run = verify_item(known, item)
        recent[run.after.seq] = run.after.log
        known = follow(known, run)
        found.append(run)
    _check_head(known.position, page)
    return VerifiedPage(found, known, page.more)


def _check_head(at: LogPosition, page: Page) -> None:
    if at.seq > page.head.seq or (at.seq == page.head.seq and at.log != page.head.log):
        raise EcholiaError("log_rewritten", f"the head at {page.head.seq} is not what the runs add up to")
    if page.more != (at.seq < page.head.seq) or (page.more and not page.items):
        raise EcholiaError("server_invalid", "the page ends before the head it names")


def verify_item(known: Known, item: Item) -> VerifiedRun:
    """One run of a page, against what is known before it."""
    content = _read(item)
    header = content.header
    device = known.devices.get(header.device)
    if device is None:
        raise EcholiaError("ghost_device", f"at {item.seq}")
    if item.seq != known.position.seq + 1:
        raise EcholiaError("log_rewritten", f"expected position {known.position.seq + 1}")
    if item.received_ms > LATEST_MS:
        raise EcholiaError("server_invalid", f"the time at {item.seq} is out of range")
    if item.received_ms <= known.received_ms:
        raise EcholiaError("log_rewritten", f"times do not increase at {item.seq}")
    _check_chain(known, content, device)
    after = log_after(
        known.position, header.count, header.device, header.last, content.chain, item.received_ms
    )  # fmt: skip
    _check_seen(known, header.seen, item.seq)
    return VerifiedRun(
        header, item.received_ms, item.form, content.chains, after, _counting(known, content, device)
    )


def verify_base_item(known: Known, item: Item, point: Checkpoint, before: int) -> VerifiedRun:
    """One run of what a checkpoint starts from; `before` is the position of the one served before it.

    `known` is what is known without the log. Raises as `verify_item`; `after` of the run has no log hash.
    """
    content = _read(item)
    header = content.header
    device, head = known.devices.get(header.device), point.heads.get(header.device)
    if device is None:
        raise EcholiaError("ghost_device", f"at {item.seq}")
    end = item.seq + header.count - 1
    if not item.seq <= end < before or item.received_ms > point.received_ms:
        raise EcholiaError("log_rewritten", f"{item.seq} is not before {before}")
    if item.form == ELIDED:
        raise EcholiaError("server_invalid", f"a run of a base without a change, at {item.seq}")
    if head is None or header.last > head.counter:
        raise EcholiaError("log_rewritten", f"{item.seq} lies behind its device's head in the checkpoint")
    if header.last == head.counter and content.chain != head.chain:
        raise EcholiaError("chain_broken", f"counter {header.last} is not what the checkpoint names")
    _check_signed(known, content, device)
    after = LogPosition(point.position.epoch, end, b"")
    until = device.revoked.last if device.revoked else runs.MAX_COUNTER
    changes = tuple(change for change in content.changes if change.counter <= until)
    return VerifiedRun(header, item.received_ms, item.form, content.chains, after, changes)


def _read(item: Item) -> _Content:
    try:
        header = runs.read_header(item.content)
        if item.form == WHOLE:
            return _read_whole(item.content, header)
        return (
            _read_elided(item.content, header) if item.form == ELIDED else _read_partial(item.content, header)
        )
    except EcholiaError as error:
        if error.code == "unsupported_version":
            raise
        raise EcholiaError("server_invalid", f"at {item.seq}: {error.code}") from None


def _read_whole(frame: bytes | memoryview, header: RunHeader) -> _Content:
    ends = runs.change_ends(frame, header)
    chains = dict(enumerate(runs.chains(frame, header, ends), header.first))
    changes = tuple(runs.read_changes(frame, header, ends))
    return _Content(header, chains, changes)


def _read_elided(content: bytes | memoryview, header: RunHeader) -> _Content:
    chain = bytes(content[runs.RUN_HEADER_BYTES :])
    if len(chain) != _CHAIN_BYTES:
        raise EcholiaError("malformed_binary", "an elided run holds its header and one hash")
    return _Content(header, {header.last: chain}, ())


def _read_partial(content: bytes | memoryview, header: RunHeader) -> _Content:
    chain, chains, changes = header.prev, dict[int, bytes](), list[Change]()
    for counter, part in enumerate(read_parts(bytes(content), header), header.first):
        if isinstance(part, Change):
            changes.append(part)
        leaf = sha256(part.header + part.body).digest() if isinstance(part, Change) else part
        chain = chains[counter] = sha256(chain + leaf).digest()
    return _Content(header, chains, tuple(changes))


def _check_chain(known: Known, content: _Content, device: LoggedDevice) -> None:
    header, head = content.header, known.head(content.header.device)
    if header.first == head.counter + 1:
        follows = header.prev == head.chain
    elif header.first <= head.counter:
        # Known changes again: fine if they are the same ones, which the hash at the known head proves.
        follows = content.chains.get(head.counter) == head.chain
    else:
        follows = False
    if not follows:
        raise EcholiaError("chain_broken", f"counter {header.first} does not continue {head.counter}")
    _check_signed(known, content, device)


def _check_signed(known: Known, content: _Content, device: LoggedDevice) -> None:
    """The signature, and that nothing is another than what a revocation or this device itself knows."""
    header = content.header
    if not verify(device.sign, header.message(known.account, content.chain), header.signature):
        raise EcholiaError("chain_broken", f"the signature up to counter {header.last} does not hold")
    for expected in (device.revoked, known.former.get(device.device)):
        if expected and content.chains.get(expected[0], expected[1]) != expected[1]:
            code = "device_fork" if device.device == known.own else "chain_broken"
            raise EcholiaError(code, f"counter {expected[0]} is not what was verified before")


def _check_seen(known: Known, seen: LogPosition, seq: int) -> None:
    if seen.epoch != known.position.epoch or seen.seq < known.base_seq:
        return
    # An honest server takes no run that has seen what its log has not, so it cannot come before it either.
    if seen.seq >= seq or known.log_at(seen.seq) != seen.log:
        raise EcholiaError("history_forked", f"the writer of {seq} saw another log at {seen.seq}")


def _counting(known: Known, content: _Content, device: LoggedDevice) -> tuple[Change, ...]:
    after = known.head(device.device).counter
    until = device.revoked.last if device.revoked else runs.MAX_COUNTER
    return tuple(change for change in content.changes if after < change.counter <= until)


def follow(known: Known, run: VerifiedRun) -> Known:
    """What is known after a run that was verified."""
    head = Head(run.header.last, run.chain)
    heads = {**known.heads, run.header.device: head}
    return replace(known, position=run.after, received_ms=run.received_ms, heads=heads)
