"""What is live of a log, by the words of `spec/checkpoints.md` and nothing else: slow, and plain to read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import NamedTuple

from echolia.core import push, runs
from echolia.core.checkpoints import ChainHead, Checkpoint, LiveChange, live_root
from echolia.core.positions import LogPosition


class Logged(NamedTuple):
    """A change and its position in the log."""

    seq: int
    device: bytes
    counter: int
    state: bool
    object: bytes
    context: Mapping[bytes, int]
    leaf: bytes

    def is_in_past_of(self, other: Logged) -> bool:
        """Whether this change is in the other's past."""
        if self.device == other.device:
            return self.counter < other.counter
        return self.counter <= other.context.get(self.device, 0)


def changes_of(items: Iterable[push.Item]) -> list[Logged]:
    """The changes that a page holds whole."""
    found = []
    for item in items:
        content, header = bytes(item.content), runs.read_header(item.content)
        if item.form == push.WHOLE:
            parts = list(runs.read_changes(content, header, runs.change_ends(content, header)))
        else:
            parts = [part for part in push.read_parts(content, header) if isinstance(part, runs.Change)]
        found += [_logged(item.seq, header, change) for change in parts]
    return found


def _logged(seq: int, header: runs.RunHeader, change: runs.Change) -> Logged:
    leaf = sha256(change.header + change.body).digest()
    place = seq + change.counter - header.first
    is_state = change.kind == runs.STATE
    return Logged(place, header.device, change.counter, is_state, change.object, change.context, leaf)


def live_at(changes: Iterable[Logged], upto: int, cutoffs: Mapping[bytes, int]) -> list[Logged]:
    """What is live at a position, in the order of the root."""
    counting = [
        change
        for change in changes
        if change.seq <= upto and change.counter <= cutoffs.get(change.device, change.counter)
    ]
    return sorted(
        (change for change in counting if not any(_supersedes(other, change) for other in counting)),
        key=lambda change: (change.device, change.counter),
    )


def _supersedes(other: Logged, change: Logged) -> bool:
    later_state = other.state and other.object == change.object and other.seq > change.seq
    return later_state and change.is_in_past_of(other)


def checkpoint_of(
    account: bytes,
    items: Iterable[push.Item],
    position: LogPosition,
    devices: tuple[int, bytes],
    cutoffs: Mapping[bytes, int] | None = None,
) -> Checkpoint:
    """What an honest device says of a log up to a position that a run ends at."""
    up_to = [item for item in items if item.seq <= position.seq]
    heads = {}
    for item in up_to:
        header = runs.read_header(item.content)
        content = bytes(item.content)
        chain = runs.chains(content, header, runs.change_ends(content, header))[-1]
        heads[header.device] = ChainHead(header.last, chain)
    live = live_at(changes_of(up_to), position.seq, cutoffs or {})
    roots = (LiveChange(change.device, change.counter, change.leaf) for change in live)
    count, root = live_root(account, position.seq, roots)
    return Checkpoint(position, up_to[-1].received_ms, *devices, heads, count, root)
