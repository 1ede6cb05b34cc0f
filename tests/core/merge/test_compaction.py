"""What a checkpoint leaves out is not missed: for any cursor, state(whole) = state(there + what is left)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from echolia.core.checkpoints import in_past
from echolia.core.clock import START, Stamp, tick
from echolia.core.dots import Dot
from echolia.core.merge import (
    Add,
    FieldEdits,
    Increment,
    ObjectState,
    ReplaceText,
    Set,
    canonical_view,
    clamp,
    delete,
    join,
    renewed,
    restore,
    whole,
    write,
)
from tests.core.merge.objects import NOTES, A, B, C, joined


class Logged(NamedTuple):
    """A change in the log: what the server sees of it, what is inside, and when it arrived."""

    device: bytes
    counter: int
    is_state: bool
    context: dict[bytes, int]
    body: ObjectState
    received_ms: int = 0


@dataclass
class Log:
    """One object's changes, in the order of the server."""

    changes: list[Logged] = field(default_factory=list)

    def read(self, after: int, until: int) -> list[ObjectState]:
        """The bodies between two positions, as every device reads them."""
        return [self.clamped(change) for change in self.changes[after:until]]

    def clamped(self, change: Logged, forgotten: frozenset[int] = frozenset()) -> ObjectState:
        """A body with its keys clamped, where the receive times of some changes are not known any more."""
        known = {
            Dot(one.device, one.counter): one.received_ms
            for at, one in enumerate(self.changes)
            if at not in forgotten
        }
        return clamp(change.body, lambda dot: min(known.get(dot, change.received_ms), change.received_ms))

    def live(self, until: int) -> list[int]:
        """The positions that are not superseded at `until`."""
        return [
            at
            for at, old in enumerate(self.changes[:until])
            if not any(
                new.is_state and in_past(new.device, new.counter, new.context, old.device, old.counter)
                for new in self.changes[at + 1 : until]
            )
        ]


@dataclass
class Writer:
    """A device: how far it has read, what it has written and not sent."""

    device: bytes
    skew_ms: int
    log: Log
    read: int = 0
    counter: int = 0
    sent: int = 0
    stamp: Stamp = START
    pending: list[Logged] = field(default_factory=list)

    def pull(self) -> None:
        self.read = len(self.log.changes)
        self.stamp = max(
            self.stamp, *(Stamp(one.received_ms, 0xFFFF) for one in self.log.changes), Stamp(0, 0)
        )

    def push(self, now_ms: int, at_most: int) -> None:
        """Send what is pending, or the first of it; a run has one receive time, and times increase."""
        last = self.log.changes[-1].received_ms if self.log.changes else 0
        at_ms = max(now_ms, last + 1)
        sent, self.pending = self.pending[:at_most], self.pending[at_most:]
        self.log.changes += [change._replace(received_ms=at_ms) for change in sent]
        self.sent += len(sent)

    @property
    def shown(self) -> ObjectState | None:
        own = [one for one in self.log.changes[self.read :] if one.device == self.device]
        states = [*self.log.read(0, self.read), *map(self.log.clamped, own)]
        states += [change.body for change in self.pending]
        return joined(*states) if states else None

    def edit(self, action: int, now_ms: int) -> None:
        """One change of the object, as the device's editor makes it."""
        self.counter += 1
        dot, shown = Dot(self.device, self.counter), self.shown
        self.stamp = tick(self.stamp, max(0, now_ms + self.skew_ms))
        body, is_state = self._made(action, shown, dot)
        if is_state:
            body = renewed(
                body,
                lambda one: one.device == self.device and one.counter > self.sent,
                dot,
            )
        context = {
            one.device: one.counter for one in self.log.changes[: self.read] if one.device != self.device
        }
        self.pending.append(Logged(self.device, self.counter, is_state, context, body))

    def _made(self, action: int, shown: ObjectState | None, dot: Dot) -> tuple[ObjectState, bool]:
        peer = self.device[0]
        if shown is not None and not shown.alive:
            return restore(shown, dot), True
        if shown is not None and action == 0:
            return delete(shown, dot), True
        edits: tuple[dict[str, FieldEdits], ...] = (
            {"color": Set(f"colour {dot.counter}")},
            {"color": Set(dot.counter), "reads": Increment(2)},
            {"title": Set(f"title {dot.counter}"), "labels": Add("x")},
            {"body": ReplaceText(f"words {dot.counter}")},
        )
        body = write(NOTES, shown, edits[action % 4], dot, self.stamp, peer)
        if shown is not None and action == 4:
            return whole(join(shown, body), dot), True
        return body, shown is None


_DECADE_MS = 10 * 365 * 86_400_000
_steps = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["edit", "edit", "push", "pull"]), st.integers(0, 5)),
    min_size=4,
    max_size=24,
)


@settings(max_examples=120, deadline=None, derandomize=True, database=None)
@given(_steps, st.tuples(*[st.sampled_from([0, _DECADE_MS, -_DECADE_MS])] * 3))
def test_nothing_that_was_superseded_is_missed(
    steps: Iterable[tuple[int, str, int]], skews_ms: tuple[int, int, int]
) -> None:
    log = Log()
    writers = [Writer(device, skew, log) for device, skew in zip((A, B, C), skews_ms, strict=True)]
    now_ms = 1_000_000
    for number, verb, action in steps:
        now_ms += 10
        writer = writers[number]
        if verb == "edit":
            writer.edit(action, now_ms)
        elif verb == "push":
            writer.push(now_ms, action + 1)
        else:
            writer.pull()
    for writer in writers:
        writer.push(now_ms, writer.counter)
    end = len(log.changes)
    if not end:
        return
    wanted = canonical_view(joined(*log.read(0, end)))
    for until in range(1, end + 1):
        live = log.live(until)
        forgotten = frozenset(range(until)) - frozenset(live)
        for cursor in range(until + 1):
            kept = [log.clamped(log.changes[at], forgotten) for at in live if at >= cursor]
            rest = [log.clamped(change, forgotten) for change in log.changes[until:]]
            assert canonical_view(joined(*log.read(0, cursor), *kept, *rest)) == wanted


def test_a_state_names_no_receive_time_that_is_forgotten() -> None:
    """A clock far ahead, and a deletion that leaves before the write that it holds has arrived."""
    log = Log()
    writer = Writer(A, _DECADE_MS, log)
    writer.edit(0, 1_000)
    writer.edit(0, 1_010)
    writer.push(1_020, 1)
    writer.push(1_030, 1)
    assert log.live(2) == [1]
    known, forgotten = (log.clamped(log.changes[1], gone) for gone in (frozenset[int](), frozenset({0})))
    assert canonical_view(known) == canonical_view(forgotten)
